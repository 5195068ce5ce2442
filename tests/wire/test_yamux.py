"""What the owner of a session and its peer see of streams, from SYN to the end of both halves."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import pytest

from peerup.errors import LocalProtocolError
from peerup.wire.error_codes import ConnectionCode, StreamCode
from peerup.wire.events import (
    DataReceived,
    SessionTerminated,
    StreamEnded,
    StreamOpened,
    StreamReset,
)
from peerup.wire.half_close import NEXT, Half, Move
from peerup.wire.yamux_frame import Flag, FrameType
from tests.wire.yamux_pair import (
    WINDOW,
    Frame,
    Pair,
    client,
    data,
    drain,
    frames,
    go_away,
    holds_nothing,
    pong,
    rst,
    server,
    syn,
    take_all,
    update,
)

if TYPE_CHECKING:
    from peerup.wire.yamux import Session

ACK: Final = Frame(FrameType.WINDOW_UPDATE, Flag.ACK, 1, 0)


def test_a_stream_opens_with_a_syn_and_is_accepted_at_once() -> None:
    ours, theirs = client(), server()
    assert ours.open_stream() == 1
    wire = take_all(ours)
    assert wire.hex() == "000100010000000100000000"
    theirs.receive(wire, 0.0)
    assert drain(theirs) == [StreamOpened(1)]
    assert take_all(theirs).hex() == "000100020000000100000000"


def test_clients_open_odd_ids_and_servers_even_ones() -> None:
    ours, theirs = client(), server()
    assert [ours.open_stream() for _ in range(3)] == [1, 3, 5]
    assert [theirs.open_stream() for _ in range(3)] == [2, 4, 6]


def test_bytes_arrive_on_their_stream_both_ways() -> None:
    pair = Pair()
    first, second = pair.stream(), pair.stream()
    pair.client.send(first, b"to the server")
    pair.client.send(second, b"there too")
    pair.server.send(second, b"and back")
    up, down = pair.exchange()
    assert up == [DataReceived(second, b"and back")]
    assert down == [DataReceived(first, b"to the server"), DataReceived(second, b"there too")]


def test_the_first_data_need_not_wait_for_the_accept() -> None:
    pair = Pair()
    sid = pair.client.open_stream()
    pair.client.send(sid, b"eager")
    assert pair.exchange() == ([], [StreamOpened(sid), DataReceived(sid, b"eager")])


def test_an_empty_write_sends_nothing() -> None:
    pair = Pair()
    sid = pair.stream()
    assert pair.client.send(sid, b"") == 0
    assert not pair.client.pending


def test_data_without_bytes_means_nothing() -> None:
    theirs = server()
    theirs.receive(syn(1) + data(1) + data(1, b"x"), 0.0)
    assert drain(theirs) == [StreamOpened(1), DataReceived(1, b"x")]


def test_the_end_follows_the_last_bytes_in_a_frame_of_its_own() -> None:
    pair = Pair()
    sid = pair.stream()
    pair.client.send(sid, b"last words")
    pair.client.close_write(sid)
    wire = take_all(pair.client)
    assert frames(wire) == [
        Frame(FrameType.DATA, Flag.NONE, sid, 10, b"last words"),
        Frame(FrameType.DATA, Flag.FIN, sid, 0),
    ]
    pair.server.receive(wire, 0.0)
    assert drain(pair.server) == [DataReceived(sid, b"last words"), StreamEnded(sid)]


def test_the_end_waits_for_all_bytes_before_it() -> None:
    ours = client()
    sid = ours.open_stream()
    ours.send(sid, bytes(WINDOW + 5))
    ours.close_write(sid)
    sent = frames(take_all(ours))
    assert (len(sent), sent[-1].flags) == (6, Flag.NONE)  # the SYN, and a window in five frames
    ours.receive(update(sid, 5), 0.0)
    assert frames(take_all(ours)) == [
        Frame(FrameType.DATA, Flag.NONE, sid, 5, bytes(5)),
        Frame(FrameType.DATA, Flag.FIN, sid, 0),
    ]


def test_an_end_without_bytes_is_one_empty_frame() -> None:
    pair = Pair()
    sid = pair.stream()
    for _ in range(2):  # saying it twice changes nothing
        pair.client.close_write(sid)
    assert frames(take_all(pair.client)) == [Frame(FrameType.DATA, Flag.FIN, sid, 0)]
    pair.client.close_write(sid)
    assert not pair.client.pending


def test_the_other_half_goes_on_after_the_end_of_one() -> None:
    pair = Pair()
    sid = pair.stream()
    pair.client.close_write(sid)
    assert pair.exchange() == ([], [StreamEnded(sid)])
    pair.server.send(sid, bytes(WINDOW + 1))
    up, _ = pair.exchange()
    assert sum(len(event.data) for event in up if isinstance(event, DataReceived)) == WINDOW
    pair.client.consumed(sid, WINDOW, 0.0)
    pair.server.close_write(sid)
    assert pair.exchange() == ([DataReceived(sid, b"\0"), StreamEnded(sid)], [])
    assert holds_nothing(pair.client)
    assert holds_nothing(pair.server)


def in_state(half: Half) -> Session:
    """A server whose stream 1 is in this state."""
    session = server()
    session.receive(syn(1), 0.0)
    if half in {Half.WE_FINISHED, Half.CLOSED}:
        session.close_write(1)
    take_all(session)
    if half in {Half.PEER_FINISHED, Half.CLOSED}:
        session.receive(update(1, flags=Flag.FIN), 0.0)
    drain(session)
    return session


@pytest.mark.parametrize(
    ("half", "move", "by_peer"),
    [
        *itertools.product(Half, [Move.SEND_FIN], [False]),
        *itertools.product(Half, [Move.RECV_FIN], [True]),
        *itertools.product(Half, [Move.RESET], [False, True]),
    ],
)
def test_a_stream_moves_through_its_halves_as_the_table_says(
    half: Half, move: Move, by_peer: bool
) -> None:
    session = in_state(half)
    match move, by_peer:
        case Move.SEND_FIN, _:
            session.close_write(1)
        case Move.RECV_FIN, _:
            session.receive(data(1, flags=Flag.FIN), 0.0)
        case Move.RESET, False:
            session.reset(1, 7)
        case Move.RESET, True:
            session.receive(rst(1, 7), 0.0)
    after = NEXT.get((half, move), half)  # what the table leaves out is ignored
    moved = after is not half
    sent = {Move.SEND_FIN: [data(1, flags=Flag.FIN)], Move.RESET: [rst(1, 7)]}
    heard = {Move.RECV_FIN: [StreamEnded(1)], Move.RESET: [StreamReset(1, 7)]}
    assert take_all(session) == b"".join(sent[move] if moved and not by_peer else [])
    assert drain(session) == (heard[move] if moved and by_peer else [])
    assert len(session) == (after is not Half.CLOSED)
    if after is Half.CLOSED:
        assert holds_nothing(session)


@pytest.mark.parametrize("code", [0, *StreamCode, 0x1234, 2**32 - 1])
def test_a_reset_carries_its_code(code: int) -> None:
    pair = Pair()
    sid = pair.stream()
    pair.client.reset(sid, code)
    wire = take_all(pair.client)
    assert frames(wire) == [Frame(FrameType.WINDOW_UPDATE, Flag.RST, sid, code)]
    pair.server.receive(wire, 0.0)
    assert drain(pair.server) == [StreamReset(sid, code)]
    assert holds_nothing(pair.client)
    assert holds_nothing(pair.server)


def test_a_reset_drops_what_was_queued() -> None:
    pair = Pair()
    sid = pair.stream()
    pair.client.send(sid, bytes(1000))
    pair.client.close_write(sid)
    pair.client.reset(sid)
    assert pair.exchange() == ([], [StreamReset(sid, 0)])
    assert holds_nothing(pair.client)


def test_a_reset_on_data_comes_after_its_bytes_and_has_no_code() -> None:
    theirs = server()
    theirs.receive(syn(1) + data(1, b"abc", Flag.RST), 0.0)
    assert drain(theirs) == [StreamOpened(1), DataReceived(1, b"abc"), StreamReset(1, 0)]
    assert len(theirs) == 0


def test_a_reset_wins_over_an_end_in_the_same_frame() -> None:
    theirs = server()
    theirs.receive(syn(1) + update(1, 5, Flag.FIN | Flag.RST), 0.0)
    assert drain(theirs) == [StreamOpened(1), StreamReset(1, 5)]


def test_the_code_of_a_reset_is_no_credit() -> None:
    ours = client()
    sid = ours.open_stream()
    ours.send(sid, bytes(WINDOW + 1000))
    take_all(ours)
    ours.receive(rst(sid, 1000), 0.0)
    assert drain(ours) == [StreamReset(sid, 1000)]
    assert holds_nothing(ours)  # the last 1,000 bytes never leave


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        (update(1, 0, Flag.SYN | Flag.FIN), [StreamEnded(1)]),
        (update(1, 0, Flag.SYN | Flag.RST), [StreamReset(1, 0)]),
        (update(1, 9, Flag.SYN | Flag.RST), [StreamReset(1, 9)]),
        (data(1, b"hi", Flag.SYN), [DataReceived(1, b"hi")]),
        (data(1, b"hi", Flag.SYN | Flag.FIN), [DataReceived(1, b"hi"), StreamEnded(1)]),
        (data(1, b"", Flag.SYN | Flag.FIN), [StreamEnded(1)]),
        (data(1, b"hi", Flag.SYN | Flag.RST), [DataReceived(1, b"hi"), StreamReset(1, 0)]),
        (data(1, bytes(WINDOW), Flag.SYN), [DataReceived(1, bytes(WINDOW))]),
        (syn(1) + data(1, flags=Flag.FIN) + update(1, flags=Flag.FIN), [StreamEnded(1)]),
    ],
    ids=lambda value: value[:12].hex() if isinstance(value, bytes) else "",
)
def test_flags_may_come_together(wire: bytes, events: list[object]) -> None:
    theirs = server()
    theirs.receive(wire, 0.0)
    assert drain(theirs) == [StreamOpened(1), *events]
    assert frames(take_all(theirs)) == [ACK]


@pytest.mark.parametrize("flags", [Flag.ACK | Flag.FIN, Flag.ACK | Flag.RST])
def test_an_accept_may_come_with_the_end(flags: Flag) -> None:
    ours = client()
    sid = ours.open_stream()
    ours.receive(data(sid, b"hi", flags), 0.0)
    end = StreamEnded(sid) if flags & Flag.FIN else StreamReset(sid, 0)
    assert drain(ours) == [DataReceived(sid, b"hi"), end]
    assert ours._unacked == 0


def test_a_larger_first_window_comes_with_the_syn_or_the_accept() -> None:
    theirs = server()
    theirs.receive(update(1, 1000, Flag.SYN), 0.0)
    theirs.send(1, bytes(WINDOW + 2000))
    assert sum(len(frame.body) for frame in frames(take_all(theirs))) == WINDOW + 1000

    ours = client()
    sid = ours.open_stream()
    ours.send(sid, bytes(WINDOW + 2000))
    ours.receive(update(sid, 1000, Flag.ACK), 0.0)
    assert sum(len(frame.body) for frame in frames(take_all(ours))) == WINDOW + 1000


LATE: Final = {
    "data": data(1, b"late"),
    "much data": data(1, bytes(16 * 1024 * 1024)),
    "end": data(1, flags=Flag.FIN),
    "data and end": data(1, b"late", Flag.FIN),
    "reset": rst(1, 5),
    "credit": update(1, 1000),
    "accept": update(1, 0, Flag.ACK),
}


@pytest.mark.parametrize("name", LATE)
def test_what_arrives_late_for_a_stream_that_we_reset_is_ignored(name: str) -> None:
    ours = client()
    sid = ours.open_stream()
    ours.reset(sid)
    take_all(ours)
    ours.receive(LATE[name] + syn(2), 0.0)
    assert drain(ours) == [StreamOpened(2)]
    assert frames(take_all(ours)) == [Frame(FrameType.WINDOW_UPDATE, Flag.ACK, 2, 0)]
    assert len(ours) == 1


@pytest.mark.parametrize("name", LATE)
def test_what_arrives_for_a_stream_that_never_was_is_ignored(name: str) -> None:
    theirs = server()
    theirs.receive(LATE[name], 0.0)
    assert drain(theirs) == []
    assert holds_nothing(theirs)
    theirs.receive(syn(1), 0.0)  # and it may still be opened
    assert drain(theirs) == [StreamOpened(1)]


def test_a_stream_that_we_reset_while_its_data_arrives_says_no_more() -> None:
    theirs = server()
    wire = data(1, bytes(100), Flag.SYN | Flag.FIN)
    theirs.receive(wire[:50], 0.0)
    assert drain(theirs) == [StreamOpened(1), DataReceived(1, bytes(38))]
    theirs.reset(1)
    theirs.receive(wire[50:] + data(3, b"next", Flag.SYN), 0.0)
    assert drain(theirs) == [StreamOpened(3), DataReceived(3, b"next")]


def test_a_finished_stream_cannot_be_written() -> None:
    pair = Pair()
    sid = pair.stream()
    pair.client.close_write(sid)
    with pytest.raises(LocalProtocolError, match="stream 1 is finished"):
        pair.client.send(sid, b"more")
    with pytest.raises(LocalProtocolError, match="stream 99 is finished"):
        pair.client.send(99, b"more")


def test_ending_a_stream_that_is_gone_does_nothing() -> None:
    ours = client()
    ours.close_write(1)
    ours.reset(1, 5)
    ours.consumed(1, 10, 0.0)
    assert not ours.pending


@pytest.mark.parametrize("code", [0, 1, 2, *ConnectionCode])
def test_a_go_away_ends_the_session_with_its_code(code: int) -> None:
    pair = Pair()
    pair.stream()
    pair.client.close(code)
    pair.client.close(99)  # once is enough
    wire = take_all(pair.client)
    assert wire == go_away(code)
    pair.server.receive(wire, 0.0)
    assert drain(pair.server) == [SessionTerminated(code)]


@pytest.mark.parametrize("by_peer", [True, False])
def test_a_session_that_is_over_opens_no_stream(by_peer: bool) -> None:
    ours = client()
    if by_peer:
        ours.receive(go_away(0), 0.0)
    else:
        ours.close()
    assert not ours.can_open
    assert ours.next_timer() is None
    with pytest.raises(LocalProtocolError, match="closed"):
        ours.open_stream()


def test_a_reset_before_the_syn_left_leaves_nothing_behind() -> None:
    pair = Pair()
    sid = pair.client.open_stream()
    pair.client.send(sid, b"never")
    pair.client.reset(sid)
    up, down = pair.exchange()
    assert (up, down) == ([], [StreamOpened(sid), StreamReset(sid, 0)])
    assert holds_nothing(pair.client)
    assert holds_nothing(pair.server)


def test_large_pieces_are_views_and_small_ones_keep_nothing_alive() -> None:
    theirs = server()
    wire = syn(1) + data(1, b"small") + data(1, bytes(1000))
    theirs.receive(wire, 0.0)
    _, small, large = drain(theirs)
    assert isinstance(small, DataReceived)
    assert isinstance(small.data, bytes)
    assert isinstance(large, DataReceived)
    assert isinstance(large.data, memoryview)
    assert large.data.obj is wire


def test_an_answer_to_a_ping_nobody_sent_is_ignored() -> None:
    ours = client()
    ours.receive(pong(77), 0.0)
    assert (drain(ours), take_all(ours), ours.rtt) == ([], b"", None)
