"""QUIC on loopback: a stream, handshakes, and what idle connections cost who accepted them.

aioquic alone, driven in the same way, shows what of that is ours.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import peer
from bench.contest import Measure, Missing, Plan, Row, interleave, rows
from bench.dial import dial
from bench.memory import COUNTS, FIRST, hold
from bench.rivals import aioquic_bare, go, js
from bench.stream import WAYS, transfer
from bench.worker import LOOPS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from interop.process import Process

    Pair = Callable[[], AbstractAsyncContextManager[tuple[Process, Process, str]]]
    Compared = tuple[list[float], dict[str, list[float]]]

SIZE: Final = 30_000_000  # bytes; a tenth of the others' rate asks for a tenth of their size
HANDSHAKES: Final = 100
LOOP: Final = "asyncio"  # of rows with one loop only: what commands run on (docs/adr/0012)
IDLE: Final = 1000  # connections
IDLE_S: Final = 20.0
WITHIN_S: Final = 30.0

OURS: Final[Pair] = partial(peer.pair, LOOP, "--quic")
BARE: Final[Pair] = partial(aioquic_bare.pair, LOOP)


async def measure(plan: Plan) -> list[Row]:
    """Return all rows of QUIC."""
    found = [*await _streams(plan), *await _handshakes(plan)]
    runs = min(plan.runs, 3)  # each with fresh processes
    for count in COUNTS[:1] if plan.quick else COUNTS:
        got = await _both(partial(memory, count), runs)
        name = f"RSS of an idle QUIC connection, {count:,} of them"
        found += rows(name, "KiB", *got, lower_is_better=True)
    if not plan.quick:
        name = f"processor time for {IDLE:,} idle QUIC connections"
        found += rows(name, "% of a core", *await _both(idle, min(runs, 2)), lower_is_better=True)
    return found


async def _streams(plan: Plan) -> list[Row]:
    foreign = {go.NAME: go.build(), js.NAME: js.install()}
    async with AsyncExitStack() as stack:
        turns: dict[str, Measure] = {}
        for loop in LOOPS:
            ours, _, addr = await stack.enter_async_context(peer.pair(loop, "--quic"))
            await ours.call("connect", {"addr": addr}, within=peer.SETUP_S)
            bare, _, addr = await stack.enter_async_context(aioquic_bare.pair(loop))
            await bare.call("connect", {"addr": addr}, within=peer.SETUP_S)
            for way in WAYS:
                turns[f"{way} {loop}"] = partial(transfer, ours, way, SIZE)
                turns[f"{way} {loop} bare"] = partial(transfer, bare, way, SIZE)
                if loop == LOOP:
                    turns[f"{way} hashed"] = partial(transfer, ours, way, SIZE, hashed=True)
        pairs: dict[str, Callable[[Path], AbstractAsyncContextManager[go.Pair]]] = {
            go.NAME: partial(go.pair, quic=True),
            js.NAME: js.quic_pair,
        }
        for name, start in pairs.items():
            if isinstance(there := foreign[name], Path):
                them = await stack.enter_async_context(start(there))
                turns |= {f"up {name}": partial(them.up, SIZE)}
                turns |= {f"down {name}": partial(them.down, SIZE)}
        got = await interleave(turns, plan.runs)
    found = []
    for way in WAYS:
        for loop in LOOPS:
            bares = {aioquic_bare.NAME: got[f"{way} {loop} bare"]}
            found += rows(f"one QUIC stream {way}, {loop}", "MB/s", got[f"{way} {loop}"], bares)
        rivals = {
            name: there if isinstance(there, Missing) else got[f"{way} {name}"]
            for name, there in foreign.items()
        }
        name = f"one QUIC stream {way}, {LOOP}, hashed at both ends"
        found += rows(name, "MB/s", got[f"{way} hashed"], rivals)
    return found


async def _handshakes(plan: Plan) -> list[Row]:
    async with OURS() as (ours, _, our_addr), BARE() as (bare, _, addr):
        turns: dict[str, Measure] = {
            "ours": partial(handshake, ours, our_addr),
            "bare": partial(handshake, bare, addr),
        }
        got = await interleave(turns, plan.runs)
    rivals = {aioquic_bare.NAME: got["bare"]}
    return rows("QUIC handshake and close", "ms", got["ours"], rivals, lower_is_better=True)


async def handshake(dialler: Process, addr: str) -> float:
    """Return what one of many takes, in ms."""
    return 1e3 / await dial(dialler, addr, HANDSHAKES)


async def _both(take: Callable[[Pair], Awaitable[float]], runs: int) -> Compared:
    got = await interleave({"ours": partial(take, OURS), "bare": partial(take, BARE)}, runs)
    return got["ours"], {aioquic_bare.NAME: got["bare"]}


async def memory(count: int, pair: Pair) -> float:
    """Return how much one of ``count`` connections takes of who accepted them, in KiB."""
    async with pair() as (dialler, listener, addr):
        before = await hold(dialler, listener, addr, FIRST)
        return (await hold(dialler, listener, addr, count) - before) / count / 1024


async def idle(pair: Pair) -> float:
    """Return how much of a core idle connections take of who accepted them, in percent."""
    async with pair() as (dialler, listener, addr):
        await hold(dialler, listener, addr, IDLE)
        before = await listener.call("cpu", {}, within=WITHIN_S)
        await asyncio.sleep(IDLE_S)
        after = await listener.call("cpu", {}, within=WITHIN_S)
        spent: float = after["seconds"] - before["seconds"]
        return 100 * spent / IDLE_S
