"""``peerup whoami``: this machine's peer id, for scripts and for other people's lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.cli import context, output
from peerup.config.identity import load_identity
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Print the peer id and nothing else. Never creates a key."""
    config = context.node_config(args)
    key = load_identity(config.identity.key_file)
    output.line(str(PeerId.from_public_key(key.public_key)))
    return 0
