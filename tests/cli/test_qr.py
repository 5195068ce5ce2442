from __future__ import annotations

import io
import re
import sys

import pytest
import segno

from peerup.cli import output, qr

Capture = pytest.CaptureFixture[str]
PEER = "12D3KooWPrmh163sTHW3mYQm7YsLsSR2wr71fPp4g6yjuGv3sGQt"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setattr(output, "width", lambda: 80)
    monkeypatch.delenv("NO_COLOR", raising=False)


def modules(lines: list[str]) -> list[list[int]]:
    """The dark modules that a camera would see in the lines."""
    upper = {"█": 0, "▀": 0, "▄": 1, " ": 1}
    lower = {"█": 0, "▀": 1, "▄": 0, " ": 1}
    return [[half[char] for char in line] for line in lines for half in (upper, lower)]


def test_the_blocks_are_the_modules_of_the_code() -> None:
    lines = qr.render(PEER)
    code = [list(row) for row in segno.make_qr(PEER, error="l").matrix_iter(border=qr.QUIET)]
    assert modules(lines)[: len(code)] == code
    assert len({len(line) for line in lines}) == 1


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_the_code_is_drawn_black_on_white(capsys: Capture) -> None:
    assert qr.show(PEER)
    drawn = capsys.readouterr().out
    assert drawn.startswith("\x1b[97;40m█")
    assert re.sub(r"\x1b\[[\d;]*m", "", drawn).splitlines() == qr.render(PEER)


@pytest.mark.usefixtures("terminal")
def test_no_color_is_obeyed(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert qr.show(PEER)
    assert "\x1b" not in capsys.readouterr().out


def test_off_a_terminal_nothing_is_drawn(capsys: Capture) -> None:
    assert not qr.show(PEER)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("terminal")
def test_a_narrow_terminal_is_told_so(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "width", lambda: len(qr.render(PEER)[0]) - 1)
    assert not qr.show(PEER)
    assert capsys.readouterr() == ("", "The terminal is too narrow for a QR code.\n")


@pytest.mark.usefixtures("terminal")
def test_a_terminal_without_blocks_gets_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    assert not qr.show(PEER)
