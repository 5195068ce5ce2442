"""The laptop in a process of its own: a node as `peerup proxy` has one, that does as it is told.

The command line of this version reaches others through relays only; here a node can be told
where a peer is, and then its connections are direct.

    python -m bench.laptop CONFIG
"""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import worker
from peerup.config.load import load_config
from peerup.host.peerstore import FOREVER
from peerup.node.node import Node
from peerup.node.proxies import open_proxy
from peerup.protocols import ping
from peerup.tasks import Supervisor
from peerup.transport.messages import read_exactly
from peerup.wire.multiaddr import Multiaddr

if TYPE_CHECKING:
    from interop.process import Result

PAYLOAD: Final = bytes(ping.SIZE)


class Laptop:
    """What it can be told."""

    def __init__(self, node: Node, tasks: Supervisor, proxies: AsyncExitStack) -> None:
        self.node, self.tasks, self.proxies = node, tasks, proxies

    async def connect(self, target: str, addr: str = "") -> Result:
        """Connect, to ``addr`` if there is one; tell whether that is DIRECT or RELAYED."""
        peer = self.node.resolve(target)
        if addr:
            self.node.host.peerstore.add_addrs(peer, [Multiaddr.parse(addr)], FOREVER)
        return {"path": (await self.node.connect(peer)).path}

    async def proxy(self, target: str, service: str) -> Result:
        """Make a service of a peer a local port."""
        peer = self.node.resolve(target)
        port = await self.proxies.enter_async_context(
            open_proxy(self.node, peer, service, "127.0.0.1", 0)
        )
        self.tasks.spawn(port.serve_forever)
        return {"port": port.listen_address[1]}

    async def round_trip(self, target: str, count: int) -> Result:
        """Ping a peer on one open stream; tell the median in ms, and the path."""
        conn = await self.node.connect(self.node.resolve(target))
        took = []
        host = self.node.host
        async with await host.open_stream_on(conn, ping.PROTOCOL, allow_limited=True) as stream:
            for _ in range(count):
                began = time.perf_counter()
                await stream.write(PAYLOAD)
                await read_exactly(stream, ping.SIZE)
                took.append(time.perf_counter() - began)
        return {"ms": statistics.median(took) * 1e3, "path": conn.path}


async def main(config: Path) -> None:
    """Do as told."""
    async with (
        Node(load_config(config), listen=False) as node,
        AsyncExitStack() as proxies,
        Supervisor() as tasks,
    ):
        me = Laptop(node, tasks, proxies)
        await worker.serve(me.connect, me.proxy, me.round_trip)


if __name__ == "__main__":
    worker.run(main(Path(sys.argv[1])), "asyncio")
