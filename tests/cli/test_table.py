from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.cli import output, table

Capture = pytest.CaptureFixture[str]

ROOT: Final = Path(__file__).resolve().parents[2]
COLUMNS: Final = ("Name", "State", "Comment")
PLAIN: Final = ("  web enabled", "  ssh disabled")
ROWS: Final = [("web", "enabled", ""), ("ssh", "disabled", "")]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stdout is a terminal of 80 columns, and may have colours."""
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setattr(output, "width", lambda: 80)
    monkeypatch.delenv("NO_COLOR", raising=False)


def shown(capsys: Capture) -> list[str]:
    text = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    return [line.rstrip() for line in text.splitlines()]


def test_off_a_terminal_there_are_lines_and_nothing_is_loaded_to_draw() -> None:
    code = (
        "import sys; from peerup.cli import table\n"
        "table.show(('A',), [('x',)], ['plain x'])\n"
        "sys.exit('rich' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "plain x\n", "")


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_there_is_a_table_without_empty_columns(capsys: Capture) -> None:
    table.show(COLUMNS, ROWS, PLAIN)
    assert shown(capsys) == ["Name  State", "web   enabled", "ssh   disabled"]


@pytest.mark.usefixtures("terminal")
def test_no_rows_are_no_table(capsys: Capture) -> None:
    table.show(COLUMNS, [], [])
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("terminal")
def test_a_terminal_without_room_gets_lines(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("x" * 60, "enabled", "comment")]
    monkeypatch.setattr(output, "width", lambda: 79)
    table.show(COLUMNS, rows, PLAIN)
    assert shown(capsys) == list(PLAIN)
    monkeypatch.setattr(output, "width", lambda: 80)
    table.show(COLUMNS, rows, PLAIN)
    assert shown(capsys)[1].startswith("x" * 60)


@pytest.mark.usefixtures("terminal")
def test_no_color_is_obeyed(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    table.show(COLUMNS, ROWS, PLAIN)
    assert not re.search(r"\x1b\[[\d;]*(3|4|9|10)\d", capsys.readouterr().out)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("name", ["[red]x", "[/]", "[link=http://x]y", ":smile:", "[bold]"])
def test_markup_is_text_like_any_other(capsys: Capture, name: str) -> None:
    table.show(COLUMNS, [("a", name, "")], PLAIN)
    assert shown(capsys)[1] == f"a     {name}"


@pytest.mark.usefixtures("terminal")
@given(cells=st.lists(st.tuples(st.text(max_size=300), st.text(max_size=300)), max_size=5))
def test_no_cell_can_touch_the_terminal(cells: list[tuple[str, str]]) -> None:
    drawn = table._draw(("A", "B"), [("id", *cell)[:2] for cell in cells], 80)
    assert drawn is not None
    text = re.sub(r"\x1b\[[01](;\d+)*m", "", drawn)
    assert all(line.isprintable() for line in text.splitlines())
