from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from peerup.errors import (
    ConnectionClosedError,
    LimitError,
    NegotiationError,
    StreamResetError,
)
from peerup.tasks import Supervisor
from peerup.transport.endpoints import CircuitLimits, Endpoints, Role
from peerup.transport.memory import pipe
from peerup.transport.upgrade import upgrade
from peerup.wire.error_codes import StreamCode
from peerup.wire.events import MuxEvent, StreamReset, StreamStopped
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.yamux import MAX_INBOUND, MAX_UNACKED, RESET_BURST, Session
from peerup.wire.yamux_stream import INITIAL_WINDOW, MAX_QUEUED
from tests.conformance.byte_streams import read_all, send
from tests.conformance.muxers import MuxerSuite
from tests.conformance.streams import StreamSuite
from tests.conformance.transports import local_peer
from tests.transport.links import RawPeer, connected, inbound, outbound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from peerup.transport.base import Stream
    from peerup.transport.muxed import MuxedConnection, MuxedStream
    from tests.conformance.byte_streams import Drive
    from tests.conformance.conversation import Wire
    from tests.sim.clock import RunVirtual


class YamuxWire:
    """Two yamux sessions; see ``tests.conformance.conversation.Wire``."""

    window = INITIAL_WINDOW
    queue = MAX_QUEUED

    def __init__(self) -> None:
        self.now = 100.0
        self.client = Session(is_client=True, now=self.now)
        self.server = Session(is_client=False, now=self.now)

    def exchange(self) -> tuple[list[MuxEvent], list[MuxEvent]]:
        while (up := self.client.data_to_send()) + (down := self.server.data_to_send()):
            self.server.receive(up, self.now)
            self.client.receive(down, self.now)
        return drain(self.client), drain(self.server)

    def inject(self, data: bytes) -> None:
        self.server.receive(data, self.now)


def drain(session: Session) -> list[MuxEvent]:
    events = []
    while (event := session.next_event()) is not None:
        events.append(event)
    return events


class TestYamux(MuxerSuite):
    def wire(self) -> Wire:
        return YamuxWire()


@contextlib.asynccontextmanager
async def stream_pair() -> AsyncIterator[tuple[MuxedStream, MuxedStream]]:
    async with connected() as (one, two):
        near = await one.open_stream()
        yield near, await two.accept_stream()


class TestStreamOverYamux(StreamSuite):
    capacity = INITIAL_WINDOW + MAX_QUEUED

    @pytest.fixture
    def drive(self, run: RunVirtual) -> Drive[None]:
        return run

    def pair(self) -> AbstractAsyncContextManager[tuple[Stream, Stream]]:
        return stream_pair()


@contextlib.asynccontextmanager
async def with_raw_dialler() -> AsyncIterator[tuple[MuxedConnection, RawPeer]]:
    """A connection that we accepted from a peer whose frames the test writes."""
    near, far = pipe()
    async with Supervisor() as tasks:
        async with asyncio.TaskGroup() as group:
            accepted = group.create_task(inbound(near, tasks))
            dialler = group.create_task(RawPeer.dial(far))
        yield accepted.result(), dialler.result()


# --- the connection -----------------------------------------------------------------------


def test_a_relayed_connection_says_so(run: RunVirtual) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks:
            relay = local_peer("relay", tasks).peer
            addr = Multiaddr.parse(f"/ip4/192.0.2.1/tcp/4001/p2p/{relay}/p2p-circuit")
            ends = Endpoints(addr, limits=CircuitLimits(seconds=120))
            async with asyncio.TaskGroup() as group:
                group.create_task(inbound(far, tasks))
                dial = upgrade(near, local_peer("laptop", tasks), ends, role=Role.CLIENT)
                conn = await group.create_task(dial)
            assert (conn.relayed, conn.limited, conn.path) == (True, True, "RELAYED")
            assert conn.transport == "tcp"

    run(main())


