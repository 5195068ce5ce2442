"""A small network in memory with real hosts on it, for tests on the clock that jumps.

Everything above the pipes is real: handshakes, muxers, identify, relays. ``World`` starts and stops
hosts that meet under ``/memory/N``:

    def test_something(in_world: InWorld) -> None:
        async def main(world: World) -> None:
            home = await world.host("home", at=2)
            laptop = await world.host("laptop")
            conn = await laptop.connect(home.peer, home.addrs)
            ...

        in_world(main)

``Internet`` (tests/internet.py) is for tests to which IP addresses or slow dials matter.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import AsyncExitStack
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar

from peerup.host.host import Host
from peerup.protocols.identify import Identify
from peerup.relay.autorelay import AutoRelay
from peerup.relay.client import CIRCUIT, Circuits
from peerup.relay.quota import RelayLimits
from peerup.relay.server import HopService
from peerup.relay.transport import CircuitTransport
from peerup.transport.limits import Limits
from peerup.transport.memory import MemoryNetwork
from peerup.wire.keys import PrivateKey
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import TracebackType

    from peerup.host.gater import Gater
    from peerup.transport.base import TransportFactory
    from peerup.transport.limits import Limits
    from peerup.transport.muxed import MuxedStream

T = TypeVar("T")

RELAY_NUMBER: Final = 1
UNLIMITED: Final = RelayLimits(
    # Everybody comes from /memory/0, which is one source to a relay.
    reservations_per_ip=1000,
    session_seconds=None,
    session_data=None,
)


class InWorld(Protocol):
    """The type of the fixture ``in_world``."""

    def __call__(
        self, main: Callable[[World], Coroutine[Any, Any, T]], *, horizon: float = ...
    ) -> T: ...


@cache
def key_of(name: str) -> PrivateKey:
    """The key of whoever is called this, the same in every run."""
    return PrivateKey.from_seed(hashlib.sha256(name.encode()).digest())


@cache
def peer_of(name: str) -> PeerId:
    return PeerId.from_public_key(key_of(name).public_key)


def memory(number: int) -> Multiaddr:
    return Multiaddr.parse(f"/memory/{number}")


def through(relay: Host | PeerId, at: int = RELAY_NUMBER) -> Multiaddr:
    """The circuit address of whoever holds a place at this relay, without their id."""
    return memory(at).with_peer(relay.peer if isinstance(relay, Host) else relay) / CIRCUIT


async def until(condition: Callable[[], object], within: float = 10.0) -> float:
    """Wait until ``condition`` holds; return how many seconds of the loop's clock that took."""
    clock = asyncio.get_running_loop().time
    began = clock()
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)
    return clock() - began


async def read_all(stream: MuxedStream) -> bytes:
    """Everything up to the end of the peer's half."""
    parts = []
    while piece := await stream.read():
        parts.append(piece)
    return b"".join(parts)


async def echo(stream: MuxedStream) -> None:
    """A handler that sends back what it gets."""
    while data := await stream.read():
        await stream.write(data)


async def never(stream: MuxedStream) -> None:
    """A handler that reads nothing and says nothing."""
    await asyncio.get_running_loop().create_future()


class Crashes(logging.Handler):
    """Collects what was logged with a traceback, which only bugs are."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            self.seen.append(record.exc_info[1])

    def watch(self) -> None:
        logging.getLogger("peerup").addHandler(self)

    def stop(self, *, failed: bool) -> None:
        """Look no longer; raises for what was seen, unless the test has failed anyway."""
        logging.getLogger("peerup").removeHandler(self)
        if self.seen and not failed:
            raise AssertionError(f"{len(self.seen)} tasks crashed") from self.seen[0]


class World:
    """Hosts on one memory network; leaving the block stops those that still run.

    Tasks that crash are only logged, so that others go on. Here each of them fails the test that
    did not take it out of ``crashes``.
    """

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self._running: dict[Host, AsyncExitStack] = {}
        self._crashes = Crashes()
        self.crashes = self._crashes.seen

    async def __aenter__(self) -> Self:
        self._crashes.watch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            for host in reversed(list(self._running)):
                await self.stop(host)
        finally:
            self._crashes.stop(failed=exc is not None)

    async def host(
        self,
        name: str,
        *,
        at: int | None = None,
        listen: Sequence[Multiaddr] = (),
        gater: Gater | None = None,
        transports: Sequence[TransportFactory] = (),
        identify: bool = True,
        limits: Limits | None = None,
    ) -> Host:
        """Start a host; ``at`` is the number it listens on, None for nowhere."""
        host = Host(
            key_of(name),
            transports=transports or [self.network.transport],
            listen=[*listen, *([] if at is None else [memory(at)])],
            gater=gater,
            agent=f"test/{name}",
            limits=limits,
        )
        stack = AsyncExitStack()
        await stack.enter_async_context(host)
        if identify:
            await stack.enter_async_context(Identify(host))
        self._running[host] = stack
        return host

    @property
    def running(self) -> tuple[Host, ...]:
        return tuple(self._running)

    async def stop(self, host: Host) -> None:
        """Close a host in order, as a program that ends does."""
        await self._running.pop(host).aclose()

    async def relay(
        self,
        limits: RelayLimits = UNLIMITED,
        *,
        name: str = "relay",
        at: int = RELAY_NUMBER,
        gater: Gater | None = None,
    ) -> tuple[Host, HopService]:
        """Start a relay; a second one with the same name and number is the first, restarted."""
        host = await self.host(name, at=at, gater=gater)
        return host, HopService(host, limits)

    async def device(self, name: str, *, at: int | None = None, gater: Gater | None = None) -> Host:
        """Start a host that dials through relays and answers calls that come through them."""
        host = await self.host(name, at=at, gater=gater)
        host.add_transport(CircuitTransport(host))
        Circuits(host)
        return host

    async def home(self, name: str = "home", *, gater: Gater | None = None) -> Host:
        """Start a device that listens nowhere and holds a place at the relay."""
        host = await self.device(name, gater=gater)
        places = AutoRelay(host, {peer_of("relay"): [memory(RELAY_NUMBER)]})
        self._running[host].callback(places.close)
        await until(lambda: places.held)
        return host
