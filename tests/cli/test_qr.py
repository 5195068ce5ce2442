from __future__ import annotations

import io
import sys
from typing import Final

import pytest
import segno

from peerup.cli import qr
from peerup.wire.printable import printable

CODE: Final = "AIAQ-EAYE-AUDA-OCGL-ABYT-EHTB-EYAC-ICAB"
UPPER: Final = {" ": (1, 1), "\u2584": (1, 0), "\u2580": (0, 1), "\u2588": (0, 0)}


def test_the_lines_are_the_modules_two_rows_at_a_time() -> None:
    shown = qr.lines(CODE)
    rows = [row for line in shown for row in zip(*(UPPER[char] for char in line), strict=True)]
    wanted = [tuple(row) for row in segno.make(CODE, error="m", micro=False).matrix_iter(border=4)]
    assert rows[: len(wanted)] == wanted
    assert all(not any(row) for row in rows[len(wanted) :])


def test_a_whole_code_fits_a_terminal_and_nothing_in_it_is_escaped() -> None:
    shown = qr.lines("-".join(["AIAQ"] * 47))
    assert max(map(len, shown)) < 80
    assert [printable(line) for line in shown] == shown


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("encoding", "can"), [("utf-8", True), ("ascii", False)])
def test_it_is_shown_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch, encoding: str, can: bool
) -> None:
    assert not qr.can_show()  # pytest reads our stdout
    monkeypatch.setattr(sys, "stdout", Terminal(io.BytesIO(), encoding=encoding))
    assert qr.can_show() is can
