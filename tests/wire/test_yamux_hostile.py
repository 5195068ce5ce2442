"""What the worst peer may send to a yamux session, and what becomes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, RemoteProtocolError, ResourceLimitError
from peerup.wire.error_codes import StreamCode
from peerup.wire.events import DataReceived, StreamEnded, StreamOpened
from peerup.wire.yamux import (
    MAX_BATCH,
    MAX_CONTROL,
    MAX_INBOUND,
    MAX_STREAM_ID,
    MAX_UNACKED,
    PROTOCOL_ERROR,
    RESET_BURST,
    RESETS_PER_S,
    Session,
)
from peerup.wire.yamux_frame import HEADER_SIZE, Flag, FrameType, Header
from peerup.wire.yamux_stream import MAX_WINDOW
from tests.wire.pieces import pieces
from tests.wire.yamux_pair import (
    WINDOW,
    Frame,
    client,
    data,
    drain,
    frames,
    go_away,
    holds_nothing,
    ping,
    rst,
    server,
    syn,
    take_all,
    update,
)

INBOUND_IDS = range(1, 2 * MAX_INBOUND, 2)


@pytest.mark.parametrize("cut", [1, 1000, WINDOW - 1, WINDOW])
def test_one_byte_more_than_the_window_is_an_overrun(cut: int) -> None:
    theirs = server()
    theirs.receive(syn(1) + data(1, bytes(cut)), 0.0)
    if cut < WINDOW:
        theirs.receive(data(1, bytes(WINDOW - cut)), 0.0)  # all of the window is fine
    drain(theirs)
    with pytest.raises(LimitError, match="stream 1 overran its window"):
        theirs.receive(data(1, b"x"), 0.0)
    assert drain(theirs) == []  # nothing beyond the window is handed on


def test_an_overrun_is_seen_in_the_header_before_the_bytes_arrive() -> None:
    theirs = server()
    with pytest.raises(LimitError, match="overran"):
        theirs.receive(data(1, bytes(WINDOW + 1), Flag.SYN)[:HEADER_SIZE], 0.0)


def test_a_frame_for_a_closed_stream_may_be_as_large_as_a_window_and_no_larger() -> None:
    theirs = server()
    theirs.receive(Header(FrameType.DATA, Flag.NONE, 1, MAX_WINDOW).encode(), 0.0)
    theirs.receive(bytes(MAX_WINDOW), 0.0)
    assert drain(theirs) == []
    with pytest.raises(LimitError, match="exceeds any window"):
        theirs.receive(Header(FrameType.DATA, Flag.NONE, 1, MAX_WINDOW + 1).encode(), 0.0)


@pytest.mark.parametrize("flags", [Flag.SYN, Flag.SYN | Flag.FIN, Flag.SYN | Flag.RST])
@pytest.mark.parametrize("kind", [FrameType.DATA, FrameType.WINDOW_UPDATE])
def test_nobody_opens_streams_with_ids_of_the_other_side(kind: FrameType, flags: Flag) -> None:
    for session, stream_id in ((client(), 1), (server(), 2)):
        with pytest.raises(RemoteProtocolError, match=f"our stream id {stream_id}"):
            session.receive(Header(kind, flags, stream_id, 0).encode(), 0.0)


def test_two_clients_notice_that_they_are_two_clients() -> None:
    ours, theirs = client(), client()
    ours.open_stream()
    with pytest.raises(RemoteProtocolError, match="our stream id"):
        theirs.receive(take_all(ours), 0.0)


@pytest.mark.parametrize("end", [b"", rst(1), data(1, flags=Flag.FIN)])
def test_no_stream_id_is_used_twice(end: bytes) -> None:
    theirs = server()
    theirs.receive(syn(1) + end, 0.0)
    theirs.close_write(1)
    take_all(theirs)
    with pytest.raises(RemoteProtocolError, match="stream id 1 used twice"):
        theirs.receive(syn(1), 0.0)


def test_streams_that_were_opened_at_once_may_arrive_in_any_order() -> None:
    theirs = server()
    theirs.receive(syn(5) + data(1, b"one", Flag.SYN) + syn(3), 0.0)
    assert drain(theirs) == [
        StreamOpened(5),
        StreamOpened(1),
        DataReceived(1, b"one"),
        StreamOpened(3),
    ]
    with pytest.raises(RemoteProtocolError, match="stream id 3 used twice"):
        theirs.receive(syn(3), 0.0)


def test_streams_beyond_the_backlog_are_reset_and_leave_no_trace() -> None:
    theirs = server()
    theirs.receive(b"".join(map(syn, INBOUND_IDS)), 0.0)
    assert drain(theirs) == [StreamOpened(sid) for sid in INBOUND_IDS]
    take_all(theirs)

    extra = 2 * MAX_INBOUND + 1
    refused = data(extra, bytes(1000), Flag.SYN) + update(extra, 5) + data(extra, b"more")
    theirs.receive(refused + data(extra, flags=Flag.FIN), 0.0)
    assert drain(theirs) == []
    assert len(theirs) == MAX_INBOUND
    assert frames(take_all(theirs)) == [
        Frame(
            FrameType.WINDOW_UPDATE,
            Flag.RST,
            extra,
            StreamCode.RESOURCE_LIMIT_EXCEEDED,
        )
    ]


@pytest.mark.parametrize("ends", ["reset by the peer", "reset by us", "finished"])
def test_a_stream_that_ends_makes_room_for_another(ends: str) -> None:
    theirs = Session(is_client=False, now=0.0, max_inbound=1)
    theirs.receive(syn(1), 0.0)
    match ends:
        case "reset by the peer":
            theirs.receive(rst(1), 0.0)
        case "reset by us":
            theirs.reset(1)
        case "finished":
            theirs.receive(data(1, flags=Flag.FIN), 0.0)
            theirs.receive(syn(3), 0.0)  # not yet: our half is open
            theirs.close_write(1)
    take_all(theirs)
    drain(theirs)
    theirs.receive(syn(5) + syn(7), 0.0)
    assert drain(theirs) == [StreamOpened(5)]
    assert [frame.flags for frame in frames(take_all(theirs))] == [Flag.ACK, Flag.RST]


def test_a_peer_that_accepts_nothing_is_asked_for_256_streams_and_no_more() -> None:
    ours = client()
    for _ in range(MAX_UNACKED):
        assert ours.can_open
        ours.open_stream()
    assert not ours.can_open
    with pytest.raises(ResourceLimitError, match="256 streams wait"):
        ours.open_stream()


@pytest.mark.parametrize(
    "answer",
    [
        update(1, flags=Flag.ACK),
        data(1, b"x", Flag.ACK),
        rst(1, StreamCode.RESOURCE_LIMIT_EXCEEDED),
        update(1, 0, Flag.ACK | Flag.RST),
        update(1, flags=Flag.ACK) * 3,
    ],
    ids=["accept", "accept with data", "refusal", "accept and reset", "accept thrice"],
)
def test_each_accept_or_refusal_lets_one_more_stream_open(answer: bytes) -> None:
    ours = client()
    for _ in range(MAX_UNACKED):
        ours.open_stream()
    ours.receive(answer, 0.0)
    ours.open_stream()
    assert not ours.can_open


def test_streams_that_we_give_up_wait_for_no_accept() -> None:
    ours = client()
    for _ in range(3 * MAX_UNACKED):
        ours.reset(ours.open_stream())
        take_all(ours)
    assert holds_nothing(ours)


def test_an_owner_that_opens_and_gives_up_waits_while_nothing_leaves() -> None:
    ours = client()
    while ours.can_open:
        ours.reset(ours.open_stream())
        assert len(ours._control) < MAX_CONTROL
    with pytest.raises(ResourceLimitError):
        ours.open_stream()
    ours.receive(ping(1), 0.0)  # the peer asked only this, and is not to blame
    assert len(ours.data_to_send()) <= MAX_BATCH
    assert ours.can_open


@pytest.mark.parametrize(("session", "last"), [(client(), 2**32 - 1), (server(), 2**32 - 2)])
def test_stream_ids_end_and_do_not_begin_again(session: Session, last: int) -> None:
    session._next_id = last
    assert session.open_stream() == last <= MAX_STREAM_ID
    with pytest.raises(ResourceLimitError, match="out of stream ids"):
        session.open_stream()


def test_data_after_the_end_is_refused() -> None:
    theirs = server()
    theirs.receive(syn(1) + data(1, flags=Flag.FIN), 0.0)
    with pytest.raises(RemoteProtocolError, match="data after FIN on stream 1"):
        theirs.receive(data(1, b"x"), 0.0)


def test_ends_and_credit_after_the_end_mean_nothing() -> None:
    theirs = server()
    theirs.receive(syn(1) + data(1, flags=Flag.FIN), 0.0)
    assert drain(theirs) == [StreamOpened(1), StreamEnded(1)]
    take_all(theirs)
    theirs.receive(data(1, flags=Flag.FIN) * 1000 + update(1, 9, Flag.FIN) + data(1), 0.0)
    assert (drain(theirs), theirs.pending) == ([], False)


def test_pings_without_end_are_answered_while_the_answers_are_read() -> None:
    theirs = server()
    for _ in range(20):
        theirs.receive(ping(5) * 1000, 0.0)
        assert len(frames(take_all(theirs))) == 1000


@pytest.mark.parametrize("asks", [ping(5), "syn"], ids=["pings", "streams"])
def test_a_peer_that_asks_and_does_not_read_is_cut_off(asks: bytes | str) -> None:
    theirs = server()
    ids = iter(range(1, 2**31, 2))
    with pytest.raises(LimitError, match="asks faster than it reads"):  # noqa: PT012
        for _ in range(100_000):
            theirs.receive(asks if isinstance(asks, bytes) else syn(next(ids)), 0.0)
            assert len(theirs._control) <= MAX_CONTROL
    assert len(theirs._control) <= MAX_CONTROL + HEADER_SIZE
    assert len(theirs) <= MAX_INBOUND


def rapid_resets(session: Session, first: int, count: int, now: float) -> None:
    """A peer that opens streams and resets them in the same breath."""
    for stream_id in range(first, first + 2 * count, 2):
        session.receive(syn(stream_id) + rst(stream_id), now)
        take_all(session)
    drain(session)


def test_a_burst_of_rapid_resets_is_fine_and_a_flood_is_not() -> None:
    theirs = server()
    rapid_resets(theirs, 1, RESET_BURST, 0.0)
    assert holds_nothing(theirs)
    with pytest.raises(LimitError, match="resets streams too often"):
        rapid_resets(theirs, 2 * RESET_BURST + 1, 1, 0.0)


def test_resets_at_a_bearable_rate_go_on_for_ever() -> None:
    theirs = server()
    a_second = int(RESETS_PER_S)
    for second in range(20):
        rapid_resets(theirs, 1 + 2 * a_second * second, a_second, float(second))
    assert holds_nothing(theirs)


def test_a_quiet_hour_saves_up_no_more_than_one_burst() -> None:
    theirs = server()
    rapid_resets(theirs, 1, 500, 0.0)
    rapid_resets(theirs, 1001, RESET_BURST, 3600.0)
    with pytest.raises(LimitError):
        rapid_resets(theirs, 1001 + 2 * RESET_BURST, 1, 3600.0)


def test_open_and_reset_in_one_frame_counts_as_well() -> None:
    theirs = server()
    wire = b"".join(update(sid, 0, Flag.SYN | Flag.RST) for sid in range(1, 2 * RESET_BURST, 2))
    theirs.receive(wire, 0.0)
    take_all(theirs)
    with pytest.raises(LimitError, match="too often"):
        theirs.receive(update(2 * RESET_BURST + 1, 0, Flag.SYN | Flag.RST), 0.0)


def test_resets_of_streams_that_are_not_there_cost_nothing() -> None:
    theirs = server()
    theirs.receive(b"".join(map(rst, range(1, 20_000))), 0.0)
    assert (drain(theirs), holds_nothing(theirs)) == ([], True)


def test_a_session_that_refused_something_says_so_in_its_go_away() -> None:
    theirs = server()
    with pytest.raises(RemoteProtocolError):
        theirs.receive(b"\x01" + bytes(11), 0.0)
    theirs.close(PROTOCOL_ERROR)
    assert take_all(theirs) == go_away(1)


@pytest.mark.parametrize(
    "wire",
    [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x16\x03\x01\x02\x00\x01\x00" * 4],
    ids=["http", "ssh", "tls"],
)
def test_other_protocols_are_refused_at_their_first_bytes(wire: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="version"):
        server().receive(wire, 0.0)


few_ids = st.sampled_from([1, 2, 3, 5, 7, 2**32 - 1])
few_flags = st.integers(0, 15).map(Flag)
likely_frames = st.one_of(
    st.builds(data, few_ids, st.binary(max_size=30), few_flags),
    st.builds(update, few_ids, st.sampled_from([0, 1, 0x1001, 2**32 - 1]), few_flags),
    st.builds(
        lambda kind, flags, value: Header(kind, flags, 0, value).encode(),
        st.sampled_from([FrameType.PING, FrameType.GO_AWAY]),
        few_flags,
        st.integers(0, 3),
    ),
    st.binary(min_size=1, max_size=12),
)


def feed(session: Session, wire: bytes, cuts: list[int]) -> tuple[list[object], bytes, str]:
    """What a session makes of these bytes: events with data joined, answers, and the refusal."""
    refusal = ""
    try:
        for piece in pieces(wire, cuts):
            session.receive(piece, 0.0)
    except RemoteProtocolError as why:
        refusal = str(why)
    events: list[object] = []
    for event in drain(session):
        match events[-1:], event:
            case [DataReceived(before, head)], DataReceived(after, tail) if before == after:
                events[-1] = DataReceived(after, bytes(head) + bytes(tail))
            case _:
                events.append(event)
    return events, take_all(session), refusal


@given(st.lists(likely_frames, max_size=12), st.lists(st.integers(0, 40), max_size=20), st.data())
def test_frames_of_every_kind_mean_something_or_are_refused_however_they_are_cut(
    wires: list[bytes], cuts: list[int], draw: st.DataObject
) -> None:
    wire = b"".join(wires)
    is_client = draw.draw(st.booleans(), label="is client")
    results = []
    for sizes in ([], cuts, [1] * len(wire)):
        session = Session(is_client=is_client, now=0.0)
        session.open_stream()
        results.append((feed(session, wire, sizes), len(session)))
        for stream in session._streams.values():
            window = stream.window
            assert window.credit + window.unread == window.size
    assert results[0] == results[1] == results[2]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_mean_something_or_are_refused(wire: bytes) -> None:
    for session in (client(), server()):
        feed(session, wire, [])
        assert len(session) <= len(wire) // HEADER_SIZE
