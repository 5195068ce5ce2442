"""Takes back at our relays what was vouched for, once it no longer holds here.

Whom a relay lets in on our word, or on whose word it lets us in, and who is not in our own list
any more, is no pair with us. A device may have been changed while nothing ran, so the relay is
asked, and believed only if it says the same a minute later: a pairing that is under way is at
the relay before it is in the files.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from peerup.errors import PeerupError
from peerup.relay import vouch_client
from peerup.wire.vouch import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peerup.host.host import Host
    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.peer_id import PeerId

log = logging.getLogger(__name__)

SETTLE_S: Final = 60.0


class Withdrawal:
    """Keeps the relays of one device in step with its own list."""

    def __init__(self, host: Host, allowed: Callable[[], frozenset[PeerId]]) -> None:
        self._host, self._allowed = host, allowed

    async def at(self, conn: MuxedConnection) -> None:
        """Look, from now on, what the relay at the other end has kept. Does not wait for it."""
        if PROTOCOL in self._host.peerstore.protocols(conn.peer):
            self._host.tasks.spawn(self._settle, conn)

    def of(self, removed: Iterable[PeerId], relays: Iterable[PeerId]) -> None:
        """Tell ``relays`` that we are a pair with none of ``removed``. Does not wait for it."""
        gone = frozenset(removed)
        for relay in relays if gone else ():
            conn = self._host.connections.best(relay, direct_only=True)
            if conn is not None and PROTOCOL in self._host.peerstore.protocols(relay):
                self._host.tasks.spawn(self._end, conn, gone)

    async def _settle(self, conn: MuxedConnection) -> None:
        foreign = await self._foreign(conn)
        if foreign:
            await asyncio.sleep(SETTLE_S)
            await self._revoke(conn, foreign & await self._foreign(conn))

    async def _foreign(self, conn: MuxedConnection) -> frozenset[PeerId]:
        return await vouch_client.partners(self._host, conn) - self._allowed()

    async def _end(self, conn: MuxedConnection, gone: frozenset[PeerId]) -> None:
        await self._revoke(conn, gone & await vouch_client.partners(self._host, conn))

    async def _revoke(self, conn: MuxedConnection, peers: frozenset[PeerId]) -> None:
        for peer in peers:
            try:
                await vouch_client.revoke(self._host, conn, peer)
            except PeerupError as why:
                log.warning("vouching not taken back: %s", why, extra={"peer": peer})
            else:
                log.info("vouching taken back", extra={"peer": peer, "relay": conn.peer})
