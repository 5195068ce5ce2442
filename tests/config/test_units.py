"""Durations and sizes mean what they mean to Go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.config.units import MAX_SIZE, format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("-0", 0.0),
        ("2m", 120.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("500ms", 0.5),
        ("10us", 1e-5),
        ("10µs", 1e-5),
        ("10μs", 1e-5),
        ("1ns", 1e-9),
        ("-1m", -60.0),
        ("+1m", 60.0),
        ("1s1s", 2.0),
        ("0.9ns0.9ns", 0.0),  # each step is cut to whole nanoseconds
        ("0.0000000019s", 1e-9),
        ("2540400h", 9145440000.0),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "5", "1d", "1 h", "h", ".", ".s", "1h-5m", "--1s", "1e3s", "٣s", "2m\n"),
        *("9" * 99, "10000000h", "1h" * 40, "1S", "nan", "inf"),
    ],
)
def test_what_go_refuses_as_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (120, "2m0s"),
        (600, "10m0s"),
        (299, "4m59s"),
        (3600, "1h0m0s"),
        (3661.25, "1h1m1.25s"),
        (0.5, "500ms"),
        (0.0015, "1.5ms"),
        (0.00001, "10µs"),
        (0.000000001, "1ns"),
        (1.5, "1.5s"),
        (-90, "-1m30s"),
        (360000, "100h0m0s"),
        (9e9 + 0.5, "2500000h0m0.5s"),
    ],
)
def test_durations_are_printed_as_go_prints_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(nanoseconds=st.integers(-(10**15), 10**15))
def test_a_printed_duration_is_read_back_the_same(nanoseconds: int) -> None:
    seconds = nanoseconds / 10**9
    assert parse_duration(format_duration(seconds)) == seconds


@given(text=st.text("0123456789.hmsnuµ+- ", max_size=70))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        assert abs(parse_duration(text)) < 2**63 / 10**9 + 1
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MB", 64 << 20), ("10 kb", 10240), ("512B", 512), (" 2048\n", 2048), ("1Gb", 1 << 30)],
)
def test_sizes_count_in_1024s(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "MB", "1.5MB", "-1", "1TB", "1e3", "٣", "1 0", f"{MAX_SIZE}KB", "9" * 5000]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@given(text=st.text(max_size=20))
def test_any_text_is_a_size_or_a_value_error(text: str) -> None:
    try:
        assert 0 <= parse_size(text) <= MAX_SIZE
    except ValueError:
        pass


@given(st.integers(0, MAX_SIZE))
def test_a_printed_size_is_read_back_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(64 << 20, "64MB"), (1 << 30, "1GB"), (2048, "2KB"), (1500, "1500B"), (0, "0B")],
)
def test_sizes_are_printed_as_people_write_them(size: int, text: str) -> None:
    assert format_size(size) == text
