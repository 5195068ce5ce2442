"""A go-libp2p peer in a process of its own, driven by JSON lines (its other end is ``go/``).

    async with GoPeer.start(binary, security=["noise"]) as go:
        await go.connect(addr)
        await go.echo(peer, 1 << 20)

Peers and addresses are texts, times are float seconds, and every wait is bounded.
"""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypedDict, TypeVar, Unpack

from interop.process import Event, Process, Result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

T = TypeVar("T")

ECHO: Final = "/peerup-test/echo/1.0.0"  # sends back what comes, half-closes at its end
SINK: Final = "/peerup-test/sink/1.0.0"  # reads to the end, answers u64 count and SHA-256
SOURCE: Final = "/peerup-test/source/1.0.0"  # reads u64 n, sends n pattern bytes, half-closes
RESET: Final = "/peerup-test/reset/1.0.0"  # reads u32 code, resets the stream with it
MANUAL: Final = "/peerup-test/manual/1.0.0"  # becomes a "stream" event, see accept_stream
HANG: Final = "/peerup-test/hang/1.0.0"  # neither reads nor writes

WITHIN_S: Final = 20.0  # what a command may take by default

PATTERN_PERIOD: Final = 251  # a prime, so that no block of a round size looks like its neighbour


def pattern(size: int) -> bytes:
    """The ``size`` bytes that transfers carry: byte ``i`` is ``i % 251``."""
    period = bytes(range(PATTERN_PERIOD))
    return (period * (size // PATTERN_PERIOD + 1))[:size]


def circuit_addr(relay: str, peer: str) -> str:
    """The address of ``peer`` through the relay at ``relay`` (with its ``/p2p``)."""
    return f"{relay}/p2p-circuit/p2p/{peer}"


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
class Identified:
    """What a peer told go by identify, ``protocols`` and ``addrs`` with later pushes."""

    agent: str
    protocol_version: str
    protocols: tuple[str, ...]
    listen_addrs: tuple[str, ...]
    addrs: tuple[str, ...]
    observed: str  # go's address as the peer sees it
    signed_record: bool


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes that came back, or were counted, and were the right ones."""

    bytes: int
    sha256: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Many:
    """How a number of echo streams ended; ``failures`` has the text of the first few."""

    done: int
    failed: int
    failures: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class GoReservation:
    """A slot on a relay. ``expires`` is in seconds since 1970; limits of 0 are none."""

    expires: int
    addrs: tuple[str, ...]
    limit_duration: float
    limit_data: int
    voucher: bool


class GoStream:
    """A stream that the test drives through the go peer."""

    def __init__(self, process: Process, number: int, protocol: str) -> None:
        self.protocol = protocol
        self._process = process
        self._number = number

    async def read(self, size: int = 65_536, *, within: float = WITHIN_S) -> bytes:
        """Return 1 to ``size`` bytes, or ``b""`` at the end."""
        return await self._read(size, within, exact=False)

    async def read_exactly(self, size: int, *, within: float = WITHIN_S) -> bytes:
        """Return ``size`` bytes, or fewer when the end comes before."""
        return await self._read(size, within, exact=True)

    async def _read(self, size: int, within: float, *, exact: bool) -> bytes:
        result = await self._call("stream_read", within, size=size, exact=exact)
        return base64.b64decode(result["data"])

    async def digest(self, *, within: float = WITHIN_S) -> Transfer:
        """Read to the end and return how much that was; it may be any bytes."""
        return _build(Transfer, await self._call("stream_digest", within))

    async def write(self, data: bytes, *, within: float = WITHIN_S) -> None:
        await self._call("stream_write", within, data=base64.b64encode(data).decode())

    async def close_write(self) -> None:
        await self._call("stream_close_write", WITHIN_S)

    async def close_read(self) -> None:
        """Read no more; yamux does not tell the far side."""
        await self._call("stream_close_read", WITHIN_S)

    async def close(self) -> None:
        await self._call("stream_close", WITHIN_S)

    async def reset(self, code: int = 0) -> None:
        await self._call("stream_reset", WITHIN_S, code=code)

    async def _call(self, command: str, within: float, **args: object) -> Result:
        return await self._process.call(command, {"stream": self._number, **args}, within=within)


class GoPeer:
    """A go-libp2p host. Failed commands raise `CommandError`; each may take ``within`` seconds.

    ``peer`` is its id, ``addr`` the first address it listens on, with ``/p2p`` (empty if none).
    """

    def __init__(self, process: Process, identity: Identity) -> None:
        self._process = process
        self.version = identity.version
        self.peer = identity.peer
        self.addrs = tuple(f"{addr}/p2p/{identity.peer}" for addr in identity.listen)
        self.addr = self.addrs[0] if self.addrs else ""

    @classmethod
    @asynccontextmanager
    async def start(cls, binary: Path, **options: Unpack[Options]) -> AsyncIterator[Self]:
        """Run a go peer for the length of the block; `Options` says how it can be."""
        async with Process.start(binary) as process:
            args = {**DEFAULTS, **options}
            result = await process.call("start", args, within=WITHIN_S)
            yield cls(process, _build(Identity, result))

    async def id(self) -> Identity:
        return _build(Identity, await self._call("id"))

    async def connect(
        self, addr: str, *, force_direct: bool = False, within: float = WITHIN_S
    ) -> GoConn:
        """Dial ``addr`` (with its ``/p2p``), and no other, and wait for identify."""
        result = await self._call("connect", within, addr=addr, force_direct=force_direct)
        return _build(GoConn, result)

    async def disconnect(self, peer: str, code: int = 0) -> None:
        """Close every connection to ``peer``, with an error code unless it is 0."""
        await self._call("disconnect", peer=peer, code=code)

    async def conns(self, peer: str = "") -> tuple[GoConn, ...]:
        """Return the open connections, or those to ``peer``."""
        conns = [_build(GoConn, conn) for conn in (await self._call("conns"))["conns"]]
        return tuple(conn for conn in conns if peer in ("", conn.peer))

    async def ping(
        self, peer: str, count: int = 1, *, within: float = WITHIN_S
    ) -> tuple[float, ...]:
        """Return the round trips, in seconds, of ``count`` pings on one stream."""
        return tuple((await self._call("ping", within, peer=peer, count=count))["rtts"])

    async def identify(self, peer: str, *, within: float = WITHIN_S) -> Identified:
        """Return what ``peer`` told, waiting for it if need be."""
        return _build(Identified, await self._call("identify", within, peer=peer))

    async def handle(self, protocol: str, kind: str) -> None:
        """Serve one more protocol like "echo", "sink", "source", "reset", "manual" or "hang"."""
        await self._call("handle", protocol=protocol, kind=kind)

    async def unhandle(self, protocol: str) -> None:
        await self._call("unhandle", protocol=protocol)

    async def echo(
        self, peer: str, size: int, *, allow_limited: bool = True, within: float = WITHIN_S
    ) -> Transfer:
        """Send ``size`` pattern bytes while they come back, and check them."""
        result = await self._call("echo", within, peer=peer, size=size, allow_limited=allow_limited)
        return _build(Transfer, result)

    async def sink(
        self, peer: str, size: int, *, allow_limited: bool = True, within: float = WITHIN_S
    ) -> Transfer:
        """Send ``size`` pattern bytes, half-close, and check the count and digest that come."""
        result = await self._call("sink", within, peer=peer, size=size, allow_limited=allow_limited)
        return _build(Transfer, result)

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
        return _build(Transfer, result)

    async def echo_many(
        self,
        peer: str,
        count: int,
        *,
        size: int = 1024,
        parallel: int = 1,
        allow_limited: bool = True,
        within: float = WITHIN_S,
    ) -> Many:
        """Run ``count`` echo streams, ``parallel`` at a time, and count how they ended."""
        result = await self._call(
            "echo_many",
            within,
            peer=peer,
            size=size,
            allow_limited=allow_limited,
            count=count,
            parallel=parallel,
        )
        return _build(Many, result)

    async def open_stream(
        self, peer: str, *protocols: str, allow_limited: bool = True, within: float = WITHIN_S
    ) -> GoStream:
        """Open a stream for the first of ``protocols`` that ``peer`` speaks.

        Go sends nothing yet when identify named the protocol: the first write, read or
        close_write does, and the first read tells of a refusal.
        """
        args = {"peer": peer, "protocols": protocols, "allow_limited": allow_limited}
        result = await self._process.call("stream_open", args, within=within)
        return GoStream(self._process, result["stream"], result["protocol"])

    async def accept_stream(self, *, within: float = WITHIN_S) -> GoStream:
        """Return the next stream that somebody opened to a manual protocol."""
        event = await self.event("stream", within=within)
        return GoStream(self._process, event["stream"], event["protocol"])

    async def reserve(self, relay: str, *, within: float = WITHIN_S) -> GoReservation:
        """Reserve a slot at ``relay`` (an address); a refusal has its ``relay_status``."""
        return _build(GoReservation, await self._call("reserve", within, addr=relay))

    async def event(self, name: str, *, within: float = WITHIN_S, **fields: object) -> Event:
        """Return the oldest unread event with that name and those fields, or wait for it.

        connectedness: peer, state ("Connected", "Limited", "NotConnected")
        identified: peer, agent; identify_failed: peer, error
        pushed: peer, added, removed (protocols; an identify push may change none)
        stream: stream, protocol, peer, remote, limited (see also `accept_stream`)
        handler_failed: protocol, peer, bytes, error (an inbound stream of a test protocol)
        """
        return await self._process.event(name, within=within, **fields)

    async def _call(self, command: str, within: float = WITHIN_S, **args: object) -> Result:
        return await self._process.call(command, args, within=within)


def _build(cls: Callable[..., T], result: Result) -> T:
    """Make a dataclass of a result: its fields are the names that go uses."""
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in result.items()})
