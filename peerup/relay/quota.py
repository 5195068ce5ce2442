"""Who holds a place at this relay and who uses how much of it. Decides; does no I/O.

Defaults are those of the Go program: 128 places, 8 from one address, 16 circuits a peer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from peerup.wire.circuit import Status

if TYPE_CHECKING:
    from peerup.wire.peer_id import PeerId

REQUEST_BURST: Final = 30  # hop requests of one peer at once, and then ...
REQUESTS_PER_S: Final = 10.0  # ... so many a second; honest clients ask once in minutes
MAX_METERED: Final = 4096  # peers whose request rate is remembered


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """What this relay gives. Seconds and bytes; None is no limit."""

    reservations: int = 128
    reservations_per_ip: int = 8
    circuits_per_peer: int = 16
    ttl: float = 3600.0
    session_seconds: float | None = 120.0
    session_data: int | None = 128 * 1024  # each way

    @property
    def terms(self) -> Terms:
        """What a circuit may use."""
        return Terms(self.session_seconds, self.session_data)


@dataclass(frozen=True, slots=True)
class Terms:
    """What one circuit may use: seconds, and bytes each way; None is no limit."""

    seconds: float | None
    data: int | None

    def within(self, other: Terms) -> Terms:
        """Return the stricter of the two, each by itself."""
        seconds = [limit for limit in (self.seconds, other.seconds) if limit is not None]
        data = [limit for limit in (self.data, other.data) if limit is not None]
        return Terms(min(seconds, default=None), min(data, default=None))


@dataclass(slots=True)
class Place:
    """One peer's reservation."""

    source: str  # the address it came from, as text without a port
    expires: float


@dataclass(slots=True)
class Quota:
    """The books of one relay."""

    limits: RelayLimits
    _places: dict[PeerId, Place] = field(default_factory=dict)
    _circuits: Counter[PeerId] = field(default_factory=Counter)
    _tokens: dict[PeerId, tuple[float, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._places)

    def admit_request(self, peer: PeerId, now: float) -> bool:
        """Count one hop request of ``peer``; False when it asks too often."""
        tokens, at = self._tokens.pop(peer, (float(REQUEST_BURST), now))
        tokens = min(tokens + (now - at) * REQUESTS_PER_S, REQUEST_BURST)
        admitted = tokens >= 1
        self._tokens[peer] = (tokens - 1 if admitted else tokens, now)
        if len(self._tokens) > MAX_METERED:
            del self._tokens[next(iter(self._tokens))]
        return admitted

    def reserve(self, peer: PeerId, source: str, now: float) -> Status:
        """Give ``peer`` a place, or keep the one it has; anything but OK says why not."""
        self._expire(now)
        if peer not in self._places:
            if len(self._places) >= self.limits.reservations:
                return Status.RESERVATION_REFUSED
            held = sum(place.source == source for place in self._places.values())
            if held >= self.limits.reservations_per_ip:
                return Status.RESERVATION_REFUSED
        self._places[peer] = Place(source, now + self.limits.ttl)
        return Status.OK

    def holds(self, peer: PeerId, now: float) -> bool:
        place = self._places.get(peer)
        return place is not None and place.expires > now

    def release(self, peer: PeerId) -> None:
        """``peer`` has disconnected: its place is free."""
        self._places.pop(peer, None)

    def open_circuit(self, source: PeerId, target: PeerId, now: float) -> Status:
        """Count a circuit from ``source`` to ``target``; anything but OK says why not."""
        if not self.holds(target, now):
            return Status.NO_RESERVATION
        most = self.limits.circuits_per_peer
        if self._circuits[source] >= most or self._circuits[target] >= most:
            return Status.RESOURCE_LIMIT_EXCEEDED
        self._circuits[source] += 1
        self._circuits[target] += 1
        return Status.OK

    def close_circuit(self, source: PeerId, target: PeerId) -> None:
        for peer in (source, target):
            self._circuits[peer] -= 1
            if self._circuits[peer] <= 0:
                del self._circuits[peer]

    def _expire(self, now: float) -> None:
        for peer in [peer for peer, place in self._places.items() if place.expires <= now]:
            del self._places[peer]
