"""Cells with go: places at a relay, whichever of the two is ours: given, renewed, lost."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from interop.cells import (
    MIB,
    NO_LIMITS,
    Lab,
    Limits,
    Role,
    both_relay,
    hears_of,
    relay_of,
    roles,
)
from interop.foreign import circuit_addr
from interop.go_peer import GoPeer
from interop.our import OurPeer
from interop.process import CommandError
from peerup.errors import PeerupError
from peerup.wire.circuit import Status

if TYPE_CHECKING:
    from interop.conftest import Run


# --- places ---------------------------------------------------------------------------


@roles(Role.THEIR_RELAY)
def test_our_reservation(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        limits = Limits(ttl=1800, seconds=60, data=MIB)
        async with (
            lab.ours(listen=()) as ours,
            relay_of(role, lab, limits) as limited,
            relay_of(role, lab) as unlimited,
        ):
            reservation = await ours.reserve(limited.addr)  # checks the voucher too
            assert 1770 < reservation.expires_in <= 1800
            assert [str(addr) for addr in reservation.addrs] == [f"{limited.addr}/p2p-circuit"]
            assert reservation.limits is not None
            assert (reservation.limits.seconds, reservation.limits.data) == (60, MIB)
            assert (await ours.reserve(unlimited.addr)).limits is None

    run(scenario())


@roles(Role.OUR_RELAY)
def test_a_reservation_of_go(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        limits = Limits(ttl=1800, seconds=60, data=MIB)
        async with (
            lab.go(listen=[]) as go,
            relay_of(role, lab, limits) as limited,
            relay_of(role, lab) as unlimited,
        ):
            reservation = await go.reserve(limited.addr)
            assert 1770 < reservation.expires - time.time_ns() / 1e9 <= 1800
            assert reservation.addrs == (limited.addr,)
            assert (reservation.limit_duration, reservation.limit_data) == (60, MIB)
            assert reservation.voucher  # go has checked it
            again = await go.reserve(limited.addr)
            assert again.expires >= reservation.expires
            reservation = await go.reserve(unlimited.addr)
            assert (reservation.limit_duration, reservation.limit_data) == (0, 0)

    run(scenario())


@roles(Role.THEIR_RELAY)
def test_our_circuit_address_is_advertised_to_go(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            relay_of(role, lab) as relay,
            lab.go() as go,
            lab.ours(relays=[relay.addr]) as ours,
        ):
            await go.connect(ours.addr)
            await ours.reserved(relay.addr)
            await hears_of(go, ours.peer, f"{relay.addr}/p2p-circuit")

    run(scenario())


@roles(Role.OUR_RELAY)
def test_static_relays_of_go(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            lab.ours(relay=NO_LIMITS.of_ours()) as relay,
            lab.go(force_private=True, static_relays=[relay.addr]) as go,
            lab.ours(listen=()) as ours,
        ):
            assert relay.hop is not None
            while not len(relay.hop.quota):
                await asyncio.sleep(0.01)
            conn = await ours.connect(circuit_addr(relay.addr, go.peer))
            assert conn.relayed
            assert (await ours.echo(go.peer, MIB)).bytes == MIB

    run(scenario())


@roles(Role.THEIR_RELAY)
def test_our_place_is_renewed_in_time(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            relay_of(role, lab, Limits(ttl=9)) as relay,
            lab.ours(listen=(), relays=[relay.addr]) as ours,
        ):
            first = await ours.reserved(relay.addr)
            conn = ours.conn(relay.peer)
            async with asyncio.timeout(first.expires_in):
                await ours.reserved(relay.addr, after=first)
            assert ours.conn(relay.peer) is conn

    run(scenario())


@roles(Role.THEIR_RELAY)
def test_our_place_at_a_relay_that_restarts(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        seed = "05" * 32
        async with AsyncExitStack() as before, lab.go(listen=[]) as go:
            relay = await before.enter_async_context(lab.go(seed=seed, relay=NO_LIMITS.of_go()))
            address = relay.addr
            async with lab.ours(listen=(), relays=[address]) as ours:
                first = await ours.reserved(address)
                await before.aclose()
                await ours.gone(relay.peer)
                there = [address.partition("/p2p/")[0]]
                async with (
                    lab.go(seed=seed, listen=there, relay=NO_LIMITS.of_go()),
                    asyncio.timeout(5),
                ):
                    await ours.reserved(address, after=first)
                    await go.connect(circuit_addr(address, ours.peer))
                    assert (await go.echo(ours.peer, 1000)).bytes == 1000

    run(scenario())


# --- the end of a place ---------------------------------------------------------------


@both_relay
def test_a_place_ends_with_the_connection(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            relay_of(role, lab) as relay,
            lab.ours(listen=()) as ours,
            lab.go(listen=[]) as go,
        ):
            if role is Role.THEIR_RELAY:
                await ours.reserve(relay.addr)
                ours.disconnect(relay.peer)
                await relay_lost(relay, ours.peer)
                with pytest.raises(CommandError) as caught:
                    await go.connect(circuit_addr(relay.addr, ours.peer))
                assert caught.value.relay_status == Status.NO_RESERVATION
            else:
                await go.reserve(relay.addr)
                await go.disconnect(relay.peer)
                await relay_lost(relay, go.peer)
                with pytest.raises(PeerupError, match="NO_RESERVATION"):
                    await ours.connect(circuit_addr(relay.addr, go.peer))

    run(scenario())


async def relay_lost(relay: OurPeer | GoPeer, peer: str) -> None:
    """Wait until ``relay`` has noticed that ``peer`` is gone."""
    if isinstance(relay, OurPeer):
        await relay.gone(peer)
    else:
        await relay.event("connectedness", peer=peer, state="NotConnected")


@roles(Role.OUR_RELAY)
def test_a_place_ends_with_its_time(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            relay_of(role, lab, Limits(ttl=1)) as relay,
            lab.go(listen=[]) as behind,
            lab.go(listen=[]) as go,
        ):
            await behind.reserve(relay.addr)
            await go.connect(circuit_addr(relay.addr, behind.peer))
            await asyncio.sleep(1.05)
            assert (await go.echo(behind.peer, 1000)).bytes == 1000  # what is open goes on
            await go.disconnect(behind.peer)
            with pytest.raises(CommandError) as caught:
                await go.connect(circuit_addr(relay.addr, behind.peer))
            assert caught.value.relay_status == Status.NO_RESERVATION
            await behind.reserve(relay.addr)
            await go.connect(circuit_addr(relay.addr, behind.peer))

    run(scenario())
