"""How many connections may wait for their handshake at once.

Before a peer has proved who it is, all that is known is where it comes from. When there are
too many, the *oldest* has to go: an honest handshake is over in milliseconds, so the ones
that linger are the silent ones, and a flood of them never locks an honest peer out.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class PendingHandshakes:
    """Connections between accept and proven identity, oldest first."""

    def __init__(self, most: int, most_per_source: int) -> None:
        self._most, self._most_per_source = most, most_per_source
        self._drop: dict[int, tuple[str, Callable[[], object]]] = {}
        self._by_source: defaultdict[str, dict[int, None]] = defaultdict(dict)
        self._next = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._drop)

    def enter(self, source: str, drop: Callable[[], object]) -> int:
        """Note one more from ``source`` and return its ticket; may call others' ``drop``."""
        ticket, self._next = self._next, self._next + 1
        siblings = self._by_source[source]
        if len(siblings) >= self._most_per_source:
            self._evict(next(iter(siblings)))
        elif len(self._drop) >= self._most:
            self._evict(next(iter(self._drop)))
        self._by_source[source][ticket] = None
        self._drop[ticket] = (source, drop)
        return ticket

    def leave(self, ticket: int) -> None:
        """The handshake is over, either way. Idempotent."""
        if (entry := self._drop.pop(ticket, None)) is not None:
            siblings = self._by_source[entry[0]]
            siblings.pop(ticket, None)
            if not siblings:
                del self._by_source[entry[0]]

    def _evict(self, ticket: int) -> None:
        drop = self._drop[ticket][1]
        self.leave(ticket)
        self.evicted += 1
        drop()
