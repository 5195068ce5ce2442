"""Yamux 1.0.0: many streams over one ordered byte stream.

``Session`` is sans-IO: bytes in, events and bytes out, the time as an argument. Streams take
turns on the wire, one frame each, and no stream can make another one wait for more than that.

Spec: libp2p specs, yamux/README.md; error codes in RST and GO_AWAY: error-codes/README.md.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from peerup.errors import LimitError, LocalProtocolError, RemoteProtocolError, ResourceLimitError
from peerup.wire.error_codes import StreamCode
from peerup.wire.events import (
    DataReceived,
    MuxEvent,
    SessionTerminated,
    StreamEnded,
    StreamOpened,
    StreamReset,
    StreamWritable,
)
from peerup.wire.half_close import NEXT, PEER_DONE, WE_DONE, Half, Move
from peerup.wire.yamux_frame import HEADER_SIZE, Flag, FrameType, Header
from peerup.wire.yamux_stream import (
    INITIAL_WINDOW,
    MAX_QUEUED,
    MAX_WINDOW,
    Allowance,
    PeerIds,
    YamuxStream,
)

PROTOCOL: Final = "/yamux/1.0.0"
MAX_PAYLOAD: Final = 65519 - HEADER_SIZE  # header and payload fill one Noise record
MAX_INBOUND: Final = 256  # streams the peer may have open
MAX_UNACKED: Final = 256  # streams we opened and the peer has not accepted; rust's bound too
MAX_GROWN: Final = 64 * 1024 * 1024  # bytes by which all receive windows may grow together
MAX_CONTROL: Final = 64 * 1024  # bytes of unsent answers: a peer that asks must also read
MAX_HELD: Final = 16 * 1024 * 1024  # bytes that wait to be sent on all streams together ...
FAIR_SHARE: Final = 64 * 1024  # ... but for what every single stream may have waiting
BATCH: Final = 8 * 65519  # bytes after which a batch takes no further frame
MAX_BATCH: Final = BATCH + 2 * 65519 + MAX_CONTROL
MAX_STREAM_ID: Final = 2**32 - 1
RESET_BURST: Final = 1000  # resets by the peer at once, and then ...
RESETS_PER_S: Final = 200.0  # ... so many a second
KEEPALIVE_S: Final = 30.0
PING_TIMEOUT_S: Final = 10.0
PROTOCOL_ERROR: Final = 1  # go-away code


class Session:
    """One end of a yamux connection.

    ``receive`` raises ``RemoteProtocolError`` when the peer breaks the spec or a bound of
    ours; the session is then over and ``close(PROTOCOL_ERROR)`` says so to the peer.
    """

    def __init__(self, *, is_client: bool, now: float, max_inbound: int = MAX_INBOUND) -> None:
        self._next_id = 1 if is_client else 2
        self._peer_parity = 0 if is_client else 1
        self._peer_ids = PeerIds(first=self._peer_parity or 2)
        self._max_inbound = max_inbound
        self._inbound = 0
        self._unacked = 0
        self._streams: dict[int, YamuxStream] = {}
        self._events: deque[MuxEvent] = deque()
        self._control = bytearray()
        self._turns: deque[YamuxStream] = deque()
        self._waiting: set[int] = set()  # ids in _turns
        self._head = bytearray()  # an incomplete header
        self._body: Header | None = None  # a DATA frame whose payload is still arriving
        self._body_left = 0
        self._grown = 0
        self._held = 0
        self._closed = False
        self._now = now
        self._resets = Allowance(RESET_BURST, RESETS_PER_S, now)
        self.rtt: float | None = None
        self._ping_value = 0
        self._ping_sent: float | None = None
        self._ping_due = now  # the first ping measures the round trip

    # --- for the owner of the streams -------------------------------------------------

    @property
    def can_open(self) -> bool:
        stalled = len(self._control) > MAX_CONTROL // 2  # nothing leaves, not even a SYN
        return not (self._closed or stalled) and self._unacked < MAX_UNACKED

    @property
    def pending(self) -> bool:
        """Whether ``data_to_send`` has something."""
        return bool(self._control or self._turns)

    def open_stream(self) -> int:
        """Return the id of a new stream; its SYN leaves with the next bytes.

        Raises:
            ResourceLimitError: the peer accepts no more (``can_open``), or ids ran out.
            LocalProtocolError: the session is closed.
        """
        if self._closed:
            raise LocalProtocolError("yamux: the session is closed")
        if not self.can_open:
            raise ResourceLimitError(f"yamux: {self._unacked} streams wait for the peer's accept")
        if self._next_id > MAX_STREAM_ID:
            raise ResourceLimitError("yamux: out of stream ids")
        stream_id = self._next_id
        self._next_id += 2
        self._unacked += 1
        self._streams[stream_id] = YamuxStream(stream_id, self._now, acked=False)
        self._queue(FrameType.WINDOW_UPDATE, Flag.SYN, stream_id, 0)
        return stream_id

    def send(self, stream_id: int, data: bytes | memoryview) -> int:
        """Queue a prefix of ``data`` and return its size; the caller must not change it.

        When less than all was taken, ``StreamWritable`` follows once there is room.
        """
        stream = self._streams.get(stream_id)
        if stream is None or stream.fin_queued:
            raise LocalProtocolError(f"yamux: stream {stream_id} is finished")
        # Streams that the peer does not read fill what a connection may hold; each of the
        # others still has a little of its own, so that none of them is stuck for it.
        spare = max(MAX_HELD - self._held, FAIR_SHARE - stream.queue.size)
        taken = max(min(len(data), stream.room, spare), 0)
        if taken:
            self._held += taken
            stream.queue.add(memoryview(data)[:taken])
            self._schedule(stream)
        stream.starved = taken < len(data)
        return taken

    def consumed(self, stream_id: int, size: int, now: float) -> None:
        """Say that the application took ``size`` bytes, so that the peer may send more."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.half in PEER_DONE:
            return
        window = stream.window
        before = window.size
        window.unread -= size
        if delta := window.grant(now, self.rtt, MAX_GROWN - self._grown):
            self._grown += window.size - before
            self._queue(FrameType.WINDOW_UPDATE, Flag.NONE, stream_id, delta)

    def close_write(self, stream_id: int) -> None:
        """Finish our half after what is queued."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.fin_queued:
            stream.fin_queued = True
            self._schedule(stream)

    def sent(self, stream_id: int) -> bool:
        """Say whether our half has left as a whole, its end included."""
        stream = self._streams.get(stream_id)
        return stream is None or stream.half in WE_DONE

    def reset(self, stream_id: int, code: int = 0) -> None:
        """Abandon both halves; what is queued is dropped."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._queue(FrameType.WINDOW_UPDATE, Flag.RST, stream_id, code)
            self._move(stream, Move.RESET)

    def close(self, code: int = 0) -> None:
        """Queue one GO_AWAY; go and js take any code, even 0, as the end of everything."""
        if not self._closed:
            self._closed = True
            self._queue(FrameType.GO_AWAY, Flag.NONE, 0, code)

    def next_event(self) -> MuxEvent | None:
        return self._events.popleft() if self._events else None

    def __len__(self) -> int:
        """Return how many streams are open."""
        return len(self._streams)

    # --- timers -----------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` wants to be called, in the clock of ``now``."""
        if self._closed:
            return None
        return self._ping_due if self._ping_sent is None else self._ping_sent + PING_TIMEOUT_S

    @property
    def awaits_answer(self) -> bool:
        """Whether a ping is on its way, so that the next timer ends the session."""
        return self._ping_sent is not None

    def handle_timer(self, now: float) -> None:
        """Send the ping that is due, or end the session when one was not answered in 10 s."""
        self._now = now
        if self._closed or (due := self.next_timer()) is None or now < due:
            return
        if self._ping_sent is not None:
            self._closed = True
            self._events.append(SessionTerminated(0))
            return
        self._ping_value = (self._ping_value + 1) & 0xFFFFFFFF
        self._ping_sent = now
        self._queue(FrameType.PING, Flag.SYN, 0, self._ping_value)

    # --- outgoing bytes ---------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """Return the next bytes for the wire, at most ``MAX_BATCH``, empty for none."""
        return b"".join(self.parts_to_send())

    def parts_to_send(self) -> list[bytes | memoryview]:
        """Return it in pieces: answers and credit first, then of each stream in turn one frame."""
        parts: list[bytes | memoryview] = []
        size = min(len(self._control), BATCH)
        if size:
            parts.append(bytes(self._control[:size]))
            del self._control[:size]
        while self._turns and size < BATCH:
            stream = self._turns.popleft()
            self._waiting.discard(stream.id)
            if self._streams.get(stream.id) is stream:
                size += self._emit(stream, parts)
                self._schedule(stream)
        return parts

    def _emit(self, stream: YamuxStream, parts: list[bytes | memoryview]) -> int:
        """Append one frame of ``stream``, and its end if it is the last; return their size."""
        size = 0
        if payload := min(stream.queue.size, stream.send_credit, MAX_PAYLOAD):
            parts.append(Header(FrameType.DATA, Flag.NONE, stream.id, payload).encode())
            parts.extend(stream.queue.take(payload))
            stream.send_credit -= payload
            self._held -= payload
            size += HEADER_SIZE + payload
        if stream.fin_queued and not stream.queue.size:
            # A frame of its own: go-yamux acts on the flags of a frame before it takes the body,
            # so its reader may see the end and never the bytes that came with it.
            parts.append(Header(FrameType.DATA, Flag.FIN, stream.id, 0).encode())
            self._move(stream, Move.SEND_FIN)
            size += HEADER_SIZE
        elif stream.starved and stream.room >= MAX_QUEUED // 2:
            stream.starved = False
            self._events.append(StreamWritable(stream.id))
        return size

    def _schedule(self, stream: YamuxStream) -> None:
        if stream.half in WE_DONE or stream.id in self._waiting or not stream.sendable:
            return
        self._waiting.add(stream.id)
        self._turns.append(stream)

    def _queue(self, kind: FrameType, flags: Flag, stream_id: int, length: int) -> None:
        self._control += Header(kind, flags, stream_id, length).encode()

    # --- incoming bytes ---------------------------------------------------------------

    def receive(self, data: bytes | memoryview, now: float) -> None:
        """Take plaintext from the secure channel; ``next_event`` tells what it meant.

        Payloads may be views of ``data``, so the caller must not change it afterwards.
        """
        self._now = now
        view = memoryview(data)
        at, end = 0, len(view)
        while at < end:
            if self._body is not None:
                size = min(self._body_left, end - at)
                # A view keeps all of ``data`` alive: only hand one out where that is cheap.
                part = view[at : at + size]
                self._on_body(self._body, part if 2 * size >= end else bytes(part))
                at += size
            elif self._head or end - at < HEADER_SIZE:
                size = min(HEADER_SIZE - len(self._head), end - at)
                self._head += view[at : at + size]
                at += size
                if len(self._head) == HEADER_SIZE:
                    header = Header.decode(self._head)
                    self._head.clear()
                    self._on_header(header)
            else:
                self._on_header(Header.decode(view, at))
                at += HEADER_SIZE
        if len(self._control) > MAX_CONTROL:
            raise LimitError("yamux: the peer asks faster than it reads our answers")

    def _on_header(self, header: Header) -> None:
        match header.type:
            case FrameType.DATA:
                self._on_data(header)
            case FrameType.WINDOW_UPDATE:
                self._on_window_update(header)
            case FrameType.PING:
                self._on_ping(header)
            case FrameType.GO_AWAY:
                self._closed = True
                self._events.append(SessionTerminated(header.length))

    def _on_data(self, header: Header) -> None:
        plain = header.flags is Flag.NONE  # the usual case, and flag arithmetic is slow
        stream = self._streams.get(header.stream_id) if plain else self._admit(header)
        if stream is not None:
            if header.length > stream.window.credit:
                raise LimitError(f"yamux: stream {stream.id} overran its window")
            if header.length and stream.half in PEER_DONE:
                raise RemoteProtocolError(f"yamux: data after FIN on stream {stream.id}")
            stream.window.credit -= header.length
            stream.window.unread += header.length  # though some of it may still be on its way
        elif header.length > MAX_WINDOW:  # nobody ever granted so much to a closed stream
            raise LimitError(f"yamux: frame of {header.length} bytes exceeds any window")
        if header.length:
            self._body, self._body_left = header, header.length
        else:
            self._apply_closing_flags(header, 0)

    def _on_body(self, header: Header, part: bytes | memoryview) -> None:
        stream = self._streams.get(header.stream_id)
        if stream is not None:
            self._events.append(DataReceived(header.stream_id, part))
        self._body_left -= len(part)
        if not self._body_left:
            self._body = None
            self._apply_closing_flags(header, 0)

    def _on_window_update(self, header: Header) -> None:
        stream = self._admit(header)
        if stream is None:
            return
        if header.flags & Flag.RST:  # then ``length`` is an error code and no credit
            self._apply_closing_flags(header, header.length)
            return
        stream.send_credit = min(stream.send_credit + header.length, 2**32)
        self._schedule(stream)
        self._apply_closing_flags(header, 0)

    def _admit(self, header: Header) -> YamuxStream | None:
        """Return the stream of a frame, opened by it perhaps; None when it is long closed."""
        if header.flags & Flag.SYN:
            return self._accept(header.stream_id)
        stream = self._streams.get(header.stream_id)
        if stream is not None and not stream.acked and header.flags & Flag.ACK:
            stream.acked = True
            self._unacked -= 1
        return stream

    def _accept(self, stream_id: int) -> YamuxStream | None:
        if stream_id % 2 != self._peer_parity:
            raise RemoteProtocolError(f"yamux: the peer opened our stream id {stream_id}")
        self._peer_ids.take(stream_id)
        if self._inbound >= self._max_inbound:
            self._queue(
                FrameType.WINDOW_UPDATE,
                Flag.RST,
                stream_id,
                StreamCode.RESOURCE_LIMIT_EXCEEDED,
            )
            return None
        self._inbound += 1
        stream = self._streams[stream_id] = YamuxStream(stream_id, self._now, acked=True)
        self._queue(FrameType.WINDOW_UPDATE, Flag.ACK, stream_id, 0)
        self._events.append(StreamOpened(stream_id))
        return stream

    def _on_ping(self, header: Header) -> None:
        if header.flags & Flag.SYN:
            self._queue(FrameType.PING, Flag.ACK, 0, header.length)
        elif self._ping_sent is not None and header.length == self._ping_value:
            self.rtt = max(self._now - self._ping_sent, 1e-6)
            self._ping_sent = None
            self._ping_due = self._now + KEEPALIVE_S

    def _apply_closing_flags(self, header: Header, code: int) -> None:
        if header.flags is Flag.NONE:
            return
        stream = self._streams.get(header.stream_id)
        if stream is None:
            return
        if header.flags & Flag.RST:
            if not self._resets.spend(self._now):
                raise LimitError("yamux: the peer resets streams too often")
            self._events.append(StreamReset(stream.id, code))
            self._move(stream, Move.RESET)
        elif header.flags & Flag.FIN and stream.half not in PEER_DONE:
            self._events.append(StreamEnded(stream.id))
            self._move(stream, Move.RECV_FIN)

    def _move(self, stream: YamuxStream, move: Move) -> None:
        stream.half = NEXT[stream.half, move]
        if stream.half is Half.CLOSED:
            del self._streams[stream.id]
            self._held -= stream.queue.size
            stream.queue.clear()
            self._grown -= stream.window.size - INITIAL_WINDOW
            if stream.id % 2 == self._peer_parity:
                self._inbound -= 1
            elif not stream.acked:
                self._unacked -= 1
