"""QR codes on a terminal, for what is too long to type on another device."""

from __future__ import annotations

import sys
from typing import Final

from peerup.cli import output

QUIET: Final = 4  # modules of white around the code, as the standard wants
BLOCKS: Final = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}  # 1 is dark: not drawn
BLACK_ON_WHITE: Final = ("\x1b[97;40m", "\x1b[0m")  # what is drawn is white


def show(text: str) -> bool:
    """Draw ``text`` as a QR code on stdout; False if that is no terminal with room for it."""
    if not output.on_terminal() or not _can_show_blocks():
        return False
    lines = render(text)
    if len(lines[0]) > output.width():
        output.progress("The terminal is too narrow for a QR code.")
        return False
    start, end = BLACK_ON_WHITE if output.colours() else ("", "")
    output.drawing("".join(f"{start}{line}{end}\n" for line in lines))
    return True


def render(text: str) -> list[str]:
    """Return the lines of a QR code; one character is two modules, one above the other."""
    import segno  # noqa: PLC0415  only a terminal needs it

    code = segno.make_qr(text, error="l")
    rows = [list(row) for row in code.matrix_iter(border=QUIET)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(BLOCKS[one] for one in zip(*pair, strict=True)) for pair in pairs]


def _can_show_blocks() -> bool:
    try:
        "█▀▄".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
