from __future__ import annotations

import contextlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.cli.json_output import json_line


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
