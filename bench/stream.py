"""One stream between two processes on TCP loopback, on a connection that is warm.

Each event loop has its rows, so that the choice between them can be made on figures. The Go
peer hashes all that it moves, at both ends: the rows against it are of ours doing the same.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import machines, peer
from bench.contest import Measure, Plan, Row, interleave, rows
from bench.rivals import go, openssl, raw_tcp
from bench.worker import LOOPS

if TYPE_CHECKING:
    from interop.process import Process

WAYS: Final = ("up", "down")


async def measure(plan: Plan) -> list[Row]:
    """Return the rows of throughput."""
    size, binary, no_openssl = plan.size, go.build(), openssl.missing()
    async with AsyncExitStack() as stack:
        port = machines.start_service(stack.enter_context(machines.staged()))
        turns: dict[str, Measure] = {} if no_openssl else {"openssl": openssl.speed}
        for loop in LOOPS:
            dialler, _, addr = await stack.enter_async_context(peer.pair(loop))
            await dialler.call("connect", {"addr": addr}, within=peer.SETUP_S)
            for way in WAYS:
                turns[f"{way} {loop}"] = partial(transfer, dialler, way, size)
                turns[f"{way} {loop} hashed"] = partial(transfer, dialler, way, size, hashed=True)
        turns |= {"up raw": partial(raw_tcp.up, port, size)}
        turns |= {"down raw": partial(raw_tcp.down, port, size)}
        if isinstance(binary, Path):
            gophers = await stack.enter_async_context(go.pair(binary))
            turns |= {"up go": partial(gophers.up, size), "down go": partial(gophers.down, size)}
        got = await interleave(turns, plan.runs)
    found = []
    for way in WAYS:
        for loop in LOOPS:
            rivals = {
                openssl.NAME: no_openssl or got["openssl"],
                raw_tcp.NAME: got[f"{way} raw"],
            }
            found += rows(f"one stream {way}, {loop}", "MB/s", got[f"{way} {loop}"], rivals)
            hashed = got[f"{way} {loop} hashed"]
            rival = binary if not isinstance(binary, Path) else got[f"{way} go"]
            name = f"one stream {way}, {loop}, hashed at both ends"
            found += rows(name, "MB/s", hashed, {go.NAME: rival})
    return found


async def transfer(dialler: Process, way: str, size: int, *, hashed: bool = False) -> float:
    """Move ``size`` bytes "up" or "down"; return MB/s."""
    args = {"size": size, "hashed": hashed}
    seconds: float = (await dialler.call(way, args, within=peer.TRANSFER_S))["seconds"]
    return size / 1e6 / seconds
