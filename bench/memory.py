"""What an idle connection costs the process that accepted it, in resident memory.

Each connection comes from another peer, and both ends have identified each other. Ten that came
before are not counted, so that what is loaded once does not count either.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import peer, worker
from bench.contest import Measure, Plan, Row, interleave, rows
from bench.rivals import go

if TYPE_CHECKING:
    from interop.process import Process

FIRST: Final = 10
COUNTS: Final = (200, 1000)
SETTLE_S: Final = 2.0  # for the last answers, and what a garbage collector does in its own time
WITHIN_S: Final = 60.0


async def measure(plan: Plan) -> list[Row]:
    """Return the rows of memory. Every figure is that of fresh processes, so there are fewer."""
    binary, found = go.build(), []
    for count in COUNTS[:1] if plan.quick else COUNTS:
        turns: dict[str, Measure] = {"ours": partial(ours, count)}
        if isinstance(binary, Path):
            turns["go"] = partial(of_go, binary, count)
        got = await interleave(turns, min(plan.runs, 3))
        rival = binary if not isinstance(binary, Path) else got["go"]
        name = f"RSS of an idle connection, {count:,} of them"
        found += rows(name, "KiB", got["ours"], {go.NAME: rival}, lower_is_better=True)
    return found


async def ours(count: int) -> float:
    """Return how much one of ``count`` connections takes of a listening peer, in KiB."""
    async with peer.pair("asyncio", "--identify") as (dialler, listener, addr):
        before = await hold(dialler, listener, addr, FIRST)
        return (await hold(dialler, listener, addr, count) - before) / count / 1024


async def hold(dialler: Process, listener: Process, addr: str, count: int) -> float:
    """Open ``count`` more connections; return what the listener has in memory then, in bytes."""
    before = await listener.call("memory", {}, within=WITHIN_S)
    await dialler.call("hold", {"addr": addr, "count": count}, within=WITHIN_S)
    await asyncio.sleep(SETTLE_S)
    after = await listener.call("memory", {}, within=WITHIN_S)
    if after["connections"] != before["connections"] + count:
        raise OSError(f"{before['connections']} and {count} make {after['connections']}")
    rss: float = after["rss"]
    return rss


async def of_go(binary: Path, count: int) -> float:
    """Return the same of a Go peer; the connections come from a peer of ours."""
    async with (
        go.listener(binary) as (gopher, rss),
        worker.start("bench.peer", "asyncio", "--identify") as dialler,
    ):
        for size in (FIRST, count):
            before = rss()
            args = {"addr": gopher.addr, "count": size}
            await dialler.call("hold", args, within=WITHIN_S)
            await asyncio.sleep(SETTLE_S)
        if len(await gopher.conns()) != FIRST + count:
            raise OSError("the Go peer lost connections")
        return (rss() - before) / count / 1024
