from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import pytest

from peerup.errors import (
    ConnectionClosedError,
    LimitError,
    NotAuthorizedError,
    RemoteProtocolError,
    StreamResetError,
)
from peerup.tasks import Supervisor
from peerup.transport.byte_link import FINISH_S, WRITE_TIMEOUT_S, hung_up
from peerup.transport.memory import Pipe, pipe
from peerup.wire.error_codes import ConnectionCode
from peerup.wire.events import SessionTerminated
from peerup.wire.yamux import KEEPALIVE_S, PING_TIMEOUT_S, PROTOCOL_ERROR
from peerup.wire.yamux_frame import Flag, FrameType, Header
from tests.conformance.byte_streams import read_all, send
from tests.transport.links import RawPeer, connect, connected, inbound, outbound
from tests.transport.throttle import slow_pipe

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from peerup.transport.muxed import MuxedConnection, MuxedStream
    from tests.sim.clock import RunVirtual

T = TypeVar("T")


def now() -> float:
    return asyncio.get_running_loop().time()


async def both(
    ours: Coroutine[None, None, MuxedConnection], theirs: Coroutine[None, None, T]
) -> tuple[MuxedConnection, T]:
    """Run both sides of an upgrade."""
    async with asyncio.TaskGroup() as group:
        us, them = group.create_task(ours), group.create_task(theirs)
    return us.result(), them.result()


async def to_raw_peer(tasks: Supervisor) -> tuple[MuxedConnection, RawPeer, Pipe]:
    """A connection that we dialled, its far end, and the pipe under that."""
    near, far = pipe()
    conn, peer = await both(outbound(near, tasks), RawPeer.accept(far))
    return conn, peer, far


async def from_raw_peer(tasks: Supervisor) -> tuple[MuxedConnection, RawPeer, Pipe]:
    """A connection that we accepted, its far end, and the pipe under that."""
    near, far = pipe()
    conn, peer = await both(inbound(near, tasks), RawPeer.dial(far))
    return conn, peer, far


async def why_closed(conn: MuxedConnection) -> Exception:
    """Wait for the end of a connection and return the reason."""
    await conn.wait_closed()
    assert conn.reason is not None
    return conn.reason


# --- a peer that is there -----------------------------------------------------------------


def test_an_idle_connection_lives_for_hours(run: RunVirtual) -> None:
    async def main() -> None:
        async with connected() as (one, two):
            await asyncio.sleep(3 * 3600)
            stream = await one.open_stream()
            await send(stream, b"good morning")
            assert await read_all(await two.accept_stream()) == b"good morning"

    run(main())


@pytest.mark.parametrize("speed", [16_000, 64_000])
def test_a_slow_network_that_still_moves_is_no_dead_one(run: RunVirtual, speed: int) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            one, two = await connect(*slow_pipe(tasks, speed), tasks)
            payload, began = bytes(2_000_000), now()
            tasks.spawn(send, await one.open_stream(), payload)
            assert await read_all(await two.accept_stream()) == payload
            assert now() - began > KEEPALIVE_S + PING_TIMEOUT_S - 10
            assert not one.is_closed

    run(main())


def test_answers_go_out_beside_a_stuck_stream(run: RunVirtual) -> None:
    async def main() -> None:
        async with connected() as (one, two):
            stuck = await one.open_stream()
            writer = asyncio.create_task(stuck.write(bytes(3_000_000)))
            await asyncio.sleep(3600)
            assert not one.is_closed
            assert not two.is_closed
            writer.cancel()

    run(main())


# --- a peer that is not -------------------------------------------------------------------


