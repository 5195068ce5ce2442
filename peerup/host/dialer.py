"""Reaching a peer: rank its addresses, race the dials, remember what failed.

Names are looked up first, so that what they stand for races like the rest. Dials start one
after the other, the next when the one before failed or took 250 ms; the first to finish wins
and the rest are cancelled. Everybody who wants the same peer at the same time waits for the
same dial.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peerup.errors import ConnectionClosedError, DialError, NotAuthorizedError, PeerupError
from peerup.host.names import look_up, resolve
from peerup.tasks import Supervisor
from peerup.transport.endpoints import Role
from peerup.transport.muxed import MuxedConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from peerup.host.names import Lookup
    from peerup.transport.base import Accept, Transport
    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId

STAGGER_S: Final = 0.25  # between dials, as go between public addresses
RELAY_DELAY_S: Final = 0.5  # by which relayed dials wait for direct ones
DIAL_TIMEOUT_S: Final = 15.0  # one address
PEER_TIMEOUT_S: Final = 60.0  # all of them
MAX_ADDRS: Final = 32  # tried for one peer
BACKOFF_S: Final = 1.0  # after the first failure of an address, doubling ...
MAX_BACKOFF_S: Final = 60.0  # ... up to this
MAX_BACKOFFS: Final = 4096  # addresses remembered


def rank(addrs: Iterable[Multiaddr]) -> list[Multiaddr]:
    """Order ``addrs`` by how soon they are worth trying.

    Near before far, direct before relayed, TCP before QUIC: with the engine of today TCP moves
    many times as much. Of several alike, IPv6 and IPv4 take turns, so that a family that does
    not work here costs one step and no more.
    """
    turns: Counter[tuple[Distance, bool]] = Counter()
    ranked: list[tuple[Distance, int, bool, Multiaddr]] = []
    for addr in dict.fromkeys(addrs):
        distance, other = _distance(addr), not addr.has("ip6")
        ranked.append((distance, turns[distance, other], other, addr))
        turns[distance, other] += 1
    ranked.sort(key=lambda entry: entry[:3])
    return [entry[3] for entry in ranked[:MAX_ADDRS]]


Distance = tuple[bool, bool, bool, bool]


def _distance(addr: Multiaddr) -> Distance:
    return (addr.is_circuit, not addr.is_loopback, not addr.is_private, addr.has("quic-v1"))


class Backoff:
    """Which addresses failed lately and should be left alone for a moment."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: dict[tuple[PeerId, Multiaddr], tuple[int, float]] = {}

    def blocks(self, peer: PeerId, addr: Multiaddr) -> bool:
        entry = self._failed.get((peer, addr))
        return entry is not None and self._clock() < entry[1]

    def failed(self, peer: PeerId, addr: Multiaddr) -> None:
        count = self._failed.pop((peer, addr), (0, 0.0))[0]
        wait = min(BACKOFF_S * 2**count, MAX_BACKOFF_S)
        self._failed[peer, addr] = (min(count + 1, 10), self._clock() + wait)
        if len(self._failed) > MAX_BACKOFFS:
            del self._failed[next(iter(self._failed))]

    def succeeded(self, peer: PeerId, addr: Multiaddr) -> None:
        self._failed.pop((peer, addr), None)


