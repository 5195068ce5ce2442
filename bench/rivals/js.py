"""js-libp2p: the peer in ``interop/js``, two processes of it on QUIC."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from bench.contest import Missing
from bench.rivals.go import Pair
from interop import installed
from interop.js_peer import JsPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAME: Final = "js-libp2p"


def install() -> Path | Missing:
    """Return the js peer's folder, installed now unless nothing changed, or why there is none."""
    try:
        return installed.js_peer()
    except (installed.NotInstalledError, installed.BuildError) as why:
        return Missing(str(why).splitlines()[0])


@asynccontextmanager
async def quic_pair(folder: Path) -> AsyncIterator[Pair]:
    """Run two js peers that have a direct connection on QUIC."""
    loopback = "/ip4/127.0.0.1/udp/0/quic-v1"
    async with (
        JsPeer.start(folder, listen=[loopback], transports=["quic"]) as listener,
        JsPeer.start(folder, listen=[], transports=["quic"]) as dialler,
    ):
        await dialler.connect(listener.addr)
        yield Pair(dialler, listener.peer, listener.addr)
