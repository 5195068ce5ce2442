"""docs/specs.md lists every module of the wire layer, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "specs.md"


def rows() -> list[list[str]]:
    """The cells of each row that names a module."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [row for row in cells if len(row) == 4 and row[1].startswith("`")]


def files(cell: str) -> list[str]:
    """The file names in a cell, which stand between backquotes."""
    return re.findall(r"`([^`]+\.py)`", cell)


def test_every_wire_module_has_its_row() -> None:
    listed = {name for row in rows() for name in files(row[1])}
    modules = {f"wire/{path.name}" for path in (ROOT / "peerup/wire").glob("*.py")}
    missing = sorted(modules - listed - {"wire/__init__.py"})
    assert not missing, f"not in docs/specs.md: {missing}"


def test_every_row_names_files_that_exist() -> None:
    stale = [
        f"{folder}/{name}"
        for row in rows()
        for folder, cell in (("peerup", row[1]), ("tests", row[2]))
        for name in files(cell)
        if not (ROOT / folder / name).is_file()
    ]
    assert not stale, f"in docs/specs.md, but not in the tree: {stale}"


def test_every_row_names_a_module_and_its_tests() -> None:
    assert len(rows()) > 20
    assert all(files(row[1]) and files(row[2]) for row in rows())
