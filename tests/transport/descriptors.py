"""Pipes whose ends have one owner each, and threads at their other side."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_taken: set[int] = set()


def taken(end: int) -> int:
    """Say that somebody else closes this end of a pipe; closing a number twice hits others."""
    _taken.add(end)
    return end


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose ends are closed afterwards, but for those that were taken."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            if end in _taken:
                _taken.discard(end)
            else:
                os.close(end)


def nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def pattern(size: int) -> bytes:
    return bytes(range(251)) * (size // 251 + 1)


def drain(source: int) -> tuple[threading.Thread, list[bytes]]:
    """Read a descriptor to its end in a thread."""
    parts: list[bytes] = []

    def run() -> None:
        while piece := os.read(source, 65536):
            parts.append(piece)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, parts


def feed(target: int, data: bytes) -> threading.Thread:
    """Write all of ``data`` in a thread, then close."""

    def run() -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
        os.close(target)

    thread = threading.Thread(target=run)
    thread.start()
    return thread
