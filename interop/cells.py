"""What the cells share: who plays which part, and two peers that have met."""

from __future__ import annotations

import enum
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Unpack

import pytest

from interop import go_peer, js_peer, our
from interop.foreign import MANUAL, circuit_addr
from interop.go_peer import GoPeer, RelayService
from interop.js_peer import JsPeer
from interop.our import OurPeer
from peerup.relay.quota import RelayLimits
from peerup.transport.quic import Quic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from interop.foreign import ForeignPeer, ForeignStream
    from interop.our import OurStream
    from peerup.host.gater import Verdict
    from peerup.transport.quic_endpoint import QuicEndpoint
    from peerup.wire.peer_id import PeerId

MIB: Final = 1 << 20


class Transport(enum.Enum):
    """What carries the connections of a cell; the value stands in the scorecard."""

    TCP = "tcp"
    QUIC = "quic"

    @property
    def loopback(self) -> str:
        """Where to listen: a port that the system picks."""
        return "/ip4/127.0.0.1/" + {"tcp": "tcp/0", "quic": "udp/0/quic-v1"}[self.value]

    @property
    def other(self) -> Transport:
        return Transport.TCP if self is Transport.QUIC else Transport.QUIC

    def addr_of(self, peer: OurPeer | ForeignPeer) -> str:
        """Return where ``peer`` listens, with its ``/p2p``."""
        (addr,) = (addr for addr in peer.addrs if addr.startswith(self.loopback.partition("/0")[0]))
        return addr


def over(*which: Transport) -> pytest.MarkDecorator:
    """Run the test over these alone; without it a test with a ``lab`` runs over each."""
    return pytest.mark.parametrize("transport", which, ids=[transport.value for transport in which])


@dataclass(frozen=True, slots=True)
class OurLab:
    """Makes the peers of one test, which listen and dial over its transports alone."""

    program: Path  # the foreign peer
    transports: tuple[Transport, ...]

    def ours(self, **options: Unpack[our.Options]) -> AbstractAsyncContextManager[OurPeer]:
        """Run a peer of ours for the length of the block."""
        every: our.Options = {"transports": self.names, "listen": self.loopback, **options}
        return OurPeer.start(**every)

    @property
    def names(self) -> list[str]:
        return [one.value for one in self.transports]

    @property
    def loopback(self) -> list[str]:
        return [one.loopback for one in self.transports]


class Lab(OurLab):
    """Makes peers of ours and of go's."""

    def go(self, **options: Unpack[go_peer.Options]) -> AbstractAsyncContextManager[GoPeer]:
        """Run a go peer for the length of the block."""
        every: go_peer.Options = {"transports": self.names, "listen": self.loopback, **options}
        return GoPeer.start(self.program, **every)


class JsLab(OurLab):
    """Makes peers of ours and of js'."""

    def js(self, **options: Unpack[js_peer.Options]) -> AbstractAsyncContextManager[JsPeer]:
        """Run a js peer for the length of the block."""
        every: js_peer.Options = {"transports": self.names, "listen": self.loopback, **options}
        return JsPeer.start(self.program, **every)

    @asynccontextmanager
    async def pair(
        self, role: Role, *, ours: our.Options | None = None, js: js_peer.Options | None = None
    ) -> AsyncIterator[tuple[OurPeer, JsPeer]]:
        """Run one peer of each kind, connected."""
        async with self.ours(**(ours or {})) as our_side, self.js(**(js or {})) as js_side:
            await meet(role, our_side, js_side)
            yield our_side, js_side


class Role(enum.Enum):
    """Which part each side plays; the value stands in the scorecard."""

    WE_DIAL = "we dial"
    THEY_DIAL = "they dial"
    WE_OPEN = "we open"  # the stream that is looked at
    THEY_OPEN = "they open"
    OUR_RELAY = "our relay"
    THEIR_RELAY = "their relay"


def roles(*which: Role) -> pytest.MarkDecorator:
    """Run the test once for each role; it takes one as ``role``."""
    return pytest.mark.parametrize("role", which, ids=[role.value for role in which])


both_dial: Final = roles(Role.WE_DIAL, Role.THEY_DIAL)
both_open: Final = roles(Role.WE_OPEN, Role.THEY_OPEN)
dialled_by: Final = pytest.mark.parametrize(
    "dialler", [Role.WE_DIAL, Role.THEY_DIAL], ids=[Role.WE_DIAL.value, Role.THEY_DIAL.value]
)
both_relay: Final = roles(Role.OUR_RELAY, Role.THEIR_RELAY)


