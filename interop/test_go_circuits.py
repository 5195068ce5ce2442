"""Cells with go: connections through a relay, whichever of the three is ours, and their limits."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import pytest

from interop.cells import (
    MIB,
    Circuit,
    Lab,
    Limits,
    Role,
    Transport,
    both_relay,
    circuit,
    dialled_by,
    reach,
    relay_of,
    roles,
)
from interop.foreign import ECHO, MANUAL, SINK, circuit_addr
from interop.our import AGENT, OurStream
from interop.process import CommandError
from peerup.errors import (
    ConnectionClosedError,
    NegotiationError,
    ResourceLimitError,
    StreamResetError,
)
from peerup.host.handlers import Registration
from peerup.wire.error_codes import StreamCode

if TYPE_CHECKING:
    from pathlib import Path

    from interop.conftest import Run

LIMITED: Final = Limits(seconds=60, data=MIB)
DIRECT_ONLY: Final = "/peerup-test/direct/1.0.0"


async def circuit_is_gone(two: Circuit) -> None:
    """Wait until neither side has the circuit, while both keep the relay."""
    await two.go.event("connectedness", peer=two.ours.peer, state="NotConnected")
    await two.ours.gone(two.go.peer)
    assert two.ours.conns(two.relay.peer)
    assert await two.go.conns(two.relay.peer)


# --- circuits -------------------------------------------------------------------------


@both_relay
@dialled_by
def test_a_circuit_without_limits(lab: Lab, run: Run, role: Role, dialler: Role) -> None:
    async def scenario() -> None:
        async with circuit(lab, role, dialler) as two:
            ours, go = two.ours, two.go
            (seen,) = await go.conns(ours.peer)
            assert not seen.limited
            assert "/p2p-circuit" in seen.remote
            conn = ours.conn(go.peer)
            assert (conn.relayed, conn.limited) == (True, False)
            about = await go.identify(ours.peer)
            assert about.agent == AGENT
            assert len(await go.ping(ours.peer, 3)) == 3
            assert await ours.ping(go.peer) < 1
            for transfer, peer in ((ours.echo, go.peer), (ours.sink, go.peer)):
                assert (await transfer(peer, 4 * MIB)).bytes == 4 * MIB
            for back, peer in ((go.echo, ours.peer), (go.sink, ours.peer)):
                assert (await back(peer, 4 * MIB)).bytes == 4 * MIB
            assert (await go.echo_many(ours.peer, 100, parallel=100)).failures == ()
            assert (await ours.echo_many(go.peer, 100, parallel=100)).failures == ()

    run(scenario())


@both_relay
@dialled_by
def test_resets_and_ends_over_a_circuit(lab: Lab, run: Run, role: Role, dialler: Role) -> None:
    async def scenario() -> None:
        async with circuit(lab, role, dialler) as two:
            near = await two.ours.open_stream(two.go.peer, MANUAL)
            far = await two.go.accept_stream()
            await near.reset(7)
            with pytest.raises(CommandError) as caught:
                await far.read()
            assert caught.value.stream_code == 7
            near = await two.ours.open_stream(two.go.peer, MANUAL)
            far = await two.go.accept_stream()
            await far.reset(9)
            with pytest.raises(StreamResetError) as reset:
                await near.read()
            assert reset.value.code == 9
            if dialler is Role.WE_DIAL:
                two.ours.disconnect(two.go.peer)
            else:
                await two.go.disconnect(two.ours.peer)
            await circuit_is_gone(two)

    run(scenario())


@both_relay
def test_a_circuit_of_two_of_a_kind(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with relay_of(role, lab) as relay:
            if role is Role.THEIR_RELAY:
                async with lab.ours(listen=()) as one, lab.ours(listen=()) as other:
                    await one.reserve(relay.addr)
                    await other.connect(circuit_addr(relay.addr, one.peer))
                    assert (await other.echo(one.peer, MIB)).bytes == MIB
                    assert (await one.sink(other.peer, MIB)).bytes == MIB
            else:
                async with (
                    lab.go(listen=[]) as first,
                    lab.go(listen=[]) as second,
                ):
                    await first.reserve(relay.addr)
                    await second.connect(circuit_addr(relay.addr, first.peer))
                    assert (await second.echo(first.peer, MIB)).bytes == MIB
                    assert (await first.sink(second.peer, MIB)).bytes == MIB

    run(scenario())


@both_relay
@dialled_by
def test_legs_over_different_transports(
    go_binary: Path, run: Run, role: Role, dialler: Role, transport: Transport
) -> None:
    """The relay has both, we are at one of them and go is at the other."""

    async def scenario() -> None:
        theirs = transport.other
        async with (
            relay_of(role, Lab(go_binary, (transport, theirs))) as relay,
            Lab(go_binary, (transport,)).ours(listen=()) as ours,
            Lab(go_binary, (theirs,)).go(listen=[]) as go,
        ):
            if dialler is Role.WE_DIAL:
                await go.reserve(theirs.addr_of(relay))
                await ours.connect(circuit_addr(transport.addr_of(relay), go.peer))
            else:
                await ours.reserve(transport.addr_of(relay))
                await go.connect(circuit_addr(theirs.addr_of(relay), ours.peer))
            assert (ours.conn(relay.peer).transport, ours.conn(go.peer).relayed) == (
                transport.value,
                True,
            )
            assert (await go.echo(ours.peer, MIB)).bytes == MIB
            assert (await ours.sink(go.peer, MIB)).bytes == MIB
            near = await ours.open_stream(go.peer, MANUAL)
            far = await go.accept_stream()
            await far.reset(9)
            with pytest.raises(StreamResetError) as reset:
                await near.read()
            assert reset.value.code == 9

    run(scenario())


@both_relay
@dialled_by
def test_a_slow_reader_over_a_circuit(lab: Lab, run: Run, role: Role, dialler: Role) -> None:
    async def scenario() -> None:
        async with circuit(lab, role, dialler) as two:
            ours, go = two.ours, two.go
            async with asyncio.TaskGroup() as group:
                group.create_task(ours.source(go.peer, 4 * MIB, pause_after=300_000, pause=0.5))
                group.create_task(go.source(ours.peer, 4 * MIB, pause_after=300_000, pause=0.5))
                assert (await ours.echo(go.peer, MIB)).bytes == MIB

    run(scenario())


# --- limits ---------------------------------------------------------------------------


@both_relay
@dialled_by
def test_a_limited_circuit_is_known_as_such(lab: Lab, run: Run, role: Role, dialler: Role) -> None:
    async def scenario() -> None:
        async with circuit(lab, role, dialler, LIMITED) as two:
            ours, go = two.ours, two.go
            assert (await go.conns(ours.peer))[0].limited
            limits = ours.conn(go.peer).info.ends.limits
            assert limits is not None
            assert (limits.seconds, limits.data) == (60, MIB)
            assert (await ours.echo(go.peer, 100_000)).bytes == 100_000
            assert (await go.echo(ours.peer, 100_000)).bytes == 100_000
            assert len(await go.ping(ours.peer)) == 1

            with pytest.raises(ResourceLimitError):
                await ours.open_stream(go.peer, ECHO, allow_limited=False)
            with pytest.raises(CommandError):  # go would wait for a direct connection
                await go.open_stream(ours.peer, ECHO, allow_limited=False, within=0.3)

    run(scenario())


@roles(Role.THEIR_RELAY)
def test_a_protocol_that_we_do_not_serve_over_a_limited_circuit(
    lab: Lab, run: Run, role: Role
) -> None:
    async def scenario() -> None:
        async with circuit(lab, role, Role.THEY_DIAL, LIMITED) as two:

            async def serve(stream: object) -> None:
                raise AssertionError("a limited connection got here")

            two.ours.host.handle(DIRECT_ONLY, Registration(serve))
            with pytest.raises(CommandError, match="protocols not supported"):
                await two.go.open_stream(two.ours.peer, DIRECT_ONLY)
            with pytest.raises(NegotiationError):
                await two.ours.open_stream(two.go.peer, DIRECT_ONLY)

    run(scenario())


@both_relay
@dialled_by
@pytest.mark.parametrize(
    "sender", [Role.WE_OPEN, Role.THEY_OPEN], ids=[Role.WE_OPEN.value, Role.THEY_OPEN.value]
)
def test_more_data_than_the_limit(
    lab: Lab, run: Run, role: Role, dialler: Role, sender: Role
) -> None:
    async def scenario() -> None:
        async with circuit(lab, role, dialler, LIMITED) as two:
            if sender is Role.WE_OPEN:
                near = await two.ours.open_stream(two.go.peer, SINK)
                with pytest.raises(StreamResetError) as failed:
                    await write_without_end(near)
                if role is Role.OUR_RELAY:
                    assert failed.value.code == StreamCode.RESOURCE_LIMIT_EXCEEDED
                told = await two.go.event("handler_failed", protocol=SINK)
                assert told["bytes"] <= MIB
            else:
                with pytest.raises(CommandError) as caught:
                    await two.go.sink(two.ours.peer, 2 * MIB)
                if role is Role.OUR_RELAY:
                    assert caught.value.stream_code == StreamCode.RESOURCE_LIMIT_EXCEEDED
            await circuit_is_gone(two)
            await reach(dialler, two.relay, two.ours, two.go)  # a new one has its own limit
            assert (await two.ours.sink(two.go.peer, 900_000)).bytes == 900_000

    run(scenario())


async def write_without_end(stream: OurStream) -> None:
    while True:
        await stream.write(bytes(10_000))


@both_relay
@dialled_by
def test_more_time_than_the_limit(lab: Lab, run: Run, role: Role, dialler: Role) -> None:
    async def scenario() -> None:
        began = time.monotonic()
        limits = Limits(seconds=1, data=MIB)
        async with circuit(lab, role, dialler, limits) as two:
            near = await two.ours.open_stream(two.go.peer, MANUAL)
            far = await two.go.accept_stream()
            with pytest.raises((StreamResetError, ConnectionClosedError)):
                await near.read()
            assert 0.9 < time.monotonic() - began < 3
            with pytest.raises(CommandError) as caught:
                await far.read()
            assert caught.value.reset
            await circuit_is_gone(two)

    run(scenario())
