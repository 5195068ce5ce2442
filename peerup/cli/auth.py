"""``peerup auth``: who may connect to this machine.

``--file`` names a list directly, also that of a relay, and needs no configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peerup.cli import context, json_output, output, peer_list
from peerup.config import authorized_keys
from peerup.config.edit import add_name
from peerup.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from peerup.config.schema import Config

INVALID = 2  # the exit code when a list cannot be used


def add(args: argparse.Namespace) -> int:
    """Authorize a peer, and name it if asked to; doing it twice is no error."""
    config, path = _list(args, needed=args.name is not None)
    peer = context.peer_id(args.peer)
    if args.name is not None:  # first, as a clash of names must leave the list as it is
        assert config is not None
        add_name(config.path, args.name, peer)
    added = authorized_keys.add(path, peer, args.comment or "", now=peer_list.now())
    output.line(f"{'Authorized peer' if added else 'Already authorized'}: {peer}")
    if args.name is not None:
        output.line(f"  Name: {args.name}")
    if args.comment and added:
        output.line(f"  Comment: {args.comment}")
    output.line(f"  File: {path}")
    return 0


def list_peers(args: argparse.Namespace) -> int:
    """List the authorized peers, with the names they have here."""
    config, path = _list(args)
    entries, names = authorized_keys.load(path), config.names if config else {}
    if args.json:
        json_output.json_line(peer_list.to_json(entries, names, path))
        return 0
    if not entries:
        output.line("No authorized peers.")
    else:
        output.line(f"Authorized peers ({len(entries)}):")
    peer_list.show(entries, names, indent="  ")
    output.line(f"File: {path}")
    return 0


def remove(args: argparse.Namespace) -> int:
    """Take a peer off the list; a name that it has in the configuration stays."""
    config, path = _list(args)
    peer = context.peer_or_name(config, args.peer) if config else context.peer_id(args.peer)
    if not authorized_keys.remove(path, peer):
        raise ConfigError(
            f"peer not found: {peer} is not in {path}", hint="`peerup auth list` shows who is."
        )
    output.line(f"Revoked peer: {peer}")
    output.line(f"  File: {path}")
    return 0


def validate(args: argparse.Namespace) -> int:
    """Say what is wrong with a list, line by line; exit code 2 if anything is."""
    path = _list(args)[1]
    entries, problems = authorized_keys.check(path)
    if args.json:
        errors = [{"line": p.line, "what": p.what, "detail": p.detail} for p in problems]
        result = {"valid": not problems, "peers": len(entries), "errors": errors}
        json_output.json_line({**result, "file": str(path)})
    elif problems:
        output.line(f"Validation failed with {len(problems)} error(s):")
        for problem in problems:
            detail = f" - {problem.detail}" if problem.detail else ""
            output.line(f"  Line {problem.line}: {problem.what}{detail}")
        output.line(f"  File: {path}")
    else:
        output.line("Validation passed")
        output.line(f"  Valid peer IDs: {len(entries)}")
        output.line(f"  File: {path}")
    _point_out(entries)
    return INVALID if problems else 0


def _point_out(entries: tuple[authorized_keys.Entry, ...]) -> None:
    """Warn of what is allowed, but hardly meant."""
    at = peer_list.now()
    first: dict[object, int] = {}
    for entry in entries:
        if entry.expired(at):
            output.warning(f"line {entry.line}: {entry.peer} has expired and is not let in")
        if entry.peer in first:
            output.warning(f"line {entry.line}: {entry.peer} is in line {first[entry.peer]} too")
        first.setdefault(entry.peer, entry.line)


def _list(args: argparse.Namespace, *, needed: bool = False) -> tuple[Config | None, Path]:
    """Return the list, and the configuration that names it unless ``--file`` does.

    With ``needed`` there has to be a configuration, whatever names the list.
    """
    if args.file is not None:
        return context.node_config(args) if needed else None, Path(args.file).absolute()
    config = context.node_config(args)
    path = config.security.authorized_keys_file
    if path is None:
        raise ConfigError(
            f"no authorized_keys_file configured in {config.path}",
            hint='Add authorized_keys_file: "authorized_keys" under security: there.',
        )
    return config, path
