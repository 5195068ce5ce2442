"""Two yamux sessions on a wire that moves when told, and frames made and read by hand."""

from __future__ import annotations

from typing import Final, NamedTuple

from peerup.wire.events import MuxEvent, StreamOpened
from peerup.wire.yamux import Session
from peerup.wire.yamux_frame import HEADER_SIZE, Flag, FrameType, Header

WINDOW: Final = 256 * 1024  # bytes, what every stream starts with
HALF_WINDOW: Final = WINDOW // 2


class Frame(NamedTuple):
    """What one frame says."""

    type: FrameType
    flags: Flag
    stream_id: int
    length: int
    body: bytes = b""


def data(stream_id: int, body: bytes = b"", flags: Flag = Flag.NONE) -> bytes:
    return Header(FrameType.DATA, flags, stream_id, len(body)).encode() + body


def update(stream_id: int, length: int = 0, flags: Flag = Flag.NONE) -> bytes:
    return Header(FrameType.WINDOW_UPDATE, flags, stream_id, length).encode()


def syn(stream_id: int) -> bytes:
    return update(stream_id, flags=Flag.SYN)


def rst(stream_id: int, code: int = 0) -> bytes:
    return update(stream_id, code, Flag.RST)


def ping(value: int) -> bytes:
    return Header(FrameType.PING, Flag.SYN, 0, value).encode()


def pong(value: int) -> bytes:
    return Header(FrameType.PING, Flag.ACK, 0, value).encode()


def go_away(code: int) -> bytes:
    return Header(FrameType.GO_AWAY, Flag.NONE, 0, code).encode()


def frames(wire: bytes) -> list[Frame]:
    """Read whole frames; what a session sends must never end inside one."""
    found = []
    at = 0
    while at < len(wire):
        header = Header.decode(wire, at)
        at += HEADER_SIZE
        size = header.length if header.type is FrameType.DATA else 0
        assert at + size <= len(wire), "the bytes end inside a frame"
        found.append(
            Frame(
                header.type,
                header.flags,
                header.stream_id,
                header.length,
                wire[at : at + size],
            )
        )
        at += size
    return found


def take_all(session: Session) -> bytes:
    """Everything that a session wants to send."""
    out = b""
    while session.pending:
        out += session.data_to_send()
    return out


def drain(session: Session) -> list[MuxEvent]:
    """Every event that is waiting."""
    events = []
    while (event := session.next_event()) is not None:
        events.append(event)
    return events


class Pair:
    """Two sessions joined by a wire without loss or delay; ``now`` moves when told."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.client = Session(is_client=True, now=now)
        self.server = Session(is_client=False, now=now)

    def exchange(self) -> tuple[list[MuxEvent], list[MuxEvent]]:
        """Move bytes both ways until neither end has more; return each end's events."""
        while (up := take_all(self.client)) + (down := take_all(self.server)):
            self.server.receive(up, self.now)
            self.client.receive(down, self.now)
        return drain(self.client), drain(self.server)

    def stream(self) -> int:
        """Open a stream at the client and let the server accept it."""
        stream_id = self.client.open_stream()
        assert self.exchange() == ([], [StreamOpened(stream_id)])
        return stream_id


def client() -> Session:
    """A client whose peer is the test."""
    return Session(is_client=True, now=0.0)


def server() -> Session:
    """A server whose peer is the test."""
    return Session(is_client=False, now=0.0)


def holds_nothing(session: Session) -> bool:
    """Whether no trace of any stream is left in a session."""
    return (
        len(session) == 0
        and not session.pending
        and not session._waiting
        and (session._inbound, session._unacked, session._grown) == (0, 0, 0)
    )
