"""Local ports that lead to services of other peers."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from peerup.errors import NegotiationError, NotAuthorizedError, PeerupError, ServiceError
from peerup.protocols.forward import LocalPort, protocol_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from peerup.node.node import Node
    from peerup.transport.muxed import MuxedStream
    from peerup.wire.peer_id import PeerId

log = logging.getLogger(__name__)

RETRIES: Final = 3  # after the first attempt, of what may succeed on another
FIRST_RETRY_S: Final = 0.5  # doubling


@asynccontextmanager
async def open_proxy(
    node: Node, peer: PeerId, service: str, host: str, port: int
) -> AsyncIterator[LocalPort]:
    """Listen on ``host:port``; ``serve_forever`` of what this gives forwards connections.

    Raises:
        UsageError: the port is taken.
    """

    async def open_stream() -> MuxedStream:
        return await open_service(node, peer, service)

    def on_failure(why: Exception) -> None:
        hint = f". {why.hint}" if isinstance(why, PeerupError) and why.hint else ""
        log.warning("cannot reach service %s of %s: %s%s", service, peer, why, hint)

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
            raise ServiceError(
                f"{peer} offers no service {service!r}",
                hint="`peerup service list` over there shows its services.",
            ) from why
        except NotAuthorizedError:
            raise
        except (PeerupError, OSError) as why:
            if not left:
                raise
            log.info("service %s of %s: %s; trying again in %.1f s", service, peer, why, wait)
        await asyncio.sleep(wait)
        wait *= 2
    raise AssertionError("the last attempt returns or raises")
