"""The way to a peer, hop by hop: the relay, if the path has one, then the peer itself.

There is no protocol for it. Each hop is pinged on the connection that carries the path; one that
speaks no ping is measured by how long it takes to refuse a protocol that nobody has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peerup.errors import NegotiationError, NotAuthorizedError, PeerupError
from peerup.protocols import ping
from peerup.wire.printable import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from peerup.node.node import Node
    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.peer_id import PeerId

MAX_NAME: Final = 80  # characters of what a hop calls itself


@dataclass(frozen=True, slots=True)
class Hop:
    """One machine on the way; ``rtt_ms`` is None when it did not answer, ``error`` says why.

    ``name`` is the program that the machine says it runs, safe to print; it may be empty.
    """

    hop: int
    peer: PeerId
    name: str
    address: str
    rtt_ms: float | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """The connection that new streams to a peer take, and through which relay it goes."""

    path: str
    conn: MuxedConnection
    relay: PeerId | None


async def find_route(node: Node, peer: PeerId) -> Route:
    """Return the way to ``peer``, connecting if need be.

    Raises:
        NotAuthorizedError: the peer, or the relay, does not want us.
        DialError: it cannot be reached.
    """
    conn = await node.connect(peer)
    before, _ = conn.remote_addr.split_circuit()
    return Route(conn.path, conn, before.peer_id if conn.relayed else None)


async def traceroute(node: Node, route: Route) -> AsyncIterator[Hop]:
    """Measure each hop of ``route``, nearest first.

    A hop that does not answer within 30 s is reported as such, and the next one is measured.

    Raises:
        NotAuthorizedError: a hop does not want us.
    """
    number = 1
    if route.relay is not None:
        yield await _measure(node, number, route.relay)
        number += 1
    yield await _measure(node, number, route.conn.peer, route.conn)


async def _measure(
    node: Node, number: int, peer: PeerId, conn: MuxedConnection | None = None
) -> Hop:
    address, error, rtt_ms = "", "", None
    try:
        conn = conn or await node.connect(peer)
        address = str(conn.remote_addr)
        rtt_ms = await _round_trip(node, conn) * 1000
    except NotAuthorizedError:
        raise
    except TimeoutError:
        error = "cannot reach peer: no answer in time"
    except (PeerupError, OSError) as why:
        error = f"cannot reach peer: {why}"
    name = printable(node.host.peerstore.agent(peer), MAX_NAME)
    return Hop(number, peer, name, address, rtt_ms, error)


async def _round_trip(node: Node, conn: MuxedConnection) -> float:
    try:
        names = [node.config.protocols.ping_pong.id, ping.PROTOCOL]
        return await ping.ping(node.host, conn, names)
    except NegotiationError:
        return await ping.probe(node.host, conn)
