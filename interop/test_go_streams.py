"""Cells with go: what streams carry, how they end, and what happens when nobody reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from interop.cells import MIB, Lab, Role, Transport, both_dial, both_open, joined, pair, roles
from interop.foreign import ECHO, HANG, RESET, ForeignStream
from interop.go_peer import GoPeer
from interop.our import OurPeer, OurStream
from interop.process import CommandError
from peerup.errors import NegotiationError, StreamResetError
from peerup.transport.quic_connection import STREAM_WINDOW
from peerup.transport.quic_engine import SEND_BUFFER
from peerup.wire.error_codes import StreamCode
from peerup.wire.yamux_stream import INITIAL_WINDOW, MAX_QUEUED

if TYPE_CHECKING:
    from interop.conftest import Run

CODES: Final = (0, 1, 7, StreamCode.PROTOCOL_NEGOTIATION_FAILED, StreamCode.GATED, 0xFFFFFFFF)
STALL_S: Final = 0.3  # a write that takes longer waits for the reader
# Streams of more than one datagram. QUIC's cost grows with how many are open at once.
MANY: Final = {Transport.TCP: 1000, Transport.QUIC: 200}
GO_QUIC_WINDOW: Final = 512 * 1024  # bytes of a stream that go takes before anybody reads
ROOM: Final = {  # bytes that a reader who does not read takes, and what we queue beyond them
    Transport.TCP: (INITIAL_WINDOW, MAX_QUEUED),
    Transport.QUIC: (GO_QUIC_WINDOW, SEND_BUFFER),
}


async def nothing_left(ours: OurPeer, go: GoPeer) -> None:
    """Wait until no stream is left on our side, which shows that go closed all of its own too."""
    async with asyncio.timeout(5):
        while len(ours.conn(go.peer)):
            await asyncio.sleep(0.01)


# --- bytes ----------------------------------------------------------------------------


@both_dial
def test_echo_of_8_mib(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab, role) as (ours, go):
            for size in (0, 1, 8 * MIB):
                assert (await ours.echo(go.peer, size)).bytes == size
                assert (await go.echo(ours.peer, size)).bytes == size
            await nothing_left(ours, go)

    run(scenario())


@both_dial
def test_16_mib_to_a_sink_and_from_a_source(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab, role) as (ours, go):
            for transfer in (ours.sink, ours.source):
                assert (await transfer(go.peer, 16 * MIB)).bytes == 16 * MIB
            for back in (go.sink, go.source):
                assert (await back(ours.peer, 16 * MIB)).bytes == 16 * MIB

    run(scenario())


@both_dial
def test_both_send_at_once(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab, role) as (ours, go), asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(ours.sink(go.peer, 4 * MIB))
                group.create_task(go.sink(ours.peer, 4 * MIB))

    run(scenario())


@both_open
@pytest.mark.parametrize("size", [1, 70_000])
def test_many_streams_in_turn(
    lab: Lab, run: Run, role: Role, transport: Transport, size: int
) -> None:
    count = 1000 if size == 1 else MANY[transport]

    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            if role is Role.WE_OPEN:
                result = await ours.echo_many(go.peer, count, size=size)
            else:
                result = await go.echo_many(ours.peer, count, size=size)
            assert (result.done, result.failures) == (count, ())
            await nothing_left(ours, go)

    run(scenario())


@both_open
@pytest.mark.parametrize("size", [1, 70_000])
def test_200_streams_at_once(
    lab: Lab, run: Run, role: Role, transport: Transport, size: int
) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            for _ in range(MANY[transport] // 200):
                if role is Role.WE_OPEN:
                    result = await ours.echo_many(go.peer, 200, size=size, parallel=200)
                else:
                    result = await go.echo_many(ours.peer, 200, size=size, parallel=200)
                assert (result.done, result.failures) == (200, ())
            await nothing_left(ours, go)

    run(scenario())


# --- the end of a half ----------------------------------------------------------------


@both_open
def test_the_opener_ends_its_half_and_is_answered(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            near, far = await joined(role, ours, go)
            if role is Role.WE_OPEN:
                await answer_after_the_end(near, far)
            else:
                await answer_after_the_end(far, near)
            await nothing_left(ours, go)

    run(scenario())


@both_open
def test_the_acceptor_ends_its_half_and_hears_on(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            near, far = await joined(role, ours, go)
            if role is Role.WE_OPEN:
                await answer_after_the_end(far, near)
            else:
                await answer_after_the_end(near, far)
            await nothing_left(ours, go)

    run(scenario())


async def answer_after_the_end(
    one: OurStream | ForeignStream, other: OurStream | ForeignStream
) -> None:
    """``one`` says something and ends its half; ``other`` answers with more than a window."""
    await one.write(b"request")
    await one.close_write()
    assert await other.read_exactly(7) == b"request"
    assert await other.read() == b""
    async with asyncio.TaskGroup() as group:
        taken = group.create_task(one.digest())
        for _ in range(8):
            await other.write(bytes(100_000))
        await other.close_write()
    assert taken.result().bytes == 800_000


# --- resets ---------------------------------------------------------------------------


@both_open
def test_we_reset_and_go_reads_the_code(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            for code in CODES:
                near, far = await joined(role, ours, go)
                await near.reset(code)
                with pytest.raises(CommandError) as caught:
                    await far.read()
                assert (caught.value.stream_code, caught.value.remote) == (code, True)
                with pytest.raises(CommandError) as caught:
                    await far.write(b"x")
                assert caught.value.stream_code == code
            await nothing_left(ours, go)

    run(scenario())


@both_open
def test_go_resets_and_we_read_the_code(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            for code in CODES:
                near, far = await joined(role, ours, go)
                await far.reset(code)
                with pytest.raises(StreamResetError) as caught:
                    await near.read()
                assert (caught.value.code, caught.value.by_peer) == (code, True)
                with pytest.raises(StreamResetError):
                    await near.write(b"x")
            await nothing_left(ours, go)

    run(scenario())


@both_open
def test_a_reset_that_the_other_side_asked_for(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            for code in CODES:
                request = code.to_bytes(4, "big")
                if role is Role.WE_OPEN:
                    near = await ours.open_stream(go.peer, RESET)
                    await near.write(request)
                    with pytest.raises(StreamResetError) as reset:
                        await near.read()
                    assert reset.value.code == code
                else:
                    far = await go.open_stream(ours.peer, RESET)
                    await far.write(request)
                    with pytest.raises(CommandError) as caught:
                        await far.read()
                    assert caught.value.stream_code == code
            await nothing_left(ours, go)

    run(scenario())


@both_open
def test_a_reset_wakes_a_writer_that_waits(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            near, far = await joined(role, ours, go)
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(stopped_writer(near))
                await asyncio.sleep(STALL_S)
                assert not writing.done()
                await far.reset(7)
            assert writing.result() == 7
            near, far = await joined(role, ours, go)
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(stopped_writer(far))
                await asyncio.sleep(STALL_S)
                assert not waiting.done()
                await near.reset(9)
            assert waiting.result() == 9
            await nothing_left(ours, go)

    run(scenario())


async def stopped_writer(stream: OurStream | ForeignStream) -> int | None:
    """Write until that fails, and return the code of the failure."""
    try:
        while True:
            await stream.write(bytes(100_000))
    except StreamResetError as why:
        return why.code
    except CommandError as why:
        return why.stream_code


# --- protocols that are not there -----------------------------------------------------


@roles(Role.WE_OPEN)
def test_na_to_us(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            with pytest.raises(NegotiationError):
                await ours.open_stream(go.peer, "/nobody/1.0.0", "/nothing/1.0.0")
            stream = await ours.open_stream(go.peer, "/nobody/1.0.0", ECHO)
            assert stream.protocol == ECHO
            await stream.write(b"still here")
            await stream.close_write()
            assert (await stream.digest()).bytes == 10
            await nothing_left(ours, go)

    run(scenario())


@roles(Role.THEY_OPEN)
def test_na_to_go(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            with pytest.raises(CommandError, match="protocols not supported"):
                await go.open_stream(ours.peer, "/nobody/1.0.0", "/nothing/1.0.0")
            stream = await go.open_stream(ours.peer, "/nobody/1.0.0", ECHO)
            assert stream.protocol == ECHO
            await stream.write(b"still here")
            await stream.close_write()
            assert (await stream.digest()).bytes == 10
            await nothing_left(ours, go)

    run(scenario())


@roles(Role.THEY_OPEN)
def test_na_to_a_proposal_that_came_with_data(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            await go.identify(ours.peer)
            ours.host.stop_handling(ECHO)  # go hears of it a second later
            for data in (b"a few bytes", bytes(100_000)):
                stream = await go.open_stream(ours.peer, ECHO)
                with pytest.raises(CommandError) as caught:
                    await sent_and_answered(stream, data)
                if caught.value.reset:  # as the data makes no sense as a proposal ...
                    assert caught.value.stream_code == StreamCode.PROTOCOL_NEGOTIATION_FAILED
                else:  # ... or go read our answer before
                    assert "protocols not supported" in str(caught.value)
                    await stream.reset()  # go leaves that to its applications
            assert len(await go.ping(ours.peer)) == 1
            await nothing_left(ours, go)

    run(scenario())


async def sent_and_answered(stream: ForeignStream, data: bytes) -> None:
    await stream.write(data)  # this and go's proposal leave together
    await stream.read()


# --- readers that are slow or do not read ---------------------------------------------


@both_open
def test_a_slow_reader_gets_everything(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            slow = ours.source if role is Role.WE_OPEN else go.source
            peer = go.peer if role is Role.WE_OPEN else ours.peer
            result = await slow(peer, 8 * MIB, pause_after=300_000, pause=1.0)
            assert result.bytes == 8 * MIB

    run(scenario())


@roles(Role.WE_OPEN)
def test_our_writer_waits_for_go_and_others_go_on(
    lab: Lab, run: Run, role: Role, transport: Transport
) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            stream = await ours.open_stream(go.peer, HANG)
            sent = await taken_without_a_reader(stream)
            window, queued = ROOM[transport]
            assert window <= sent <= window + queued
            assert (await ours.echo(go.peer, MIB)).bytes == MIB
            assert (await go.echo(ours.peer, MIB)).bytes == MIB
            await stream.reset()

    run(scenario())


async def taken_without_a_reader(stream: OurStream) -> int:
    """Write until that does not go on, and return after how many bytes."""
    sent = 0
    while True:
        try:
            async with asyncio.timeout(STALL_S):
                await stream.write(bytes(16_384))
        except TimeoutError:
            return sent
        sent += 16_384


@roles(Role.THEY_OPEN)
def test_a_writer_of_go_waits_for_us_and_others_go_on(
    lab: Lab, run: Run, role: Role, transport: Transport
) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            stream = await go.open_stream(ours.peer, HANG)
            window = {Transport.TCP: INITIAL_WINDOW, Transport.QUIC: STREAM_WINDOW}[transport]
            await stream.write(bytes(window - 5000))  # the proposal takes some too
            with pytest.raises(CommandError) as caught:
                await stream.write(bytes(10_000), within=STALL_S)  # go keeps up to a datagram
            assert caught.value.timeout
            assert (await ours.echo(go.peer, MIB)).bytes == MIB
            assert (await go.echo(ours.peer, MIB)).bytes == MIB

    run(scenario())
