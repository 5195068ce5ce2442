"""One Stream and one Connection for every muxer.

The muxer is a sans-IO object; a *link* moves its bytes or datagrams. Everything a user can
observe (reading, backpressure, half-close, reset, cancellation) lives here, once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from peerup.errors import (
    ConnectionClosedError,
    LocalProtocolError,
    NotAuthorizedError,
    PeerupError,
    StreamResetError,
)
from peerup.transport.inbox import Inbox
from peerup.wire.error_codes import ConnectionCode, StreamCode
from peerup.wire.events import (
    DataReceived,
    MuxEvent,
    SessionTerminated,
    StreamEnded,
    StreamOpened,
    StreamReset,
    StreamStopped,
    StreamWritable,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from peerup.transport.endpoints import Endpoints
    from peerup.transport.limits import ByteBudget
    from peerup.transport.muxer import Link, Muxer
    from peerup.wire.keys import PublicKey
    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId

CLOSE_LINGER_S: Final = 30.0  # a closed stream whose peer does not finish is reset after this


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """What is known of a connection from the moment it is secure."""

    peer: PeerId
    public_key: PublicKey
    ends: Endpoints
    early_muxer: bool = False  # whether the handshake agreed on the muxer


class MuxedConnection:
    """A secure, multiplexed link to one authenticated peer.

    ``dispatch`` is called by the link after it fed the muxer.
    """

    def __init__(self, info: ConnectionInfo, muxer: Muxer, link: Link, budget: ByteBudget) -> None:
        self.info = info
        self.muxer, self.link = muxer, link
        self.budget = budget
        self.clock = asyncio.get_running_loop().time
        self.opened_at = self.clock()
        self._streams: dict[int, MuxedStream] = {}
        # The muxer bounds how many; None marks the end for whoever waits.
        self._arrived: asyncio.Queue[MuxedStream | None] = asyncio.Queue()
        self._may_open = asyncio.Event()
        self._closed = asyncio.Event()
        self._reason: PeerupError | None = None

    @property
    def peer(self) -> PeerId:
        return self.info.peer

    @property
    def remote_addr(self) -> Multiaddr:
        return self.info.ends.remote

    @property
    def inbound(self) -> bool:
        """Whether the peer asked for it."""
        return self.info.ends.inbound

    @property
    def relayed(self) -> bool:
        """Whether a relay carries it; says nothing about limits."""
        return self.info.ends.remote.is_circuit

    @property
    def path(self) -> str:
        return "RELAYED" if self.relayed else "DIRECT"

    @property
    def transport(self) -> str:
        """What carries it, as ``tcp`` or ``quic``; of a relayed one, the part up to the relay."""
        return "quic" if self.remote_addr.has("quic-v1") else "tcp"

    @property
    def limited(self) -> bool:
        """Whether a relay bounds it, so that only protocols that ask for it may run."""
        return self.info.ends.limits is not None

    @property
    def is_closed(self) -> bool:
        return self._reason is not None

    @property
    def reason(self) -> PeerupError | None:
        """Why it ended, None while it has not."""
        return self._reason

    def __len__(self) -> int:
        """Return how many streams are open."""
        return len(self._streams)

    def __bool__(self) -> bool:
        return True  # a connection without streams is a connection all the same

    async def open_stream(self) -> MuxedStream:
        """Open a stream, waiting while 256 of ours are not accepted yet.

        Raises:
            ConnectionClosedError: the connection is closed; NotAuthorizedError when the
                peer closed it for that.
        """
        while self._reason is None and not self.muxer.can_open:
            self._may_open.clear()
            await self._may_open.wait()
        if self._reason is not None:
            raise self._reason
        stream = self._add(self.muxer.open_stream())
        self.link.flush()
        return stream

    async def accept_stream(self) -> MuxedStream:
        """Wait for the next stream that the peer opens.

        Raises:
            ConnectionClosedError: the connection is closed.
        """
        stream = await self._arrived.get()
        if stream is None:
            self._arrived.put_nowait(None)  # for the next one who waits
            raise self._reason or ConnectionClosedError()
        return stream

    def close(self, code: int = ConnectionCode.NONE) -> None:
        """End the connection and every stream on it. Idempotent; never waits."""
        if self._reason is None:
            self.muxer.close(code)
            self.fail(ConnectionClosedError("we closed the connection", code=code))
            self.link.finish()

    async def wait_closed(self) -> None:
        """Wait until the last bytes are out and the network is let go of."""
        await self._closed.wait()

    def dispatch(self) -> None:
        """Turn the muxer's events into what streams see, and send what that leads to."""
        self.dispatch_events()
        self.link.flush()

    def dispatch_events(self) -> None:
        """Do as ``dispatch`` without asking the link to send: it is doing that already."""
        while (event := self.muxer.next_event()) is not None:
            match event:
                case StreamOpened(stream_id):
                    if self._reason is None:
                        self._arrived.put_nowait(self._add(stream_id))
                case SessionTerminated(code):
                    self.fail(_reason_of(code))
                    self.link.finish()
                case _ if known := self._streams.get(event.stream_id):
                    known.on_event(event)
        if self.muxer.can_open:
            self._may_open.set()

    def fail(self, reason: PeerupError) -> None:
        """Say that the link is gone: everything that waits is woken with ``reason``."""
        if self._reason is None:
            self._reason = reason
            for stream in list(self._streams.values()):
                stream.die(reason)
            self._streams.clear()
            self._may_open.set()
            self._arrived.put_nowait(None)

    def ended(self) -> None:
        """Say that the link has let go of the network: nothing follows."""
        self._closed.set()

    def forget(self, stream_id: int) -> None:
        self._streams.pop(stream_id, None)

    def _add(self, stream_id: int) -> MuxedStream:
        stream = self._streams[stream_id] = MuxedStream(self, stream_id)
        return stream


