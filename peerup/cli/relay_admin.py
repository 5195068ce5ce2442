"""``peerup relay authorize / deauthorize / list-peers / info``: looking after a relay.

They read and write the files of the relay on this machine; a running relay sees the changes.
"""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from peerup.cli import context, json_output, output, peer_list, qr
from peerup.config import authorized_keys
from peerup.config.identity import load_identity
from peerup.errors import ConfigError, DialError, PeerupError
from peerup.relay import vouched_file
from peerup.transport.interfaces import expand
from peerup.wire import quic_packet
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from pathlib import Path

    from peerup.config.schema import RelayConfig
    from peerup.relay.vouching import Pair
    from peerup.wire.multiaddr import Multiaddr

POLL: Final = 0.1  # seconds between two looks
CONNECT_TIMEOUT: Final = 2.0  # seconds; the listener is on this machine


def authorize(args: argparse.Namespace) -> int:
    """Let a peer use the relay; doing it twice is no error."""
    config = context.relay_config(args)
    peer, path = context.peer_id(args.peer), _keys_file(config)
    comment = " ".join(args.comment)
    added = authorized_keys.add(path, peer, comment, now=peer_list.now())
    output.line(f"{'Authorized' if added else 'Already authorized'}: {peer}")
    if comment and added:
        output.line(f"  Comment: {comment}")
    output.line(f"  File: {path}")
    if not config.security.enable_connection_gating:
        output.warning(f"gating is off in {config.path}: anybody may use this relay")
    return 0


def deauthorize(args: argparse.Namespace) -> int:
    """Shut a peer out."""
    config = context.relay_config(args)
    peer, path = context.peer_id(args.peer), _keys_file(config)
    removed = authorized_keys.remove(path, peer)
    ended = _take_back(path, peer)
    if not removed and not ended:
        raise ConfigError(
            f"peer not found: {peer} is not in {path}",
            hint="`peerup relay list-peers` shows who is.",
        )
    output.line(f"Deauthorized: {peer}")
    for pair in sorted(ended):
        who = pair.guest if pair.voucher == peer else pair.voucher
        output.line(f"  {'No longer vouched for by' if who == pair.voucher else 'So is'}: {who}")
    output.line(f"  File: {path if removed else vouched_file.beside(path)}")
    return 0


def _take_back(keys_file: Path, peer: PeerId) -> frozenset[Pair]:
    """End every pair that ``peer`` is in, as inviter or as guest, and return them."""
    path = vouched_file.beside(keys_file)
    if not path.exists():
        return frozenset()
    before, after = vouched_file.update(path, vouched_file.without(peer))
    return before - after


def list_peers(args: argparse.Namespace) -> int:
    """List who may use the relay, and for whom they vouch."""
    config = context.relay_config(args)
    entries, path = _entries(config), _keys_file(config)
    pairs = sorted(vouched_file.load(vouched_file.beside(path)))
    if args.json:
        vouched = [
            {"peer_id": str(pair.guest), "by": str(pair.voucher), "since": _time(pair.since)}
            for pair in pairs
        ]
        json_output.json_line(peer_list.to_json(entries, {}, path) | {"vouched": vouched})
        return 0
    peer_list.show(entries, {}, indent="")
    output.line(f"Total: {len(entries)} peer(s)")
    comments = {entry.peer: f" ({entry.comment})" for entry in entries if entry.comment}
    for pair in pairs:
        by = f"{pair.voucher}{comments.get(pair.voucher, '')}"
        output.line(f"  {pair.guest}  vouched for by {by} since {_time(pair.since)}")
    if pairs:
        output.line(f"Vouched for: {len(pairs)}, each to reach who vouches and nobody else")
    output.line(f"File: {path}")
    return 0


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def info(args: argparse.Namespace) -> int:
    """Print what a client needs; with ``--wait``, once the relay accepts connections."""
    wait = None if args.wait is None else context.duration(args.wait, "--wait")
    found = _look(args) if wait is None else _wait(args, wait)
    if args.json:
        json_output.json_line(found.to_json())
    else:
        found.print()
        if args.qr and found.addresses:
            qr.show(str(found.addresses[0]))
    if not found.addresses:
        output.warning(f"{found.config.path} names no address with a fixed port to listen on")
    return 0


