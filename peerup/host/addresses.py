"""What we advertise: where we listen, and where a relay keeps a place for us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerup.host.events import AddressesChanged
from peerup.transport.interfaces import expand

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerup.host.events import Bus
    from peerup.transport.base import Listener
    from peerup.wire.multiaddr import Multiaddr

MAX_ADVERTISED: Final = 64


class AdvertisedAddresses:
    """Collects addresses from their sources and says on the bus when they change."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._listeners: list[Listener] = []
        self._relayed: dict[str, tuple[Multiaddr, ...]] = {}

    def add_listener(self, listener: Listener) -> None:
        self._listeners.append(listener)
        self._publish()

    def set_relayed(self, relay: str, addrs: Iterable[Multiaddr]) -> None:
        """Replace the circuit addresses that ``relay`` gives us; none when it has gone."""
        new = tuple(addrs)
        if self._relayed.get(relay, ()) != new:
            self._relayed[relay] = new
            self._publish()

    @property
    def listening(self) -> tuple[Multiaddr, ...]:
        """Addresses to dial us directly, wildcards replaced by this machine's own."""
        found = (
            part for listener in self._listeners for addr in listener.addrs for part in expand(addr)
        )
        return tuple(dict.fromkeys(found))[:MAX_ADVERTISED]

    @property
    def relayed(self) -> tuple[Multiaddr, ...]:
        """Addresses to reach us through relays, without our own id at their end."""
        return tuple(addr for addrs in self._relayed.values() for addr in addrs)[:MAX_ADVERTISED]

    @property
    def all(self) -> tuple[Multiaddr, ...]:
        """Both; too many of our own give way, as those of relays work from everywhere."""
        relayed = self.relayed
        return self.listening[: MAX_ADVERTISED - len(relayed)] + relayed

    def for_peer_at(self, remote: Multiaddr) -> tuple[Multiaddr, ...]:
        """Return what is worth telling a peer at ``remote``: no loopback to other machines."""
        if remote.is_loopback and not remote.is_circuit:
            return self.all
        return tuple(addr for addr in self.all if addr.is_circuit or not addr.is_loopback)

    def _publish(self) -> None:
        self._bus.publish(AddressesChanged(self.all))
