"""Measurements for people: ping statistics."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from peerup.errors import NotAuthorizedError, PeerupError
from peerup.protocols import ping as protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from peerup.node.node import Node
    from peerup.wire.peer_id import PeerId


log = logging.getLogger(__name__)

DIRECT: Final = "DIRECT"  # the path of a connection without a relay
SEEK_S: Final = 2.0  # between two attempts to find a direct path


@dataclass(frozen=True, slots=True)
class PingReply:
    """One ping: ``rtt_ms`` is None when it was lost, and ``error`` then says why."""

    seq: int
    rtt_ms: float | None
    path: str  # DIRECT or RELAYED; empty when there was no connection
    address: str
    error: str = ""
    transport: str = ""  # tcp or quic; of a relayed path, its part up to the relay

    @property
    def is_direct(self) -> bool:
        """Whether it was answered, and over no relay."""
        return self.rtt_ms is not None and self.path == DIRECT


@dataclass(frozen=True, slots=True)
class PingStatistics:
    """Of a run of pings; times in ms over those that were answered, 0 when none was."""

    sent: int
    received: int
    lost: int
    loss_pct: float
    min_ms: float
    avg_ms: float
    max_ms: float


async def ping(
    node: Node, peer: PeerId, *, count: int, interval: float, until_direct: bool = False
) -> AsyncIterator[PingReply]:
    """Ping ``peer`` ``count`` times (0: for ever), ``interval`` seconds apart.

    Each takes the best connection of its moment, so a path that changes shows. With
    ``until_direct`` a direct connection is tried for meanwhile, and the first reply that came
    over one is the last. No ping takes longer than its connection and 30 s: a silent peer is
    a lost ping.

    Raises:
        NotAuthorizedError: the peer does not want us; the others would not be answered.
    """
    seeking = node.host.tasks.spawn(_seek_direct, node, peer) if until_direct else None
    try:
        for seq in itertools.count(1):
            reply = await _ping_once(node, peer, seq)
            yield reply
            if seq == count or (until_direct and reply.is_direct):
                return
            await asyncio.sleep(interval)
    finally:
        if seeking is not None:
            seeking.cancel()


async def _seek_direct(node: Node, peer: PeerId) -> None:
    """Dial the peer's own addresses, which it tells over the relay, until one answers."""
    while True:
        try:
            await node.host.connect(peer, direct=True)
        except (PeerupError, OSError) as why:
            log.debug("no direct path to %s yet: %s", peer, why)
        else:
            return
        await asyncio.sleep(SEEK_S)


async def _ping_once(node: Node, peer: PeerId, seq: int) -> PingReply:
    reply = PingReply(seq, None, "", "")
    try:
        conn = await node.connect(peer)
        address = str(conn.remote_addr)
        reply = replace(reply, path=conn.path, address=address, transport=conn.transport)
        names = [node.config.protocols.ping_pong.id, protocol.PROTOCOL]
        seconds = await protocol.ping(node.host, conn, names)
    except NotAuthorizedError:
        raise
    except TimeoutError:
        return replace(reply, error="no answer in time")
    except (PeerupError, OSError) as why:
        return replace(reply, error=str(why))
    return replace(reply, rtt_ms=seconds * 1000)


@dataclass(slots=True)
class PingTally:
    """Counts pings as they come; however many there are, it takes no more memory."""

    sent: int = 0
    received: int = 0
    _total_ms: float = 0.0
    _min_ms: float = math.inf
    _max_ms: float = 0.0

    def add(self, reply: PingReply) -> None:
        """Count one more ping, answered or lost."""
        self.sent += 1
        if reply.rtt_ms is not None:
            self.received += 1
            self._total_ms += reply.rtt_ms
            self._min_ms = min(self._min_ms, reply.rtt_ms)
            self._max_ms = max(self._max_ms, reply.rtt_ms)

    def statistics(self) -> PingStatistics:
        """Return the statistics of what was counted so far."""
        lost = self.sent - self.received
        return PingStatistics(
            sent=self.sent,
            received=self.received,
            lost=lost,
            loss_pct=100 * lost / self.sent if self.sent else 0.0,
            min_ms=self._min_ms if self.received else 0.0,
            avg_ms=self._total_ms / self.received if self.received else 0.0,
            max_ms=self._max_ms,
        )


def summarise(replies: Iterable[PingReply]) -> PingStatistics:
    """Return the statistics of ``replies``."""
    tally = PingTally()
    for reply in replies:
        tally.add(reply)
    return tally.statistics()
