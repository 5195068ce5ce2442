"""QR codes on a terminal: two rows of modules on each line, dark ones blank."""

from __future__ import annotations

import sys
from typing import Final

BORDER: Final = 4  # light modules around, which readers need
_BLOCKS: Final = {
    (True, True): " ",
    (True, False): "\u2584",  # the upper one is dark
    (False, True): "\u2580",
    (False, False): "\u2588",
}


def lines(text: str) -> list[str]:
    """Return the lines that show ``text`` as a QR code, for light letters on dark ground."""
    import segno  # noqa: PLC0415  takes 40 ms, and few commands show a code

    rows = [
        [bool(module) for module in row]
        for row in segno.make(text, error="m", micro=False).matrix_iter(border=BORDER)
    ]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    return [
        "".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]


def can_show() -> bool:
    """Say whether stdout is a terminal that has the characters for it."""
    if not sys.stdout.isatty():
        return False
    try:
        "".join(_BLOCKS.values()).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
