from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.cli.json_output import json_line
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, RELAY

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "guide" / "json.md"
ROW: Final = re.compile(r"\| `peerup ([a-z -]+)` \| (.+) \|$", re.MULTILINE)


@given(text=st.text(st.characters(exclude_categories=()), max_size=60))
def test_json_is_one_line_of_ascii_that_reads_back(text: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        json_line({"text": text})
    assert json.loads(stdout.getvalue()) == {"text": text}
    assert stdout.getvalue().isascii()
    assert stdout.getvalue().splitlines(keepends=True) == [stdout.getvalue()]


def test_a_json_line_is_compact(capsys: pytest.CaptureFixture[str]) -> None:
    json_line({"seq": 1, "error": "a\x1bb\x7f"})
    assert capsys.readouterr().out == '{"seq":1,"error":"a\\u001bb\\u007f"}\n'


def keys(value: object) -> set[str]:
    """All keys of an object, and of the objects in its lists: ``peers``, ``peers.comment``."""
    found: set[str] = set()
    for key, inner in value.items() if isinstance(value, dict) else ():
        found.add(key)
        for item in inner if isinstance(inner, list) else ():
            found |= {f"{key}.{below}" for below in keys(item)}
    return found


def documented(cell: str) -> set[str]:
    """The keys that a cell of the page names; those of a list stand in brackets after it."""
    found: set[str] = set()
    for name, inside in re.findall(r"`(\w+)`(?: \(([^)]*)\))?", cell):
        found |= {name} | {f"{name}.{below}" for below in re.findall(r"`(\w+)`", inside)}
    return found


@pytest.mark.parametrize(("words", "cell"), ROW.findall(PAGE.read_text(encoding="utf-8")))
def test_the_keys_are_those_of_the_page(
    peerup: Peerup, config: Path, words: str, cell: str
) -> None:
    file = config.parent / "authorized_keys"
    peerup("service", "add", "ssh", "localhost:22")
    file.write_text(f"{HOME}\n{RELAY}\n{'nonsense' if 'validate' in words else ''}")
    result = peerup(*words.split(), "--json")
    assert result.code == (2 if "validate" in words else 0), result.err
    assert keys(json.loads(result.out)) == documented(cell)


def test_the_page_has_rows() -> None:
    assert len(ROW.findall(PAGE.read_text(encoding="utf-8"))) > 5
