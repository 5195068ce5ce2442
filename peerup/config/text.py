"""Text that is safe to write into a file or onto a terminal, whoever it comes from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from peerup.wire.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAME_CHARS: Final = 64
MAX_SHOWN_CHARS: Final = 80

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]")


def quoted(text: str) -> str:
    """Return ``text`` as a double-quoted YAML scalar on one line, which is printable too."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    # Python's escapes \n \t \r \xHH \uHHHH \UHHHHHHHH are all YAML's as well.
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def shown(text: str) -> str:
    """Return ``text`` in double quotes for a message: one line, at most 80 characters of it."""
    return f'"{printable(text, MAX_SHOWN_CHARS)}"'


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about ``word``: which of ``known`` is near it, "" if none."""
    import difflib  # noqa: PLC0415  commands in which nothing is wrong need not load it

    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def one_line(text: str, max_chars: int) -> str:
    """Return the printable characters of ``text``, blanks run together, cut to ``max_chars``.

    What goes are line ends, escapes, and marks that change the direction of writing.
    """
    words = " ".join(text[: 16 * max_chars].split())
    return "".join(filter(str.isprintable, words))[:max_chars].strip()


def clean_name(text: str) -> str:
    """Return what may be kept of a name that a peer gave itself, "" if nothing.

    At most 64 of A-Z a-z 0-9 . _ - remain, so that the result can stand in files, on
    terminals and in commands.
    """
    return _NOT_IN_NAMES.sub("", text[: 16 * MAX_NAME_CHARS])[:MAX_NAME_CHARS]
