"""The node layer as the commands see it, without a network."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Final, Self, cast

import pytest

from peerup.config.schema import Config, RelayConfig
from peerup.errors import ConfigError, NotAuthorizedError, ServiceError
from peerup.node.diagnostics import PingStatistics, PingTally
from peerup.node.traceroute import Hop, Route
from peerup.wire.keys import PrivateKey
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from peerup.transport.base import ByteStream
    from peerup.transport.muxed import MuxedConnection

Carry = Callable[["ByteStream"], Awaitable[None]]

# Commands that import the node layer.
USERS: Final = ("daemon", "nc", "ping", "proxy", "relay_serve", "traceroute")


def peer(number: int) -> PeerId:
    """A peer id that is the same in every run."""
    return PeerId.from_public_key(PrivateKey.from_seed(bytes([number]) * 32).public_key)


ME: Final = peer(1)
HOME: Final = peer(2)
RELAY: Final = peer(3)
RELAY_ADDRESS: Final = f"/ip4/203.0.113.5/tcp/7777/p2p/{RELAY}"


@dataclass(frozen=True)
class PingReply:
    seq: int
    rtt_ms: float | None
    path: str = "RELAYED"
    address: str = "/ip4/203.0.113.5/tcp/7777/p2p-circuit"
    error: str = ""
    transport: str = "tcp"

    @property
    def is_direct(self) -> bool:
        return self.rtt_ms is not None and self.path == "DIRECT"


@dataclass(frozen=True)
class Connection:
    path: str = "RELAYED"
    remote_addr: Multiaddr = field(
        default_factory=lambda: Multiaddr.parse(f"{RELAY_ADDRESS}/p2p-circuit/p2p/{HOME}")
    )


@dataclass
class Network:
    """What the fakes do, and what they were asked for."""

    replies: Iterable[PingReply] = ()
    hops: Iterable[Hop] = ()
    path: str = "RELAYED"
    news: Iterable[object] = ()  # what a connection that is to stay has to report
    unknown: frozenset[str] = frozenset()  # services that peers do not have
    carry: Carry | None = None
    connect_error: Exception | None = None
    listen_error: Exception | None = None
    run_error: Exception | None = None
    signal: signal.Signals | None = None  # sent to ourselves once all is up, and after the pings
    asked: list[object] = field(default_factory=list)
    running: int = 0

    async def forever(self) -> None:
        if self.run_error is not None:
            raise self.run_error
        if self.signal is not None:
            os.kill(os.getpid(), self.signal)
        await asyncio.get_running_loop().create_future()

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1


class _Running:
    """Anything that counts as running inside its ``async with``."""

    network: Network

    async def __aenter__(self) -> Self:
        self.network.running += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.network.running -= 1

    async def run_forever(self) -> None:
        await self.network.forever()


class Node(_Running):
    peer_id = ME
    addresses = (Multiaddr.parse(f"{RELAY_ADDRESS}/p2p-circuit/p2p/{ME}"),)

    def __init__(self, config: Config, *, listen: bool = True) -> None:
        self.config = config
        self.network.asked.append(("node", listen))

    def resolve(self, target: str) -> PeerId:
        if target not in self.config.names:
            raise ConfigError(f"name not found: {target}")
        return self.config.names[target]

    async def connect(self, peer: PeerId) -> Connection:
        self.network.asked.append(("connect", peer))
        if self.network.connect_error is not None:
            raise self.network.connect_error
        return Connection()


class RelayNode(_Running):
    peer_id = RELAY

    def __init__(self, config: RelayConfig) -> None:
        self.network.asked.append(("relay", config))
        self.addresses = config.network.listen_addresses


async def ping(
    node: Node, peer: PeerId, *, count: int, interval: float, until_direct: bool = False
) -> AsyncIterator[PingReply]:
    wish = ("until direct",) if until_direct else ()
    node.network.asked.append(("ping", peer, count, interval, *wish))
    for reply in node.network.replies:
        yield reply
    if node.network.signal is not None or node.network.run_error is not None:
        await node.network.forever()


class Proxy:
    def __init__(self, network: Network, host: str, port: int) -> None:
        self.listen_address = (host, port or 40123)
        self.serve_forever = network.forever
        self._network = network

    def close(self) -> None:
        self._network.asked.append(("closed", self.listen_address[1]))


@contextlib.asynccontextmanager
async def open_proxy(
    node: Node, peer: PeerId, service: str, listen_host: str, listen_port: int
) -> AsyncIterator[Proxy]:
    node.network.asked.append(("proxy", peer, service, listen_host, listen_port))
    if node.network.listen_error is not None:
        raise node.network.listen_error
    async with node.network.up():
        yield Proxy(node.network, listen_host, listen_port)


async def find_route(node: Node, peer: PeerId) -> Route:
    conn = await node.connect(peer)
    return Route(node.network.path, cast("MuxedConnection", conn), RELAY)


async def traceroute(node: Node, route: Route) -> AsyncIterator[Hop]:
    for hop in node.network.hops:
        yield hop


async def check_service(node: Node, peer: PeerId, service: str) -> None:
    if service in node.network.unknown:
        raise ServiceError(f"{peer} offers no service {service!r}")


async def stay_connected(node: Node, peer: PeerId, report: Callable[[object], None]) -> None:
    for news in node.network.news:
        if isinstance(news, NotAuthorizedError):
            raise news
        report(news)
    await asyncio.get_running_loop().create_future()


async def carry(node: Node, peer: PeerId, service: str, local: ByteStream) -> None:
    node.network.asked.append(("carry", peer, service))
    if node.network.carry is not None:
        await node.network.carry(local)


def install(monkeypatch: pytest.MonkeyPatch) -> Network:
    """Put the fakes where commands import the node layer from; they all share one Network."""
    network = Network()
    monkeypatch.setattr(_Running, "network", network, raising=False)
    modules: dict[str, tuple[object, ...]] = {
        "peerup.node.node": (Node,),
        "peerup.node.relay_node": (RelayNode,),
        "peerup.node.diagnostics": (PingReply, PingStatistics, PingTally, ping),
        "peerup.node.proxies": (carry, check_service, open_proxy, stay_connected),
        "peerup.node.traceroute": (Hop, Route, find_route, traceroute),
    }
    for name, contents in modules.items():
        module = ModuleType(name)
        vars(module).update({thing.__name__: thing for thing in contents})  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    for name in USERS:  # imported anew, with the fakes, and forgotten again afterwards
        monkeypatch.delitem(sys.modules, f"peerup.cli.{name}", raising=False)
    return network
