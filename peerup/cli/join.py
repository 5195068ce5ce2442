"""``peerup join``: pair with the machine that printed a code, and create what is missing."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from peerup.cli import files, output, runner
from peerup.cli.invite import own_name
from peerup.config.create import ensure_node
from peerup.config.paths import place_config
from peerup.errors import ConfigError, UsageError
from peerup.node.pairing import join
from peerup.wire.invite import MAX_CODE_CHARS, Invite, decode

if TYPE_CHECKING:
    import argparse

    from peerup.config.schema import Config

VARIABLE: Final = "PEERUP_INVITE_CODE"


def run(args: argparse.Namespace) -> int:
    """Join; a code that cannot be used is refused before anything is created."""
    name = own_name(args)
    invite = decode(_code(args))
    path = place_config(files.explicit_path(args))
    assert invite.relay.peer_id is not None  # as every code has one
    config, created = ensure_node(
        path, generated_by="peerup join", relay=invite.relay, network=invite.network
    )
    _check_network(config, invite)
    output.progress(f"Configuration: {path}{' (new)' if created else ''}")
    code = runner.run_once(lambda: _join(config, invite, name), args)
    if not created:
        output.progress(
            "If `peerup daemon` runs here, restart it: it reads its configuration once."
        )
    return code


def _code(args: argparse.Namespace) -> str:
    """Return the code as it was given: in words, in the environment, or on stdin."""
    text = "".join(args.code) or os.environ.get(VARIABLE, "").strip()
    if not text and (args.non_interactive or sys.stdin.isatty()):
        if not args.non_interactive:
            output.progress("Invite code, as the other machine shows it:")
        text = sys.stdin.readline(MAX_CODE_CHARS + 1).strip()
    if not text:
        raise UsageError(
            "no invite code given",
            hint=f"Run `peerup join CODE`, or put it into {VARIABLE} or on stdin "
            "(with --non-interactive).",
        )
    return text


def _check_network(config: Config, invite: Invite) -> None:
    ours, theirs = config.discovery.network, invite.network
    if ours != theirs:
        raise ConfigError(
            f"this code is for {_network(theirs)}, and {config.path} is for {_network(ours)}",
            hint="Use another configuration for that one: `peerup join CODE --config PATH` "
            "creates it.",
        )


def _network(name: str) -> str:
    return f"the network {name}" if name else "the common network"


async def _join(config: Config, invite: Invite, name: str) -> int:
    output.progress(f"Relay:   {invite.relay}")
    output.progress(f"Inviter: {invite.inviter}")
    paired = await join(config, invite, name=name)
    if paired.fresh:
        output.line(f"Joined {paired.name}: {paired.peer}")
    else:
        output.line(f"Already joined {paired.name}: {paired.peer}")
        output.progress("The invite is over; what it was for had been done before.")
    output.progress(
        f"{paired.name} may connect to this machine too; `peerup auth remove` takes that back."
    )
    output.progress("")
    output.progress("Next:")
    output.progress(f"  is it there?         peerup ping {paired.name}")
    output.progress(f"  use a service of it: peerup proxy {paired.name} SERVICE PORT")
    return 0
