"""Cells with go: every refusal of a relay, and every status that says so, from both sides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from interop.cells import (
    NO_LIMITS,
    Lab,
    Limits,
    Role,
    Says,
    both_relay,
    relay_of,
    roles,
)
from interop.foreign import circuit_addr
from interop.go_peer import GoPeer, RelayService
from interop.our import OurPeer
from interop.process import CommandError
from peerup.errors import DialError, NegotiationError, RelayRefusedError
from peerup.host.gater import Answer
from peerup.relay.quota import REQUEST_BURST
from peerup.wire.circuit import HOP_PROTOCOL, MAX_MESSAGE, HopMessage, HopType, Status
from peerup.wire.delimited import decode_all, join
from peerup.wire.error_codes import ConnectionCode
from peerup.wire.protobuf import decode, encode

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from interop.conftest import Run


async def refused_dial(who: OurPeer | GoPeer, addr: str) -> int | None:
    """Dial a circuit that the relay refuses and return its status."""
    if isinstance(who, GoPeer):
        with pytest.raises(CommandError) as caught:
            await who.connect(addr)
        return caught.value.relay_status
    with pytest.raises(DialError) as failed:
        await who.connect(addr)
    (cause,) = failed.value.causes.values()
    assert isinstance(cause, RelayRefusedError)
    return cause.status


async def refused_place(who: OurPeer | GoPeer, relay: str) -> int | None:
    """Reserve a place that the relay refuses and return its status."""
    if isinstance(who, GoPeer):
        with pytest.raises(CommandError) as caught:
            await who.reserve(relay)
        return caught.value.relay_status
    with pytest.raises(RelayRefusedError) as refused:
        await who.reserve(relay)
    return refused.value.status


async def answer_to(who: OurPeer | GoPeer, relay: str, request: bytes) -> int | None:
    """Send ``request`` as a hop message to the connected ``relay`` and return the status."""
    stream = await who.open_stream(relay, HOP_PROTOCOL)
    await stream.write(join(request))
    answer = b""
    while piece := await stream.read():
        answer += piece
    await stream.close()
    (message,) = decode_all(answer, MAX_MESSAGE)
    return decode(HopMessage, message).status


def peer_of(role: Role, lab: Lab) -> AbstractAsyncContextManager[OurPeer | GoPeer]:
    """Run a peer of the other kind than the relay of ``role``; it listens nowhere."""
    if role is Role.OUR_RELAY:
        return lab.go(listen=[])
    return lab.ours(listen=())


@both_relay
def test_no_reservation(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            relay_of(role, lab) as relay,
            peer_of(role, lab) as one,
            lab.ours() as nobody,
        ):
            status = await refused_dial(one, circuit_addr(relay.addr, nobody.peer))
            assert status == Status.NO_RESERVATION

    run(scenario())


@both_relay
def test_reservation_refused(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            relay_of(role, lab, Limits(reservations=1)) as relay,
            peer_of(role, lab) as one,
            peer_of(role, lab) as other,
        ):
            await one.reserve(relay.addr)
            assert await refused_place(other, relay.addr) == Status.RESERVATION_REFUSED
            await one.reserve(relay.addr)  # who has a place keeps it

    run(scenario())


@both_relay
def test_resource_limit_exceeded(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            relay_of(role, lab, Limits(circuits=1)) as relay,
            peer_of(role, lab) as one,
            peer_of(role, lab) as other,
            lab.ours(listen=()) as third,
        ):
            await other.reserve(relay.addr)
            await third.reserve(relay.addr)
            await one.connect(circuit_addr(relay.addr, other.peer))
            status = await refused_dial(one, circuit_addr(relay.addr, third.peer))
            assert status == Status.RESOURCE_LIMIT_EXCEEDED
            assert (await one.echo(other.peer, 1000)).bytes == 1000

    run(scenario())


@both_relay
def test_connection_failed(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            relay_of(role, lab) as relay,
            peer_of(role, lab) as one,
            lab.ours(listen=(), answer_circuits=False) as deaf,
        ):
            await deaf.reserve(relay.addr)
            status = await refused_dial(one, circuit_addr(relay.addr, deaf.peer))
            assert status == Status.CONNECTION_FAILED

    run(scenario())


@both_relay
def test_malformed_message(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with relay_of(role, lab) as relay, peer_of(role, lab) as one:
            await one.connect(relay.addr)
            no_target = encode(HopMessage(HopType.CONNECT))
            for request in (b"\xff" * 20, no_target):
                assert await answer_to(one, relay.peer, request) == Status.MALFORMED_MESSAGE
            await one.reserve(relay.addr)

    run(scenario())


@both_relay
def test_unexpected_message(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with relay_of(role, lab) as relay, peer_of(role, lab) as one:
            await one.connect(relay.addr)
            status = await answer_to(one, relay.peer, encode(HopMessage(HopType.STATUS)))
            if role is Role.OUR_RELAY:
                assert status == Status.UNEXPECTED_MESSAGE
            else:
                assert status == Status.MALFORMED_MESSAGE  # go calls every other type that

    run(scenario())


@both_relay
def test_permission_denied_over_a_circuit(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            relay_of(Role.THEIR_RELAY, lab) as outer,
            relay_of(role, lab) as inner,
            peer_of(role, lab) as one,
        ):
            await inner.reserve(outer.addr)
            await one.connect(circuit_addr(outer.addr, inner.peer))
            reserve = encode(HopMessage(HopType.RESERVE))
            status = await answer_to(one, inner.peer, reserve)
            assert status == Status.PERMISSION_DENIED

    run(scenario())


@roles(Role.THEIR_RELAY)
def test_permission_denied_by_a_list(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            lab.ours(listen=()) as allowed,
            lab.ours(listen=()) as ours,
            lab.go(
                relay=RelayService(allow_reserve=(allowed.peer,), allow_connect=(allowed.peer,)),
            ) as relay,
        ):
            await allowed.reserve(relay.addr)
            assert await refused_place(ours, relay.addr) == Status.PERMISSION_DENIED
            status = await refused_dial(ours, circuit_addr(relay.addr, allowed.peer))
            assert status == Status.PERMISSION_DENIED

    run(scenario())


@roles(Role.THEIR_RELAY)
def test_our_static_relay_says_why_it_refuses(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        denied = RelayService(allow_reserve=())
        async with (
            lab.go(relay=denied) as relay,
            lab.go() as no_relay,
            lab.ours(listen=(), relays=[relay.addr, no_relay.addr]) as ours,
        ):
            assert ours.relays is not None
            while len(ours.relays.failed) < 2:
                await asyncio.sleep(0.01)
            why = ours.relays.failed[ours.conn(relay.peer).peer]
            assert isinstance(why, RelayRefusedError)
            assert why.status == Status.PERMISSION_DENIED
            why = ours.relays.failed[ours.conn(no_relay.peer).peer]
            assert isinstance(why, NegotiationError)

    run(scenario())


@roles(Role.OUR_RELAY)
def test_a_relay_of_ours_that_does_not_know_go(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            lab.ours(relay=NO_LIMITS.of_ours(), gater=Says(Answer.NO)) as relay,
            lab.go(listen=[]) as go,
        ):
            with pytest.raises(CommandError, match="CONNECTION_FAILED"):
                await go.reserve(relay.addr)
            failed = await go.event("identify_failed", peer=relay.peer)
            assert failed["error"]["conn_code"] == ConnectionCode.GATED
            assert relay.hop is not None
            assert len(relay.hop.quota) == 0

    run(scenario())


@roles(Role.OUR_RELAY)
def test_requests_of_go_in_a_flood(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            relay_of(role, lab) as relay,
            lab.go(listen=[]) as go,
        ):
            for _ in range(REQUEST_BURST):
                await go.reserve(relay.addr)
            statuses = []
            for _ in range(REQUEST_BURST):
                try:
                    await go.reserve(relay.addr)
                except CommandError as refused:
                    statuses.append(refused.relay_status)
            assert set(statuses) == {Status.RESOURCE_LIMIT_EXCEEDED}

    run(scenario())
