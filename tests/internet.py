"""Machines with IP addresses in memory, and dials that are slow, silent or refused.

The same pipes as the memory transport, but each host has an address of its own, others see where
it comes from, and the network can be told how to treat an address:

    net = Internet()
    home = await world.host("home", transports=[net.machine("192.0.2.1")], listen=[...])
    net.delay["/ip4/192.0.2.1/tcp/4001"] = 3.0  # or SILENT
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from peerup.transport.endpoints import Endpoints, Role
from peerup.transport.memory import Pipe, pipe
from peerup.transport.upgrade import upgrade
from peerup.wire.multiaddr import Multiaddr, tcp_multiaddr

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerup.transport.base import Accept, LocalPeer, TransportFactory
    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.peer_id import PeerId

SILENT: Final = float("inf")  # a delay: packets to there vanish
SOURCE_PORT: Final = 50000


class Internet:
    """Who listens where, and how long a dial to there takes.

    Addresses are keys as text, without the peer id at their end. ``dials`` are all that were
    begun, as (seconds on the loop's clock, address).
    """

    def __init__(self) -> None:
        self.listeners: dict[str, Callable[[Pipe, Endpoints], None]] = {}
        self.delay: dict[str, float] = {}
        self.dials: list[tuple[float, str]] = []
        self.open: list[Pipe] = []  # the far end of every dial that got through

    def machine(self, ip: str) -> TransportFactory:
        """Return the transport of a host at ``ip``; it dials whatever begins with an address."""
        return lambda local: Wire(self, ip, local)

    def since(self, began: float) -> list[tuple[float, str]]:
        """The dials, with their times counted from ``began``."""
        return [(round(at - began, 3), addr) for at, addr in self.dials]


class Wire:
    """The transport of one machine. See ``transport.base.Transport``."""

    def __init__(self, net: Internet, ip: str, local: LocalPeer) -> None:
        self._net, self._ip, self._local = net, ip, local

    def can_dial(self, addr: Multiaddr) -> bool:
        return addr.components[0].protocol.name in {"ip4", "ip6"} and addr.has("tcp")

    def close(self) -> None:
        pass

    def can_listen(self, addr: Multiaddr) -> bool:
        return self.can_dial(addr) and not addr.is_circuit

    async def dial(
        self, addr: Multiaddr, peer: PeerId, *, role: Role = Role.CLIENT
    ) -> MuxedConnection:
        target = addr.without_peer()
        net, where = self._net, str(target)
        net.dials.append((asyncio.get_running_loop().time(), where))
        if (delay := net.delay.get(where, 0.0)) == SILENT:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(delay)
        if where not in net.listeners:
            raise ConnectionRefusedError(f"nobody listens on {where}")
        near, far = pipe()
        source = tcp_multiaddr(self._ip, SOURCE_PORT)
        net.open.append(far)
        net.listeners[where](far, Endpoints(source, target, inbound=True))
        return await upgrade(near, self._local, Endpoints(target, source), role=role, expected=peer)

    async def listen(self, addr: Multiaddr, accept: Accept) -> Listening:
        return Listening(self._net, self._local, addr, accept)


class Listening:
    """One address that answers."""

    def __init__(self, net: Internet, local: LocalPeer, addr: Multiaddr, accept: Accept) -> None:
        self._net, self._local, self._addr, self._accept = net, local, addr, accept
        if str(addr) in net.listeners:
            raise OSError(f"{addr} is taken")
        net.listeners[str(addr)] = self._on_connect

    @property
    def addrs(self) -> tuple[Multiaddr, ...]:
        return (self._addr,)

    async def close(self) -> None:
        self._net.listeners.pop(str(self._addr), None)

    def _on_connect(self, far: Pipe, ends: Endpoints) -> None:
        if self._local.tasks.spawn(self._upgrade, far, ends) is None:
            far.reset()

    async def _upgrade(self, far: Pipe, ends: Endpoints) -> None:
        conn = await upgrade(far, self._local, ends, role=Role.SERVER)
        await self._accept(conn)
