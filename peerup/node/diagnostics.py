"""Measurements for people: ping statistics."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerup.errors import NotAuthorizedError, PeerupError
from peerup.protocols import ping as protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from peerup.node.node import Node
    from peerup.wire.peer_id import PeerId


@dataclass(frozen=True, slots=True)
class PingReply:
    """One ping: ``rtt_ms`` is None when it was lost, and ``error`` then says why."""

    seq: int
    rtt_ms: float | None
    path: str  # DIRECT or RELAYED; empty when there was no connection
    address: str
    error: str = ""


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
    node: Node, peer: PeerId, *, count: int, interval: float
) -> AsyncIterator[PingReply]:
    """Ping ``peer`` ``count`` times (0: for ever), ``interval`` seconds apart.

    Each takes the best connection of its moment, so a path that changes shows.

    Raises:
        NotAuthorizedError: the peer does not want us; the others would not be answered.
    """
    for seq in itertools.count(1):
        yield await _ping_once(node, peer, seq)
        if seq == count:
            return
        await asyncio.sleep(interval)


async def _ping_once(node: Node, peer: PeerId, seq: int) -> PingReply:
    path = address = ""
    try:
        conn = await node.connect(peer)
        path, address = conn.path, str(conn.remote_addr)
        names = [node.config.protocols.ping_pong.id, protocol.PROTOCOL]
        seconds = await protocol.ping(node.host, conn, names)
    except NotAuthorizedError:
        raise
    except TimeoutError:
        return PingReply(seq, None, path, address, "no answer in time")
    except (PeerupError, OSError) as why:
        return PingReply(seq, None, path, address, str(why))
    return PingReply(seq, seconds * 1000, path, address)


def summarise(replies: Sequence[PingReply]) -> PingStatistics:
    """Return the statistics of ``replies``."""
    times = [reply.rtt_ms for reply in replies if reply.rtt_ms is not None]
    sent, received = len(replies), len(times)
    return PingStatistics(
        sent=sent,
        received=received,
        lost=sent - received,
        loss_pct=100 * (sent - received) / sent if sent else 0.0,
        min_ms=min(times, default=0.0),
        avg_ms=sum(times) / received if received else 0.0,
        max_ms=max(times, default=0.0),
    )
