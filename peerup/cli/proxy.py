"""``peerup proxy``: a local TCP port that leads to a service of a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerup.cli import context, output, runner
from peerup.config.schema import check_service_name
from peerup.errors import UsageError
from peerup.node.node import Node
from peerup.node.proxies import open_proxy

if TYPE_CHECKING:
    import argparse

    from peerup.config.schema import Config

MAX_PORT: Final = 65535


def run(args: argparse.Namespace) -> int:
    """Forward until a signal comes."""
    if not 0 <= args.port <= MAX_PORT:
        raise UsageError(f"there is no port {args.port}", hint=f"Ports are 0 to {MAX_PORT}.")
    try:
        check_service_name(args.service)
    except ValueError as error:
        raise UsageError(
            str(error), hint="`peerup service list` on the other machine shows its services."
        ) from None
    config = context.node_config(args)
    return runner.run_until_stopped(lambda: _forward(config, args), args, log=False)


async def _forward(config: Config, args: argparse.Namespace) -> int:
    async with Node(config, listen=False) as node:
        peer = node.resolve(args.target)
        output.progress(f"Connecting to {args.target} ({peer.short})")
        connection = await node.connect(peer)
        output.progress(f"Connected [{connection.path}] via {connection.remote_addr}")
        async with open_proxy(node, peer, args.service, args.listen_address, args.port) as proxy:
            host, port = proxy.listen_address
            host = f"[{host}]" if ":" in host else host
            output.line(f"TCP proxy listening on {host}:{port}")
            await proxy.serve_forever()
    return 0
