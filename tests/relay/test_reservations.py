from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.relay.reservations import (
    FIRST_RETRY_S,
    JITTER,
    MAX_RETRY_S,
    MIN_REFRESH_S,
    REFUSED_RETRY_S,
    Attempts,
)

chances = st.floats(0, 1)


@pytest.mark.parametrize(
    ("expires_in", "refresh"),
    [(86400, 1800), (3600, 1800), (600, 300), (240, 120), (60, 30), (10, 5)],
)
def test_a_place_is_refreshed_when_half_of_its_time_is_over(
    expires_in: float, refresh: float
) -> None:
    assert Attempts().held(expires_in) == refresh


@given(st.floats(0, 1e18))
def test_a_place_is_refreshed_before_it_ends_and_never_in_a_tight_loop(expires_in: float) -> None:
    refresh = Attempts().held(expires_in)
    assert refresh >= MIN_REFRESH_S
    assert refresh < expires_in or expires_in <= MIN_REFRESH_S


def test_w39_a_lost_relay_is_asked_again_after_seconds_never_an_hour() -> None:
    attempts = Attempts()
    waits = [attempts.lost(0.0) for _ in range(1000)]
    assert waits[:5] == [FIRST_RETRY_S, 1.0, 2.0, MAX_RETRY_S, MAX_RETRY_S]
    assert max(waits) == MAX_RETRY_S < 5.0


def test_w39_a_relay_that_refuses_is_asked_again_within_half_a_minute() -> None:
    attempts = Attempts()
    waits = [attempts.refused(0.0) for _ in range(1000)]
    assert waits[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, REFUSED_RETRY_S]
    assert max(waits) == REFUSED_RETRY_S


def test_w39_a_refusal_after_a_long_outage_is_not_taken_for_the_last_word() -> None:
    """A relay that starts may refuse for a moment; home must not wait half a minute for it."""
    attempts = Attempts()
    for _ in range(100):
        attempts.lost(0.0)
    assert attempts.refused(0.0) == 1.0


def test_w39_an_outage_after_many_refusals_is_looked_at_as_quickly_as_any() -> None:
    attempts = Attempts()
    for _ in range(100):
        attempts.refused(0.0)
    assert attempts.lost(0.0) == FIRST_RETRY_S


def test_a_relay_that_gives_a_place_starts_with_a_clean_slate() -> None:
    attempts = Attempts()
    for _ in range(10):
        attempts.lost(0.0)
        attempts.refused(0.0)
    attempts.held(3600.0)
    assert attempts.lost(0.0) == FIRST_RETRY_S
    attempts.held(3600.0)
    assert attempts.refused(0.0) == 1.0


def test_a_relay_that_now_refuses_and_now_is_gone_is_not_asked_in_a_tight_loop() -> None:
    attempts = Attempts()
    waits = [step for _ in range(20) for step in (attempts.lost(1.0), attempts.refused(1.0))]
    assert min(waits[10:]) > 2.0


@given(chance=chances, failures=st.integers(0, 100))
def test_chance_cuts_a_wait_by_a_quarter_at_most(chance: float, failures: int) -> None:
    one, two = Attempts(), Attempts()
    for _ in range(failures):
        one.lost(0.0)
        two.lost(0.0)
    full, cut = one.lost(0.0), two.lost(chance)
    assert full * (1 - JITTER) <= cut <= full


def test_those_whom_a_restarted_relay_has_lost_do_not_come_back_at_one_moment() -> None:
    waits = {round(Attempts().lost(number / 50), 3) for number in range(50)}
    assert len(waits) == 50
