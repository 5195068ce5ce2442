"""Our side of a cell: a peerup host with the protocols of the test peers.

    async with OurPeer.start(relay=RelayLimits()) as ours:
        await ours.connect(go.addr)
        await ours.echo(go.peer, 1 << 20)

It is driven as `GoPeer` is, with peers and addresses as texts, so that most cells read the same
whichever side does what. Failures are those of peerup.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import struct
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, Self, TypedDict, Unpack

from interop.foreign import (
    ECHO,
    HANG,
    MANUAL,
    PATTERN_PERIOD,
    RESET,
    SINK,
    SOURCE,
    Many,
    Transfer,
    pattern,
)
from peerup.errors import PeerupError
from peerup.host.events import ConnectionClosed, PeerIdentified
from peerup.host.handlers import Registration
from peerup.host.host import Host
from peerup.protocols import ping
from peerup.protocols.identify import Identify
from peerup.relay.autorelay import AutoRelay
from peerup.relay.client import Circuits, Reservation, reserve
from peerup.relay.server import HopService
from peerup.relay.transport import CircuitTransport
from peerup.tasks import Supervisor
from peerup.transport.messages import read_exactly
from peerup.transport.quic import MAX_DATAGRAM, Quic
from peerup.transport.tcp import Tcp
from peerup.wire.keys import PrivateKey
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from peerup.host.gater import Gater
    from peerup.relay.quota import RelayLimits
    from peerup.transport.base import ByteStream, TransportFactory
    from peerup.transport.muxed import MuxedConnection, MuxedStream

AGENT: Final = "peerup-interop/1"
LOOPBACK: Final = "/ip4/127.0.0.1/tcp/0"
TRANSPORTS: Final[Mapping[str, TransportFactory]] = {
    "tcp": Tcp,
    "quic": Quic,
    "quic with full datagrams": functools.partial(Quic, datagram_size=MAX_DATAGRAM),
}
MAX_STREAMS: Final = 256  # of one peer and protocol: as many as yamux lets it open
PIECE: Final = PATTERN_PERIOD * 4096  # bytes of the pattern written at once
MAX_FAILURE_TEXTS: Final = 5


class Options(TypedDict, total=False):
    """What `OurPeer.start` takes."""

    seed: str  # hex of 32 bytes; a new key without it
    listen: Sequence[str]  # () only dials
    transports: Sequence[str]  # "tcp", which is the default, "quic", "quic with full datagrams"
    agent: str
    gater: Gater
    relay: RelayLimits  # serve as a relay
    relays: Sequence[str]  # keep a place at each of these, with their /p2p
    answer_circuits: bool  # take connections through relays; the default


class OurStream:
    """A stream that the test drives, with the methods of `ForeignStream`."""

    def __init__(self, stream: MuxedStream) -> None:
        self.raw = stream
        self.protocol = stream.protocol

    async def read(self, size: int = 65_536) -> bytes:
        """Return 1 to ``size`` bytes, or ``b""`` at the end."""
        return await self.raw.read(size)

    async def read_exactly(self, size: int) -> bytes:
        """Return ``size`` bytes."""
        return await read_exactly(self.raw, size)

    async def digest(self) -> Transfer:
        """Read to the end and return how much that was."""
        began = time.monotonic()
        count, sha = await digest(self.raw)
        return Transfer(count, sha, time.monotonic() - began)

    async def write(self, data: bytes) -> None:
        await self.raw.write(data)

    async def close_write(self) -> None:
        self.raw.close_write()

    async def close(self) -> None:
        self.raw.close()

    async def reset(self, code: int = 0) -> None:
        self.raw.reset(code)


class OurPeer:
    """A peerup host. Failed calls raise errors of peerup; waits are bounded by the test.

    ``peer`` is its id, ``addrs`` are where it listens, with ``/p2p``.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.peer = str(host.peer)
        self.addrs: tuple[str, ...] = ()
        self.relays: AutoRelay | None = None
        self.hop: HopService | None = None
        self._manual: asyncio.Queue[OurStream] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def start(cls, **options: Unpack[Options]) -> AsyncIterator[Self]:
        """Run a peer for the length of the block; `Options` says how it can be."""
        seed = options.get("seed")
        key = PrivateKey.from_seed(bytes.fromhex(seed)) if seed else PrivateKey.generate()
        host = Host(
            key,
            transports=[TRANSPORTS[name] for name in options.get("transports", ("tcp",))],
            gater=options.get("gater"),
            agent=options.get("agent", AGENT),
        )
        ours = cls(host)
        ours._serve_protocols()
        host.add_transport(CircuitTransport(host))
        if options.get("answer_circuits", True):
            Circuits(host)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(host)
            await stack.enter_async_context(Identify(host))
            if (limits := options.get("relay")) is not None:
                ours.hop = HopService(host, limits)
            for addr in options.get("listen", (LOOPBACK,)):
                await ours.listen(addr)
            if relays := options.get("relays"):
                ours.relays = AutoRelay(host, dict(map(_at, relays)))
            yield ours

    # --- connections ------------------------------------------------------------------

    @property
    def addr(self) -> str:
        """The first address it listens on, empty if none."""
        return self.addrs[0] if self.addrs else ""

    async def listen(self, addr: str = LOOPBACK) -> str:
        """Listen there too and return the address, with ``/p2p``."""
        listener = await self.host.listen(Multiaddr.parse(addr))
        bound = str(listener.addrs[0].with_peer(self.host.peer))
        self.addrs += (bound,)
        return bound

    async def connect(self, addr: str) -> MuxedConnection:
        """Dial ``addr`` (with its ``/p2p``), unless connected, and wait for identify."""
        peer, addrs = _at(addr)
        return await self.host.connect(peer, addrs)

    async def greeted(self, peer: str) -> None:
        """Wait until ``peer``, which is connected, was identified, whoever dialled."""
        await self.host.connect(PeerId.parse(peer))

    async def reserve(self, relay: str) -> Reservation:
        """Reserve a place at ``relay`` (an address), once: nothing renews it."""
        return await reserve(self.host, await self.connect(relay))

    async def reserved(self, relay: str, *, after: Reservation | None = None) -> Reservation:
        """Wait for the place at ``relay`` that ``relays`` asked for, or for one ``after`` that."""
        assert self.relays is not None, "started without relays"
        peer, _ = _at(relay)
        while (held := self.relays.held.get(peer)) is None or held is after:
            await asyncio.sleep(0.01)  # the book of reservations tells nobody of a change
        return held

    def conns(self, peer: str) -> tuple[MuxedConnection, ...]:
        """Return the open connections to ``peer``."""
        return self.host.connections.of(PeerId.parse(peer))

    def conn(self, peer: str) -> MuxedConnection:
        """Return the connection to ``peer``: there is exactly one."""
        (conn,) = self.conns(peer)
        return conn

    def disconnect(self, peer: str, code: int = 0) -> None:
        for conn in self.conns(peer):
            conn.close(code)

    async def gone(self, peer: str) -> None:
        """Wait until there is no connection to ``peer``."""
        with self.host.bus.subscribe(ConnectionClosed) as closed:
            while self.conns(peer):
                await closed.next()

    async def identified(self, peer: str, protocol: str, *, speaks: bool = True) -> None:
        """Wait until identify or a push says that ``peer`` speaks ``protocol``, or does not."""
        who = PeerId.parse(peer)
        with self.host.bus.subscribe(PeerIdentified) as told:
            while (protocol in self.host.peerstore.protocols(who)) is not speaks:
                await told.next()

    # --- streams ----------------------------------------------------------------------

    async def open_stream(
        self, peer: str, *protocols: str, allow_limited: bool = True
    ) -> OurStream:
        """Open a stream on a connection there is, for the first of ``protocols`` it speaks."""
        return OurStream(await self._open(peer, *protocols, allow_limited=allow_limited))

    async def accept_stream(self) -> OurStream:
        """Return the next stream that somebody opened to the manual protocol."""
        return await self._manual.get()

    async def ping(self, peer: str) -> float:
        """Return the round trip of one libp2p ping, in seconds."""
        return await ping.ping(self.host, self._best(peer), [ping.PROTOCOL])

    async def echo(self, peer: str, size: int, *, allow_limited: bool = True) -> Transfer:
        """Send ``size`` pattern bytes while they come back, and check them."""

        async def send(stream: MuxedStream) -> None:
            await write_pattern(stream, size)

        return await self._exchange(peer, ECHO, size, send, digest, allow_limited=allow_limited)

    async def sink(self, peer: str, size: int) -> Transfer:
        """Send ``size`` pattern bytes, half-close, and check the count and digest that come."""

        async def send(stream: MuxedStream) -> None:
            await write_pattern(stream, size)

        async def read(stream: ByteStream) -> tuple[int, str]:
            count, sha = struct.unpack(">Q32s", await read_exactly(stream, 40))
            assert await stream.read() == b""
            return count, sha.hex()

        return await self._exchange(peer, SINK, size, send, read)

    async def source(
        self, peer: str, size: int, *, pause_after: int = 0, pause: float = 0.0
    ) -> Transfer:
        """Fetch ``size`` pattern bytes; a slow reader pauses ``pause`` seconds on the way."""

        async def send(stream: MuxedStream) -> None:
            await stream.write(size.to_bytes(8, "big"))

        async def read(stream: ByteStream) -> tuple[int, str]:
            first = await read_exactly(stream, pause_after)
            await asyncio.sleep(pause)
            return await digest(stream, first)

        return await self._exchange(peer, SOURCE, size, send, read)

    async def echo_many(
        self, peer: str, count: int, *, size: int = 1024, parallel: int = 1
    ) -> Many:
        """Run ``count`` echo streams, ``parallel`` at a time, and count how they ended."""
        began = time.monotonic()
        turns = iter(range(count))
        failures: list[str] = []

        async def work() -> None:
            for _ in turns:
                try:
                    await self.echo(peer, size)
                except (PeerupError, OSError, AssertionError) as why:
                    failures.append(repr(why))

        async with asyncio.TaskGroup() as group:
            for _ in range(parallel):
                group.create_task(work())
        failed, took = len(failures), time.monotonic() - began
        return Many(count - failed, failed, tuple(failures[:MAX_FAILURE_TEXTS]), took)

    def _best(self, peer: str) -> MuxedConnection:
        conn = self.host.connections.best(PeerId.parse(peer))
        assert conn is not None, f"not connected to {peer}"
        return conn

    async def _open(self, peer: str, *protocols: str, allow_limited: bool) -> MuxedStream:
        conn = self._best(peer)
        return await self.host.open_stream_on(conn, protocols, allow_limited=allow_limited)

    async def _exchange(
        self,
        peer: str,
        protocol: str,
        size: int,
        send: Callable[[MuxedStream], Awaitable[None]],
        read: Callable[[ByteStream], Awaitable[tuple[int, str]]],
        *,
        allow_limited: bool = True,
    ) -> Transfer:
        """Send a request and its end, meanwhile read the answer, which tells of the pattern."""

        async def request() -> None:
            await send(stream)
            stream.close_write()

        began = time.monotonic()
        stream = await self._open(peer, protocol, allow_limited=allow_limited)
        async with stream, Supervisor() as sending:
            sending.spawn(request)
            count, sha = await read(stream)
        assert (count, sha) == (size, hashlib.sha256(pattern(size)).hexdigest())
        return Transfer(count, sha, time.monotonic() - began)

    def serve_echo_as(self, protocol: str) -> None:
        """Serve one more protocol, which others learn of by identify push."""
        self.host.handle(protocol, Registration(serve_echo, MAX_STREAMS, on_limited=True))

    # --- what the test protocols do when somebody else opens them ---------------------

    def _serve_protocols(self) -> None:
        handlers = {
            ECHO: serve_echo,
            SINK: serve_sink,
            SOURCE: serve_source,
            RESET: serve_reset,
            MANUAL: self._hand_over,
            HANG: hang,
        }
        for protocol, handler in handlers.items():
            self.host.handle(protocol, Registration(handler, MAX_STREAMS, on_limited=True))
        self.host.handle(ping.PROTOCOL, Registration(ping.serve, ping.MAX_INBOUND, on_limited=True))

    async def _hand_over(self, stream: MuxedStream) -> None:
        self._manual.put_nowait(OurStream(stream))
        await hang(stream)


