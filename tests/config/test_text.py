"""Text from elsewhere can do no harm in a file or on a terminal."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from peerup.config.text import clean_name, did_you_mean, one_line, quoted, shown


@given(text=st.text())
def test_quoted_text_is_one_printable_line_that_yaml_reads_back(text: str) -> None:
    line = quoted(text)
    assert line.isprintable()
    assert yaml.safe_load(line) == text


@given(text=st.text(max_size=300))
def test_shown_text_is_one_printable_line(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) <= 82


@given(text=st.text(), limit=st.integers(1, 40))
def test_one_line_holds_nothing_but_printable_text(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit
    assert line == line.strip()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("my box", "my box"),
        (" two\r\nlines\t ", "two lines"),
        ("\x1b[31mred\x07", "[31mred"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("nul\0l", "null"),
        ("\u65e5\u672c \U0001f600", "\u65e5\u672c \U0001f600"),
    ],
)
def test_one_line_keeps_what_a_person_wrote(text: str, line: str) -> None:
    assert one_line(text, 40) == line


@pytest.mark.parametrize(
    ("remote", "kept"),
    [
        ("laptop", "laptop"),
        ("../../x", "....x"),
        ("a: b\n  admin: true", "abadmintrue"),
        ("x" * 10_000, "x" * 64),
        ("\u202eevil\u202c", "evil"),
        ("\U0001f600", ""),
        ("b\u00fcro", "bro"),
    ],
)
def test_of_a_name_that_a_peer_gives_itself_only_safe_characters_stay(
    remote: str, kept: str
) -> None:
    assert clean_name(remote) == kept


def test_what_was_meant_is_said_when_it_is_near() -> None:
    assert did_you_mean("servces", ["names", "services"]) == "; did you mean services?"
    assert did_you_mean("xyz", ["names", "services"]) == ""
    assert did_you_mean("names", []) == ""
