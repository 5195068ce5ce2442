"""``peerup status``: what this machine is, whom it knows and what it offers, by its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup import __version__
from peerup.cli import context, json_output, output, peer_list
from peerup.config import authorized_keys
from peerup.config.identity import load_identity
from peerup.wire.address_class import classify
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from peerup.config.authorized_keys import Entry
    from peerup.config.schema import Config
    from peerup.wire.multiaddr import Multiaddr


def run(args: argparse.Namespace) -> int:
    """Print what the files say. Touches no network and creates nothing.

    Raises:
        ConfigError: A file is missing or damaged; the message says which, and what mends it.
    """
    config = context.node_config(args)
    peer = PeerId.from_public_key(load_identity(config.identity.key_file).public_key)
    entries = _entries(config)
    if args.json:
        json_output.json_line(_json(config, peer, entries))
    else:
        _print(config, peer, entries)
    return 0


def _entries(config: Config) -> tuple[Entry, ...] | None:
    """Return who may connect, None when anybody may."""
    path = config.security.authorized_keys_file
    if not config.security.enable_connection_gating or path is None:
        return None
    return authorized_keys.load(path)


def _print(config: Config, peer: PeerId, entries: tuple[Entry, ...] | None) -> None:
    output.line(f"peerup {__version__}")
    output.line()
    output.line(f"Peer ID:  {peer}")
    output.line(f"Config:   {config.path}")
    output.line(f"Key file: {config.identity.key_file}")
    output.line(f"Network:  {config.discovery.network or 'global (default)'}")
    output.line()
    _print_list("Relay addresses:", map(_classed, config.relay.addresses), "(none)")
    listen = config.network.listen_addresses
    _print_list("Listen addresses:", map(_classed, listen), "(none: through relays only)")
    if entries is None:
        _print_list("Authorized peers:", (), "connection gating disabled: anybody may connect")
    else:
        _print_list(f"Authorized peers ({len(entries)}):", (), "" if entries else "(none)")
        peer_list.show(entries, config.names, indent="  ")
    _print_list("Services:", _services(config), "(none configured)")
    _print_list(
        "Names:", (f"{name} → {config.names[name]}" for name in sorted(config.names)), "(none)"
    )


def _print_list(title: str, items: Iterable[str], when_empty: str) -> None:
    output.line(title)
    for text in tuple(items) or ((when_empty,) if when_empty else ()):
        output.line(f"  {text}")


def _classed(addr: Multiaddr) -> str:
    return f"{addr} ({classify(addr)})"


def _services(config: Config) -> Iterable[str]:
    width = max(map(len, config.services), default=0)
    for name in sorted(config.services):
        service = config.services[name]
        state = "enabled" if service.enabled else "disabled"
        yield f"{name:<{width}} -> {service.local_address} ({state})"


def _json(config: Config, peer: PeerId, entries: tuple[Entry, ...] | None) -> dict[str, object]:
    return {
        "peer_id": str(peer),
        "version": __version__,
        "config": str(config.path),
        "key_file": str(config.identity.key_file),
        "network": config.discovery.network,
        "gating": config.security.enable_connection_gating,
        "relays": [
            {"address": str(addr), "class": str(classify(addr))} for addr in config.relay.addresses
        ],
        "listen_addresses": [str(addr) for addr in config.network.listen_addresses],
        "authorized_peers": None
        if entries is None
        else peer_list.to_json(entries, config.names, config.path)["peers"],
        "services": [
            {
                "name": name,
                "protocol": config.services[name].protocol or f"/peerup/{name}/1.0.0",
                "local_address": config.services[name].local_address,
                "enabled": config.services[name].enabled,
            }
            for name in sorted(config.services)
        ],
        "names": [
            {"name": name, "peer_id": str(config.names[name])} for name in sorted(config.names)
        ],
    }
