"""Keeps a place at every configured relay, from start to end, whatever happens to them."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from peerup.errors import (
    NegotiationError,
    NotAuthorizedError,
    PeerupError,
    RelayRefusedError,
)
from peerup.relay.client import connect, relay_refuses, reserve
from peerup.relay.reservations import Attempts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from peerup.host.host import Host
    from peerup.relay.client import Reservation
    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId

log = logging.getLogger(__name__)


class AutoRelay:
    """One task a relay, each of which asks, holds, refreshes and asks again."""

    def __init__(
        self,
        host: Host,
        relays: Mapping[PeerId, Sequence[Multiaddr]],
        then: Callable[[MuxedConnection], Awaitable[object]] | None = None,
    ) -> None:
        """Begin.

        Args:
            host: Who is to be reachable.
            relays: Peer ids and where they are.
            then: What to do at a relay each time that it has given us a place or kept it; when
                it fails, that counts as not having one.
        """
        self._host, self._then = host, then
        self.held: dict[PeerId, Reservation] = {}
        self.failed: dict[PeerId, Exception] = {}
        self._tasks = [
            host.tasks.spawn(self._keep, relay, tuple(addrs)) for relay, addrs in relays.items()
        ]

    def close(self) -> None:
        """Ask no more; the places end with their connections. Idempotent."""
        for task in self._tasks:
            if task is not None:
                task.cancel()

    async def _keep(self, relay: PeerId, addrs: tuple[Multiaddr, ...]) -> None:
        attempts = Attempts()
        while True:
            wait = await self._once(relay, addrs, attempts)
            await asyncio.sleep(wait)

    async def _once(self, relay: PeerId, addrs: tuple[Multiaddr, ...], attempts: Attempts) -> float:
        """Ask once and hold for as long as it lasts; return how long to wait before the next."""
        chance = random.random()  # noqa: S311  spreads load, guards nothing
        try:
            conn = await connect(self._host, relay, addrs)
            reservation = await reserve(self._host, conn)
            if self._then is not None:
                await self._then(conn)
        except NotAuthorizedError:
            self._lost(relay, relay_refuses(relay))
            return attempts.refused(chance)
        except (RelayRefusedError, NegotiationError) as why:
            self._lost(relay, why)
            return attempts.refused(chance)
        except (PeerupError, OSError) as why:
            self._lost(relay, why)
            return attempts.lost(chance)
        refresh = attempts.held(reservation.expires_in)
        self._hold(relay, reservation)
        if await _ended_within(conn, refresh):
            self._lost(relay, conn.reason)
            return attempts.lost(chance)
        return 0.0

    def _hold(self, relay: PeerId, reservation: Reservation) -> None:
        if relay not in self.held:
            log.info(
                "relay reservation held",
                extra={"relay": relay, "seconds": round(reservation.expires_in)},
            )
        self.held[relay] = reservation
        self.failed.pop(relay, None)
        self._host.addresses.set_relayed(str(relay), reservation.addrs)

    def _lost(self, relay: PeerId, why: Exception | None) -> None:
        known = self.failed.get(relay)
        if self.held.pop(relay, None) is not None or str(known) != str(why):
            hint = f". {why.hint}" if isinstance(why, PeerupError) and why.hint else ""
            log.warning("no relay reservation: %s%s", why, hint, extra={"relay": relay})
        if why is not None:
            self.failed[relay] = why
        self._host.addresses.set_relayed(str(relay), ())


async def _ended_within(conn: MuxedConnection, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await conn.wait_closed()
    except TimeoutError:
        return False
    return True
