"""Services of other peers: as a local port, as a stream, joined to one that is there."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Never

from peerup.errors import (
    ConnectionClosedError,
    NegotiationError,
    NotAuthorizedError,
    PeerupError,
    ServiceError,
    StreamResetError,
)
from peerup.protocols import ping
from peerup.protocols.forward import LocalPort, broken_off, protocol_of
from peerup.transport.splice import Moved, splice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from peerup.node.node import Node
    from peerup.transport.base import ByteStream
    from peerup.transport.muxed import MuxedConnection, MuxedStream
    from peerup.wire.peer_id import PeerId

log = logging.getLogger(__name__)

RETRIES: Final = 3  # after the first attempt, of what may succeed on another
FIRST_RETRY_S: Final = 0.5  # doubling ...
MAX_RETRY_S: Final = 10.0  # ... up to this, for a connection that is to stay

DELIVERY_S: Final = 300.0  # that the last bytes of a stream may take to be read over there
DELIVERY_POLL_S: Final = 0.02


@asynccontextmanager
async def open_proxy(
    node: Node, peer: PeerId, service: str, host: str, port: int
) -> AsyncIterator[LocalPort]:
    """Listen on ``host:port``; ``serve_forever`` of what this gives forwards connections.

    The port stays open while the peer is away: a connection that finds no way within the
    retries of ``open_service`` is reset, and the log says why.

    Raises:
        UsageError: the port is taken.
    """

    async def open_stream() -> MuxedStream:
        return await open_service(node, peer, service)

    def on_failure(why: Exception) -> None:
        shown = _no_such_service(peer, service) if isinstance(why, NegotiationError) else why
        hint = f". {shown.hint}" if isinstance(shown, PeerupError) and shown.hint else ""
        log.warning("cannot reach service %s of %s: %s%s", service, peer, shown, hint)

    listener = LocalPort(open_stream, on_failure)
    await listener.listen(host, port)
    try:
        yield listener
    finally:
        listener.close()


async def open_service(node: Node, peer: PeerId, service: str) -> MuxedStream:
    """Return a stream to ``service`` of ``peer``, trying again what may succeed then.

    Raises:
        ServiceError: the peer has no such service.
        NotAuthorizedError: it does not let us.
        DialError: it cannot be reached.
    """
    wait = FIRST_RETRY_S
    for left in reversed(range(RETRIES + 1)):
        try:
            await node.connect(peer)
            protocol = protocol_of(service)
            return await node.host.open_stream(peer, protocol, allow_limited=True, lazy=True)
        except NegotiationError as why:
            raise _no_such_service(peer, service) from why
        except NotAuthorizedError:
            raise
        except (PeerupError, OSError) as why:
            if not left:
                raise
            log.info("service %s of %s: %s; trying again in %.1f s", service, peer, why, wait)
        await asyncio.sleep(wait)
        wait *= 2
    raise AssertionError("the last attempt returns or raises")


async def carry(node: Node, peer: PeerId, service: str, local: ByteStream) -> Moved:
    """Join ``local`` to a new stream to ``service`` until both directions have ended.

    Raises:
        ServiceError: the peer has no such service, or broke off: what came is not complete.
        NotAuthorizedError: it does not let us.
        DialError: it cannot be reached.
        OSError: ``local`` broke.
    """
    stream = await open_service(node, peer, service)
    try:
        moved = await splice(local, stream)
    except NegotiationError as why:  # it was opened lazily, and is refused only now
        raise _no_such_service(peer, service) from why
    except StreamResetError as why:
        raise broken_off(why, stream.protocol) if why.by_peer else why from None
    if moved.forth:
        await _delivered(node, stream)
    return moved


async def _delivered(node: Node, stream: MuxedStream) -> None:
    """Wait until the other machine has all that was written: leaving earlier would drop it.

    What the service has not taken by then is still on its way when the connection ends, and
    then the service sees a reset; there is no word in the protocol for having read it.
    """
    conn = stream.connection
    async with asyncio.timeout(DELIVERY_S):
        while not conn.muxer.sent(stream.id):
            if conn.reason is not None:
                raise conn.reason
            await asyncio.sleep(DELIVERY_POLL_S)
        await ping.probe(node.host, conn)


async def check_service(node: Node, peer: PeerId, service: str) -> None:
    """Find out whether ``peer`` has this service, without disturbing one that it told us of.

    Raises:
        ServiceError: it has no such service.
    """
    spoken = node.host.peerstore.protocols(peer)
    if spoken and protocol_of(service) not in spoken:
        stream = await open_service(node, peer, service)  # who has many may leave some out
        stream.reset()


async def stay_connected(
    node: Node, peer: PeerId, report: Callable[[MuxedConnection | PeerupError], None]
) -> Never:
    """Keep a connection to ``peer`` for ever, as long as trying again can help.

    Args:
        node: Who connects.
        peer: To whom.
        report: Told of each connection that was made after an outage, and of why it ended.

    Raises:
        NotAuthorizedError: the peer, or the relay, does not want us any more.
    """
    now, wait = asyncio.get_running_loop().time, 0.0
    conn, since = await node.connect(peer), now()
    while True:
        await conn.wait_closed()
        reason = conn.reason or ConnectionClosedError()
        if isinstance(reason, NotAuthorizedError):
            raise reason
        best = node.host.connections.best(peer)
        if best is None:
            report(reason)
            if now() - since < MAX_RETRY_S:  # who hangs up again and again is asked less often
                await asyncio.sleep(wait)
                wait = min(max(2 * wait, FIRST_RETRY_S), MAX_RETRY_S)
            else:
                wait = 0.0
            best = await _connect_again(node, peer)
            report(best)
        conn, since = best, now()


async def _connect_again(node: Node, peer: PeerId) -> MuxedConnection:
    wait = FIRST_RETRY_S
    while True:
        try:
            return await node.connect(peer)
        except NotAuthorizedError:
            raise
        except (PeerupError, OSError) as why:
            log.info("cannot reach %s yet: %s; trying again in %.1f s", peer, why, wait)
        await asyncio.sleep(wait)
        wait = min(2 * wait, MAX_RETRY_S)


def _no_such_service(peer: PeerId, service: str) -> ServiceError:
    return ServiceError(
        f"{peer} offers no service {service!r}",
        hint="`peerup service list` over there shows its services.",
    )
