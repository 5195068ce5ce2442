"""``peerup proxy``: a local TCP port that leads to a service of a peer."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING, Final

from peerup.cli import context, output, runner
from peerup.config.schema import check_service_name
from peerup.errors import PeerupError, UsageError
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
    async with contextlib.AsyncExitStack() as stack:
        node = await stack.enter_async_context(Node(config, listen=False))
        peer = node.resolve(args.target)
        output.progress(f"Connecting to {args.target} ({peer.short})")
        connection = await node.connect(peer)
        path = "RELAYED" if connection.relayed else "DIRECT"
        output.progress(f"Connected [{path}] via {connection.remote_addr}")
        listener = open_proxy(node, peer, args.service, args.listen_address, args.port)
        try:
            proxy = await stack.enter_async_context(listener)
        except PeerupError:
            raise
        except OSError as error:
            raise _cannot_listen(error, args) from error
        host, port = proxy.listen_address
        host = f"[{host}]" if ":" in host else host
        output.line(f"TCP proxy listening on {host}:{port}")
        await proxy.serve_forever()
    return 0


def _cannot_listen(error: OSError, args: argparse.Namespace) -> UsageError:
    where = f"{args.listen_address} port {args.port}"
    match error.errno:
        case errno.EADDRINUSE:
            return UsageError(
                f"cannot listen on {where}: another program uses that port",
                hint="Choose another port; 0 picks a free one.",
            )
        case errno.EACCES | errno.EPERM:
            return UsageError(
                f"cannot listen on {where}: not permitted to this user",
                hint="Choose a port above 1023; 0 picks a free one.",
            )
    return UsageError(
        f"cannot listen on {where}: {error.strerror or error}",
        hint="--listen-address takes an address of this machine, such as 127.0.0.1.",
    )
