"""Lists as tables on a terminal that has room for them, else as lines.

``rich``, which draws them, is loaded when there is one to draw.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from peerup.cli import output
from peerup.wire.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_CELL: Final = 200  # characters
GAP: Final = 2  # columns between two cells
MIN_CELL: Final = 8  # columns; a cell that would get less is no help

Row = tuple[str, ...]


def show(columns: Sequence[str], rows: Sequence[Row], plain: Iterable[str]) -> None:
    """Print ``rows`` below the names of their ``columns``, or the lines ``plain`` in their place.

    A column in which all cells are empty is left out. The cells of the first column are what
    people copy, and are never broken; those of the others are folded if need be.
    """
    drawn = _draw(columns, rows, output.width()) if output.on_terminal() else None
    if drawn is not None:
        output.drawing(drawn)
        return
    for text in plain:
        output.line(text)


def _draw(columns: Sequence[str], rows: Sequence[Row], width: int) -> str | None:
    """Return the table, None if there is no room for it."""
    kept = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    cells = [[printable(row[at], MAX_CELL) for at in kept] for row in rows]
    if not cells:
        return ""
    needed = max(len(row[0]) for row in cells) + (GAP + MIN_CELL) * (len(kept) - 1)
    return None if needed > width else _render([columns[at] for at in kept], cells, width)


def _render(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> str:
    from rich.console import Console  # noqa: PLC0415  slow to load, and lines need it not
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(name, no_wrap=number == 0, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))  # not strings: those may hold markup
    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        no_color=not output.colours(),
        color_system="standard",
        width=width,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())
