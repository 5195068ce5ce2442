"""Bytes that arrived on a stream and nobody read yet.

Large pieces are kept as they came, without a copy. Small ones are joined as they arrive, so
that a peer that sends single bytes costs us a byte each and not an object each.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SMALL: Final = 4096  # pieces below this are joined ...
LARGE: Final = 16 * 1024  # a piece of this size is worth a read of its own
JOINED: Final = 64 * 1024  # ... into blocks of at most this


class Inbox:
    """A first-in, first-out queue of bytes; bounded by the window that its muxer grants."""

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[bytes | memoryview | bytearray] = deque()
        self.size = 0

    def add(self, piece: bytes | memoryview) -> None:
        self.size += len(piece)
        if len(piece) >= SMALL:
            self._pieces.append(piece)
            return
        last = self._pieces[-1] if self._pieces else None
        if isinstance(last, bytearray) and len(last) < JOINED:
            last += piece
        else:
            self._pieces.append(bytearray(piece))

    def take(self, most: int) -> bytes:
        """Remove and return 1 to ``most`` bytes; the inbox must not be empty."""
        pieces = self._pieces
        first = pieces[0]
        if len(first) <= most and (len(first) >= LARGE or len(pieces) == 1):
            pieces.popleft()
            self.size -= len(first)
            return bytes(first)  # no copy where it already is bytes
        taken: list[bytes | memoryview | bytearray] = []
        left = most
        while left and pieces:
            piece = pieces[0]
            if len(piece) > left:
                view = memoryview(piece)
                taken.append(view[:left])
                # A cut bytearray must not grow any more: it is kept as a view from now on.
                pieces[0] = view[left:]
                left = 0
                break
            taken.append(pieces.popleft())
            left -= len(piece)
        self.size -= most - left
        return b"".join(taken)

    def clear(self) -> int:
        """Drop everything and return how many bytes that were."""
        size, self.size = self.size, 0
        self._pieces.clear()
        return size
