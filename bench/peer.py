"""Our peer in a process of its own: a ``peerup.Host`` on TCP, or QUIC, that does as it is told.

python -m bench.peer asyncio|uvloop [--quic] [--listen] [--identify]
"""

from __future__ import annotations

import gc
import hashlib
import resource
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from bench import worker
from peerup.host.host import Host
from peerup.protocols.identify import Identify
from peerup.transport.limits import Limits
from peerup.transport.messages import read_exactly
from peerup.transport.quic import Quic
from peerup.transport.tcp import Tcp
from peerup.wire.keys import PrivateKey
from peerup.wire.multiaddr import Multiaddr

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from interop.process import Process, Result
    from peerup.transport.base import TransportFactory
    from peerup.transport.muxed import MuxedConnection, MuxedStream

SINK: Final = "/peerup-bench/sink/1.0.0"  # reads a flag, u64 n and n bytes, answers a digest
SOURCE: Final = "/peerup-bench/source/1.0.0"  # reads u64 n, sends n bytes
NUMBER: Final = 8
DIGEST: Final = hashlib.sha256().digest_size
PIECE: Final = bytes(256 * 1024)  # sent over and over; proxy and relay take as much at once
ANYWHERE: Final = Multiaddr.parse("/ip4/127.0.0.1/tcp/0")
ANYWHERE_QUIC: Final = Multiaddr.parse("/ip4/127.0.0.1/udp/0/quic-v1")
MAX_CONNECTIONS: Final = 4096
SETUP_S: Final = 20.0
TRANSFER_S: Final = 120.0


@asynccontextmanager
async def pair(loop: str, *flags: str) -> AsyncIterator[tuple[Process, Process, str]]:
    """Run two: one that dials, one that listens, and the address of that one."""
    async with (
        worker.start("bench.peer", loop, "--listen", *flags) as listener,
        worker.start("bench.peer", loop, *flags) as dialler,
    ):
        addr = (await listener.call("addr", {}, within=SETUP_S))["addr"]
        yield dialler, listener, addr


class Peer:
    """What it can be told. Results are dictionaries, times are in seconds, sizes in bytes."""

    def __init__(self, host: Host, transport: TransportFactory, others: AsyncExitStack) -> None:
        self.host = host
        self.transport = transport
        self.others = others  # further hosts of this process, each with a key of its own
        self.held: list[MuxedConnection] = []  # theirs
        self.conn: MuxedConnection | None = None
        host.handle(SINK, _serve_sink)
        host.handle(SOURCE, _serve_source)

    async def addr(self) -> Result:
        return {"addr": str(self.host.addrs[0].with_peer(self.host.peer))}

    async def connect(self, addr: str) -> Result:
        self.conn = await _connect(self.host, addr)
        return {}

    async def up(self, size: int, hashed: bool) -> Result:
        """Send ``size`` bytes on a new stream, until the other end says that it has them."""
        async with await self._open(SINK) as stream:
            began = time.perf_counter()
            await stream.write(bytes([hashed]) + size.to_bytes(NUMBER, "big"))
            await _send(stream, size)
            _check(await read_exactly(stream, DIGEST), size, hashed)
            return {"seconds": time.perf_counter() - began}

    async def down(self, size: int, hashed: bool) -> Result:
        """Fetch ``size`` bytes on a new stream."""
        async with await self._open(SOURCE) as stream:
            began = time.perf_counter()
            await stream.write(size.to_bytes(NUMBER, "big"))
            _check(await _receive(stream, size, hashed), size, hashed)
            return {"seconds": time.perf_counter() - began}

    async def dial(self, addr: str, count: int) -> Result:
        """Connect and close, ``count`` times in a row.

        On QUIC, whose connections stay for a while to repeat their close, nobody waits for that.
        """
        began = time.perf_counter()
        for _ in range(count):
            conn = await _connect(self.host, addr)
            conn.close()
            if self.transport is Tcp:
                await conn.wait_closed()
        return {"seconds": time.perf_counter() - began}

    async def hold(self, addr: str, count: int) -> Result:
        """Open ``count`` more connections, each as another peer, and keep them."""
        for _ in range(count):
            host = Host(PrivateKey.generate(), transports=[self.transport])
            await self.others.enter_async_context(host)
            await self.others.enter_async_context(Identify(host))
            self.held.append(await _connect(host, addr))
        return {}

    async def memory(self) -> Result:
        """Tell what of this process is in memory, and how many connections it has."""
        gc.collect()
        return {"rss": worker.resident(), "connections": len(self.host.connections)}

    async def cpu(self) -> Result:
        """Tell how much processor time this process has had."""
        return {"seconds": time.process_time()}

    async def _open(self, protocol: str) -> MuxedStream:
        if self.conn is None:
            raise OSError("not connected")
        return await self.host.open_stream_on(self.conn, protocol)


async def _connect(host: Host, addr: str) -> MuxedConnection:
    target = Multiaddr.parse(addr)
    if target.peer_id is None:
        raise OSError(f"no peer id in {addr}")
    return await host.connect(target.peer_id, [target.without_peer()])


async def _serve_sink(stream: MuxedStream) -> None:
    request = await read_exactly(stream, 1 + NUMBER)
    size = int.from_bytes(request[1:], "big")
    await stream.write(await _receive(stream, size, bool(request[0])))


async def _serve_source(stream: MuxedStream) -> None:
    await _send(stream, int.from_bytes(await read_exactly(stream, NUMBER), "big"))


async def _send(stream: MuxedStream, size: int) -> None:
    for left in range(size, 0, -len(PIECE)):
        await stream.write(PIECE[:left])


async def _receive(stream: MuxedStream, size: int, hashed: bool) -> bytes:
    """Read ``size`` bytes and return their SHA-256, or that of nothing."""
    digest = hashlib.sha256()
    while size:
        data = await stream.read(len(PIECE))
        if not data:
            raise OSError("the stream ended early")
        size -= len(data)
        if hashed:
            digest.update(data)
    return digest.digest()


def _check(digest: bytes, size: int, hashed: bool) -> None:
    """Compare with what was sent. The Go peer computes that after each transfer: so do we."""
    expected = hashlib.sha256()
    for left in range(size if hashed else 0, 0, -len(PIECE)):
        expected.update(PIECE[:left])
    if digest != expected.digest():
        raise OSError("other bytes arrived than were sent")


async def main(flags: list[str]) -> None:
    """Do as told; ``--identify`` is what every real node has besides."""
    most, hard = MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, hard), hard))
    transport: TransportFactory = Quic if "--quic" in flags else Tcp
    anywhere = ANYWHERE_QUIC if transport is Quic else ANYWHERE
    limits = Limits(connections=most, connections_per_peer=most)
    async with (
        Host(
            PrivateKey.generate(),
            transports=[transport],
            listen=[anywhere] if "--listen" in flags else [],
            limits=limits,
        ) as host,
        AsyncExitStack() as stack,
    ):
        if "--identify" in flags:
            await stack.enter_async_context(Identify(host))
        me = Peer(host, transport, stack)
        await worker.serve(me.addr, me.connect, me.up, me.down, me.dial, me.hold, me.memory, me.cpu)
        for conn in me.held:  # all at once: each host would wait for its own
            conn.close()


if __name__ == "__main__":
    worker.run(main(sys.argv[2:]), sys.argv[1])
