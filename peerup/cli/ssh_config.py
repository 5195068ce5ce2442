"""``peerup ssh-config``: lets ``ssh home`` find its way, whatever runs ssh.

What is printed belongs into ``~/.ssh/config``. ssh runs a ProxyCommand through the user's shell
after replacing ``%`` sequences, so words are quoted for the shell and then for ssh. A name that
ssh would take for a pattern, or refuse as a host name, is left out and reported.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from peerup.cli import context, output
from peerup.config.paths import NODE_FILE, system_dir, user_dir
from peerup.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from peerup.config.schema import Config

_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def run(args: argparse.Namespace) -> int:
    """Print one ``Host`` block for each name of the configuration."""
    context.check_service(args.service)
    config = context.node_config(args)
    words = [*_program(), *_config_words(config, explicit=bool(args.config)), "nc"]
    hosts = [name for name in sorted(config.names) if _HOST.fullmatch(name)]
    for name in sorted(set(config.names) - set(hosts)):
        output.warning(f'"{name}" cannot be a Host of ssh: use letters, digits and . _ - only')
    commands = {name: _command([*words, name, args.service]) for name in hosts}
    for name, command in commands.items():
        output.line(f"Host {name}")
        output.line(f"    ProxyCommand {command}")
    if hosts:
        output.progress("Put this into ~/.ssh/config; or keep it apart, and up to date, with")
        output.progress("  peerup ssh-config > ~/.ssh/peerup.conf")
        output.progress("and the line `Include peerup.conf` at the top of ~/.ssh/config.")
        output.progress(f"Then: ssh {hosts[0]}")
    else:
        output.progress(
            f"There are no names in {config.path}; `peerup auth add ID --name NAME` adds one."
        )
    return 0


def _program() -> list[str]:
    """Return the words that run this very peerup from anywhere."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return [sys.executable, "-m", "peerup"]
    return [os.path.abspath(started)]  # a link, as pipx makes them, outlives what it leads to


def _config_words(config: Config, *, explicit: bool) -> list[str]:
    """Return the option that names the file, unless ssh would find it from anywhere."""
    usual = (user_dir() / NODE_FILE, system_dir() / NODE_FILE)
    return ["--config", str(config.path)] if explicit or config.path not in usual else []


def _command(words: Sequence[str]) -> str:
    text = shlex.join(words)
    if not text.isprintable():
        raise UsageError(
            f"a path that ssh's configuration cannot hold: {text}",
            hint="Move the configuration to a place whose name has no control characters.",
        )
    return text.replace("%", "%%")
