from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.wire.printable import MAX_CHARACTERS, printable

# Every code point, lone surrogates included: a file name or a peer may hold any of them.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize("text", ["", "home", "naïve café", "東京", "emoji 🙂", "back\\slash"])
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("one\r\ntwo\ttab", r"one\x0d\x0atwo\x09tab"),
        ("nul\0del\x7f", r"nul\x00del\x7f"),
        ("c1 \x9b31m", r"c1 \x9b31m"),
        ("evil\u202egpj.exe", r"evil\u202egpj.exe"),
        ("iso\u2066late\u2069", r"iso\u2066late\u2069"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("line\u2028sep", r"line\u2028sep"),
        ("no\xa0break", r"no\xa0break"),
        ("lone \ud800", r"lone \ud800"),
        ("tag \U000e0041", r"tag \U000e0041"),
    ],
)
def test_what_could_fool_a_terminal_becomes_a_visible_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    assert printable("a" * 1000) == "a" * (MAX_CHARACTERS - 3) + "..."
    assert printable("a" * 10, limit=10) == "a" * 10
    assert printable("a" * 11, limit=10) == "aaaaaaa..."


def test_an_escape_is_never_cut_in_the_middle() -> None:
    assert printable("ab\x1b\x1b\x1b", limit=10) == r"ab\x1b..."
    assert printable("\x1b", limit=3) == "..."


@given(text=ANY_TEXT, limit=st.integers(3, 250))
def test_the_result_is_one_visible_line_within_the_limit(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert not {unicodedata.category(character) for character in shown} & INVISIBLE
    shown.encode()  # no surrogates left


@given(text=ANY_TEXT)
def test_making_text_printable_twice_changes_nothing(text: str) -> None:
    assert printable(printable(text)) == printable(text)
