"""A relay, and machines that pair through it: real files, a network in memory, virtual time.

async with PairingTown(tmp_path) as town:
    await town.start_relay("home")  # whom it authorizes
    async with town.inviting() as inviting:
        await town.join("laptop", inviting.code)
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from peerup.config import authorized_keys
from peerup.config.load import load_config
from peerup.config.schema import Config, Resources, Vouching
from peerup.config.template import node_template
from peerup.node.node import Node
from peerup.node.pairing import Inviting, Paired, join
from peerup.node.relay_node import RelayNode
from peerup.relay import vouched_file
from peerup.relay.vouching import Pair
from peerup.transport.base import TransportFactory
from peerup.transport.muxed import MuxedConnection
from peerup.wire.invite import decode
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from tests.internet import Internet, Wire
from tests.node.town import list_file, relay_config, write_private
from tests.world import Crashes, key_of, peer_of

RELAY_AT: Final = Multiaddr.parse("/ip4/192.0.2.1/tcp/7777")
RELAY_ADDR: Final = RELAY_AT.with_peer(peer_of("relay"))
TTL: Final = 600.0


InPairingTown = Callable[[Callable[["PairingTown"], Coroutine[Any, Any, None]]], None]
"""The type of the fixture ``in_pairing_town``."""


class Card(Wire):
    """The network card of a machine; circuits are not its business."""

    def can_dial(self, addr: Multiaddr) -> bool:
        return not addr.is_circuit and super().can_dial(addr)


class PairingTown:
    """Where machines pair; leaving the block stops what runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.net = Internet()
        self._stack = AsyncExitStack()
        self._crashes = Crashes()

    async def __aenter__(self) -> Self:
        self._crashes.watch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await self._stack.aclose()
        finally:
            self._crashes.stop(failed=exc is not None)

    def card(self, ip: str = "192.0.2.7") -> TransportFactory:
        return lambda local: Card(self.net, ip, local)

    # --- the relay --------------------------------------------------------------------

    async def start_relay(
        self,
        *known: str,
        gating: bool = True,
        vouching: Vouching | None = None,
        resources: Resources | None = None,
    ) -> RelayNode:
        """Start it, or start it again with the files that it has left."""
        config = relay_config(
            self.folder, *known, listen=(RELAY_AT,), gating=gating, resources=resources
        )
        if vouching is not None:
            object.__setattr__(config.security, "vouching", vouching)
        self.relay = RelayNode(config)
        self.relay.host._transports[:] = [self.card("192.0.2.1")(self.relay.host.local)]
        await self._stack.enter_async_context(self.relay)
        return self.relay

    async def stop_relay(self) -> None:
        await self.relay.__aexit__(None, None, None)

    def authorize(self, *known: str) -> None:
        list_file(self.folder, "relay", *known)

    @property
    def pairs(self) -> frozenset[Pair]:
        return vouched_file.load(self.folder / "vouched.json")

    # --- machines ---------------------------------------------------------------------

    def config(self, name: str, *, relay: Multiaddr | None = RELAY_ADDR) -> Config:
        """The configuration of a machine, which is created once."""
        place = self.folder / name
        path = place / "config.yaml"
        if not path.exists():
            place.mkdir(mode=0o700)
            relays = [] if relay is None else [relay]
            text = node_template(generated_by="a test", listen=(), relays=relays)
            write_private(place / "identity.key", key_of(name).to_protobuf())
            authorized_keys.create(place / "authorized_keys")
            write_private(path, text.encode())
        return load_config(path)

    def inviting(self, machine: str = "home", *, name: str = "home", ttl: float = TTL) -> Inviting:
        return Inviting(self.config(machine), name=name, ttl=ttl, transports=(self.card(),))

    async def join(self, machine: str, code: str, *, name: str | None = None) -> Paired:
        config, invite = self.config(machine), decode(code)
        said = machine if name is None else name
        return await join(config, invite, name=said, transports=(self.card("192.0.2.8"),))

    async def daemon(self, machine: str, *, serving: bool = True) -> Node:
        node = Node(self.config(machine), listen=serving)
        node.host._transports[:1] = [self.card()(node.host.local)]
        return await self._stack.enter_async_context(node)

    async def dial(self, machine: str, other: str) -> MuxedConnection:
        """What `peerup ping` does first."""
        node = Node(self.config(machine), listen=False)
        node.host._transports[:1] = [self.card()(node.host.local)]
        async with node:
            return await node.connect(peer_of(other))

    def listed(self, machine: str) -> Mapping[PeerId, str]:
        """Whom a machine authorizes, and the comments."""
        config = self.config(machine)
        assert config.security.authorized_keys_file is not None
        entries = authorized_keys.load(config.security.authorized_keys_file)
        return {entry.peer: entry.comment for entry in entries}

    def names(self, machine: str) -> Mapping[str, PeerId]:
        return self.config(machine).names

    async def pair(self, machine: str = "laptop", **kw: str) -> Paired:
        """Pair with home in the ordinary way; return what the joiner has."""
        async with self.inviting() as inviting:
            joined = await self.join(machine, inviting.code, **kw)
            assert (await inviting.joined()).peer == peer_of(machine)
        return joined
