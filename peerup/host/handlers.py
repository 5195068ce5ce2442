"""Which code answers which protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peerup.errors import LocalProtocolError, ResourceLimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerup.transport.muxed import MuxedStream
    from peerup.wire.peer_id import PeerId

Handler = Callable[["MuxedStream"], Awaitable[None]]

MAX_PER_PEER: Final = 32  # inbound streams of one protocol that one peer may hold


@dataclass(frozen=True, slots=True)
class Registration:
    """How one protocol is served.

    ``handler`` gets the negotiated stream. When it returns, the stream is closed in order;
    when it raises, the stream is reset.
    """

    handler: Handler
    max_per_peer: int = MAX_PER_PEER  # further ones are reset
    on_limited: bool = False  # also serve on connections that a relay limits


class HandlerTable:
    """Protocol id to handler, and how many streams of each a peer holds."""

    def __init__(self) -> None:
        self._table: dict[str, Registration] = {}
        self._held: Counter[tuple[PeerId, str]] = Counter()

    def add(self, protocol: str, registration: Registration) -> None:
        if protocol in self._table:
            raise LocalProtocolError(f"{protocol} already has a handler")
        self._table[protocol] = registration

    def remove(self, protocol: str) -> None:
        self._table.pop(protocol, None)

    def find(self, protocol: str) -> Registration | None:
        return self._table.get(protocol)

    @property
    def protocols(self) -> tuple[str, ...]:
        return tuple(self._table)

    @contextmanager
    def hold(self, peer: PeerId, protocol: str) -> Iterator[None]:
        """Count one stream of ``peer`` for as long as the block runs.

        Raises:
            ResourceLimitError: the peer holds as many as the registration allows.
        """
        key = (peer, protocol)
        if self._held[key] >= self._table[protocol].max_per_peer:
            raise ResourceLimitError(f"{peer.short} holds {self._held[key]} {protocol} streams")
        self._held[key] += 1
        try:
            yield
        finally:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
