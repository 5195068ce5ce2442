"""``peerup relay serve``: run a relay; an operator's first command needs no preparation."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING

from peerup.atomic_file import create_exclusive
from peerup.cli import context, files, output, runner
from peerup.config import authorized_keys
from peerup.config.identity import create_identity
from peerup.config.load import parse_relay_config
from peerup.config.paths import RELAY_FILE, find_relay_config, user_dir
from peerup.config.template import default_relay_listen, relay_template
from peerup.node.relay_node import RelayNode
from peerup.node.self_healing import Guard

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from peerup.config.schema import RelayConfig
    from peerup.wire.multiaddr import Multiaddr


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    listen = context.listen_addresses(args.listen or ())
    guard = Guard(_file(args, listen), parse_relay_config)
    return runner.run_until_stopped(lambda: guard.run(partial(_serve, guard, listen)), args)


def _file(args: argparse.Namespace, listen: Sequence[Multiaddr]) -> Path:
    """Return the configuration's file, which is written where there is none."""
    path = find_relay_config(files.explicit_path(args))
    if path is None:
        _write_default(listen or default_relay_listen())
        path = find_relay_config(None)
        assert path is not None
        return path
    output.progress(f"Configuration: {path}")
    if listen:
        output.progress("Listening where --listen says, this time; the file is left as it is.")
    return path


def _write_default(listen: Sequence[Multiaddr]) -> None:
    """Write a configuration, a key and an empty list into the user's directory."""
    path = user_dir() / RELAY_FILE
    text = relay_template(listen=listen)
    config = parse_relay_config(text, path)  # says where the other files belong
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    list_file = config.security.authorized_keys_file
    assert list_file is not None  # as the template names one
    _create_key(config)
    authorized_keys.create(list_file)
    create_exclusive(path, text.encode())  # last: where it is, all the rest is too
    output.progress(f"No relay configuration found; wrote {path}")
    output.progress("Only authorized peers may use the relay: `peerup relay authorize ID`.")


def _create_key(config: RelayConfig) -> None:
    """Create the relay's identity unless there is a file of that name, good or bad."""
    if not config.identity.key_file.exists():
        create_identity(config.identity.key_file)
        output.progress(f"Created a new identity: {config.identity.key_file}")


async def _serve(
    guard: Guard[RelayConfig], listen: tuple[Multiaddr, ...], config: RelayConfig
) -> int:
    context.warn(config.warnings)
    _create_key(config)
    if listen:
        network = dataclasses.replace(config.network, listen_addresses=listen)
        config = dataclasses.replace(config, network=network)
    async with RelayNode(config) as relay:
        output.line(f"Peer ID: {relay.peer_id}")
        for address in relay.addresses:
            output.line(f"Listening on {address}")
        await guard.beside(relay.run_forever)
    return 0
