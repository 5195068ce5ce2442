"""``peerup daemon``: make this machine reachable, in the foreground."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from peerup.cli import context, files, output, runner
from peerup.config.load import parse_config
from peerup.node.node import Node
from peerup.node.self_healing import Guard

if TYPE_CHECKING:
    import argparse

    from peerup.config.schema import Config


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    guard = Guard(files.node_file(args), parse_config)
    return runner.run_until_stopped(lambda: guard.run(partial(_serve, guard)), args)


async def _serve(guard: Guard[Config], config: Config) -> int:
    context.warn(config.warnings)
    output.line(f"Configuration: {config.path}")
    async with Node(config) as node:
        output.line(f"Peer ID: {node.peer_id}")
        for address in node.addresses:
            output.line(f"Address: {address}")
        for service in config.services.values():
            if service.enabled:
                output.line(f"Service: {service.name} -> {service.local_address}")
        output.progress("Running; Ctrl-C stops it.")
        await guard.beside(node.run_forever)
    return 0
