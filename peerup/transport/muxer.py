"""The seam between a stream multiplexer and what users see of it.

Whoever writes another muxer implements ``Muxer`` and runs ``tests/conformance/muxers.py`` on it;
whoever moves its bytes in another way implements ``Link``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from peerup.wire.events import MuxEvent


class Muxer(Protocol):
    """Sans-IO stream multiplexer; ``yamux.Session`` is one. Times are seconds of one clock."""

    @property
    def can_open(self) -> bool:
        """Whether the peer would take another stream now."""
        ...

    def open_stream(self) -> int: ...
    def send(self, stream_id: int, data: bytes | memoryview) -> int: ...
    def consumed(self, stream_id: int, size: int, now: float) -> None: ...
    def close_write(self, stream_id: int) -> None: ...
    def sent(self, stream_id: int) -> bool: ...
    def reset(self, stream_id: int, code: int = 0) -> None: ...
    def close(self, code: int = 0) -> None: ...
    def next_event(self) -> MuxEvent | None: ...
    def next_timer(self) -> float | None: ...
    def handle_timer(self, now: float) -> None: ...


class Link(Protocol):
    """Whatever carries the muxer's output to the peer."""

    def flush(self) -> None:
        """Say that the muxer may have output; never waits."""
        ...

    def finish(self) -> None:
        """Send what the muxer still has, then end. Idempotent; never waits."""
        ...