class Dialer:
    """Dials peers over whatever transports the host has."""

    def __init__(
        self,
        transports: Sequence[Transport],
        tasks: Supervisor,
        clock: Callable[[], float],
        adopt: Accept,
        look_up: Lookup = look_up,
    ) -> None:
        self._look_up = look_up
        self._transports = transports
        self._tasks = tasks
        self._adopt = adopt
        self._backoff = Backoff(clock)
        self._under_way: dict[PeerId, asyncio.Future[MuxedConnection]] = {}

    async def dial(self, peer: PeerId, addrs: Iterable[Multiaddr]) -> MuxedConnection:
        """Return a connection to ``peer``, of a dial that is under way already perhaps.

        Raises:
            NotAuthorizedError: the peer was reached and does not want us.
            DialError: no address led to it; the error says how each ended.
        """
        dial = self._under_way.get(peer)
        if dial is None:
            dial = self._under_way[peer] = asyncio.get_running_loop().create_future()
            dial.add_done_callback(lambda done: done.cancelled() or done.exception())
            task = self._tasks.spawn(self._run, peer, tuple(addrs), dial)
            if task is None:
                self._settle(peer, dial)
            else:  # one that is cancelled before its first step runs none of its own code
                task.add_done_callback(lambda _: self._settle(peer, dial))
        # One caller that gives up must not take the dial from the others.
        return await asyncio.shield(dial)

    def transport_for(self, addr: Multiaddr) -> Transport | None:
        return next((one for one in self._transports if one.can_dial(addr)), None)

    def _order(self, peer: PeerId, addrs: Iterable[Multiaddr]) -> list[Multiaddr]:
        """Return what can be dialled, best first; what failed a moment ago comes last."""
        usable = rank(addr for addr in addrs if self.transport_for(addr) is not None)
        return sorted(usable, key=lambda addr: self._backoff.blocks(peer, addr))

    async def _run(
        self,
        peer: PeerId,
        addrs: Sequence[Multiaddr],
        done: asyncio.Future[MuxedConnection],
    ) -> None:
        try:
            async with asyncio.timeout(PEER_TIMEOUT_S):
                found = await resolve(addrs, self._look_up)
                conn = await self._race(peer, self._order(peer, found))
            await self._adopt(conn)  # before anybody can give up on it
            if not done.done():
                done.set_result(conn)
        except (PeerupError, OSError) as why:
            if not done.done():
                done.set_exception(why)
        finally:
            self._settle(peer, done)

    def _settle(self, peer: PeerId, dial: asyncio.Future[MuxedConnection]) -> None:
        """A dial is over. Without a result it was cancelled, as only a closing host does."""
        if self._under_way.get(peer) is dial:
            del self._under_way[peer]
        if not dial.done():
            dial.set_exception(ConnectionClosedError("the host is closed"))

    async def _race(self, peer: PeerId, addrs: Sequence[Multiaddr]) -> MuxedConnection:
        causes: dict[str, Exception] = {}
        if len(addrs) == 1:  # nobody to race with
            only = await self._try(peer, addrs[0])
            if isinstance(only.result, MuxedConnection):
                return only.result
            raise _failure(peer, {str(only.addr): only.result})
        ended: asyncio.Queue[Attempt] = asyncio.Queue()
        waiting = deque(addrs)
        running = 0
        try:
            async with Supervisor() as dials:
                while waiting or running:
                    if waiting:
                        dials.spawn(self._enter, peer, waiting.popleft(), ended)
                        running += 1
                    attempt = await _next(ended, _pause(waiting))
                    if attempt is None:
                        continue
                    running -= 1
                    if isinstance(attempt.result, MuxedConnection):
                        return attempt.result
                    causes[str(attempt.addr)] = attempt.result
        finally:
            while not ended.empty():  # a second one that won in the same moment
                if isinstance(loser := ended.get_nowait().result, MuxedConnection):
                    loser.close()
        raise _failure(peer, causes)

    async def _enter(self, peer: PeerId, addr: Multiaddr, ended: asyncio.Queue[Attempt]) -> None:
        ended.put_nowait(await self._try(peer, addr))

    async def _try(self, peer: PeerId, addr: Multiaddr) -> Attempt:
        transport = self.transport_for(addr)
        assert transport is not None
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                conn = await transport.dial(addr, peer, role=Role.CLIENT)
        except TimeoutError:
            self._backoff.failed(peer, addr)
            return Attempt(addr, TimeoutError("no answer in time"))
        except (PeerupError, OSError, UnicodeError) as why:  # a DNS name may not be encodable
            self._backoff.failed(peer, addr)
            return Attempt(addr, why)
        self._backoff.succeeded(peer, addr)
        return Attempt(addr, conn)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How dialling one address ended."""

    addr: Multiaddr
    result: MuxedConnection | Exception


def _pause(waiting: Sequence[Multiaddr]) -> float | None:
    """Return how long the dials under way may take before the next one starts."""
    if not waiting:
        return None
    return RELAY_DELAY_S if waiting[0].is_circuit else STAGGER_S


async def _next(ended: asyncio.Queue[Attempt], patience: float | None) -> Attempt | None:
    try:
        async with asyncio.timeout(patience):
            return await ended.get()
    except TimeoutError:
        return None


def _failure(peer: PeerId, causes: dict[str, Exception]) -> PeerupError:
    for why in causes.values():
        if isinstance(why, NotAuthorizedError):
            return why  # it was reached: nothing that the other addresses say matters more
    return DialError(str(peer), causes)
