"""Two QUIC links joined in memory, on the clock that jumps."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from peerup.errors import ConnectionClosedError, RemoteProtocolError, WrongPeerError
from peerup.transport.endpoints import Endpoints
from peerup.transport.limits import ByteBudget
from peerup.transport.quic_connection import IDLE_TIMEOUT_S, STREAM_WINDOW
from peerup.transport.quic_endpoint import quic_multiaddr
from peerup.transport.quic_engine import SEND_BUFFER, QuicEngine
from peerup.transport.quic_link import QuicLink
from peerup.transport.tls_certificate import make_certificate
from peerup.wire import quic_packet
from tests.conformance.byte_streams import read_all, send
from tests.conformance.streams import StreamSuite
from tests.transport.quic_wire import HOME, LAPTOP, SIZE, key_of, peer_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from contextlib import AbstractAsyncContextManager

    from peerup.transport.base import Stream
    from peerup.transport.muxed import MuxedConnection, MuxedStream
    from tests.conformance.byte_streams import Drive
    from tests.sim.clock import RunVirtual


class Pair:
    """A laptop's link and home's, and the wire between them, which can be cut."""

    def __init__(self, *, expected: str = "home") -> None:
        self._loop = asyncio.get_running_loop()
        self.cut = False
        self.ended: list[QuicLink] = []
        self.told: dict[QuicLink, set[bytes]] = {}  # connection ids that endpoints know of
        self.unknown: set[bytes] = set()  # ... and that peers were given before
        now = self._loop.time()
        dial = QuicEngine.dial(
            make_certificate(key_of("laptop")), peer_of(expected), HOME, now, SIZE
        )
        first = dial.datagrams_to_send(now)
        header = quic_packet.parse_long_header(first[0][0])
        accept = QuicEngine.accept(
            make_certificate(key_of("home")), header.destination_id, now, SIZE
        )
        self.laptop = QuicLink(dial, self._to_home, self._note_ids, self.ended.append)
        self.home = QuicLink(accept, self._to_laptop, self._note_ids, self.ended.append)
        self._to_home(first)

    def _note_ids(self, link: QuicLink) -> None:
        self.told.setdefault(link, set()).update(link.engine.new_ids)
        link.engine.new_ids.clear()

    def _to_home(self, datagrams: Iterable[tuple[bytes, Any]]) -> None:
        self._carry(self.home, datagrams, LAPTOP)

    def _to_laptop(self, datagrams: Iterable[tuple[bytes, Any]]) -> None:
        self._carry(self.laptop, datagrams, HOME)

    def _carry(self, to: QuicLink, datagrams: Iterable[tuple[bytes, Any]], source: Any) -> None:
        batch = [data for data, _ in datagrams]
        for link, told in self.told.items():
            given = {entry.cid for entry in link.engine._quic._host_cids if entry.was_sent}
            self.unknown |= given - told
        if not self.cut:
            self._loop.call_soon(to.receive, batch, source)

    async def connections(self) -> tuple[MuxedConnection, MuxedConnection]:
        await self.laptop.handshake
        await self.home.handshake
        budget = ByteBudget(2**30)
        near = self.laptop.connect(Endpoints(quic_multiaddr(HOME)), budget)
        far = self.home.connect(Endpoints(quic_multiaddr(LAPTOP), inbound=True), budget)
        return near, far


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[MuxedConnection, MuxedConnection]]:
    near, far = await Pair().connections()
    yield near, far
    near.close()
    await near.wait_closed()
    await far.wait_closed()


@contextlib.asynccontextmanager
async def stream_pair() -> AsyncIterator[tuple[MuxedStream, MuxedStream]]:
    async with connected() as (near, far):
        stream = await near.open_stream()
        yield stream, await far.accept_stream()


class TestStreamOverQuic(StreamSuite):
    capacity = STREAM_WINDOW + SEND_BUFFER

    @pytest.fixture
    def drive(self, run: RunVirtual) -> Drive[None]:
        return run

    def pair(self) -> AbstractAsyncContextManager[tuple[Stream, Stream]]:
        return stream_pair()


def test_both_ends_are_known_after_the_handshake(run: RunVirtual) -> None:
    async def main() -> None:
        async with connected() as (near, far):
            assert (near.peer, far.peer) == (peer_of("home"), peer_of("laptop"))
            assert (near.inbound, far.inbound) == (False, True)
            assert near.transport == far.transport == "quic"

    run(main())


def test_no_connection_id_is_given_to_a_peer_before_it_leads_here(run: RunVirtual) -> None:
    async def main() -> None:
        pair = Pair()
        near, far = await pair.connections()
        await (await near.open_stream()).write(b"x")
        await far.accept_stream()
        assert [len(pair.told[link]) for link in (pair.laptop, pair.home)] == [8, 8]
        assert not pair.unknown

    run(main())


def test_another_peer_than_expected_ends_the_handshake(run: RunVirtual) -> None:
    async def main() -> None:
        pair = Pair(expected="somebody else")
        with pytest.raises(WrongPeerError):
            await pair.laptop.handshake
        with pytest.raises(RemoteProtocolError):
            await pair.home.handshake

    run(main())


def test_a_link_that_is_cut_ends_after_the_idle_time(run: RunVirtual) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        pair = Pair()
        near, far = await pair.connections()
        stream = await near.open_stream()
        await far.accept_stream()
        pair.cut = True
        began = loop.time()
        with pytest.raises(ConnectionClosedError, match="timed out"):
            await stream.read()
        await far.wait_closed()
        assert loop.time() - began <= 2 * IDLE_TIMEOUT_S
        assert set(pair.ended) == {pair.laptop, pair.home}

    run(main())


def test_an_idle_connection_stays_for_a_day(run: RunVirtual) -> None:
    async def main() -> None:
        async with connected() as (near, far):
            await asyncio.sleep(24 * 3600)
            stream = await near.open_stream()
            await send(stream, b"still there")
            assert await read_all(await far.accept_stream()) == b"still there"

    run(main())


def test_a_writer_goes_on_when_the_reader_does(run: RunVirtual) -> None:
    async def main() -> None:
        async with stream_pair() as (one, two):
            payload = bytes(range(256)) * 16 * 1024
            async with asyncio.TaskGroup() as group:
                group.create_task(send(one, payload))
                await asyncio.sleep(1)
                assert two._inbox.size == STREAM_WINDOW, "exactly the window, and not a byte more"
                got = await group.create_task(read_all(two))
            assert got == payload

    run(main())


def test_a_slow_reader_does_not_hold_up_other_streams(run: RunVirtual) -> None:
    async def main() -> None:
        async with connected() as (near, far):
            stuck = await near.open_stream()
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(stuck.write(bytes(8 * STREAM_WINDOW)))
                await asyncio.sleep(1)
                free = await near.open_stream()
                await send(free, b"through")
                await far.accept_stream()
                assert await read_all(await far.accept_stream()) == b"through"
                assert not writing.done()
                writing.cancel()
            stuck.reset()

    run(main())


def test_a_link_that_nobody_took_closes_with_its_code(run: RunVirtual) -> None:
    async def main() -> None:
        pair = Pair()
        near, _ = await pair.connections()
        pair.home.abort(0x1005)
        await near.wait_closed()
        assert isinstance(near.reason, ConnectionClosedError)
        assert near.reason.code == 0x1005

    run(main())


def test_a_close_by_the_peer_is_noticed_at_once(run: RunVirtual) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = await Pair().connections()
        began = loop.time()
        near.close()
        await far.wait_closed()
        assert loop.time() - began < 0.1

    run(main())


def test_a_bug_in_one_link_ends_that_link_loudly(
    run: RunVirtual, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        pair = Pair()
        near, far = await pair.connections()

        def crash(*_: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(pair.home.engine, "receive", crash)
        near.close()
        await far.wait_closed()
        assert isinstance(far.reason, ConnectionClosedError)
        assert pair.home in pair.ended
        await near.wait_closed()

    run(main())
    assert "a bug" in caplog.text
