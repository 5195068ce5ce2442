from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from peerup.wire.events import SessionTerminated
from peerup.wire.yamux import KEEPALIVE_S, PING_TIMEOUT_S, Session
from peerup.wire.yamux_frame import Flag, FrameType
from tests.wire.yamux_pair import Frame, client, drain, frames, ping, pong, server, take_all

if TYPE_CHECKING:
    from collections.abc import Callable

START = 1000.0  # clocks rarely begin at zero


def begun() -> Session:
    """A session whose first ping is on its way since ``START``."""
    session = Session(is_client=True, now=START)
    session.handle_timer(START)
    assert take_all(session) == ping(1)
    return session


def test_the_first_ping_leaves_at_once() -> None:
    session = Session(is_client=False, now=START)
    assert session.next_timer() == START
    session.handle_timer(START)
    assert frames(take_all(session)) == [Frame(FrameType.PING, Flag.SYN, 0, 1)]


def test_a_timer_that_comes_early_does_nothing() -> None:
    session = Session(is_client=False, now=START)
    session.handle_timer(START - 0.001)
    assert not session.pending
    assert session.next_timer() == START


def test_the_answer_measures_the_round_trip() -> None:
    session = begun()
    assert (session.rtt, session.awaits_answer) == (None, True)
    session.receive(pong(1), START + 0.25)
    assert (session.rtt, session.awaits_answer) == (0.25, False)
    assert session.next_timer() == START + 0.25 + KEEPALIVE_S


def test_a_clock_too_coarse_for_the_round_trip_still_measures_something() -> None:
    session = begun()
    session.receive(pong(1), START)
    assert session.rtt is not None
    assert 0 < session.rtt < 1e-3


def test_a_ping_follows_every_30_seconds_with_another_value() -> None:
    session = begun()
    now = START
    for value in range(2, 6):
        session.receive(pong(value - 1), now)
        session.handle_timer(now + KEEPALIVE_S - 0.01)
        assert not session.pending
        now += KEEPALIVE_S
        session.handle_timer(now)
        assert take_all(session) == ping(value)


def test_the_value_of_a_ping_begins_again_after_32_bits() -> None:
    session = Session(is_client=True, now=START)
    session._ping_value = 2**32 - 1
    session.handle_timer(START)
    assert take_all(session) == ping(0)
    session.receive(pong(0), START + 1)
    assert session.rtt == 1


def test_a_peer_that_answers_no_ping_for_10_seconds_is_gone() -> None:
    session = begun()
    deadline = START + PING_TIMEOUT_S
    assert session.next_timer() == deadline
    session.handle_timer(deadline - 0.01)
    assert drain(session) == []
    session.handle_timer(deadline)
    assert drain(session) == [SessionTerminated(0)]
    assert session.next_timer() is None
    assert not session.can_open
    session.handle_timer(deadline + 100)
    assert (drain(session), session.pending) == ([], False)


def test_an_answer_in_the_last_moment_counts() -> None:
    session = begun()
    session.receive(pong(1), START + PING_TIMEOUT_S)
    session.handle_timer(START + PING_TIMEOUT_S)
    assert drain(session) == []


def test_other_traffic_is_no_answer() -> None:
    session = begun()
    session.receive(pong(2) + ping(1), START + 1)
    session.handle_timer(START + PING_TIMEOUT_S)
    assert drain(session) == [SessionTerminated(0)]


def test_a_second_answer_to_the_same_ping_changes_nothing() -> None:
    session = begun()
    session.receive(pong(1), START + 1)
    session.receive(pong(1), START + 5)
    assert session.rtt == 1
    assert session.next_timer() == START + 1 + KEEPALIVE_S


@pytest.mark.parametrize("make", [client, server])
def test_a_ping_is_answered_with_its_value(make: Callable[[], Session]) -> None:
    session = make()
    session.receive(ping(0xDEADBEEF) + ping(0), 0.0)
    assert take_all(session) == pong(0xDEADBEEF) + pong(0)


def test_no_ping_leaves_a_closed_session() -> None:
    session = Session(is_client=True, now=START)
    session.close()
    take_all(session)
    session.handle_timer(START)
    assert not session.pending
