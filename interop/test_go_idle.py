"""Cells with go that take long: what is still there after 90 s in which nobody said a word.

They all wait at the same time, so that together they take no longer than one of them.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Final

import pytest

from interop.cells import Lab, Limits, Role, Transport, circuit, pair, relay_of
from interop.foreign import MANUAL, circuit_addr
from interop.go_peer import GoPeer
from interop.our import OurPeer
from interop.process import CommandError
from peerup.wire.circuit import Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
IDLE_S: Final = 90.0  # three keepalives, and more than the minute of go's relay timers
SET_UP_S: Final = 30.0  # for all of them to start and to look around afterwards


async def still_works(ours: OurPeer, go: GoPeer) -> None:
    """Leave a connection and a stream on it alone, then use both."""
    conn = ours.conn(go.peer)
    near = await ours.open_stream(go.peer, MANUAL)
    far = await go.accept_stream()
    await asyncio.sleep(IDLE_S)
    assert ours.conn(go.peer) is conn
    await near.write(b"there")
    assert await far.read() == b"there"
    await far.write(b"back")
    assert await near.read() == b"back"
    assert (await ours.echo(go.peer, 100_000)).bytes == 100_000
    assert (await go.echo(ours.peer, 100_000)).bytes == 100_000
    assert len(await go.ping(ours.peer)) == 1


async def connection_that_we_dialled(lab: Lab) -> None:
    async with pair(lab, Role.WE_DIAL) as (ours, go):
        await still_works(ours, go)


async def connection_that_go_dialled(lab: Lab) -> None:
    async with pair(lab, Role.THEY_DIAL) as (ours, go):
        await still_works(ours, go)


async def circuit_through_our_relay(lab: Lab) -> None:
    async with circuit(lab, Role.OUR_RELAY, Role.WE_DIAL) as two:
        await still_works(two.ours, two.go)


async def circuit_through_go_relay(lab: Lab) -> None:
    async with circuit(lab, Role.THEIR_RELAY, Role.THEY_DIAL) as two:
        await still_works(two.ours, two.go)


async def place_of_go_at_our_relay(lab: Lab) -> None:
    """Go asks again within a minute, so a place for 80 s has been renewed after 90."""
    async with (
        lab.ours(relay=Limits(ttl=80).of_ours()) as relay,
        lab.go(force_private=True, static_relays=[relay.addr]) as behind,
        lab.go(listen=[]) as go,
    ):
        await asyncio.sleep(IDLE_S)
        await go.connect(circuit_addr(relay.addr, behind.peer))
        assert (await go.echo(behind.peer, 1000)).bytes == 1000


async def our_place_at_go_relay(lab: Lab) -> None:
    async with (
        relay_of(Role.THEIR_RELAY, lab, Limits(ttl=20)) as relay,
        lab.ours(listen=(), relays=[relay.addr]) as ours,
        lab.go(listen=[]) as go,
    ):
        first = await ours.reserved(relay.addr)
        conn = ours.conn(relay.peer)
        await asyncio.sleep(IDLE_S)
        assert await ours.reserved(relay.addr) is not first
        assert ours.conn(relay.peer) is conn
        await go.connect(circuit_addr(relay.addr, ours.peer))
        assert (await go.echo(ours.peer, 1000)).bytes == 1000


async def our_place_at_go_relay_that_nobody_renewed(lab: Lab) -> None:
    """Go sweeps what has expired once a minute, and until then it counts."""
    async with (
        relay_of(Role.THEIR_RELAY, lab, Limits(ttl=2)) as relay,
        lab.ours(listen=()) as ours,
        lab.go(listen=[]) as go,
    ):
        await ours.reserve(relay.addr)
        await asyncio.sleep(IDLE_S)
        ours.conn(relay.peer)  # which is still there
        with pytest.raises(CommandError) as caught:
            await go.connect(circuit_addr(relay.addr, ours.peer))
        assert caught.value.relay_status == Status.NO_RESERVATION


CELLS: Final[Mapping[str, Callable[[Lab], Awaitable[None]]]] = {
    run.__name__.replace("_", " "): run
    for run in (
        connection_that_we_dialled,
        connection_that_go_dialled,
        circuit_through_our_relay,
        circuit_through_go_relay,
        place_of_go_at_our_relay,
        our_place_at_go_relay,
        our_place_at_go_relay_that_nobody_renewed,
    )
}


@pytest.fixture(scope="module")
def after_90_s(go_binary: Path) -> dict[tuple[Transport, str], Exception]:
    """Run all of them side by side and return those that failed, with the reason."""
    failed: dict[tuple[Transport, str], Exception] = {}

    async def run(transport: Transport, name: str) -> None:
        try:
            async with asyncio.timeout(IDLE_S + SET_UP_S):
                await CELLS[name](Lab(go_binary, (transport,)))
        except Exception as why:  # noqa: BLE001  the test of that name raises it again
            failed[transport, name] = why

    async def run_all() -> None:
        async with asyncio.TaskGroup() as group:
            for transport, name in itertools.product(Transport, CELLS):
                group.create_task(run(transport, name))

    asyncio.run(run_all())
    return failed


@pytest.mark.slow
@pytest.mark.parametrize("what", CELLS)
def test_after_90_s(
    after_90_s: dict[tuple[Transport, str], Exception], transport: Transport, what: str
) -> None:
    if (transport, what) in after_90_s:
        raise after_90_s[transport, what]