def _reason_of(code: int) -> PeerupError:
    if code == ConnectionCode.GATED:
        return NotAuthorizedError("the peer does not authorize us")
    return ConnectionClosedError(f"the peer closed the connection, code {code:#x}", code=code)


class MuxedStream:
    """See ``transport.base.Stream``."""

    __slots__ = (
        "_conn",
        "_dead",
        "_deferred",
        "_discarding",
        "_ended",
        "_finished",
        "_inbox",
        "_linger",
        "_reader",
        "_unwanted",
        "_writer",
        "id",
        "protocol",
        "written",
    )

    def __init__(self, conn: MuxedConnection, stream_id: int) -> None:
        self.id = stream_id
        self.protocol = ""
        self.written = 0
        self._conn = conn
        self._inbox = Inbox()
        self._ended = False  # the peer finished its half
        self._finished = False  # we finished ours
        self._discarding = False
        self._unwanted: StreamResetError | None = None  # the peer reads no more
        self._dead: PeerupError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._deferred: Callable[[], Awaitable[None]] | None = None

    @property
    def connection(self) -> MuxedConnection:
        return self._conn

    def before_reading(self, check: Callable[[], Awaitable[None]]) -> None:
        """Run ``check`` ahead of the first read; it may read, and what it raises is raised."""
        self._deferred = check

    async def read(self, max_bytes: int = 65536) -> bytes:
        if self._deferred is not None:
            check, self._deferred = self._deferred, None
            try:
                await check()
            except asyncio.CancelledError:
                self._deferred = check  # it goes on where it was, at the next read
                raise
        while not self._inbox.size:
            if self._dead is not None:
                raise self._dead
            if self._discarding:
                raise LocalProtocolError("read after close")
            if self._ended:
                return b""
            if self._reader is not None:
                raise LocalProtocolError("two tasks read one stream")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = self._inbox.take(max_bytes)
        conn = self._conn
        conn.budget.give(len(data))
        conn.muxer.consumed(self.id, len(data), conn.clock())
        conn.link.flush()
        return data

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._writer is not None:
            raise LocalProtocolError("two tasks write to one stream")
        # The muxer keeps views until the wire takes them, so what may change is copied.
        view = memoryview(data if isinstance(data, bytes) else bytes(data))
        while view:
            if self._dead is not None:
                raise self._dead
            if self._unwanted is not None:
                raise self._unwanted
            if self._finished:
                raise LocalProtocolError("write after close_write")
            taken = self._conn.muxer.send(self.id, view)
            self._conn.link.flush()
            self.written += taken
            view = view[taken:]
            if view:
                await self._writable()

    async def _writable(self) -> None:
        self._writer = asyncio.get_running_loop().create_future()
        try:
            await self._writer
        finally:
            self._writer = None

    def close_write(self) -> None:
        if not self._finished and self._dead is None:
            self._finished = True
            if self._unwanted is None:
                self._conn.muxer.close_write(self.id)
                self._conn.link.flush()
            self._forget_when_done()

    def close(self) -> None:
        if self._discarding or self._dead is not None:
            return
        self.close_write()
        self._discarding = True
        _wake(self._reader)
        if self._inbox.size:
            self._conn.muxer.consumed(self.id, self._drop_unread(), self._conn.clock())
            self._conn.link.flush()
        if not self._ended:
            loop = asyncio.get_running_loop()
            self._linger = loop.call_later(CLOSE_LINGER_S, self.reset)

    def reset(self, code: int = 0) -> None:
        if self._dead is None:
            self._conn.muxer.reset(self.id, code)  # nothing, if both halves are over there
            self._conn.link.flush()
            self.die(StreamResetError(code, by_peer=False))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if exc is None:
            self.close()
        else:
            self.reset()

    def on_event(self, event: MuxEvent) -> None:
        match event:
            case DataReceived(data=data) if self._discarding:
                self._conn.muxer.consumed(self.id, len(data), self._conn.clock())
            case DataReceived(data=data):
                if self._conn.budget.take(len(data)):
                    self._inbox.add(data)
                    _wake(self._reader)
                else:
                    self.reset(StreamCode.RESOURCE_LIMIT_EXCEEDED)
            case StreamEnded():
                self._ended = True
                _wake(self._reader)
                self._forget_when_done()
            case StreamReset(code=code):
                self.die(StreamResetError(code, by_peer=True))
            case StreamStopped(code=code):
                self._unwanted = StreamResetError(code, by_peer=True)
                _wake(self._writer)
                self._forget_when_done()
            case StreamWritable():
                _wake(self._writer)

    def die(self, reason: PeerupError) -> None:
        """End both halves with ``reason``; unread bytes are gone."""
        if self._dead is None:
            self._dead = reason
            self._drop_unread()
            _wake(self._reader)
            _wake(self._writer)
        self._let_go()

    def _drop_unread(self) -> int:
        size = self._inbox.clear()
        self._conn.budget.give(size)
        return size

    def _forget_when_done(self) -> None:
        if self._ended and (self._finished or self._unwanted is not None):
            self._let_go()

    def _let_go(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self._conn.forget(self.id)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
