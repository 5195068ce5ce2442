"""What happens in a host, for whoever wants to know.

Siblings that may not import each other (relay, identify, node) talk through these.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId

MAX_QUEUED: Final = 1024  # events one slow subscriber may be behind; then the oldest go


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A connection is in the table and may be used."""

    connection: MuxedConnection


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """A connection is gone; ``connection.reason`` says why."""

    connection: MuxedConnection


@dataclass(frozen=True, slots=True)
class PeerIdentified:
    """A peer said what it speaks, for the first time on a connection or again by push."""

    peer: PeerId
    protocols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddressesChanged:
    """What we advertise has changed."""

    addrs: tuple[Multiaddr, ...]


@dataclass(frozen=True, slots=True)
class ProtocolsChanged:
    """A handler was added or removed."""

    protocols: tuple[str, ...]


HostEvent = (
    ConnectionOpened | ConnectionClosed | PeerIdentified | AddressesChanged | ProtocolsChanged
)
E_ = TypeVar("E_", bound=HostEvent)


class Subscription(Generic[E_]):
    """Events in the order they happened; ``await next()`` waits for one."""

    def __init__(self, kinds: tuple[type[E_], ...]) -> None:
        self._kinds = kinds
        self._queue: deque[E_] = deque(maxlen=MAX_QUEUED)
        self._arrived = asyncio.Event()

    def offer(self, event: HostEvent) -> None:
        if isinstance(event, self._kinds):
            self._queue.append(event)
            self._arrived.set()

    @property
    def pending(self) -> int:
        """How many events wait."""
        return len(self._queue)

    async def next(self) -> E_:
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()


class Bus:
    """Hands each event to every subscriber; publishing never waits."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription[HostEvent]] = []

    def publish(self, event: HostEvent) -> None:
        for subscription in self._subscriptions:
            subscription.offer(event)

    @contextmanager
    def subscribe(self, *kinds: type[E_]) -> Iterator[Subscription[E_]]:
        """Collect events of ``kinds`` for as long as the block runs."""
        subscription = Subscription(kinds)
        self._subscriptions.append(subscription)  # type: ignore[arg-type]  # it filters
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)  # type: ignore[arg-type]