@dataclass(frozen=True, slots=True)
class _Info:
    """What there is to know of a relay from its files."""

    config: RelayConfig
    peer: PeerId
    authorized: int | None  # None when anybody is let in
    addresses: tuple[Multiaddr, ...]

    def to_json(self) -> dict[str, object]:
        return {
            "peer_id": str(self.peer),
            "gating": self.config.security.enable_connection_gating,
            "authorized_peers": self.authorized,
            "addresses": [str(address) for address in self.addresses],
            "config": str(self.config.path),
        }

    def print(self) -> None:
        gating = "enabled" if self.config.security.enable_connection_gating else "DISABLED"
        output.line(f"Peer ID: {self.peer}")
        output.line(f"Connection gating: {gating}")
        if self.authorized is not None:
            output.line(f"Authorized peers: {self.authorized}")
        output.line("Multiaddrs:")
        for address in self.addresses:
            output.line(f"  {address}")


def _look(args: argparse.Namespace) -> _Info:
    """Read the files as they are now. Never creates a key."""
    config = context.relay_config(args)
    key_file = config.identity.key_file
    if not key_file.exists():
        raise ConfigError(
            f"the relay has no identity yet: {key_file}", hint="`peerup relay serve` creates it."
        )
    peer = PeerId.from_public_key(load_identity(key_file).public_key)
    authorized = len(_entries(config)) if config.security.enable_connection_gating else None
    addresses = _dialable(config.network.listen_addresses)
    return _Info(config, peer, authorized, tuple(a.with_peer(peer) for a in addresses))


def _wait(args: argparse.Namespace, seconds: float) -> _Info:
    """Look again and again until the files are there and a listener accepts.

    Raises:
        ConfigError: The files were not there in time, or not good.
        DialError: They were, but nothing accepted.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = _look(args)
            _knock(found)
        except PeerupError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL)
        else:
            return found


def _knock(found: _Info) -> None:
    """Return if anything answers at one of the addresses."""
    causes: dict[str, Exception] = {}
    for address in found.addresses:
        assert address.host is not None
        assert address.port is not None
        try:
            if address.has("tcp"):
                socket.create_connection((address.host, address.port), CONNECT_TIMEOUT).close()
            else:
                _probe_quic(address.host, address.port)
        except OSError as error:
            causes[str(address.without_peer())] = error
        else:
            return
    failure = DialError("the relay on this machine", causes)
    failure.hint = "Start it with `peerup relay serve`, or look at its log."
    raise failure


def _probe_quic(host: str, port: int) -> None:
    """Return if a QUIC server answers there; OSError if nothing does in time."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    connection_id = secrets.token_bytes(quic_packet.MIN_FIRST_ID)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(CONNECT_TIMEOUT)
        sock.connect((host, port))
        sock.send(quic_packet.version_probe(connection_id))
        if connection_id not in sock.recv(quic_packet.MIN_INITIAL_SIZE):
            raise OSError("something else than QUIC answered")


def _dialable(listen: Iterable[Multiaddr]) -> list[Multiaddr]:
    """Return the addresses that others can dial, public ones first.

    A wildcard stands for each of this machine's addresses; loopback is among them only if
    there is nothing else.
    """
    found: list[Multiaddr] = []
    for address in listen:
        names = tuple(component.protocol.name for component in address.components)
        if names in context.LISTENABLE and address.port:
            expanded = expand(address)
            found += [part for part in expanded if not part.is_loopback] or expanded
    return sorted(dict.fromkeys(found), key=lambda address: not address.is_public)


def _entries(config: RelayConfig) -> tuple[authorized_keys.Entry, ...]:
    path = _keys_file(config)
    if not path.exists():
        raise ConfigError(
            f"the list of authorized peers is missing: {path}",
            hint="`peerup relay authorize ID` creates it with its first peer.",
        )
    return authorized_keys.load(path)


def _keys_file(config: RelayConfig) -> Path:
    path = config.security.authorized_keys_file
    if path is None:
        raise ConfigError(
            f"no authorized_keys_file configured in {config.path}",
            hint='Add authorized_keys_file: "relay_authorized_keys" under security: there.',
        )
    return path
