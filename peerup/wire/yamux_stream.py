"""One yamux stream's state: its id, what waits to be sent, and the two windows.

Only ``yamux.Session`` uses it. Spec: libp2p specs, yamux/README.md, "Flow Control".
"""

from __future__ import annotations

from collections import deque
from typing import Final

from peerup.errors import RemoteProtocolError
from peerup.wire.half_close import Half

INITIAL_WINDOW: Final = 256 * 1024  # bytes each way, fixed by the spec
MAX_WINDOW: Final = 16 * 1024 * 1024
MAX_QUEUED: Final = 512 * 1024  # bytes one stream may have waiting for the wire
MAX_OVERTAKEN: Final = 1024  # newer streams that a SYN may come after; go opens 256 at once
EPOCH_RTTS: Final = 4  # a half window read quicker than this many round trips is too small


class PeerIds:
    """Which stream ids the peer may open: none twice, but in any order.

    go numbers its streams before it sends their SYN, so those that it opens at once may
    overtake each other.
    """

    __slots__ = ("_highest", "_opened")

    def __init__(self, first: int) -> None:
        self._highest = first - 2
        self._opened = 0  # bit ``i`` stands for the id ``2 * i`` below the highest

    def take(self, stream_id: int) -> None:
        """Note that the peer opens ``stream_id``, which has its parity.

        Raises:
            RemoteProtocolError: it opened that one before, or it is too far behind to know.
        """
        behind = (self._highest - stream_id) // 2
        if behind < 0:
            self._opened = (self._opened << min(-behind, MAX_OVERTAKEN) | 1) & _ALL
            self._highest = stream_id
        elif behind < MAX_OVERTAKEN and not self._opened >> behind & 1:
            self._opened |= 1 << behind
        else:
            raise RemoteProtocolError(f"yamux: stream id {stream_id} used twice")


_ALL: Final = (1 << MAX_OVERTAKEN) - 1


class Allowance:
    """So many of something at once, and then so many a second: a token bucket."""

    __slots__ = ("_at", "_burst", "_left", "_per_second")

    def __init__(self, burst: int, per_second: float, now: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._left, self._at = float(burst), now

    def spend(self, now: float) -> bool:
        """Count one; False when that is one too many."""
        refill = (now - self._at) * self._per_second
        self._left = min(self._left + refill, self._burst) - 1
        self._at = now
        return self._left >= 0


class SendQueue:
    """Bytes that the stream's writer handed over and the wire has not taken yet."""

    __slots__ = ("_chunks", "size")

    def __init__(self) -> None:
        self._chunks: deque[memoryview] = deque()
        self.size = 0

    def add(self, chunk: memoryview) -> None:
        self._chunks.append(chunk)
        self.size += len(chunk)

    def take(self, most: int) -> list[memoryview]:
        """Remove and return up to ``most`` bytes, without copying them."""
        taken: list[memoryview] = []
        while most and self._chunks:
            chunk = self._chunks[0]
            if len(chunk) > most:
                taken.append(chunk[:most])
                self._chunks[0] = chunk[most:]
                self.size -= most
                break
            taken.append(self._chunks.popleft())
            most -= len(chunk)
            self.size -= len(chunk)
        return taken

    def clear(self) -> None:
        self._chunks.clear()
        self.size = 0


class ReceiveWindow:
    """How much the peer may still send, and when to grant more.

    Credit is granted for bytes that the application *consumed*, so what is buffered never
    passes the window. The window doubles when half of it is read within four round trips,
    because then the peer, not the reader, was waiting.
    """

    __slots__ = ("credit", "epoch", "size", "unread")

    def __init__(self, now: float) -> None:
        self.size = INITIAL_WINDOW
        self.credit = INITIAL_WINDOW  # what the peer may still send
        self.unread = 0  # what it sent and nobody consumed
        self.epoch = now

    def grant(self, now: float, rtt: float | None, spare: int) -> int:
        """Return the credit to announce now, 0 for none yet.

        Args:
            now: The current time in seconds.
            rtt: The session's round trip time in seconds, None before it is known.
            spare: Bytes by which the session lets its windows grow further.
        """
        delta = self.size - self.credit - self.unread
        if delta < self.size // 2:
            return 0
        if rtt is not None and now - self.epoch < EPOCH_RTTS * rtt:
            growth = min(self.size, MAX_WINDOW - self.size, spare)
            self.size += growth
            delta += growth
        self.epoch = now
        self.credit += delta
        return delta


class YamuxStream:
    """State of one stream; ``half`` moves by the table in ``half_close``."""

    __slots__ = ("acked", "fin_queued", "half", "id", "queue", "send_credit", "starved", "window")

    def __init__(self, stream_id: int, now: float, *, acked: bool) -> None:
        self.id = stream_id
        self.half = Half.OPEN
        self.queue = SendQueue()
        self.send_credit = INITIAL_WINDOW
        self.window = ReceiveWindow(now)
        self.starved = False  # the writer was refused some bytes and waits for StreamWritable
        self.fin_queued = False  # our half ends once the queue is empty
        self.acked = acked

    @property
    def sendable(self) -> bool:
        """Whether the next turn can send something of this stream."""
        if self.queue.size:
            return self.send_credit > 0
        return self.fin_queued

    @property
    def room(self) -> int:
        return MAX_QUEUED - self.queue.size
