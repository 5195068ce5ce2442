"""Two yamux sessions on a wire that loses nothing and is cut anywhere, beside a simple model.

The model of one direction of a stream is a string of bytes: what the writer handed over, how much
of it arrived, how much of that was consumed, and how each side was told that it is over.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from peerup.wire.error_codes import StreamCode
from peerup.wire.events import (
    DataReceived,
    MuxEvent,
    StreamEnded,
    StreamOpened,
    StreamReset,
    StreamWritable,
)
from peerup.wire.yamux import MAX_BATCH, Session
from tests.wire.yamux_pair import HALF_WINDOW, WINDOW, drain, holds_nothing

MAX_INBOUND: Final = 4  # so that refusals happen
# Bytes that repeat late and at no power of two, so that a lost or swapped piece shows.
PATTERN: Final = b"".join(value.to_bytes(3, "big") for value in range(400_009))
LARGEST: Final = 700_000  # more than a stream queues, and more than two windows
REFUSED: Final = StreamCode.RESOURCE_LIMIT_EXCEEDED


@dataclass
class Direction:
    """What one side of a stream sends to the other."""

    written: int = 0  # bytes that the session took: PATTERN, from its beginning
    starved: bool = False  # the last write was cut short
    finished: bool = False  # the writer said so
    arrived: int = 0
    consumed: int = 0
    ended: bool = False  # the reader was told


@dataclass
class End:
    """One side of the connection: its session, and the bytes on their way from it."""

    session: Session
    wire: bytearray = field(default_factory=bytearray)
    known: set[int] = field(default_factory=set)  # streams opened here or announced here
    gave_up: dict[int, int] = field(default_factory=dict)  # streams reset here, and the codes
    lost: dict[int, int] = field(default_factory=dict)  # streams whose reset was announced here
    sends: dict[int, Direction] = field(default_factory=lambda: defaultdict(Direction))

    def is_done(self, stream_id: int, other: End) -> bool:
        """Whether this side has nothing more to do with a stream."""
        over = stream_id in self.gave_up or stream_id in self.lost
        return over or (self.sends[stream_id].finished and other.sends[stream_id].ended)


sides = st.booleans()
any_stream = st.integers(0, 2**16)  # an index into the streams that a side knows, modulo
sizes = st.one_of(st.integers(1, 300), st.integers(1, LARGEST))
rtts = st.sampled_from([0.0, 0.001, 0.2])
codes = st.sampled_from([0, 0x1001, 2**32 - 1])


class TwoSessions(RuleBasedStateMachine):
    """Every rule is something that an owner, the network or the clock may do at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.ends = [
            End(Session(is_client=client, now=0.0, max_inbound=MAX_INBOUND))
            for client in (True, False)
        ]
        for side in (False, True):
            self.open(side)

    @initialize(rtt=rtts)
    def measure(self, rtt: float) -> None:
        """Let the first ping tell the round trip time."""
        self.wait(rtt, 0.0)

    def at(self, side: bool) -> tuple[End, End]:
        return self.ends[side], self.ends[not side]

    def pick(self, end: End, index: int) -> int | None:
        """A stream that this side may still use."""
        other = self.ends[end is self.ends[0]]
        usable = [sid for sid in sorted(end.known) if not end.is_done(sid, other)]
        return usable[index % len(usable)] if usable else None

    # --- what owners do ---------------------------------------------------------------

    @rule(side=sides)
    def open(self, side: bool) -> None:
        end, _ = self.at(side)
        stream_id = end.session.open_stream()
        assert stream_id % 2 == (end is self.ends[0])
        assert stream_id not in end.known
        end.known.add(stream_id)

    @rule(side=sides, index=any_stream, size=sizes)
    def write(self, side: bool, index: int, size: int) -> None:
        end, _ = self.at(side)
        sid = self.pick(end, index)
        if sid is None or (way := end.sends[sid]).finished:
            return
        chunk = PATTERN[way.written : way.written + size]
        taken = end.session.send(sid, chunk)
        assert 0 <= taken <= len(chunk)
        way.written += taken
        way.starved = taken < len(chunk)

    @rule(side=sides, index=any_stream, size=sizes)
    def consume(self, side: bool, index: int, size: int) -> None:
        end, other = self.at(side)
        sid = self.pick(end, index)
        if sid is not None:
            way = other.sends[sid]
            size = min(size, way.arrived - way.consumed)
            way.consumed += size
            end.session.consumed(sid, size, self.now)

    @rule(side=sides, index=any_stream)
    def finish(self, side: bool, index: int) -> None:
        end, _ = self.at(side)
        sid = self.pick(end, index)
        if sid is not None:
            end.session.close_write(sid)
            end.sends[sid].finished = True

    @rule(side=sides, index=any_stream, code=codes)
    def reset(self, side: bool, index: int, code: int) -> None:
        end, _ = self.at(side)
        sid = self.pick(end, index)
        if sid is not None:
            end.session.reset(sid, code)
            end.gave_up[sid] = code

    # --- what the network and the clock do --------------------------------------------

    @rule(side=sides)
    def flush(self, side: bool) -> None:
        end, _ = self.at(side)
        batch = end.session.data_to_send()
        assert len(batch) <= MAX_BATCH
        end.wire += batch
        self.hear(end)  # a flush may make room for a writer

    @precondition(lambda self: any(end.wire for end in self.ends))
    @rule(side=sides, size=st.one_of(st.integers(1, 40), st.integers(1, MAX_BATCH)))
    def deliver(self, side: bool, size: int) -> None:
        end, other = self.at(side)
        piece = bytes(end.wire[:size])
        del end.wire[:size]
        other.session.receive(piece, self.now)
        self.hear(other)

    @rule(side=sides, index=any_stream, size=st.integers(HALF_WINDOW, LARGEST))
    def pour(self, side: bool, index: int, size: int) -> None:
        """Move much at once, as a reader does that keeps up: this makes windows grow."""
        end, other = self.at(side)
        self.write(side, index, size)
        self.flush(side)
        self.deliver(side, len(end.wire))
        self.read(other, end)
        self.flush(not side)
        self.deliver(not side, len(other.wire))

    @rule(rtt=rtts, seconds=st.sampled_from([0.01, 0.1, 1.0, 31.0]))
    def wait(self, rtt: float, seconds: float) -> None:
        """Let the clock run, and any ping that is due be answered after ``rtt``."""
        self.settle()
        self.now += seconds
        for end in self.ends:
            end.session.handle_timer(self.now)
        self.now += rtt
        self.settle()

    def settle(self) -> None:
        """Move all bytes both ways until nobody has more."""
        while any(end.wire or end.session.pending for end in self.ends):
            for side in (False, True):
                self.flush(side)
                if self.ends[side].wire:
                    self.deliver(side, len(self.ends[side].wire))

    # --- what owners hear, and what they may hear -------------------------------------

    def hear(self, end: End) -> None:
        other = self.ends[end is self.ends[0]]
        for event in drain(end.session):
            self.on_event(end, other, event)

    def on_event(self, end: End, other: End, event: MuxEvent) -> None:
        match event:
            case StreamOpened(sid):
                assert sid in other.known - end.known
                end.known.add(sid)
                return
            case DataReceived(sid, data):
                way = other.sends[sid]
                assert data == PATTERN[way.arrived : way.arrived + len(data)]
                way.arrived += len(data)
                assert way.arrived <= way.written
                assert not way.ended
            case StreamEnded(sid):
                way = other.sends[sid]
                assert way.finished
                assert not way.ended
                assert way.arrived == way.written
                way.ended = True
            case StreamReset(sid, code):
                assert other.gave_up.get(sid, REFUSED if sid not in other.known else None) == code
                assert sid not in end.lost
                end.lost[sid] = code
            case StreamWritable(sid):
                assert end.sends[sid].starved
                end.sends[sid].starved = False
            case _:
                raise AssertionError(event)
        assert event.stream_id in end.known
        assert event.stream_id not in end.gave_up

    # --- what always holds ------------------------------------------------------------

    @invariant()
    def no_more_is_buffered_than_the_window(self) -> None:
        for end, other in (self.ends, self.ends[::-1]):
            for sid, stream in end.session._streams.items():
                window, way = stream.window, other.sends[sid]
                arriving = end.session._body_left if _arrives(end.session, sid) else 0
                held = way.arrived - way.consumed + arriving
                assert way.ended or window.unread == held
                assert held + (0 if way.ended else window.credit) <= window.size
                assert way.written - way.arrived >= 0

    @invariant()
    def sessions_and_model_agree_on_what_is_open(self) -> None:
        for end, other in (self.ends, self.ends[::-1]):
            session = end.session
            mine = {sid for sid in session._streams if sid % 2 == (end is self.ends[0])}
            inbound = set(session._streams) - mine
            assert session._inbound == len(inbound) <= MAX_INBOUND
            assert session._unacked == sum(not session._streams[sid].acked for sid in mine)
            assert set(session._streams) <= end.known
            assert {sid for sid in end.known if not end.is_done(sid, other)} <= set(
                session._streams
            )
            grown = sum(stream.window.size - WINDOW for stream in session._streams.values())
            assert session._grown == grown

    def teardown(self) -> None:
        """Read all, end all: what was written must have arrived and nothing may be left."""
        self.settle()
        for side in (False, True):
            for sid in self.ends[side].known:
                self.finish_for_good(side, sid)
        self.read_everything()
        given_up = {sid for end in self.ends for sid in (*end.gave_up, *end.lost)}
        for end in self.ends:
            for sid in end.known - given_up:
                way = end.sends[sid]
                assert (way.arrived, way.ended) == (way.written, True)
            assert holds_nothing(end.session)

    def finish_for_good(self, side: bool, sid: int) -> None:
        end, other = self.at(side)
        if not end.is_done(sid, other):
            end.session.close_write(sid)
            end.sends[sid].finished = True

    def read_everything(self) -> None:
        before = -1
        while (moved := sum(w.arrived for end in self.ends for w in end.sends.values())) > before:
            before = moved
            self.read(*self.ends)
            self.read(*self.ends[::-1])
            self.settle()

    def read(self, end: End, other: End) -> None:
        """Consume all that arrived at one side."""
        for sid in end.known:
            way = other.sends[sid]
            end.session.consumed(sid, way.arrived - way.consumed, self.now)
            way.consumed = way.arrived


def _arrives(session: Session, stream_id: int) -> bool:
    return session._body is not None and session._body.stream_id == stream_id


TestTwoSessions = TwoSessions.TestCase
TestTwoSessions.settings = settings(stateful_step_count=40)
