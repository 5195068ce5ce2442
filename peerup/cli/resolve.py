"""``peerup resolve``: which peer a name stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.cli import context, json_output, output
from peerup.config.names import find_peer

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Print the peer id of a name. Looks at the configuration alone, and creates nothing."""
    config = context.node_config(args)
    peer = find_peer(config, args.target)
    source = "local_config" if args.target in config.names else "peer_id"
    if args.json:
        json_output.json_line({"name": args.target, "peer_id": str(peer), "source": source})
    else:
        output.line(f"{args.target} → {peer}")
    return 0
