"""Connections a second: dial, the handshakes, close; one after the other, between two processes.

Against the Go peer both ends identify each other, as every node does; each of its dials is a
command of its own, whose way there and back (some 0.1 ms) counts.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import machines, peer
from bench.contest import Measure, Plan, Row, interleave, rows
from bench.rivals import go, raw_tcp
from bench.worker import LOOPS

if TYPE_CHECKING:
    from interop.process import Process


async def measure(plan: Plan) -> list[Row]:
    """Return the rows of connections a second."""
    count, binary = 100 if plan.quick else 200, go.build()
    async with AsyncExitStack() as stack:
        port = machines.start_service(stack.enter_context(machines.staged()))
        turns: dict[str, Measure] = {raw_tcp.NAME: partial(raw_tcp.connects, port, count)}
        for loop in LOOPS:
            bare, _, addr = await stack.enter_async_context(peer.pair(loop))
            turns[loop] = partial(dial, bare, addr, count)
            full, _, addr = await stack.enter_async_context(peer.pair(loop, "--identify"))
            turns[f"{loop} identified"] = partial(dial, full, addr, count)
        if isinstance(binary, Path):
            gophers = await stack.enter_async_context(go.pair(binary))
            turns["go"] = partial(gophers.dial, count)
        got = await interleave(turns, plan.runs)
    rival = binary if not isinstance(binary, Path) else got["go"]
    found = []
    for loop in LOOPS:
        raw = {raw_tcp.NAME: got[raw_tcp.NAME]}
        found += rows(f"dial (Noise, yamux) and close, {loop}", "1/s", got[loop], raw)
        ours = got[f"{loop} identified"]
        found += rows(f"dial, identify and close, {loop}", "1/s", ours, {go.NAME: rival})
    return found


async def dial(dialler: Process, addr: str, count: int) -> float:
    """Connect and close ``count`` times; return how many a second."""
    args = {"addr": addr, "count": count}
    seconds: float = (await dialler.call("dial", args, within=peer.TRANSFER_S))["seconds"]
    return count / seconds