async def meet(role: Role, ours: OurPeer, theirs: GoPeer | JsPeer) -> None:
    """Connect the two, from the side that ``role`` says, until each knows who the other is."""
    if role is Role.THEY_DIAL:
        await theirs.connect(ours.addr)
        await ours.greeted(theirs.peer)
    else:
        await ours.connect(theirs.addr)


@asynccontextmanager
async def pair(
    lab: Lab,
    role: Role = Role.WE_DIAL,
    *,
    ours: our.Options | None = None,
    go: go_peer.Options | None = None,
) -> AsyncIterator[tuple[OurPeer, GoPeer]]:
    """Run one peer of each kind, connected."""
    async with (
        lab.ours(**(ours or {})) as our_side,
        lab.go(**(go or {})) as go_side,
    ):
        await meet(role, our_side, go_side)
        yield our_side, go_side


async def hears_of(go: GoPeer, peer: str, addr: str) -> None:
    """Wait until a push has told ``go`` that ``peer`` is at ``addr`` (without its ``/p2p``)."""
    while addr not in (await go.identify(peer)).addrs:
        await go.event("pushed", peer=peer)


def quic_socket(ours: OurPeer) -> QuicEndpoint:
    """Return the one QUIC socket of ``ours``."""
    (quic,) = (one for one in ours.host._transports if isinstance(one, Quic))
    (endpoint,) = quic._endpoints
    return endpoint


@dataclass(frozen=True, slots=True)
class Limits:
    """What a relay gives, whichever it is; None is no limit. Go limits both or nothing."""

    ttl: float = 3600.0
    seconds: float | None = None  # of a circuit
    data: int | None = None  # bytes of a circuit, each way
    reservations: int = 128
    circuits: int = 16  # of one peer

    def of_ours(self) -> RelayLimits:
        return RelayLimits(
            reservations=self.reservations,
            circuits_per_peer=self.circuits,
            ttl=self.ttl,
            session_seconds=self.seconds,
            session_data=self.data,
        )

    def of_go(self) -> RelayService:
        return RelayService(
            ttl=self.ttl,
            duration=self.seconds or 0,
            data=self.data or 0,
            unlimited=self.seconds is None,
            max_reservations=self.reservations,
            max_circuits=self.circuits,
        )


NO_LIMITS: Final = Limits()


def relay_of(
    role: Role, lab: Lab, limits: Limits = NO_LIMITS
) -> AbstractAsyncContextManager[OurPeer | GoPeer]:
    """Run the relay that ``role`` asks for."""
    if role is Role.OUR_RELAY:
        return lab.ours(relay=limits.of_ours())
    return lab.go(relay=limits.of_go())


@dataclass(frozen=True, slots=True)
class Circuit:
    """One of ours and one of go's, connected through ``relay``."""

    relay: OurPeer | GoPeer
    ours: OurPeer
    go: GoPeer


@asynccontextmanager
async def circuit(
    lab: Lab, role: Role, dialler: Role, limits: Limits = NO_LIMITS
) -> AsyncIterator[Circuit]:
    """Run the relay of ``role``, reserve for one of the two and let the other dial it."""
    async with (
        relay_of(role, lab, limits) as relay,
        lab.ours(listen=()) as ours,
        lab.go(listen=[]) as go,
    ):
        await reach(dialler, relay, ours, go)
        yield Circuit(relay, ours, go)


async def reach(dialler: Role, relay: OurPeer | GoPeer, ours: OurPeer, go: GoPeer) -> None:
    """Reserve for the one that ``dialler`` does not name, and let the other dial it."""
    if dialler is Role.WE_DIAL:
        await go.reserve(relay.addr)
        await ours.connect(circuit_addr(relay.addr, go.peer))
    else:
        await ours.reserve(relay.addr)
        await go.connect(circuit_addr(relay.addr, ours.peer))


async def joined(role: Role, ours: OurPeer, theirs: ForeignPeer) -> tuple[OurStream, ForeignStream]:
    """Return the two ends of a new stream, over which one byte has passed each way."""
    near: OurStream
    if role is Role.WE_OPEN:
        near = await ours.open_stream(theirs.peer, MANUAL)
        far = await theirs.accept_stream()
    else:
        far = await theirs.open_stream(ours.peer, MANUAL)
        await far.write(b">")  # go sends nothing before it
        near = await ours.accept_stream()
        assert await near.read() == b">"
    await near.write(b"<")
    assert await far.read() == b"<"
    return near, far


class Says:
    """A gater with one answer for everybody; a test may change it."""

    def __init__(self, answer: Verdict) -> None:
        self.answer = answer

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        return self.answer
