"""Round trips of libp2p's ping, 32 bytes on a stream that is open: direct and through a relay."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import machines
from bench.contest import Found, Measure, Plan, Row, interleave, rows
from bench.rivals import go, raw_tcp

if TYPE_CHECKING:
    from interop.process import Process

PINGS: Final = 500


async def measure(plan: Plan) -> list[Row]:
    """Return the rows of round trips."""
    binary = go.build()
    async with AsyncExitStack() as stack:
        where = stack.enter_context(machines.staged())
        echo = machines.start_service(where)
        there = machines.set_up(where, echo)
        laptop = await stack.enter_async_context(machines.connected_laptop(there))
        turns: dict[str, Measure] = {
            "DIRECT": partial(round_trip, laptop, "near", "DIRECT"),
            "RELAYED": partial(round_trip, laptop, "home", "RELAYED"),
            raw_tcp.NAME: partial(raw_tcp.round_trip, echo, PINGS),
        }
        if isinstance(binary, Path):
            direct = await stack.enter_async_context(go.pair(binary))
            relayed = await stack.enter_async_context(go.relayed_pair(binary))
            turns["go direct"] = partial(direct.round_trip, PINGS)
            turns["go relayed"] = partial(relayed.round_trip, PINGS)
        got = await interleave(turns, plan.runs)
    found = []
    for path in ("direct", "relayed"):
        rivals: dict[str, Found] = {raw_tcp.NAME: got[raw_tcp.NAME]} if path == "direct" else {}
        rivals[go.NAME] = binary if not isinstance(binary, Path) else got[f"go {path}"]
        ours = got[path.upper()]
        found += rows(f"ping {path}, round trip", "ms", ours, rivals, lower_is_better=True)
    return found


async def round_trip(laptop: Process, target: str, path: str) -> float:
    """Return the median of many pings in ms; the connection must be the one that is meant."""
    got = await laptop.call(
        "round_trip", {"target": target, "count": PINGS}, within=machines.WITHIN_S
    )
    if got["path"] != path:
        raise OSError(f"the connection to {target} is {got['path']}, not {path}")
    ms: float = got["ms"]
    return ms
