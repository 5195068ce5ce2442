"""Which configuration file a command is about: what ``--config`` names, else the first found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peerup.config.paths import find_config

if TYPE_CHECKING:
    import argparse


def explicit_path(args: argparse.Namespace) -> Path | None:
    """Return what ``--config`` says, if it was given."""
    return Path(args.config) if args.config else None


def node_file(args: argparse.Namespace) -> Path:
    """Return the configuration file of this machine's node; it need not be one that loads.

    Raises:
        ConfigError: There is none.
    """
    return find_config(explicit_path(args))
