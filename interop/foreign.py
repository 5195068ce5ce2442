"""What foreign peers have in common, whichever libp2p they are made of.

Peers and addresses are texts, times are float seconds, and every wait is bounded.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from interop.process import Event, Process, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


def posing_as(addr: str, peer: str) -> str:
    """The address ``addr`` with another peer id at its end."""
    return f"{addr.rpartition('/')[0]}/{peer}"


@dataclass(frozen=True, slots=True)
class Identified:
    """What a peer told by identify, ``protocols`` and ``addrs`` with later pushes."""

    agent: str
    protocol_version: str
    protocols: tuple[str, ...]
    listen_addrs: tuple[str, ...]
    addrs: tuple[str, ...]
    observed: str  # the asker's address as the peer sees it
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


class ForeignStream:
    """A stream that the test drives through the foreign peer."""

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
        return build(Transfer, await self._call("stream_digest", within))

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


class ForeignPeer:
    """A host of another libp2p. Failed commands raise `CommandError`; ``within`` are seconds.

    ``peer`` is its id, ``addrs`` are where it listens, with ``/p2p``.
    """

    def __init__(self, process: Process, peer: str, listen: Sequence[str]) -> None:
        self._process = process
        self.peer = peer
        self.addrs = tuple(f"{addr}/p2p/{peer}" for addr in listen)

    @property
    def addr(self) -> str:
        """The first address it listens on, empty if none."""
        return self.addrs[0] if self.addrs else ""

    async def ping(
        self, peer: str, count: int = 1, *, within: float = WITHIN_S
    ) -> tuple[float, ...]:
        """Return the round trips, in seconds, of ``count`` pings on one stream."""
        return tuple((await self._call("ping", within, peer=peer, count=count))["rtts"])

    async def identify(self, peer: str, *, within: float = WITHIN_S) -> Identified:
        """Return what ``peer`` told, waiting for it if need be."""
        return build(Identified, await self._call("identify", within, peer=peer))

    async def echo(
        self, peer: str, size: int, *, allow_limited: bool = True, within: float = WITHIN_S
    ) -> Transfer:
        """Send ``size`` pattern bytes while they come back, and check them."""
        result = await self._call("echo", within, peer=peer, size=size, allow_limited=allow_limited)
        return build(Transfer, result)

    async def sink(
        self, peer: str, size: int, *, allow_limited: bool = True, within: float = WITHIN_S
    ) -> Transfer:
        """Send ``size`` pattern bytes, half-close, and check the count and digest that come."""
        result = await self._call("sink", within, peer=peer, size=size, allow_limited=allow_limited)
        return build(Transfer, result)

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
        return build(Many, result)

    async def open_stream(
        self, peer: str, *protocols: str, allow_limited: bool = True, within: float = WITHIN_S
    ) -> ForeignStream:
        """Open a stream for the first of ``protocols`` that ``peer`` speaks.

        Where identify named the protocol, nothing may be sent before the first write, read or
        close_write, and the first read then tells of a refusal.
        """
        args = {"peer": peer, "protocols": protocols, "allow_limited": allow_limited}
        result = await self._process.call("stream_open", args, within=within)
        return ForeignStream(self._process, result["stream"], result["protocol"])

    async def accept_stream(self, *, within: float = WITHIN_S) -> ForeignStream:
        """Return the next stream that somebody opened to a manual protocol."""
        event = await self.event("stream", within=within)
        return ForeignStream(self._process, event["stream"], event["protocol"])

    async def kill(self) -> None:
        """End the process without a word; the block that it was started for then raises."""
        await self._process.kill()

    async def event(self, name: str, *, within: float = WITHIN_S, **fields: object) -> Event:
        """Return the oldest unread event with that name and those fields, or wait for it.

        connectedness: peer, state ("Connected", "Limited", "NotConnected")
        identified: peer, agent
        stream: stream, protocol, peer (see also `accept_stream`)
        handler_failed: protocol, peer, error (an inbound stream of a test protocol)
        """
        return await self._process.event(name, within=within, **fields)

    async def _call(self, command: str, within: float = WITHIN_S, **args: object) -> Result:
        return await self._process.call(command, args, within=within)


def build(cls: Callable[..., T], result: Result) -> T:
    """Make a dataclass of a result: its fields are the names on the wire."""
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in result.items()})
