from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import RemoteProtocolError
from peerup.wire.half_close import Half
from peerup.wire.yamux_stream import (
    EPOCH_RTTS,
    INITIAL_WINDOW,
    MAX_OVERTAKEN,
    MAX_QUEUED,
    MAX_WINDOW,
    Allowance,
    PeerIds,
    ReceiveWindow,
    SendQueue,
    YamuxStream,
)

MUCH = 1 << 40  # more spare bytes than any window wants


def used(window: ReceiveWindow, size: int) -> ReceiveWindow:
    """The peer sent ``size`` bytes, and the application took them."""
    window.credit -= size
    return window


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.data())
def test_a_queue_gives_back_the_bytes_in_order_however_they_are_taken(
    chunks: list[bytes], draw: st.DataObject
) -> None:
    queue = SendQueue()
    for chunk in chunks:
        queue.add(memoryview(chunk))
    expected = b"".join(chunks)
    taken = b""
    while queue.size:
        most = draw.draw(st.integers(1, 100), label="room in this frame")
        part = b"".join(queue.take(most))
        assert len(part) == min(most, len(expected) - len(taken))
        taken += part
        assert queue.size == len(expected) - len(taken)
    assert taken == expected
    assert queue.take(1) == []


def test_an_allowance_is_so_many_at_once_and_then_so_many_a_second() -> None:
    allowance = Allowance(burst=3, per_second=2.0, now=10.0)
    assert [allowance.spend(10.0) for _ in range(3)] == [True, True, True]
    assert [allowance.spend(now) for now in (10.5, 11.0, 11.5)] == [True, True, True]
    assert not allowance.spend(11.9)


