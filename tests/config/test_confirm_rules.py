"""When something applied is reverted, whatever clocks do; and the marker of Go."""

from __future__ import annotations

import datetime
import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.config import confirm_rules as rules
from peerup.config.confirm_rules import Damaged, Marker, Revert, Wait

BACKUP: Final = ".config.pre-confirmed.yaml"
NOW: Final = 1_770_000_000_123_456_789
SECOND: Final = 10**9
YEAR: Final = 365 * 86400 * SECOND

moments = st.integers(0, 200 * YEAR)
timeouts = st.integers(1, 7 * 86400).map(float)


def test_nothing_pending_is_nothing_to_do() -> None:
    assert rules.decide(None, NOW) is None


def test_it_waits_until_the_deadline_and_not_longer() -> None:
    marker = rules.new_marker(NOW, 300.0, BACKUP)
    assert rules.decide(marker, NOW) == Wait(300.0)
    assert rules.decide(marker, NOW + 299 * SECOND) == Wait(1.0)
    assert rules.decide(marker, NOW + 300 * SECOND) == Revert("it was not confirmed in time")


def test_a_clock_that_is_set_back_puts_nothing_off() -> None:
    marker = rules.new_marker(NOW, 300.0, BACKUP)
    assert rules.decide(marker, 0) == Wait(300.0)
    assert rules.decide(marker, 0, waited=299.0) == Wait(1.0)
    assert isinstance(rules.decide(marker, 0, waited=300.0), Revert)


@given(start=moments, timeout=timeouts, now=moments, waited=st.floats(0, 1e9))
def test_the_wait_never_exceeds_what_is_left_by_either_clock(
    start: int, timeout: float, now: int, waited: float
) -> None:
    marker = rules.new_marker(start, timeout, BACKUP)
    match rules.decide(marker, now, waited):
        case Wait(seconds):
            assert 0 < seconds <= timeout - waited
            assert now < marker.deadline
        case Revert():
            assert now >= marker.deadline or waited >= timeout
        case None:
            pytest.fail("a marker was overlooked")


def test_a_marker_that_stays_damaged_reverts() -> None:
    assert isinstance(rules.decide(Damaged("x"), NOW), Revert)
    assert rules.decide(Damaged("x"), NOW, waited=0.0) == Wait(rules.DAMAGED_S)
    assert isinstance(rules.decide(Damaged("x"), NOW, waited=rules.DAMAGED_S), Revert)


@pytest.mark.parametrize("timeout", [0.0, 0.5, 8 * 86400.0])
def test_a_time_to_confirm_has_bounds(timeout: float) -> None:
    with pytest.raises(ValueError, match="1s to 168h0m0s"):
        rules.new_marker(NOW, timeout, BACKUP)


@given(now=moments, timeout=timeouts)
def test_a_marker_reads_back(now: int, timeout: float) -> None:
    marker = rules.new_marker(now, timeout, BACKUP)
    assert rules.decode_marker(rules.encode_marker(marker), BACKUP) == marker


def test_the_marker_is_json_with_go_s_keys_and_times() -> None:
    fields = json.loads(rules.encode_marker(rules.new_marker(NOW, 300.0, BACKUP)))
    assert fields == {
        "deadline": "2026-02-02T02:45:00.123456789Z",
        "backup": BACKUP,
        "timeout": "5m0s",
    }


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-02-02T02:45:00.123456789Z", 123_456_789),
        ("2026-02-02T03:45:00.1234567+01:00", 123_456_700),
        ("2026-02-01T21:15:00.1-05:30", 100_000_000),
        ("2026-02-02T02:45:00Z", 0),
    ],
)
def test_markers_of_go_are_understood(text: str, ns: int) -> None:
    data = json.dumps({"deadline": text, "backup": BACKUP}).encode()
    found = rules.decode_marker(data, BACKUP)
    assert isinstance(found, Marker)
    assert found.deadline == 1_770_000_300 * SECOND + ns
    assert found.timeout == rules.MAX_TIMEOUT_S


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'{"deadline":"2026-02-02T02:45:00Z"}',
        b'{"backup":".config.pre-confirmed.yaml"}',
        b'{"deadline":5,"backup":".config.pre-confirmed.yaml"}',
        b'{"deadline":"soon","backup":".config.pre-confirmed.yaml"}',
        b'{"deadline":"2026-02-30T02:45:00Z","backup":".config.pre-confirmed.yaml"}',
        b'{"deadline":"2026-02-02T02:45:00+24:00","backup":".config.pre-confirmed.yaml"}',
        b'{"deadline":"2026-02-02T02:45:00Z","backup":".config.pre-confirmed.yaml","timeout":"x"}',
        b'{"deadline":"2026-02-02T02:45:00Z","backup":"../../etc/passwd"}',
        b'{"deadline":"2026-02-02T02:45:00Z","backup":"/etc/passwd"}',
        b'{"deadline":"2026-02-02T02:45:00Z","backup":"config.yaml"}',
        b"[" * 4000,
    ],
)
def test_anything_else_is_damaged(data: bytes) -> None:
    assert isinstance(rules.decode_marker(data, BACKUP), Damaged)


@given(st.binary(max_size=100) | st.text(max_size=60).map(lambda text: text.encode()))
def test_arbitrary_bytes_are_a_marker_or_damaged(data: bytes) -> None:
    assert isinstance(rules.decode_marker(data, BACKUP), Marker | Damaged)


@given(st.datetimes(timezones=st.timezones()))
def test_any_time_with_a_zone_means_the_same_moment(when: datetime.datetime) -> None:
    text = when.isoformat(timespec="microseconds")
    if len(text) != len("2026-02-02T02:45:00.123456+01:00"):
        return  # zones with seconds, which RFC 3339 does not have
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert rules.parse_time(text) == (when - epoch) // datetime.timedelta(microseconds=1) * 1000
