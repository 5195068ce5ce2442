"""Text of unknown origin made safe to show on a terminal or in a log line.

Names, agent strings, comments and error texts come from peers and from files that others
wrote. Shown as they are, they could move the cursor, change colours, reorder a line with
bidirectional overrides, hide characters, or forge a second line. Here each such character
becomes a visible escape.
"""

from __future__ import annotations

from typing import Final

MAX_CHARACTERS: Final = 200
ELLIPSIS: Final = "..."


def printable(text: str, limit: int = MAX_CHARACTERS) -> str:
    r"""Return ``text`` as one line of visible characters and ordinary spaces.

    Control characters, ANSI escapes, line ends, invisible and bidirectional format
    characters, exotic spaces, unassigned code points and lone surrogates become ``\xNN``,
    ``\uNNNN`` or ``\UNNNNNNNN``. Letters of every script stay as they are. Text that is
    printable already and short enough is returned unchanged.

    Args:
        text: Anything; only its first ``limit`` characters are looked at.
        limit: The most characters returned, at least 3. A longer text is cut, never inside
            an escape, and ends in ``...``.
    """
    if len(text) <= limit and text.isprintable():
        return text
    shown = [_visible(character) for character in text[:limit]]
    size = sum(map(len, shown))
    if size <= limit and len(text) <= limit:
        return "".join(shown)
    while size > limit - len(ELLIPSIS):
        size -= len(shown.pop())
    return "".join(shown) + ELLIPSIS


def _visible(character: str) -> str:
    """Return the character, or the escape that a Python string literal would use for it."""
    if character.isprintable():
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