def test_an_allowance_saves_up_no_more_than_it_began_with() -> None:
    allowance = Allowance(burst=3, per_second=2.0, now=0.0)
    assert [allowance.spend(1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_queue_copies_nothing() -> None:
    chunk = bytes(1000)
    queue = SendQueue()
    queue.add(memoryview(chunk))
    assert [part.obj is chunk for part in queue.take(600) + queue.take(400)] == [True, True]


def test_taking_nothing_leaves_a_queue_as_it_is() -> None:
    queue = SendQueue()
    queue.add(memoryview(b"abc"))
    assert queue.take(0) == []
    assert queue.size == 3


def test_a_cleared_queue_holds_nothing() -> None:
    queue = SendQueue()
    queue.add(memoryview(b"abc"))
    queue.clear()
    assert (queue.size, queue.take(3)) == (0, [])


def test_credit_is_granted_once_half_the_window_was_consumed() -> None:
    window = used(ReceiveWindow(0.0), INITIAL_WINDOW // 2 - 1)
    assert window.grant(9.0, None, MUCH) == 0
    used(window, 1)
    assert window.grant(9.0, None, MUCH) == INITIAL_WINDOW // 2
    assert window.credit == INITIAL_WINDOW
    assert window.grant(9.0, None, MUCH) == 0


def test_what_nobody_consumed_earns_no_credit() -> None:
    window = used(ReceiveWindow(0.0), INITIAL_WINDOW)
    window.unread = INITIAL_WINDOW // 2 + 1
    assert window.grant(9.0, None, MUCH) == 0
    window.unread -= 1
    assert window.grant(9.0, None, MUCH) == INITIAL_WINDOW // 2
    assert window.credit + window.unread == window.size


@pytest.mark.parametrize(
    ("seconds", "rtt", "size"),
    [
        (0.39, 0.1, 2 * INITIAL_WINDOW),
        (EPOCH_RTTS * 0.125, 0.125, INITIAL_WINDOW),  # exactly four round trips is not quicker
        (0.41, 0.1, INITIAL_WINDOW),
        (0.0, None, INITIAL_WINDOW),
    ],
    ids=["quicker than four round trips", "in four", "slower", "round trip unknown"],
)
def test_a_window_doubles_when_half_of_it_is_read_within_four_round_trips(
    seconds: float, rtt: float | None, size: int
) -> None:
    window = used(ReceiveWindow(0.0), INITIAL_WINDOW // 2)
    delta = window.grant(seconds, rtt, MUCH)
    assert window.size == size
    assert delta == INITIAL_WINDOW // 2 + size - INITIAL_WINDOW
    assert window.credit == size


def test_each_epoch_begins_with_the_grant_before_it() -> None:
    window = used(ReceiveWindow(0.0), INITIAL_WINDOW // 2)
    assert window.grant(10.0, 0.1, MUCH) == INITIAL_WINDOW // 2
    used(window, INITIAL_WINDOW // 2)
    assert window.grant(10.3, 0.1, MUCH) == INITIAL_WINDOW // 2 + INITIAL_WINDOW
    assert window.size == 2 * INITIAL_WINDOW


def test_a_window_stops_growing_at_its_largest_size() -> None:
    window = ReceiveWindow(0.0)
    sizes = []
    for _ in range(8):
        used(window, window.size // 2)
        window.grant(0.0, 1.0, MUCH)
        sizes.append(window.size // INITIAL_WINDOW)
    assert sizes == [2, 4, 8, 16, 32, 64, 64, 64]
    assert window.size == window.credit == MAX_WINDOW


@pytest.mark.parametrize("spare", [0, 1, 1000])
def test_a_window_grows_no_further_than_the_session_can_spare(spare: int) -> None:
    window = used(ReceiveWindow(0.0), INITIAL_WINDOW // 2)
    assert window.grant(0.0, 1.0, spare) == INITIAL_WINDOW // 2 + spare
    assert window.size == window.credit == INITIAL_WINDOW + spare


def test_a_new_stream_has_nothing_to_send() -> None:
    stream = YamuxStream(1, 0.0, acked=False)
    assert (stream.half, stream.sendable, stream.room) == (Half.OPEN, False, MAX_QUEUED)
    assert stream.send_credit == stream.window.credit == INITIAL_WINDOW


def test_bytes_wait_for_credit_and_an_end_waits_for_the_bytes() -> None:
    stream = YamuxStream(1, 0.0, acked=False)
    stream.queue.add(memoryview(b"abc"))
    assert (stream.sendable, stream.room) == (True, MAX_QUEUED - 3)
    stream.send_credit = 0
    assert not stream.sendable
    stream.fin_queued = True
    assert not stream.sendable
    stream.queue.clear()
    assert stream.sendable


@pytest.mark.parametrize("first", [1, 2])
@given(draw=st.data())
def test_ids_may_come_in_any_order_but_none_twice(first: int, draw: st.DataObject) -> None:
    everything = range(first, first + 2 * 40, 2)
    order = draw.draw(st.permutations(everything))
    ids = PeerIds(first)
    for count, stream_id in enumerate(order):
        ids.take(stream_id)
        again = draw.draw(st.sampled_from(order[: count + 1]))
        with pytest.raises(RemoteProtocolError, match=f"stream id {again} used twice"):
            ids.take(again)


def test_an_id_may_be_overtaken_by_many_newer_ones_but_not_by_any_number() -> None:
    newest = 1 + 2 * MAX_OVERTAKEN
    ids = PeerIds(1)
    ids.take(newest)
    ids.take(3)
    with pytest.raises(RemoteProtocolError):
        ids.take(1)


def test_what_is_remembered_of_many_streams_stays_small() -> None:
    ids = PeerIds(1)
    for stream_id in range(1, 8 * MAX_OVERTAKEN, 2):
        ids.take(stream_id)
    assert ids._opened.bit_length() == MAX_OVERTAKEN


def test_a_leap_over_all_ids_costs_no_memory() -> None:
    ids = PeerIds(1)
    ids.take(2**32 - 1)
    assert ids._opened == 1
    with pytest.raises(RemoteProtocolError):
        ids.take(1)
    ids.take(2**32 - 3)
