"""How much may be on its way: windows, their growth, queues, and turns on the wire."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.wire.events import DataReceived, StreamWritable
from peerup.wire.noise import MAX_PLAINTEXT
from peerup.wire.yamux import BATCH, MAX_BATCH, MAX_GROWN, MAX_PAYLOAD, Session
from peerup.wire.yamux_frame import HEADER_SIZE, Flag, FrameType
from peerup.wire.yamux_stream import MAX_QUEUED, MAX_WINDOW
from tests.wire.yamux_pair import (
    HALF_WINDOW,
    WINDOW,
    Frame,
    Pair,
    client,
    data,
    drain,
    frames,
    holds_nothing,
    ping,
    pong,
    rst,
    server,
    syn,
    take_all,
    update,
)

MANY: Final = bytes(MAX_WINDOW)


def received(events: list[object]) -> int:
    """How many bytes these events carry."""
    return sum(len(event.data) for event in events if isinstance(event, DataReceived))


def order(wire: bytes) -> list[int]:
    """The streams of the DATA frames, in the order in which they leave."""
    return [frame.stream_id for frame in frames(wire) if frame.type is FrameType.DATA]


def knows_round_trip(rtt: float) -> Session:
    """A server that measured this round trip time."""
    session = server()
    session.handle_timer(0.0)
    take_all(session)
    session.receive(pong(1), rtt)
    assert session.rtt == rtt
    return session


def test_sender_stops_at_the_window_and_resumes_when_the_reader_catches_up() -> None:
    pair = Pair()
    sid = pair.stream()
    assert pair.client.send(sid, bytes(WINDOW + 1)) == WINDOW + 1
    assert received([*pair.exchange()[1]]) == WINDOW

    pair.server.consumed(sid, HALF_WINDOW - 1, 0.0)
    assert not pair.server.pending
    pair.server.consumed(sid, 1, 0.0)
    wire = take_all(pair.server)
    assert frames(wire) == [Frame(FrameType.WINDOW_UPDATE, Flag.NONE, sid, HALF_WINDOW)]
    pair.client.receive(wire, 0.0)
    assert received([*pair.exchange()[1]]) == 1


def test_a_stream_takes_so_much_and_says_when_there_is_room_again() -> None:
    pair = Pair()
    sid = pair.stream()
    assert pair.client.send(sid, bytes(MAX_QUEUED + 1)) == MAX_QUEUED
    assert pair.client.send(sid, b"x") == 0
    up, down = pair.exchange()
    assert (up, received([*down])) == ([StreamWritable(sid)], WINDOW)  # half of it is gone
    assert pair.client.send(sid, bytes(MAX_QUEUED)) == WINDOW
    assert drain(pair.client) == []


def test_a_writer_that_was_not_refused_hears_nothing() -> None:
    pair = Pair()
    sid = pair.stream()
    assert pair.client.send(sid, bytes(MAX_QUEUED)) == MAX_QUEUED
    assert pair.exchange()[0] == []


def test_a_frame_fills_one_record_of_noise() -> None:
    ours = client()
    sid = ours.open_stream()
    take_all(ours)
    ours.send(sid, bytes(2 * MAX_PAYLOAD + 5))
    wire = take_all(ours)
    assert MAX_PAYLOAD + HEADER_SIZE == MAX_PLAINTEXT
    assert [frame.length for frame in frames(wire)] == [MAX_PAYLOAD, MAX_PAYLOAD, 5]


def test_streams_take_turns_of_one_frame() -> None:
    ours = client()
    first, second, third = (ours.open_stream() for _ in range(3))
    ours.send(first, bytes(3 * MAX_PAYLOAD))
    ours.send(second, bytes(2 * MAX_PAYLOAD))
    ours.send(third, b"short")
    assert order(take_all(ours)) == [first, second, third, first, second, first]


def test_a_stream_that_comes_late_waits_for_one_frame_of_each_other() -> None:
    ours = client()
    busy = [ours.open_stream() for _ in range(4)]
    for sid in busy:
        ours.send(sid, bytes(WINDOW))
    late = ours.open_stream()
    ours.send(late, b"hello")
    assert order(take_all(ours)).index(late) == len(busy)


def test_a_stream_without_credit_holds_up_nobody() -> None:
    pair = Pair()
    slow, quick = pair.stream(), pair.stream()
    pair.client.send(slow, bytes(MAX_QUEUED))
    pair.exchange()
    for _ in range(8):  # nobody reads the slow one, the quick one moves 2 MiB
        pair.client.send(quick, bytes(WINDOW))
        _, events = pair.exchange()
        assert [event.stream_id for event in events if isinstance(event, DataReceived)]
        assert received([*events]) == WINDOW
        pair.server.consumed(quick, WINDOW, pair.now)
        pair.exchange()
    pair.server.consumed(slow, WINDOW, pair.now)
    assert received([*pair.exchange()[1]]) == WINDOW


def test_answers_and_credit_leave_before_data() -> None:
    theirs = server()
    theirs.receive(syn(1), 0.0)
    take_all(theirs)
    theirs.send(1, bytes(WINDOW))
    theirs.receive(ping(9) + syn(3), 0.0)
    sent = frames(take_all(theirs))
    assert [frame.type for frame in sent[:3]] == [
        FrameType.PING,
        FrameType.WINDOW_UPDATE,
        FrameType.DATA,
    ]


def test_a_batch_has_room_in_its_buffer_and_cuts_no_frame() -> None:
    ours = client()
    for _ in range(256):
        sid = ours.open_stream()
        ours.send(sid, bytes(WINDOW))
        ours.close_write(sid)
    sizes = []
    while ours.pending:
        batch = ours.data_to_send()
        frames(batch)
        sizes.append(len(batch))
    assert max(sizes) <= MAX_BATCH
    assert min(sizes[:-1]) >= BATCH


def test_a_batch_in_parts_copies_no_payload() -> None:
    ours = client()
    sid = ours.open_stream()
    payload = bytes(1000)
    ours.send(sid, payload)
    _, _, body = ours.parts_to_send()
    assert isinstance(body, memoryview)
    assert body.obj is payload


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200_000)), max_size=12))
def test_turns_lose_no_byte_and_favour_no_stream(writes: list[tuple[int, int]]) -> None:
    ours = client()
    ids = [ours.open_stream() for _ in range(4)]
    take_all(ours)
    taken = dict.fromkeys(ids, 0)
    for index, size in writes:
        taken[ids[index]] += ours.send(ids[index], MANY[:size])
    turns = order(take_all(ours))
    for sid in ids:
        frames_needed = -(-min(taken[sid], WINDOW) // MAX_PAYLOAD)
        assert turns.count(sid) == frames_needed
    for at, sid in enumerate(turns):
        between = turns[at + 1 :]
        until_next = between[: between.index(sid)] if sid in between else []
        assert len(until_next) == len(set(until_next))


@pytest.mark.parametrize(("delta", "sent"), [(0, 0), (1, 1), (1000, 1000), (2**32 - 1, 2000)])
def test_credit_lets_so_much_more_leave(delta: int, sent: int) -> None:
    ours = client()
    sid = ours.open_stream()
    ours.send(sid, bytes(WINDOW + 2000))
    take_all(ours)
    ours.receive(update(sid, delta), 0.0)
    assert sum(frame.length for frame in frames(take_all(ours))) == sent


def test_credit_past_all_counting_is_only_much_credit() -> None:
    ours = client()
    sid = ours.open_stream()
    for _ in range(3):
        ours.receive(update(sid, 2**32 - 1), 0.0)
    assert ours._streams[sid].send_credit == 2**32


def test_credit_of_nothing_in_a_flood_leaves_no_trace() -> None:
    ours = client()
    sid = ours.open_stream()
    take_all(ours)
    ours.receive(update(sid) * 10_000, 0.0)
    assert (drain(ours), ours.pending, len(ours)) == ([], False, 1)


def test_credit_is_for_bytes_that_were_consumed_not_for_bytes_on_their_way() -> None:
    theirs = server()
    theirs.receive(syn(1), 0.0)
    take_all(theirs)
    frame = data(1, bytes(200_000))
    theirs.receive(frame[:1012], 0.0)  # a large frame that arrives slowly
    theirs.consumed(1, 1000, 0.0)
    assert not theirs.pending
    theirs.receive(frame[1012:], 0.0)
    theirs.consumed(1, HALF_WINDOW - 1001, 0.0)
    assert not theirs.pending
    theirs.consumed(1, 1, 0.0)
    assert frames(take_all(theirs)) == [
        Frame(FrameType.WINDOW_UPDATE, Flag.NONE, 1, HALF_WINDOW),
    ]


def test_no_credit_is_granted_once_the_peer_finished() -> None:
    theirs = server()
    theirs.receive(syn(1) + data(1, bytes(WINDOW), Flag.FIN), 0.0)
    take_all(theirs)
    theirs.consumed(1, WINDOW, 0.0)
    assert not theirs.pending


def test_a_window_grows_while_its_reader_keeps_up() -> None:
    theirs = knows_round_trip(0.1)
    theirs.receive(syn(1), 1.0)
    take_all(theirs)
    grants = []
    for _ in range(8):
        size = theirs._streams[1].window.size // 2
        theirs.receive(data(1, MANY[:size]), 1.0)
        theirs.consumed(1, size, 1.3)
        grants += [frame.length for frame in frames(take_all(theirs))]
    half = HALF_WINDOW
    growing = [half * 2**step + WINDOW * 2**step for step in range(6)]
    assert grants == [*growing, MAX_WINDOW // 2, MAX_WINDOW // 2]


def test_a_window_stays_while_its_reader_takes_its_time() -> None:
    theirs = knows_round_trip(0.1)
    theirs.receive(syn(1), 1.0)
    take_all(theirs)
    for second in range(2, 6):
        theirs.receive(data(1, bytes(HALF_WINDOW)), second)
        theirs.consumed(1, HALF_WINDOW, second)
        assert [frame.length for frame in frames(take_all(theirs))] == [HALF_WINDOW]


def grow(session: Session, stream_id: int) -> int:
    """Read a stream as quickly as can be until its window stays; return the window's size."""
    window = session._streams[stream_id].window
    before = 0
    while window.size > before:
        before = window.size
        need = -(-before // 2)
        session.receive(data(stream_id, MANY[:need]), 1.0)
        session.consumed(stream_id, need, 1.0)
        drain(session)
    return window.size


def test_all_windows_together_grow_by_a_bound_and_give_it_back() -> None:
    theirs = knows_round_trip(0.1)
    ids = [1, 3, 5, 7, 9, 11]
    theirs.receive(b"".join(map(syn, ids)), 1.0)
    grown = [grow(theirs, sid) - WINDOW for sid in ids]
    most = MAX_WINDOW - WINDOW
    assert grown == [most, most, most, most, MAX_GROWN - 4 * most, 0]
    assert theirs._grown == MAX_GROWN

    theirs.receive(rst(1), 1.0)  # what one gives back, the next one takes
    assert theirs._grown == MAX_GROWN - most
    assert grow(theirs, 11) == MAX_WINDOW

    for sid in ids[1:]:
        theirs.reset(sid)
    take_all(theirs)
    drain(theirs)
    assert holds_nothing(theirs)


def test_a_grown_window_holds_its_whole_size() -> None:
    theirs = knows_round_trip(0.1)
    theirs.receive(syn(1), 1.0)
    assert grow(theirs, 1) == MAX_WINDOW
    theirs.receive(data(1, MANY), 1.0)
    assert received([*drain(theirs)]) == MAX_WINDOW
