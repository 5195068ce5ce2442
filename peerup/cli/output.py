"""The only place that prints: results to stdout, progress and errors to stderr.

Every line passes through :func:`peerup.wire.printable.printable` or is ASCII already, so that no
name, comment, error text or agent string, whoever wrote it, can move the cursor or forge a line.
"""

from __future__ import annotations

import os
import sys
from typing import Final, TextIO

from peerup.wire.printable import printable

MAX_LINE: Final = 4096  # characters; far above what we print, far below what floods a terminal
MAX_ERROR_LINES: Final = 20
MAX_ANSWER: Final = 4096  # bytes; what a terminal hands over at once
DEFAULT_WIDTH: Final = 80  # columns of a terminal that does not say


class ReaderGoneError(Exception):
    """Whoever read our stdout closed it, as ``peerup auth list | head -1`` does."""


def line(text: str = "") -> None:
    """Print one line of a result."""
    _write(sys.stdout, printable(text, MAX_LINE))


def ascii_line(text: str) -> None:
    """Print one line of a result, however long, with its escapes as they are.

    Raises:
        ValueError: ``text`` is not printable ASCII, which JSON made by ``json_output`` is.
    """
    if not (text.isascii() and text.isprintable()):
        raise ValueError("not one line of printable ASCII")
    _write(sys.stdout, text)


def drawing(text: str) -> None:
    """Print a table or a QR code as it is, control sequences and all.

    Whoever draws has made every text in it printable first.
    """
    _write(sys.stdout, text, end="")


def on_terminal() -> bool:
    """Whether results go to a terminal on which one can draw."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def colours() -> bool:
    """Whether drawings may have colours: not if NO_COLOR says something."""
    return not os.environ.get("NO_COLOR")


def width() -> int:
    """Return the columns of the terminal that results go to."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError):
        return DEFAULT_WIDTH


def ask(question: str) -> str | None:
    """Ask on stderr and return the line that stdin answers with, None if it has ended.

    The last line needs no line end.

    Raises:
        KeyboardInterrupt: Somebody at a terminal pressed Ctrl-D.
    """
    stdin = sys.stdin  # None when started with the descriptor closed
    answer = b""
    try:
        _write(sys.stderr, printable(question, MAX_LINE), end="")
        answer = b"" if stdin is None else stdin.buffer.readline(MAX_ANSWER)
    finally:
        if not answer.endswith(b"\n"):
            _write(sys.stderr, "")  # or what comes next would stand behind the question
    if not answer and stdin is not None and stdin.isatty():
        raise KeyboardInterrupt
    return answer.decode("utf-8", "replace").strip() if answer else None


def progress(text: str = "") -> None:
    """Say on stderr what goes on, or what to do next."""
    _write(sys.stderr, printable(text, MAX_LINE))


def warning(text: str) -> None:
    """Say on stderr what is wrong but does not stop us."""
    _write(sys.stderr, f"Warning: {printable(text, MAX_LINE)}")


def error(message: str, hint: str = "") -> None:
    """Say on stderr what happened and what mends it.

    Further lines of ``message`` are indented, so that none can pass for a line of its own.
    """
    first, *more = message.splitlines()[:MAX_ERROR_LINES] or [""]
    _write(sys.stderr, f"Error: {printable(first, MAX_LINE)}")
    for text in more:
        _write(sys.stderr, f"  {printable(text.strip(), MAX_LINE)}")
    if hint:
        _write(sys.stderr, printable(hint, MAX_LINE))


def flush() -> None:
    """Push out what argparse and we wrote, so that a closed pipe is noticed here."""
    _write(sys.stdout, "", end="")


def _write(stream: TextIO | None, text: str, end: str = "\n") -> None:
    """Write and flush, so that a script reading us sees each line when it is printed.

    Raises:
        ReaderGoneError: stdout is a pipe that nobody reads any more. For stderr that is no
            reason to stop.
    """
    if stream is None:  # started with the descriptor closed
        return
    encoding = stream.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), end=end, file=stream)
        stream.flush()
    except BrokenPipeError:
        _discard(stream)
        if stream is sys.stdout:
            raise ReaderGoneError from None


def _discard(stream: TextIO) -> None:
    """Send what is still buffered to nowhere, or Python complains about it when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
