"""Two muxers in conversation, for the suite in ``muxers``."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

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
    from collections.abc import Iterable

    from peerup.transport.muxer import Muxer


class Wire(Protocol):
    """Two muxers and what joins them; nothing moves unless it is told to.

    ``now`` is the time that both ends are given, ``window`` what a peer may send on a new
    stream before anything of it is consumed, and ``queue`` what one stream may hold back
    besides.
    """

    now: float
    window: int
    queue: int

    @property
    def client(self) -> Muxer: ...
    @property
    def server(self) -> Muxer: ...

    def exchange(self) -> tuple[list[MuxEvent], list[MuxEvent]]:
        """Move everything both ways until nobody has more; return each end's events."""
        ...

    def inject(self, data: bytes) -> None:
        """Let the server take ``data`` as if the network had brought it."""
        ...


@dataclass
class Seen:
    """What the events of one end amount to."""

    opened: list[int] = field(default_factory=list)
    data: dict[int, bytes] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    resets: dict[int, int] = field(default_factory=dict)
    stopped: dict[int, int] = field(default_factory=dict)
    writable: set[int] = field(default_factory=set)
    terminated: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)  # streams, as their bytes came

    def add(self, events: Iterable[MuxEvent]) -> Seen:
        for event in events:
            match event:
                case StreamOpened(stream):
                    self.opened.append(stream)
                case DataReceived(stream, data):
                    assert data, "an event without bytes"
                    assert stream not in self.ended, "bytes after the end"
                    self.data[stream] = self.data.get(stream, b"") + bytes(data)
                    self.order.append(stream)
                case StreamEnded(stream):
                    assert stream not in self.ended, "two ends"
                    self.ended.append(stream)
                case StreamReset(stream, code):
                    self.resets[stream] = code
                case StreamStopped(stream, code):
                    self.stopped[stream] = code
                case StreamWritable(stream):
                    self.writable.add(stream)
                case SessionTerminated(code):
                    self.terminated.append(code)
        return self


def pattern(size: int, seed: int = 0) -> bytes:
    """Bytes of which no two stretches look alike, the same in every run."""
    return random.Random(seed).randbytes(size)


class Conversation:
    """A wire, and what both ends have seen so far."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.client, self.server = Seen(), Seen()

    def exchange(self) -> None:
        at_client, at_server = self.wire.exchange()
        self.client.add(at_client)
        self.server.add(at_server)

    def open(self) -> int:
        """Open a stream from the client; both ends know it then."""
        stream = self.wire.client.open_stream()
        self.exchange()
        assert stream in self.server.opened
        return stream

    def consume(self, stream: int, size: int) -> None:
        """Say that the server's application took ``size`` bytes."""
        self.wire.server.consumed(stream, size, self.wire.now)
