"""``peerup completion``: what a shell needs to complete commands, options and names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from peerup.cli import files, output
from peerup.config.source import parse_root, read_config
from peerup.errors import PeerupError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

MAX_NAMES: Final = 1000

# Shells expand what they are offered as if it had been typed, so nothing else is offered.
_HARMLESS: Final = re.compile(r"[A-Za-z0-9/._:%@+-]+")


def run(args: argparse.Namespace) -> int:
    """Print the script of a shell, or the names that it asks for while somebody types."""
    if args.names is not None:
        for name in names(args):
            output.line(name)
        return 0
    if args.shell is None:
        raise UsageError("for which shell?", hint="One of bash, zsh, fish: peerup completion bash")
    from peerup.cli.completion_script import script  # noqa: PLC0415  Tab is not to wait for it

    for text in script(args.shell).splitlines():
        output.line(text)
    return 0


def names(args: argparse.Namespace) -> list[str]:
    """Return the names of one kind, in the order of the configuration.

    Whatever is wrong gives no names: a shell that completes has no place for an error. Of a
    configuration that does not load, what can be read counts.
    """
    try:
        path = files.node_file(args)
        root = parse_root(read_config(path), path)
        if args.names == "relays":
            found: Iterable[str] = (text.text for text in root.section("relay").texts("addresses"))
        else:
            found = root.section("names" if args.names == "peers" else "services").keys()
        return [name for name in found if _HARMLESS.fullmatch(name)][:MAX_NAMES]
    except (PeerupError, OSError):
        return []
