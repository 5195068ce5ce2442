"""``peerup invite``: a code with which another machine can join this one."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from peerup.cli import context, output, qr, runner
from peerup.config.text import clean_name, shown
from peerup.config.units import format_duration
from peerup.errors import ConfigError, UsageError
from peerup.node.pairing import Inviting
from peerup.node.presence import IdentityInUseError

if TYPE_CHECKING:
    import argparse

    from peerup.config.schema import Config

MIN_TTL: Final = 1.0
MAX_TTL: Final = 86400.0  # a relay keeps no invite open for longer


def run(args: argparse.Namespace) -> int:
    """Print a code, and wait until somebody has joined."""
    ttl = context.duration(args.ttl, "--ttl")
    if not MIN_TTL <= ttl <= MAX_TTL:
        raise UsageError(f"--ttl {args.ttl} is not between 1s and 24h", hint="Usual is 10m.")
    name = own_name(args)
    config = context.node_config(args)
    return runner.run_once(lambda: _invite(config, name, ttl, plain=args.non_interactive), args)


def own_name(args: argparse.Namespace) -> str:
    """Return what the other machine is to call this one.

    Raises:
        UsageError: ``--name`` is nothing that could be one.
    """
    if args.name is None:
        return clean_name(socket.gethostname().partition(".")[0])
    name: str = args.name
    if not name or clean_name(name) != name:
        raise UsageError(
            f"{shown(name)} cannot be a name",
            hint="Allowed are up to 64 letters a to z, digits, and . _ -",
        )
    return name


async def _invite(config: Config, name: str, ttl: float, *, plain: bool) -> int:
    output.progress("Reserving a place at the relay...")
    try:
        async with Inviting(config, name=name, ttl=ttl) as inviting:
            _show(inviting.code, ttl, plain=plain)
            if not inviting.vouched:
                output.progress(
                    "This relay does not vouch. If it serves only machines that it knows, and not "
                    "the other one, its operator has to run:"
                )
                output.progress(
                    "  peerup relay authorize ID    # what `peerup whoami` prints there"
                )
            output.progress("Waiting for the other machine to join; Ctrl-C cancels.")
            paired = await inviting.joined()
    except IdentityInUseError as why:
        raise ConfigError(
            f"`peerup invite` cannot wait beside a running `peerup daemon`: {why}",
            hint="Stop the daemon, run `peerup invite`, and start the daemon again.",
        ) from why
    output.progress(f"Peer {paired.name} joined and is authorized: {paired.peer}")
    output.progress(f"Authorized keys file: {config.security.authorized_keys_file}")
    return 0


def _show(code: str, ttl: float, *, plain: bool) -> None:
    if plain:
        output.line(code)
        return
    output.progress(f"=== Invite Code (expires in {format_duration(ttl)}) ===")
    output.line(code)
    qr.show(code)
    output.progress("On the other machine: peerup join CODE")
