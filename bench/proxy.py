"""A TCP service through tunnels: `peerup proxy` direct and relayed, `ssh -L`, and none at all.

Relay and homes are `peerup relay serve` and `peerup daemon`, the relayed tunnel is `peerup
proxy`; the direct one is the same code in `laptop`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from bench import machines
from bench.contest import Found, Measure, Missing, Plan, Row, interleave, rows
from bench.rivals import raw_tcp, ssh

if TYPE_CHECKING:
    from collections.abc import Mapping

PATHS: Final = ("direct", "relayed")
RATES: Final = {"throughput up": raw_tcp.up, "throughput down": raw_tcp.down}  # of so many bytes
TIMES: Final = {  # of so many
    "round trip of 32 bytes": (raw_tcp.round_trip, 500),
    "first byte of a new connection": (raw_tcp.first_byte, 50),
}


async def measure(plan: Plan) -> list[Row]:
    """Return the rows of both paths."""
    async with AsyncExitStack() as stack:
        where = stack.enter_context(machines.staged())
        target = machines.start_service(where)
        there = machines.set_up(where, target)
        laptop = await stack.enter_async_context(machines.connected_laptop(there))
        args = {"target": "near", "service": machines.SERVICE}
        ports: dict[str, int | Missing] = {
            "direct": (await laptop.call("proxy", args, within=machines.WITHIN_S))["port"],
            "relayed": machines.start_proxy(there.laptop),
            **ssh.start(where, target),
            raw_tcp.NAME: target,
        }
        turns: dict[str, Measure] = {}
        for name, port in ports.items():
            if not isinstance(port, Missing):
                turns |= _turns(name, port, plan)
        got = await interleave(turns, plan.runs)
    return [row for path in PATHS for row in _rows(path, ports, got)]


def _turns(tunnel: str, port: int, plan: Plan) -> dict[str, Measure]:
    """Return what is measured of one tunnel."""
    found: dict[str, Measure] = {}
    for what, rate in RATES.items():
        found[f"{tunnel}: {what}"] = partial(rate, port, plan.size)
    for what, (time, count) in TIMES.items():
        if _counts(tunnel, what):
            found[f"{tunnel}: {what}"] = partial(time, port, count)
    return found


def _counts(tunnel: str, what: str) -> bool:
    """Say whether a tunnel has that figure: another cipher is there for its throughput."""
    return what in RATES or tunnel != ssh.AES


def _rows(
    path: str, ports: Mapping[str, int | Missing], got: Mapping[str, list[float]]
) -> list[Row]:
    """Return one row for each of our figures and each rival that has one too."""
    found = []
    for what in (*RATES, *TIMES):
        rivals: dict[str, Found] = {}
        for name, port in ports.items():
            if name not in PATHS and _counts(name, what):
                rivals[name] = port if isinstance(port, Missing) else got[f"{name}: {what}"]
        unit = "ms" if what in TIMES else "MB/s"
        ours = got[f"{path}: {what}"]
        found += rows(f"proxy {path}, {what}", unit, ours, rivals, lower_is_better=what in TIMES)
    return found
