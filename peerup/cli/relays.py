"""``peerup relay add / list / remove``: the relays that this machine uses as a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.cli import context, files, json_output, output, relay_address, table
from peerup.config.edit import add_relay, remove_relay
from peerup.config.load import parse_relay_address
from peerup.config.source import parse_root, read_config
from peerup.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from peerup.wire.multiaddr import Multiaddr


def add(args: argparse.Namespace) -> int:
    """Add relays after those that there are; doing it twice is no error."""
    addresses = relay_address.parse_all(args.addresses, args.peer_id)
    path = files.node_file(args)
    added = [addr for addr in addresses if add_relay(path, addr)]
    for addr in addresses:
        output.line(f"{'Added relay' if addr in added else 'Already there'}: {addr}")
    if added:
        _report(path)
    return 0


def list_relays(args: argparse.Namespace) -> int:
    """List the relays in the order of the configuration."""
    config = context.node_config(args)
    relays = [(str(addr), str(addr.peer_id)) for addr in config.relay.addresses]
    if args.json:
        shown = [{"address": text, "peer_id": peer} for text, peer in relays]
        json_output.json_line({"relays": shown, "config": str(config.path)})
    elif not relays:
        output.line("No relays configured.")
        output.progress("Add one with `peerup relay add ADDR`.")
    else:
        output.line(f"Relays ({len(relays)}):")
        rows = [(str(addr), _over(addr)) for addr in config.relay.addresses]
        table.show(("Address", "Over"), rows, [f"  {text}" for text, _ in relays])
    return 0


def remove(args: argparse.Namespace) -> int:
    """Remove a relay; the last one only gives way to another."""
    path = files.node_file(args)
    addr = _named(path, args.address)
    remove_relay(path, addr)
    output.line(f"Removed relay: {addr}")
    _report(path)
    return 0


def _over(addr: Multiaddr) -> str:
    """Return what carries connections to an address."""
    names = [component.protocol.name for component in addr.components]
    return next((name for name in reversed(names) if name != "p2p"), "")


def _named(path: Path, text: str) -> Multiaddr:
    """Return the relay that the user means, by its whole address or by all but the peer id."""
    try:
        addr = relay_address.without_peer(text)
        whole = parse_relay_address(text) if addr.peer_id is not None else None
    except ValueError as error:
        raise UsageError(
            f"invalid multiaddr: {error}", hint="`peerup relay list` shows them."
        ) from None
    if whole is not None:
        return whole
    found = [one for one in _configured(path) if one.without_peer() == addr]
    if len(found) != 1:
        several = "; several relays are there, so name one with its /p2p/ID" if found else ""
        raise ConfigError(
            f"relay address not found in config: {addr}{several}",
            hint="`peerup relay list` shows them.",
        )
    return found[0]


def _configured(path: Path) -> list[Multiaddr]:
    """Return the relays of a configuration that need not load otherwise."""
    found = []
    for text in parse_root(read_config(path), path).section("relay").texts("addresses"):
        try:
            found.append(parse_relay_address(text.text))
        except ValueError:
            continue
    return found


def _report(path: Path) -> None:
    output.line(f"  Config: {path}")
    output.progress("Restart `peerup daemon` to apply it.")