async def serve_echo(stream: MuxedStream) -> None:
    while data := await stream.read():
        await stream.write(data)


async def serve_sink(stream: MuxedStream) -> None:
    count, sha = await digest(stream)
    await stream.write(struct.pack(">Q32s", count, bytes.fromhex(sha)))


async def serve_source(stream: MuxedStream) -> None:
    await write_pattern(stream, int.from_bytes(await read_exactly(stream, 8), "big"))


async def serve_reset(stream: MuxedStream) -> None:
    stream.reset(int.from_bytes(await read_exactly(stream, 4), "big"))


async def hang(stream: MuxedStream) -> None:
    """Leave ``stream`` alone until its connection ends: a handler that returned closes it."""
    await stream.connection.wait_closed()


async def write_pattern(stream: ByteStream, size: int) -> None:
    """Write ``size`` bytes of the pattern."""
    piece = pattern(PIECE)
    for left in range(size, 0, -PIECE):
        await stream.write(piece if left >= PIECE else piece[:left])


async def digest(stream: ByteStream, first: bytes = b"") -> tuple[int, str]:
    """Read to the end; return count and SHA-256, of what was read ``first`` as well."""
    sha, count = hashlib.sha256(first), len(first)
    while data := await stream.read():
        sha.update(data)
        count += len(data)
    return count, sha.hexdigest()


def _at(addr: str) -> tuple[PeerId, tuple[Multiaddr, ...]]:
    """Take an address with its ``/p2p`` apart."""
    parsed = Multiaddr.parse(addr)
    peer = parsed.peer_id
    assert peer is not None, f"{addr} has no peer id at its end"
    return peer, (parsed.without_peer(),)