def test_a_peer_that_answers_no_ping_is_given_up_after_10_s(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, peer, _ = await to_raw_peer(tasks)
            await peer.receive()  # the first ping, which leaves at once
            began = now()
            why = await why_closed(conn)
            assert now() - began == pytest.approx(PING_TIMEOUT_S)
            assert str(why) == "the peer answers no more"

    run(main())


def test_a_peer_that_falls_silent_is_given_up_within_a_minute(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, peer, _ = await to_raw_peer(tasks)
            answers = asyncio.create_task(peer.answer())
            await asyncio.sleep(600)
            assert not conn.is_closed
            answers.cancel()
            began = now()
            await why_closed(conn)
            assert now() - began <= KEEPALIVE_S + 2 * PING_TIMEOUT_S

    run(main())


def test_a_network_that_takes_nothing_frees_every_writer_after_10_s(run: RunVirtual) -> None:
    async def main() -> None:
        async def write(stream: MuxedStream) -> None:
            with pytest.raises(ConnectionClosedError):
                await stream.write(bytes(3_000_000))

        async with Supervisor() as tasks, connected() as (healthy, far):
            conn, _, _ = await to_raw_peer(tasks)
            began = now()
            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(write(await conn.open_stream()))
                await asyncio.sleep(1)
                stream = await healthy.open_stream()
                await send(stream, b"others do not notice")
                assert await read_all(await far.accept_stream()) == b"others do not notice"
            assert now() - began <= 2 * PING_TIMEOUT_S
            await conn.wait_closed()
            assert now() - began <= 2 * PING_TIMEOUT_S + FINISH_S

    run(main())


async def guess_pings(peer: RawPeer) -> None:
    """Answer pings without having read them: their values are easy to guess."""
    while True:
        for value in range(1, 9):
            await peer.channel.write(Header(FrameType.PING, Flag.ACK, 0, value).encode())
        await asyncio.sleep(1)


def test_a_peer_that_answers_but_takes_nothing_is_given_up_too(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, peer, _ = await to_raw_peer(tasks)
            tasks.spawn(guess_pings, peer)
            stream, began = await conn.open_stream(), now()
            with pytest.raises(ConnectionClosedError, match="takes no more bytes"):
                await stream.write(bytes(3_000_000))
            assert now() - began == pytest.approx(WRITE_TIMEOUT_S)
            await conn.wait_closed()
            assert now() - began == pytest.approx(WRITE_TIMEOUT_S)

    run(main())


# --- how it ends --------------------------------------------------------------------------


def test_a_peer_that_hangs_up_before_its_first_frame_does_not_want_us(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            for end in (Pipe.close, Pipe.reset):
                conn, _, far = await to_raw_peer(tasks)
                end(far)
                assert isinstance(await why_closed(conn), NotAuthorizedError)

    run(main())


def test_a_dialler_that_hangs_up_at_once_just_hung_up(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, _, far = await from_raw_peer(tasks)
            far.close()
            why = await why_closed(conn)
            assert isinstance(why, ConnectionClosedError)
            assert str(why) == "the peer hung up"

    run(main())


@pytest.mark.parametrize("reset", [False, True])
def test_a_peer_that_hangs_up_later_is_no_refusal(run: RunVirtual, *, reset: bool) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, peer, far = await to_raw_peer(tasks)
            await peer.receive()
            await peer.flush()
            await asyncio.sleep(1)
            (far.reset if reset else far.close)()
            why = await why_closed(conn)
            assert isinstance(why, ConnectionClosedError)
            assert ("broke" if reset else "hung up") in str(why)

    run(main())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (ConnectionCode.GATED, NotAuthorizedError),
        (ConnectionCode.SHUTDOWN, ConnectionClosedError),
        (0, ConnectionClosedError),
        (2, ConnectionClosedError),
    ],
)
def test_the_peer_may_say_why(run: RunVirtual, code: int, kind: type[Exception]) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, peer, _ = await to_raw_peer(tasks)
            peer.session.close(code)
            await peer.flush()
            why = await why_closed(conn)
            assert isinstance(why, kind)
            assert getattr(why, "code", code) == code
            with pytest.raises(kind):
                await conn.accept_stream()

    run(main())


def test_a_frame_that_makes_no_sense_is_answered_with_go_away(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, peer, _ = await from_raw_peer(tasks)
            stream = await conn.open_stream()
            await peer.channel.write(b"\xff" * 12)
            assert isinstance(await why_closed(conn), RemoteProtocolError)
            with pytest.raises(RemoteProtocolError):
                await stream.read()
            while await peer.receive():
                pass
            told = []
            while (event := peer.session.next_event()) is not None:
                told.append(event)
            assert told[-1] == SessionTerminated(PROTOCOL_ERROR)

    run(main())


def test_a_window_that_is_overrun_ends_the_connection(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, peer, _ = await from_raw_peer(tasks)
            header = Header(FrameType.DATA, Flag.SYN, 1, 256 * 1024 + 1)
            await peer.channel.write(header.encode() + bytes(1000))
            assert isinstance(await why_closed(conn), LimitError)

    run(main())


@pytest.mark.parametrize("cut", [1, 2, 3, 40])
def test_an_end_inside_a_record_is_no_orderly_end(run: RunVirtual, cut: int) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, peer, far = await from_raw_peer(tasks)
            record = peer.channel.session.sealer.seal(bytes(100))
            await far.write(record[:cut])
            far.close_write()
            assert isinstance(await why_closed(conn), RemoteProtocolError)

    run(main())


def test_a_forged_record_ends_the_connection(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, _, far = await from_raw_peer(tasks)
            await far.write(b"\x00\x20" + bytes(32))
            why = await why_closed(conn)
            assert isinstance(why, RemoteProtocolError)
            assert "verify" in str(why)

    run(main())


def test_cancelling_the_pumps_ends_the_connection_as_our_own_doing(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, peer, _ = await to_raw_peer(tasks)
        assert isinstance(await why_closed(conn), ConnectionClosedError)
        assert str(conn.reason) == "we closed the connection"
        while await peer.receive():
            pass

    run(main())


def test_pumps_that_never_ran_let_go_of_the_network_too(run: RunVirtual) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks:
            accepted = asyncio.create_task(RawPeer.accept(far))
            conn = await outbound(near, tasks)
        peer = await accepted
        await conn.wait_closed()
        while await peer.receive():
            pass

    run(main())


def test_close_waits_for_a_stuck_network_only_so_long(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, _, _ = await to_raw_peer(tasks)
            stream = await conn.open_stream()
            writer = asyncio.create_task(stream.write(bytes(3_000_000)))
            await asyncio.sleep(1)
            began = now()
            conn.close()
            await conn.wait_closed()
            assert now() - began <= FINISH_S
            with pytest.raises(ConnectionClosedError):
                await writer

    run(main())


def test_close_says_its_code_to_a_peer_that_reads(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            conn, peer, _ = await to_raw_peer(tasks)
            conn.close(ConnectionCode.GARBAGE_COLLECTED)
            while await peer.receive():
                pass
            event = peer.session.next_event()
            assert event == SessionTerminated(ConnectionCode.GARBAGE_COLLECTED)
            await conn.wait_closed()

    run(main())


def test_only_an_end_without_a_word_counts_as_hanging_up() -> None:
    assert hung_up(None)
    assert hung_up(ConnectionResetError())
    assert hung_up(StreamResetError(by_peer=True))
    assert not hung_up(StreamResetError(0x1002, by_peer=True))
    assert not hung_up(StreamResetError(by_peer=False))
    assert not hung_up(RemoteProtocolError("garbage"))
