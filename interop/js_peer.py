"""A js-libp2p peer in a process of its own, driven by JSON lines (its other end is ``js/``).

    async with JsPeer.start(folder, transports=["quic"]) as js:
        await js.connect(addr)
        await js.echo(peer, 1 << 20)

js tells no codes: of a reset or a close one learns only that there was one, and over QUIC its
readers take the reset of a stream for its end.
"""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypedDict, Unpack

from interop.foreign import WITHIN_S, ForeignPeer, Transfer, build
from interop.process import Process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Options(TypedDict, total=False):
    """What `JsPeer.start` takes."""

    listen: list[str]  # [] only dials
    transports: list[str]  # "tcp", "quic"
    user_agent: str
    relay: bool  # serve as a relay without limits


DEFAULTS: Final[Options] = {"listen": ["/ip4/127.0.0.1/tcp/0"], "transports": ["tcp"]}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the js peer is; ``addrs`` are advertised, ``listen`` are bound, both without ``/p2p``."""

    peer: str
    listen: tuple[str, ...]
    addrs: tuple[str, ...]
    protocols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JsConn:
    """One connection of the js peer. ``security`` is "native" and ``muxer`` "quic" for QUIC."""

    peer: str
    remote: str
    direction: str  # inbound, outbound
    limited: bool
    security: str
    muxer: str
    streams: int


class JsPeer(ForeignPeer):
    """A js-libp2p host."""

    @classmethod
    @asynccontextmanager
    async def start(cls, folder: Path, **options: Unpack[Options]) -> AsyncIterator[Self]:
        """Run the js peer installed in ``folder`` for the length of the block."""
        node = shutil.which("node")
        assert node is not None, "there was one when the peer was installed"
        command = (node, "--import", str(folder / "polyfill.mjs"), folder / "peer.mjs")
        async with Process.start(*command) as process:
            args = {**DEFAULTS, **options}
            identity = build(Identity, await process.call("start", args, within=WITHIN_S))
            yield cls(process, identity.peer, identity.listen)

    async def id(self) -> Identity:
        return build(Identity, await self._call("id"))

    async def connect(self, addr: str, *, within: float = WITHIN_S) -> JsConn:
        """Dial ``addr`` (with its ``/p2p``), and no other, and wait for identify."""
        return build(JsConn, await self._call("connect", within, addr=addr))

    async def disconnect(self, peer: str) -> None:
        """Close every connection to ``peer``."""
        await self._call("disconnect", peer=peer)

    async def conns(self, peer: str = "") -> tuple[JsConn, ...]:
        """Return the open connections, or those to ``peer``."""
        conns = [build(JsConn, conn) for conn in (await self._call("conns"))["conns"]]
        return tuple(conn for conn in conns if peer in ("", conn.peer))

    async def source(
        self, peer: str, size: int, *, allow_limited: bool = True, within: float = WITHIN_S
    ) -> Transfer:
        """Fetch ``size`` pattern bytes."""
        result = await self._call(
            "source", within, peer=peer, size=size, allow_limited=allow_limited
        )
        return build(Transfer, result)

    async def reserve(self, relay: str, *, within: float = WITHIN_S) -> tuple[str, ...]:
        """Reserve a slot at ``relay`` (an address) and return the circuit addresses."""
        return tuple((await self._call("reserve", within, addr=relay))["addrs"])
