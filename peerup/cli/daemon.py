"""``peerup daemon``: make this machine reachable, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.cli import context, output, runner
from peerup.node.node import Node

if TYPE_CHECKING:
    import argparse

    from peerup.config.schema import Config


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    config = context.node_config(args)
    return runner.run_until_stopped(lambda: _serve(config), args)


async def _serve(config: Config) -> int:
    output.line(f"Configuration: {config.path}")
    async with Node(config) as node:
        output.line(f"Peer ID: {node.peer_id}")
        for address in node.addresses:
            output.line(f"Address: {address}")
        for service in config.services.values():
            if service.enabled:
                output.line(f"Service: {service.name} -> {service.local_address}")
        output.progress("Running; Ctrl-C stops it.")
        await node.run_forever()
    return 0
