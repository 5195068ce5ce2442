"""A go-libp2p peer in a process of its own, driven by JSON lines (its other end is ``go/``).

    async with GoPeer.start(binary, security=["noise"]) as go:
        await go.connect(addr)
        await go.echo(peer, 1 << 20)

Peers and addresses are texts, times are float seconds, and every wait is bounded.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypedDict, Unpack

from interop.foreign import WITHIN_S, ForeignPeer, Transfer, build
from interop.process import Process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RelayService:
    """How a go peer serves as a relay; 0 keeps go's default.

    ``duration`` (seconds) and ``data`` (bytes each way) limit a circuit, ``unlimited`` lifts
    both. ``allow_reserve`` and ``allow_connect`` name the peers that may; None lets everyone.
    ``private_addrs`` lists private addresses in reservations, where loopback has no others.
    """

    ttl: float = 0.0
    duration: float = 0.0
    data: int = 0
    unlimited: bool = False
    max_reservations: int = 0
    max_circuits: int = 0
    allow_reserve: tuple[str, ...] | None = None
    allow_connect: tuple[str, ...] | None = None
    private_addrs: bool = True


class Options(TypedDict, total=False):
    """What `GoPeer.start` takes; `DEFAULTS` has what is not go's own default."""

    seed: str  # hex of 32 bytes; a new key without it
    listen: list[str]  # [] only dials
    announce: list[str]  # advertised instead of the listen addresses
    transports: list[str]  # "tcp", "quic"
    security: list[str]  # "tls", "noise": in the order they are proposed
    early_muxer: bool  # offer muxers inside the security handshake
    user_agent: str
    force_public: bool
    force_private: bool  # static relays are used only then
    hole_punching: bool
    limits: bool  # go's own limits on connections and streams
    relay: RelayService  # implies force_public: go serves as a relay only then
    static_relays: list[str]


DEFAULTS: Final[Options] = {
    "listen": ["/ip4/127.0.0.1/tcp/0"],
    "transports": ["tcp"],
    "security": ["tls", "noise"],
    "early_muxer": True,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the go peer is; ``addrs`` are advertised, ``listen`` are bound, both without ``/p2p``."""

    peer: str
    addrs: tuple[str, ...]
    listen: tuple[str, ...]
    protocols: tuple[str, ...]
    version: str  # of go-libp2p


@dataclass(frozen=True, slots=True)
class GoConn:
    """One connection of the go peer.

    ``muxer`` and ``security`` are empty for QUIC, which has its own, and for circuits, where go
    does not tell them.
    """

    id: str
    peer: str
    local: str
    remote: str
    direction: str  # Inbound, Outbound
    limited: bool
    transport: str
    security: str
    muxer: str
    early_muxer: bool
    streams: int


@dataclass(frozen=True, slots=True)
class GoReservation:
    """A slot on a relay. ``expires`` is in seconds since 1970; limits of 0 are none."""

    expires: int
    addrs: tuple[str, ...]
    limit_duration: float
    limit_data: int
    voucher: bool


class GoPeer(ForeignPeer):
    """A go-libp2p host.

    Besides the events that all have: identify_failed (peer, error), pushed (peer, added, removed:
    protocols; an identify push may change none), and with others: remote and limited of a
    stream, bytes of handler_failed.
    """

    def __init__(self, process: Process, identity: Identity) -> None:
        super().__init__(process, identity.peer, identity.listen)
        self.version = identity.version

    @classmethod
    @asynccontextmanager
    async def start(cls, binary: Path, **options: Unpack[Options]) -> AsyncIterator[Self]:
        """Run a go peer for the length of the block; `Options` says how it can be."""
        async with Process.start(binary) as process:
            args = {**DEFAULTS, **options}
            result = await process.call("start", args, within=WITHIN_S)
            yield cls(process, build(Identity, result))

    async def id(self) -> Identity:
        return build(Identity, await self._call("id"))

    async def connect(
        self, addr: str, *, force_direct: bool = False, within: float = WITHIN_S
    ) -> GoConn:
        """Dial ``addr`` (with its ``/p2p``), and no other, and wait for identify."""
        result = await self._call("connect", within, addr=addr, force_direct=force_direct)
        return build(GoConn, result)

    async def disconnect(self, peer: str, code: int = 0) -> None:
        """Close every connection to ``peer``, with an error code unless it is 0."""
        await self._call("disconnect", peer=peer, code=code)

    async def conns(self, peer: str = "") -> tuple[GoConn, ...]:
        """Return the open connections, or those to ``peer``."""
        conns = [build(GoConn, conn) for conn in (await self._call("conns"))["conns"]]
        return tuple(conn for conn in conns if peer in ("", conn.peer))

    async def handle(self, protocol: str, kind: str) -> None:
        """Serve one more protocol like "echo", "sink", "source", "reset", "manual" or "hang"."""
        await self._call("handle", protocol=protocol, kind=kind)

    async def unhandle(self, protocol: str) -> None:
        await self._call("unhandle", protocol=protocol)

    async def source(
        self,
        peer: str,
        size: int,
        *,
        pause_after: int = 0,
        pause: float = 0.0,
        allow_limited: bool = True,
        within: float = WITHIN_S,
    ) -> Transfer:
        """Fetch ``size`` pattern bytes; a slow reader pauses ``pause`` seconds on the way."""
        result = await self._call(
            "source",
            within,
            peer=peer,
            size=size,
            allow_limited=allow_limited,
            pause_after=pause_after,
            pause=pause,
        )
        return build(Transfer, result)

    async def reserve(self, relay: str, *, within: float = WITHIN_S) -> GoReservation:
        """Reserve a slot at ``relay`` (an address); a refusal has its ``relay_status``."""
        return build(GoReservation, await self._call("reserve", within, addr=relay))
