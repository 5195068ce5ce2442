"""A TCP service through tunnels: `peerup proxy` direct and relayed, `ssh -L`, and none at all.

Relay and homes are `peerup relay serve` and `peerup daemon`, the relayed tunnel is `peerup
proxy`; the direct one is the same code in `laptop`. Once with all of them on TCP, once on QUIC.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from bench import machines, peer, quic
from bench.contest import Found, Measure, Missing, Plan, Row, interleave, rows
from bench.rivals import aioquic_bare, raw_tcp, ssh
from bench.stream import WAYS, transfer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    Ports = Mapping[str, int | Missing]

PATHS: Final = ("direct", "relayed")
RATES: Final = {"throughput up": raw_tcp.up, "throughput down": raw_tcp.down}  # of so many bytes
TIMES: Final = {  # of so many
    "round trip of 32 bytes": (raw_tcp.round_trip, 500),
    "first byte of a new connection": (raw_tcp.first_byte, 50),
}
ONLY_RATES: Final = frozenset({ssh.AES, aioquic_bare.NAME})


async def measure(plan: Plan) -> list[Row]:
    """Return the rows of both paths, on TCP and on QUIC."""
    async with _tunnels(quic=False) as ports:
        got = await interleave(_turns(ports, plan.size), plan.runs)
    on_tcp = [row for path in PATHS for row in _rows(f"proxy {path}", path, ports, got)]
    return on_tcp + await _measure_quic(plan)


async def _measure_quic(plan: Plan) -> list[Row]:
    """Return the rows on QUIC, beside one stream of aioquic without any proxy."""
    async with _tunnels(quic=True) as every, aioquic_bare.pair(quic.LOOP) as (bare, _, addr):
        ports = {name: every[name] for name in (*PATHS, ssh.DEFAULT)}
        turns = _turns(ports, quic.SIZE)
        await bare.call("connect", {"addr": addr}, within=peer.SETUP_S)
        for way in WAYS:
            one_stream = partial(transfer, bare, way, quic.SIZE)
            turns[f"{aioquic_bare.NAME}: throughput {way}"] = one_stream
        got = await interleave(turns, plan.runs)
    rivals = {**ports, aioquic_bare.NAME: 0}
    return [row for path in PATHS for row in _rows(f"QUIC proxy {path}", path, rivals, got)]


@asynccontextmanager
async def _tunnels(*, quic: bool) -> AsyncIterator[Ports]:
    """Start everything; give the local port of each tunnel, or why there is none."""
    async with AsyncExitStack() as stack:
        where = stack.enter_context(machines.staged())
        target = machines.start_service(where)
        there = machines.set_up(where, target, quic=quic)
        laptop = await stack.enter_async_context(machines.connected_laptop(there))
        args = {"target": "near", "service": machines.SERVICE}
        yield {
            "direct": (await laptop.call("proxy", args, within=machines.WITHIN_S))["port"],
            "relayed": machines.start_proxy(there.laptop),
            **ssh.start(where, target),
            raw_tcp.NAME: target,
        }


def _turns(ports: Ports, size: int) -> dict[str, Measure]:
    """Return what is measured of each tunnel."""
    found: dict[str, Measure] = {}
    for tunnel, port in ports.items():
        if isinstance(port, Missing):
            continue
        for what, rate in RATES.items():
            found[f"{tunnel}: {what}"] = partial(rate, port, size)
        for what, (time, count) in TIMES.items():
            if tunnel not in ONLY_RATES:
                found[f"{tunnel}: {what}"] = partial(time, port, count)
    return found


def _rows(name: str, path: str, ports: Ports, got: Mapping[str, list[float]]) -> list[Row]:
    """Return one row for each of our figures and each rival that has one too."""
    found = []
    for what in (*RATES, *TIMES):
        rivals: dict[str, Found] = {}
        for tunnel, port in ports.items():
            if tunnel not in PATHS and (what in RATES or tunnel not in ONLY_RATES):
                rivals[tunnel] = port if isinstance(port, Missing) else got[f"{tunnel}: {what}"]
        unit, ours = "ms" if what in TIMES else "MB/s", got[f"{path}: {what}"]
        found += rows(f"{name}, {what}", unit, ours, rivals, lower_is_better=what in TIMES)
    return found
