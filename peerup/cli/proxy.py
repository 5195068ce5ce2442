"""``peerup proxy``: local TCP ports that lead to services of peers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from peerup.cli import context, output, runner
from peerup.errors import NotAuthorizedError, PeerupError, UsageError
from peerup.node.node import Node
from peerup.node.proxies import check_service, open_proxy, stay_connected
from peerup.tasks import Supervisor

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from peerup.config.schema import Config
    from peerup.protocols.forward import LocalPort
    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.peer_id import PeerId

MAX_PORT: Final = 65535


class Wish(NamedTuple):
    """One proxy that the command line asks for."""

    target: str
    service: str
    port: int


def run(args: argparse.Namespace) -> int:
    """Forward until a signal comes, or no peer is left that lets us in."""
    wishes = _wishes(args)
    config = context.node_config(args)
    return runner.run_until_stopped(
        lambda: _forward(config, wishes, args.listen_address), args, log=False
    )


def _wishes(args: argparse.Namespace) -> list[Wish]:
    """Return what the command line asks for: T SERVICE PORT, and that as often as one likes."""
    words = [args.target, args.service, args.port, *args.more]
    if len(words) % 3:
        raise UsageError(
            "further proxies are three words each: T SERVICE PORT",
            hint="For example: peerup proxy home ssh 2222 home web 8080",
        )
    triples = [words[at : at + 3] for at in range(0, len(words), 3)]
    return [_wish(*triple) for triple in triples]


def _wish(target: str, service: str, port: str) -> Wish:
    context.check_service(service)
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1
    if not 0 <= number <= MAX_PORT:
        raise UsageError(
            f"there is no port {port}", hint=f"Ports are numbers from 0 to {MAX_PORT}."
        )
    return Wish(target, service, number)


async def _forward(config: Config, wishes: Sequence[Wish], host: str) -> int:
    async with Node(config, listen=False) as node, AsyncExitStack() as stack:
        peers = {wish.target: node.resolve(wish.target) for wish in wishes}
        for target, peer in peers.items():  # all of them are there, or nothing is started
            output.progress(f"Connecting to {target} ({peer.short})")
            connection = await node.connect(peer)
            output.progress(f"Connected [{connection.path}] via {connection.remote_addr}")
        for wish in wishes:
            await check_service(node, peers[wish.target], wish.service)
        ports: dict[str, list[LocalPort]] = {target: [] for target in peers}
        for wish in wishes:
            opening = open_proxy(node, peers[wish.target], wish.service, host, wish.port)
            port = await stack.enter_async_context(opening)
            ports[wish.target].append(port)
            which = f" ({wish.target} {wish.service})" if len(wishes) > 1 else ""
            output.line(f"TCP proxy listening on {_shown(port.listen_address)}{which}")
        async with asyncio.TaskGroup() as group:
            serving = [
                group.create_task(_serve(node, target, peer, ports[target]))
                for target, peer in peers.items()
            ]
        return max(task.result() for task in serving)


async def _serve(node: Node, target: str, peer: PeerId, ports: Sequence[LocalPort]) -> int:
    """Serve the ports that lead to one peer until it does not want us any more."""

    def report(news: MuxedConnection | PeerupError) -> None:
        if isinstance(news, PeerupError):
            output.progress(f"Lost the connection to {target} ({news}); trying again")
        else:
            output.progress(f"Connected to {target} again [{news.path}] via {news.remote_addr}")

    async with Supervisor() as tasks:
        try:
            for port in ports:
                tasks.spawn(port.serve_forever)
            await stay_connected(node, peer, report)
        except NotAuthorizedError as why:
            output.error(f"{target}: {why}", why.hint)
            return why.exit_code
        finally:
            for port in ports:
                port.close()


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
