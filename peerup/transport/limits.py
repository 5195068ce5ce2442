"""How much of everything one host holds, in one place.

Bounds of single messages and frames stand beside their parsers in ``wire``; these are the
ones that add up over peers. Passing one raises ``ResourceLimitError`` here, and the peer sees
the libp2p code for it (0x1002 on a stream, 0x1001 on a connection).
"""

from __future__ import annotations

from dataclasses import dataclass

from peerup.wire.yamux import MAX_INBOUND


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one host; the defaults suit a device, a relay takes more connections."""

    #: Connections that are open at once.
    connections: int = 256
    #: ... of them to one peer.
    connections_per_peer: int = 8
    #: Connections whose peer has not proved yet who it is.
    handshakes: int = 1024
    #: ... of them from one address.
    handshakes_per_source: int = 128
    #: Streams that one peer may have open on one connection.
    streams_per_connection: int = MAX_INBOUND
    #: Bytes that arrived on all streams together and nobody has read.
    unread_bytes: int = 512 * 1024 * 1024


class ByteBudget:
    """Counts bytes that are held for all connections of a host together."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, size: int) -> bool:
        """Count ``size`` more bytes; False, and nothing is counted, when that is too many."""
        if self.used + size > self.limit:
            return False
        self.used += size
        return True

    def give(self, size: int) -> None:
        """``size`` bytes are no longer held."""
        self.used -= size
