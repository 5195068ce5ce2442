"""``peerup version``: what a bug report should start with."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

from peerup import __version__
from peerup.cli import output

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Print the version of peerup, then what runs it. Loads nothing else, so it always works."""
    return _print("peerup", args)


def relay(args: argparse.Namespace) -> int:
    """Print the same for a relay, which is the same program."""
    return _print("peerup relay", args)


def _print(name: str, args: argparse.Namespace) -> int:
    python, machine = platform.python_version(), f"{sys.platform}/{platform.machine()}"
    if getattr(args, "json", False):  # absent when `--version` was asked for
        from peerup.cli.json_output import json_line  # noqa: PLC0415  the text needs no json

        json_line({"version": __version__, "python": python, "platform": machine})
    else:
        output.line(f"{name} {__version__}")
        output.line(f"Python {python} {machine}")
    return 0
