"""go-libp2p, the reference implementation: the peer in ``interop/go``, two processes of it."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import statistics
import subprocess
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.contest import Missing
from bench.worker import resident
from interop.foreign import circuit_addr
from interop.go_peer import GoPeer, Options, RelayService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

NAME: Final = "go-libp2p"
ROOT: Final = Path(__file__).resolve().parent.parent.parent
BINARY: Final = ROOT / ".build" / "interop" / "go-peer"
BUILD_S: Final = 900.0  # a first build downloads modules and compiles all of go-libp2p
TRANSFER_S: Final = 120.0


def build() -> Path | Missing:
    """Return the Go peer, built now unless nothing changed, or why there is none."""
    if (go := shutil.which("go")) is None:
        return Missing("Go is not installed")
    BINARY.parent.mkdir(parents=True, exist_ok=True)
    with BINARY.with_name("go-peer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the interop tests build it too
        done = subprocess.run(  # noqa: S603  a fixed command
            [go, "build", "-trimpath", "-buildvcs=false", "-o", BINARY, "."],
            cwd=ROOT / "interop" / "go",
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
    if done.returncode:
        return Missing(f"the Go peer does not build: {done.stderr.strip().splitlines()[-1:]}")
    return BINARY


class Pair:
    """A Go peer connected to another one."""

    def __init__(self, dialler: GoPeer, peer: str, addr: str) -> None:
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