def test_a_direct_connection_says_so(run: RunVirtual) -> None:
    async def main() -> None:
        async with connected() as (one, two):
            assert (one.relayed, one.limited, one.path) == (False, False, "DIRECT")
            assert one.opened_at == two.opened_at == asyncio.get_running_loop().time()

    run(main())


def test_a_cancelled_accept_loses_no_stream(run: RunVirtual) -> None:
    async def main() -> None:
        async with connected() as (one, two):
            for turns in range(4):
                waiting = asyncio.create_task(two.accept_stream())
                await asyncio.sleep(0)
                stream = await one.open_stream()
                for _ in range(turns):
                    await asyncio.sleep(0)
                waiting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    assert (await waiting).id == stream.id
                    continue
                assert (await two.accept_stream()).id == stream.id

    run(main())


def test_opening_waits_while_the_peer_accepts_nothing(run: RunVirtual) -> None:
    async def main() -> None:
        async with with_raw_dialler() as (conn, peer):
            for _ in range(MAX_UNACKED):
                await conn.open_stream()
            more = [asyncio.create_task(conn.open_stream()) for _ in range(3)]
            await asyncio.sleep(1)
            assert not any(task.done() for task in more)
            more[0].cancel()
            await peer.receive()
            await peer.flush()
            assert (await more[1]).id < (await more[2]).id
            assert more[0].cancelled()

    run(main())


def test_opening_that_waits_hears_of_the_end(run: RunVirtual) -> None:
    async def main() -> None:
        async with with_raw_dialler() as (conn, _):
            for _ in range(MAX_UNACKED):
                await conn.open_stream()
            waiting = asyncio.create_task(conn.open_stream())
            await asyncio.sleep(1)
            conn.close()
            with pytest.raises(ConnectionClosedError):
                await waiting

    run(main())


def test_a_peer_may_hold_256_streams_and_not_one_more(run: RunVirtual) -> None:
    async def main() -> None:
        async with with_raw_dialler() as (conn, peer):
            for _ in range(MAX_INBOUND):
                peer.session.open_stream()
            await peer.flush()
            while peer.session._unacked:
                await peer.receive()
            extra = peer.session.open_stream()
            await peer.flush()
            while (event := peer.session.next_event()) is None:
                await peer.receive()
            assert event == StreamReset(extra, StreamCode.RESOURCE_LIMIT_EXCEEDED)
            assert len(conn) == MAX_INBOUND
            assert not conn.is_closed

    run(main())


def test_a_peer_that_opens_and_resets_without_end_is_cut_off(run: RunVirtual) -> None:
    async def main() -> None:
        async with with_raw_dialler() as (conn, peer):
            for _ in range(RESET_BURST + 1):
                peer.session.reset(peer.session.open_stream())
            with contextlib.suppress(OSError):
                await peer.flush()
            await conn.wait_closed()
            assert isinstance(conn.reason, LimitError)
            assert len(conn) == 0

    run(main())


def test_what_is_complete_can_be_read_after_the_connection_is_gone(run: RunVirtual) -> None:
    async def main() -> None:
        async with connected() as (one, two):
            stream = await one.open_stream()
            far = await two.accept_stream()
            far.close_write()
            await send(stream, b"all of it")
            await asyncio.sleep(1)
            one.close()
            await two.wait_closed()
            assert await read_all(far) == b"all of it"

    run(main())


def test_hanging_up_wakes_those_who_accept(run: RunVirtual) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks:
            async with asyncio.TaskGroup() as group:
                dialled = group.create_task(outbound(near, tasks))
                group.create_task(RawPeer.accept(far))
            waiting = [asyncio.create_task(dialled.result().accept_stream()) for _ in range(3)]
            await asyncio.sleep(1)
            dialled.result().close()
            for task in waiting:
                with pytest.raises(ConnectionClosedError):
                    await task

    run(main())


# --- bytes that nobody has read -----------------------------------------------------------


