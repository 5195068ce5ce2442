"""What we know of peers: where they may be, what they speak.

Everything here came from outside, so everything has a bound: addresses by count and lifetime,
peers by count, protocols by count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId

MAX_PEERS: Final = 4096
MAX_ADDRS: Final = 64  # of one peer
MAX_PROTOCOLS: Final = 1024  # of one peer, as go
FOREVER: Final = float("inf")  # addresses from the user's own configuration
CONNECTED_TTL: Final = 15 * 60.0  # what a connected peer told us, after it went
TEMPORARY_TTL: Final = 120.0


@dataclass(slots=True)
class _Known:
    addrs: dict[Multiaddr, float] = field(default_factory=dict)  # address -> good until
    protocols: frozenset[str] = frozenset()
    agent: str = ""


class Peerstore:
    """Peers, least recently heard of first, so that the ones to forget are at the front."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._peers: dict[PeerId, _Known] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def add_addrs(self, peer: PeerId, addrs: Iterable[Multiaddr], ttl: float) -> None:
        """Remember ``addrs`` for ``ttl`` seconds; longer lifetimes are never cut short."""
        known = self._touch(peer)
        now = self._clock()
        for addr in addrs:
            plain = addr.without_peer() if addr.peer_id == peer else addr
            known.addrs[plain] = max(known.addrs.get(plain, 0.0), now + ttl)
        if len(known.addrs) > MAX_ADDRS:
            kept = sorted(known.addrs.items(), key=lambda item: -item[1])[:MAX_ADDRS]
            known.addrs = dict(kept)

    def addrs(self, peer: PeerId) -> tuple[Multiaddr, ...]:
        """Return the addresses of ``peer`` that are still good, without its id."""
        known = self._peers.get(peer)
        if known is None:
            return ()
        now = self._clock()
        known.addrs = {addr: until for addr, until in known.addrs.items() if until > now}
        return tuple(known.addrs)

    def set_identity(self, peer: PeerId, protocols: Iterable[str], agent: str) -> None:
        """Replace what ``peer`` speaks and calls itself."""
        known = self._touch(peer)
        known.protocols = frozenset(list(protocols)[:MAX_PROTOCOLS])
        known.agent = agent

    def protocols(self, peer: PeerId) -> frozenset[str]:
        known = self._peers.get(peer)
        return known.protocols if known else frozenset()

    def agent(self, peer: PeerId) -> str:
        known = self._peers.get(peer)
        return known.agent if known else ""

    def _touch(self, peer: PeerId) -> _Known:
        known = self._peers.pop(peer, None) or _Known()
        self._peers[peer] = known
        if len(self._peers) > MAX_PEERS:
            self._forget_oldest()
        return known

    def _forget_oldest(self) -> None:
        for peer, known in self._peers.items():
            if FOREVER not in known.addrs.values():
                del self._peers[peer]
                return
