"""go-libp2p, the reference implementation: the peer in ``interop/go``, two processes of it."""

from __future__ import annotations

import shlex
import statistics
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.contest import Missing
from bench.worker import resident
from interop import installed
from interop.foreign import circuit_addr
from interop.go_peer import GoPeer, Options, RelayService
from interop.js_peer import JsPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NAME: Final = "go-libp2p"
TRANSFER_S: Final = 120.0


def build() -> Path | Missing:
    """Return the Go peer, built now unless nothing changed, or why there is none."""
    try:
        return installed.go_peer()
    except (installed.NotInstalledError, installed.BuildError) as why:
        return Missing(str(why).splitlines()[0])


class Pair:
    """A foreign peer connected to another one of its kind."""

    def __init__(self, dialler: GoPeer | JsPeer, peer: str, addr: str) -> None:
        self.dialler, self.peer, self.addr = dialler, peer, addr

    async def up(self, size: int) -> float:
        """Send ``size`` bytes; return MB/s. Both ends compute a SHA-256 of all of them."""
        done = await self.dialler.sink(self.peer, size, within=TRANSFER_S)
        return size / 1e6 / done.seconds

    async def down(self, size: int) -> float:
        """Fetch ``size`` bytes, likewise."""
        done = await self.dialler.source(self.peer, size, within=TRANSFER_S)
        return size / 1e6 / done.seconds

    async def round_trip(self, count: int) -> float:
        """Return the median of ``count`` pings on one stream, in ms."""
        return statistics.median(await self.dialler.ping(self.peer, count)) * 1e3

    async def dial(self, count: int) -> float:
        """Close the connection, and dial and close ``count`` more; return how many a second."""
        await self.dialler.disconnect(self.peer)
        began = time.perf_counter()
        for _ in range(count):
            await self.dialler.connect(self.addr)
            await self.dialler.disconnect(self.peer)
        return count / (time.perf_counter() - began)


@asynccontextmanager
async def pair(binary: Path, *, quic: bool = False) -> AsyncIterator[Pair]:
    """Run two Go peers that have a direct connection, on TCP with Noise and yamux or on QUIC."""
    dials: Options = {"listen": [], "security": ["noise"]}
    listens: Options = {"security": ["noise"]}
    if quic:
        dials = {"listen": [], "transports": ["quic"]}
        listens = {"listen": ["/ip4/127.0.0.1/udp/0/quic-v1"], "transports": ["quic"]}
    async with (
        GoPeer.start(binary, **listens) as listener,
        GoPeer.start(binary, **dials) as dialler,
    ):
        await dialler.connect(listener.addr)
        yield Pair(dialler, listener.peer, listener.addr)


@asynccontextmanager
async def relayed_pair(binary: Path) -> AsyncIterator[Pair]:
    """Run two Go peers that reach each other through a third, without limits."""
    async with (
        GoPeer.start(binary, security=["noise"], relay=RelayService(unlimited=True)) as relay,
        GoPeer.start(binary, security=["noise"], listen=[]) as home,
        GoPeer.start(binary, security=["noise"], listen=[]) as laptop,
    ):
        await home.connect(relay.addr)
        await home.reserve(relay.addr)
        addr = circuit_addr(relay.addr, home.peer)
        await laptop.connect(addr)
        yield Pair(laptop, home.peer, addr)


@asynccontextmanager
async def listener(binary: Path) -> AsyncIterator[tuple[GoPeer, Callable[[], float]]]:
    """Run one Go peer; what comes with it tells its resident memory, in bytes."""
    with tempfile.TemporaryDirectory(prefix="peerup-bench-") as directory:
        pid = Path(directory, "pid")
        async with GoPeer.start(_noting_its_pid(binary, pid), security=["noise"]) as peer:
            yield peer, lambda: resident(pid.read_text(encoding="ascii").strip())


def _noting_its_pid(binary: Path, pid: Path) -> Path:
    """Return a script that is ``binary``, but writes its process id into a file first."""
    script = pid.with_name("go-peer")
    script.write_text(f"#!/bin/sh\necho $$ >{pid}\nexec {shlex.quote(str(binary))}\n")
    script.chmod(0o700)
    return script