def test_unread_bytes_of_all_streams_are_counted(run: RunVirtual) -> None:
    async def main() -> None:
        async with connected() as (one, two):
            for _ in range(3):
                await (await one.open_stream()).write(bytes(1_000))
            await asyncio.sleep(1)
            assert two.budget.used == 3_000
            await (await two.accept_stream()).read(400)
            assert two.budget.used == 2_600
            (await two.accept_stream()).close()
            assert two.budget.used == 1_600
            (await two.accept_stream()).reset()
            assert two.budget.used == 600

    run(main())


@pytest.mark.parametrize("by_peer", [True, False])
def test_unread_bytes_of_a_connection_that_ends_are_given_back(
    run: RunVirtual, *, by_peer: bool
) -> None:
    async def main() -> None:
        async with connected() as (one, two):
            streams = [await one.open_stream() for _ in range(3)]
            for stream in streams:
                await stream.write(bytes(1_000))
            await asyncio.sleep(1)
            streams[0].reset()
            await asyncio.sleep(1)
            assert two.budget.used == 2_000
            (one if by_peer else two).close()
            await asyncio.sleep(1)
            assert two.budget.used == 0

    run(main())


def test_a_stream_past_the_budget_is_reset_and_others_go_on(run: RunVirtual) -> None:
    async def main() -> None:
        async with connected() as (one, two):
            two.budget.limit = 100_000
            modest, greedy = await one.open_stream(), await one.open_stream()
            await modest.write(bytes(1_000))
            await greedy.write(bytes(200_000))
            with pytest.raises(StreamResetError) as caught:
                await greedy.read()
            assert caught.value.code == StreamCode.RESOURCE_LIMIT_EXCEEDED
            await asyncio.sleep(1)
            assert two.budget.used == 1_000
            modest.close_write()
            assert await read_all(await two.accept_stream()) == bytes(1_000)
            assert two.budget.used == 0

    run(main())


# --- a check before the first read --------------------------------------------------------


def test_a_check_runs_once_before_the_first_read(run: RunVirtual) -> None:
    async def main() -> None:
        async with stream_pair() as (one, two):
            seen = []

            async def check() -> None:
                seen.append(await one.read(3))

            one.before_reading(check)
            await send(two, b"ok!answer")
            assert await read_all(one) == b"answer"
            assert seen == [b"ok!"]

    run(main())


def test_what_a_check_raises_is_raised_by_the_read(run: RunVirtual) -> None:
    async def main() -> None:
        async with stream_pair() as (one, _):

            async def check() -> None:
                one.reset(StreamCode.PROTOCOL_NEGOTIATION_FAILED)
                raise NegotiationError("no")

            one.before_reading(check)
            with pytest.raises(NegotiationError):
                await one.read()
            with pytest.raises(StreamResetError):
                await one.read()

    run(main())


def test_a_cancelled_check_goes_on_at_the_next_read(run: RunVirtual) -> None:
    async def main() -> None:
        async with stream_pair() as (one, two):
            parts = b""

            async def check() -> None:
                nonlocal parts
                while len(parts) < 3:
                    parts += await one.read(3 - len(parts))

            one.before_reading(check)
            await two.write(b"o")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await one.read()
            await send(two, b"k!answer")
            assert await read_all(one) == b"answer"
            assert parts == b"ok!"

    run(main())


# --- a peer that reads no more, which only some muxers can say ----------------------------


def test_a_peer_that_reads_no_more_may_still_talk(run: RunVirtual) -> None:
    async def main() -> None:
        async with stream_pair() as (one, two):
            writer = asyncio.create_task(one.write(bytes(3_000_000)))
            await asyncio.sleep(1)
            one.on_event(StreamStopped(one.id, 5))
            with pytest.raises(StreamResetError) as caught:
                await writer
            assert (caught.value.code, caught.value.by_peer) == (5, True)
            with pytest.raises(StreamResetError):
                await one.write(b"x")
            await send(two, b"but listen")
            assert await read_all(one) == b"but listen"

    run(main())
