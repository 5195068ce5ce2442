"""What every stream multiplexer reports: yamux here, QUIC later.

Events are past tense and carry what their reader needs and nothing else. A muxer queues them
while it takes bytes; ``transport/muxed.py`` drains the queue and turns them into streams.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer opened ``stream_id``."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class DataReceived:
    """``data`` arrived, 1 byte or more; it counts against our window until ``consumed``."""

    stream_id: int
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer finished its half; no more data follows."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The peer abandoned both halves. ``code`` is 0 or a libp2p stream error code."""

    stream_id: int
    code: int


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The peer reads no more of a stream; what it sends itself is not concerned. QUIC only."""

    stream_id: int
    code: int


@dataclass(frozen=True, slots=True)
class StreamWritable:
    """A stream whose ``send`` took less than it was given has room again."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class SessionTerminated:
    """The peer ended the whole session. ``code`` is a go-away or libp2p connection code."""

    code: int


MuxEvent = (
    StreamOpened
    | DataReceived
    | StreamEnded
    | StreamReset
    | StreamStopped
    | StreamWritable
    | SessionTerminated
)
