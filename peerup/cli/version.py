"""``peerup version``: what a bug report should start with."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

from peerup import __version__
from peerup.cli import output

if TYPE_CHECKING:
    import argparse


def run(_args: argparse.Namespace) -> int:
    """Print the version of peerup, then what runs it. Loads nothing else, so it always works."""
    output.line(f"peerup {__version__}")
    output.line(f"Python {platform.python_version()} {sys.platform}/{platform.machine()}")
    return 0
