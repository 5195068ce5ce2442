"""Connections by peer: which is best, how many there may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerup.transport.limits import Limits
    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.peer_id import PeerId


class ConnectionTable:
    """All open connections of a host."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_peer: dict[PeerId, list[MuxedConnection]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[MuxedConnection]:
        return (conn for conns in list(self._by_peer.values()) for conn in list(conns))

    @property
    def peers(self) -> tuple[PeerId, ...]:
        return tuple(self._by_peer)

    def has_room(self, peer: PeerId) -> bool:
        """Say whether one more connection of ``peer`` keeps within the bounds."""
        held = len(self._by_peer.get(peer, ()))
        return self._count < self._limits.connections and held < self._limits.connections_per_peer

    def add(self, conn: MuxedConnection) -> None:
        self._by_peer.setdefault(conn.peer, []).append(conn)
        self._count += 1

    def discard(self, conn: MuxedConnection) -> None:
        conns = self._by_peer.get(conn.peer, [])
        if conn in conns:
            conns.remove(conn)
            self._count -= 1
            if not conns:
                del self._by_peer[conn.peer]

    def of(self, peer: PeerId) -> tuple[MuxedConnection, ...]:
        return tuple(self._by_peer.get(peer, ()))

    def best(self, peer: PeerId, *, direct_only: bool = False) -> MuxedConnection | None:
        """Return the connection that new streams should take, None when there is none.

        Direct before relayed, unlimited before limited, then the one in use, then the newest.
        """
        usable = [
            conn
            for conn in self.of(peer)
            if not conn.is_closed and not (direct_only and conn.relayed)
        ]
        return max(usable, key=_quality, default=None)


def _quality(conn: MuxedConnection) -> tuple[bool, bool, int, float]:
    return (not conn.relayed, not conn.limited, len(conn), conn.opened_at)
