"""``peerup auth``: who may connect to this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.cli import context, output
from peerup.config import authorized_keys
from peerup.config.edit import add_name
from peerup.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from peerup.config.schema import Config


def add(args: argparse.Namespace) -> int:
    """Authorize a peer, and name it if asked to; doing it twice is no error."""
    config = context.node_config(args)
    peer = context.peer_id(args.peer)
    path = _keys_file(config)
    if args.name is not None:  # first, as a clash of names must leave the list as it is
        add_name(config.path, args.name, peer)
    added = authorized_keys.add(path, peer, args.comment or "")
    output.line(f"{'Authorized peer' if added else 'Already authorized'}: {peer}")
    if args.name is not None:
        output.line(f"  Name: {args.name}")
    if args.comment and added:
        output.line(f"  Comment: {args.comment}")
    output.line(f"  File: {path}")
    return 0


def list_peers(args: argparse.Namespace) -> int:
    """List the authorized peers, with the names they have here."""
    config = context.node_config(args)
    path = _keys_file(config)
    entries = authorized_keys.load(path)
    if not entries:
        output.line("No authorized peers.")
    else:
        output.line(f"Authorized peers ({len(entries)}):")
    for entry in entries:
        names = ", ".join(name for name, peer in config.names.items() if peer == entry.peer)
        output.line(f"  {context.describe(entry, names)}")
    output.line(f"File: {path}")
    return 0


def remove(args: argparse.Namespace) -> int:
    """Take a peer off the list; a name that it has in the configuration stays."""
    config = context.node_config(args)
    peer = context.peer_or_name(config, args.peer)
    path = _keys_file(config)
    if not authorized_keys.remove(path, peer):
        raise ConfigError(
            f"peer not found: {peer} is not in {path}", hint="`peerup auth list` shows who is."
        )
    output.line(f"Revoked peer: {peer}")
    output.line(f"  File: {path}")
    return 0


def _keys_file(config: Config) -> Path:
    path = config.security.authorized_keys_file
    if path is None:
        raise ConfigError(
            f"no authorized_keys_file configured in {config.path}",
            hint='Add authorized_keys_file: "authorized_keys" under security: there.',
        )
    return path
