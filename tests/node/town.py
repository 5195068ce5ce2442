"""Whole nodes and relays from configurations, on a network in memory.

Their files are real ones in a directory of the test. ``Town`` works on either clock:

    async with Town(tmp_path) as town:
        relay = await town.relay("home", "laptop")  # whom it authorizes
        home = await town.node("home", "laptop")
        laptop = await town.node("laptop", "home", listen=None)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from peerup.config.schema import (
    Config,
    Identity,
    Network,
    RelayConfig,
    Relays,
    RelaySecurity,
    Resources,
    Security,
    Service,
)
from peerup.host.handlers import Registration
from peerup.node.node import Node
from peerup.node.relay_node import RelayNode
from peerup.transport.memory import MemoryNetwork
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from tests.world import Crashes, echo, key_of, memory, peer_of

T = TypeVar("T")

RELAY_NUMBER: Final = 1
HEADER: Final = "# who may connect\n"
WEB: Final = "/peerup/web/1.0.0"
SERVICES: Final = {"web": Service("web", enabled=True, local_address="127.0.0.1:9")}


class InTown(Protocol):
    """The type of the fixture ``in_town``."""

    def __call__(self, main: Callable[[Town], Coroutine[Any, Any, T]]) -> T: ...


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, in one step."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.chmod(0o600)
    os.replace(new, path)


def key_file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.key"
    if not path.exists():
        write_private(path, key_of(name).to_protobuf())
    return path


def list_file(folder: Path, name: str, *listed: str) -> Path:
    """Write whom ``name`` authorizes; again, when the list changes."""
    path = folder / f"{name}_authorized_keys"
    lines = "".join(f"{peer_of(one)}  # {one}\n" for one in listed)
    write_private(path, (HEADER + lines).encode())
    return path


def node_config(
    folder: Path,
    name: str,
    *listed: str,
    listen: tuple[Multiaddr, ...] = (),
    relays: tuple[Multiaddr, ...] = (),
    services: Mapping[str, Service] | None = None,
    names: Mapping[str, PeerId] | None = None,
    gating: bool = True,
) -> Config:
    """The configuration of a node that authorizes ``listed``."""
    return Config(
        path=folder / f"{name}.yaml",
        identity=Identity(key_file(folder, name)),
        network=Network(listen_addresses=listen),
        relay=Relays(addresses=relays),
        security=Security(list_file(folder, name, *listed), enable_connection_gating=gating),
        services=services or {},
        names=names or {},
    )


def relay_config(
    folder: Path,
    *listed: str,
    listen: tuple[Multiaddr, ...] = (memory(RELAY_NUMBER),),
    gating: bool = True,
    resources: Resources | None = None,
) -> RelayConfig:
    """The configuration of a relay that authorizes ``listed``."""
    return RelayConfig(
        path=folder / "relay-server.yaml",
        identity=Identity(key_file(folder, "relay")),
        network=Network(listen_addresses=listen),
        security=RelaySecurity(
            list_file(folder, "relay", *listed), enable_connection_gating=gating
        ),
        resources=resources or Resources(),
    )


def serve_web(node: Node) -> None:
    """Answer the service without a socket, which the virtual clock has none of."""
    node.host.stop_handling(WEB)
    node.host.handle(WEB, Registration(echo, on_limited=True))


class Town:
    """Nodes and relays that can reach each other; leaving the block stops those that run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = MemoryNetwork()
        self._running: dict[Node | RelayNode, AsyncExitStack] = {}
        self._crashes = Crashes()

    async def __aenter__(self) -> Self:
        self._crashes.watch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            for one in reversed(list(self._running)):
                await self.stop(one)
        finally:
            self._crashes.stop(failed=exc is not None)

    async def relay(
        self, *listed: str, gating: bool = True, resources: Resources | None = None
    ) -> RelayNode:
        config = relay_config(self.folder, *listed, gating=gating, resources=resources)
        return await self._start(RelayNode(config))

    async def node(
        self,
        name: str,
        *listed: str,
        at: int | None = None,
        serving: bool = True,
        gating: bool = True,
        services: Mapping[str, Service] | None = None,
    ) -> Node:
        """Start a node that uses the relay; ``at`` is where it listens besides."""
        config = node_config(
            self.folder,
            name,
            *listed,
            listen=() if at is None else (memory(at),),
            relays=(memory(RELAY_NUMBER).with_peer(peer_of("relay")),),
            services=services,
            names={"home": peer_of("home"), "laptop": peer_of("laptop")},
            gating=gating,
        )
        return await self._start(Node(config, listen=serving))

    def authorize(self, name: str, *listed: str) -> None:
        """Replace the list of ``name``, as ``peerup auth`` does while it runs."""
        list_file(self.folder, name, *listed)

    async def stop(self, one: Node | RelayNode) -> None:
        await self._running.pop(one).aclose()

    async def _start(self, one: StartedT) -> StartedT:
        one.host.add_transport(self.network.transport(one.host.local))
        stack = AsyncExitStack()
        await stack.enter_async_context(one)
        self._running[one] = stack
        return one


StartedT = TypeVar("StartedT", Node, RelayNode)
