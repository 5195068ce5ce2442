"""What every transport must do.

    class TestMemory(TransportSuite):
        listen_on = "/memory/0"

        def factory(self) -> TransportFactory:
            return MemoryNetwork().transport

Both peers of a test use the same factory, each with an identity of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Protocol

import pytest

from peerup.errors import (
    ConnectionClosedError,
    NotAuthorizedError,
    StreamResetError,
    WrongPeerError,
)
from peerup.tasks import Supervisor
from peerup.transport.base import Admit, LocalPeer
from peerup.transport.endpoints import Role
from peerup.wire.keys import PrivateKey
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from tests.conformance.byte_streams import Drive, read_all, send, turns, until
from tests.conformance.conversation import pattern

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from peerup.transport.base import Listener, TransportFactory
    from peerup.transport.muxed import MuxedConnection, MuxedStream


def everybody(peer: PeerId, addr: Multiaddr) -> bool:
    return True


@cache
def key_of(name: str) -> PrivateKey:
    """The key of whoever is called this, the same in every run."""
    return PrivateKey.from_seed(hashlib.sha256(name.encode()).digest())


def local_peer(name: str, tasks: Supervisor, admit: Admit = everybody) -> LocalPeer:
    """What a host would give to its transports."""
    key = key_of(name)
    return LocalPeer(key, PeerId.from_public_key(key.public_key), tasks, admit)


async def echo(stream: MuxedStream) -> None:
    async with stream:
        while data := await stream.read():
            await stream.write(data)


class Node:
    """A peer with one transport, which echoes whatever comes on a stream."""

    def __init__(
        self, name: str, factory: TransportFactory, tasks: Supervisor, admit: Admit = everybody
    ) -> None:
        self.local = local_peer(name, tasks, admit)
        self.peer = self.local.peer
        self.transport = factory(self.local)
        self.accepted: asyncio.Queue[MuxedConnection] = asyncio.Queue()

    async def listen(self, addr: str) -> Listener:
        return await self.transport.listen(Multiaddr.parse(addr), self.serve)

    async def dial(self, addr: Multiaddr, peer: PeerId) -> MuxedConnection:
        """Dial, and be served on the connection too."""
        conn = await self.transport.dial(addr, peer, role=Role.CLIENT)
        self.local.tasks.spawn(self.serve, conn)
        return conn

    async def dial_and_wait(self, addr: Multiaddr, peer: PeerId) -> None:
        """Dial, and learn at the latest from what comes back that we are not wanted."""
        conn = await self.transport.dial(addr, peer, role=Role.CLIENT)
        await conn.accept_stream()

    async def serve(self, conn: MuxedConnection) -> None:
        self.accepted.put_nowait(conn)
        while True:
            self.local.tasks.spawn(echo, await conn.accept_stream())


class MakeNode(Protocol):
    """Makes a node, whose tasks are the suite's own unless told otherwise."""

    def __call__(self, name: str, admit: Admit = ..., tasks: Supervisor = ...) -> Node: ...


class TransportSuite:
    """Inherit as ``class Test…``, and say how to make a transport and where it listens."""

    listen_on: str

    def factory(self) -> TransportFactory:
        raise NotImplementedError

    @pytest.fixture
    def drive(self) -> Drive[None]:
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def making(self) -> AsyncIterator[MakeNode]:
        """Give what makes nodes; they are all closed at the end."""
        factory, made = self.factory(), []
        async with Supervisor() as tasks:

            def make(name: str, admit: Admit = everybody, tasks: Supervisor = tasks) -> Node:
                made.append(Node(name, factory, tasks, admit))
                return made[-1]

            yield make
        for node in made:
            node.transport.close()
            node.transport.close()

    @contextlib.asynccontextmanager
    async def nodes(self, admit: Admit = everybody) -> AsyncIterator[tuple[Node, Node, Multiaddr]]:
        """A node that listens, one that does not, and where the first one is."""
        async with self.making() as make:
            home, laptop = make("home", admit), make("laptop")
            listener = await home.listen(self.listen_on)
            try:
                yield home, laptop, listener.addrs[0]
            finally:
                await listener.close()
                home.transport.close()
                laptop.transport.close()

    # --- identity ---------------------------------------------------------------------

    def test_both_ends_know_who_is_there(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.nodes() as (home, laptop, addr):
                conn = await laptop.dial(addr, home.peer)
                other = await home.accepted.get()
                assert (conn.peer, other.peer) == (home.peer, laptop.peer)
                assert conn.info.public_key == key_of("home").public_key
                assert other.info.public_key == key_of("laptop").public_key
                assert (conn.inbound, other.inbound) == (False, True)
                assert conn.remote_addr == addr
                assert not conn.relayed
                assert not conn.limited
                assert not conn.is_closed

        drive(main())

    def test_a_wrong_peer_is_refused(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.nodes() as (home, laptop, addr):
                with pytest.raises(WrongPeerError) as caught:
                    await laptop.dial(addr, laptop.peer)
                assert caught.value.expected == str(laptop.peer)
                assert caught.value.actual == str(home.peer)
                conn = await laptop.dial(addr, home.peer)
                assert (await home.accepted.get()).peer == laptop.peer
                assert home.accepted.empty(), "the first attempt was never a connection"
                conn.close()

        drive(main())

    def test_a_dialler_that_is_not_admitted_hears_so(self, drive: Drive[None]) -> None:
        async def main() -> None:
            asked = []

            def nobody(peer: PeerId, addr: Multiaddr) -> bool:
                asked.append(peer)
                return False

            async with self.nodes(nobody) as (home, laptop, addr):
                with pytest.raises(NotAuthorizedError):
                    await laptop.dial_and_wait(addr, home.peer)
                assert asked == [laptop.peer]
                assert home.accepted.empty()

        drive(main())

    def test_whom_we_dial_need_not_be_admitted(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.making() as make:
                home, laptop = make("home"), make("laptop", lambda *_: False)
                listener = await home.listen(self.listen_on)
                conn = await laptop.dial(listener.addrs[0], home.peer)
                async with await conn.open_stream() as stream:
                    await send(stream, b"hello")
                    assert await read_all(stream) == b"hello"
                await listener.close()

        drive(main())

    # --- streams ----------------------------------------------------------------------

    def test_both_sides_may_open_streams(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.nodes() as (home, laptop, addr):
                conn = await laptop.dial(addr, home.peer)
                other = await home.accepted.get()
                for end in (conn, other):
                    async with await end.open_stream() as stream:
                        assert stream.connection is end
                        await send(stream, b"hello")
                        assert await read_all(stream) == b"hello"

        drive(main())

    def test_a_megabyte_comes_back_as_it_was(self, drive: Drive[None]) -> None:
        async def main() -> None:
            payload = pattern(1_000_000)
            async with self.nodes() as (home, laptop, addr):
                conn = await laptop.dial(addr, home.peer)
                async with await conn.open_stream() as stream, asyncio.TaskGroup() as group:
                    group.create_task(send(stream, payload))
                    assert await read_all(stream) == payload

        drive(main())

    def test_200_streams_in_parallel(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async def use(conn: MuxedConnection, number: int) -> None:
                payload = pattern(2_000, number)
                async with await conn.open_stream() as stream:
                    await send(stream, payload)
                    assert await read_all(stream) == payload

            async with self.nodes() as (home, laptop, addr):
                conn = await laptop.dial(addr, home.peer)
                async with asyncio.TaskGroup() as group:
                    for number in range(200):
                        group.create_task(use(conn, number))
                assert len(conn) == 0

        drive(main())

    def test_1000_streams_one_after_another(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.nodes() as (home, laptop, addr):
                conn = await laptop.dial(addr, home.peer)
                for number in range(1_000):
                    async with await conn.open_stream() as stream:
                        await send(stream, number.to_bytes(2, "big"))
                        assert await read_all(stream) == number.to_bytes(2, "big")
                assert len(conn) == 0

        drive(main())

    def test_a_reset_crosses_with_its_code(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.nodes() as (home, laptop, addr):
                conn = await laptop.dial(addr, home.peer)
                ours = await conn.open_stream()
                await ours.write(b"x")
                assert await ours.read() == b"x"
                ours.reset(0x1003)
                other = await home.accepted.get()
                theirs = await other.open_stream()
                await theirs.write(b"x")
                assert await theirs.read() == b"x"
                theirs.reset(0x1004)
                with pytest.raises(StreamResetError) as caught:
                    await theirs.read()
                assert (caught.value.code, caught.value.by_peer) == (0x1004, False)
                async with await conn.open_stream() as stream:
                    await send(stream, b"the others go on")
                    assert await read_all(stream) == b"the others go on"

        drive(main())

    # --- the end ----------------------------------------------------------------------

    @pytest.mark.parametrize("by_dialler", [True, False])
    def test_close_reaches_the_other_side(self, drive: Drive[None], *, by_dialler: bool) -> None:
        async def main() -> None:
            async with self.nodes() as (home, laptop, addr):
                conn = await laptop.dial(addr, home.peer)
                other = await home.accepted.get()
                stream = await conn.open_stream()
                await stream.write(b"x")
                assert await stream.read() == b"x"
                near, far = (conn, other) if by_dialler else (other, conn)
                near.close(0x1006)
                near.close()
                for end in (near, far):
                    await end.wait_closed()
                    assert isinstance(end.reason, ConnectionClosedError)
                    assert end.reason.code == 0x1006
                    with pytest.raises(ConnectionClosedError):
                        await end.open_stream()
                    with pytest.raises(ConnectionClosedError):
                        await end.accept_stream()
                for work in (stream.read(), stream.write(b"x")):
                    with pytest.raises(ConnectionClosedError):
                        await work

        drive(main())

    def test_nobody_there_is_an_os_error(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.nodes() as (home, laptop, _):
                listener = await home.listen(self.listen_on)
                addr = listener.addrs[0]
                await listener.close()
                await listener.close()
                with pytest.raises(OSError):  # noqa: PT011 - each transport has its own reason
                    await laptop.dial(addr, home.peer)

        drive(main())

    def test_a_closed_listener_keeps_its_connections(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.nodes() as (home, laptop, _):
                listener = await home.listen(self.listen_on)
                conn = await laptop.dial(listener.addrs[0], home.peer)
                await home.accepted.get()
                await listener.close()
                async with await conn.open_stream() as stream:
                    await send(stream, b"still here")
                    assert await read_all(stream) == b"still here"

        drive(main())

    @pytest.mark.parametrize("after", [0, 1, 2, 5, 10, 20])
    def test_a_cancelled_dial_leaves_nothing_behind(self, drive: Drive[None], after: int) -> None:
        async def main() -> None:
            async with self.making() as make, Supervisor() as others:
                home, laptop = make("home"), make("laptop", tasks=others)
                listener = await home.listen(self.listen_on)
                dial = asyncio.create_task(
                    laptop.transport.dial(listener.addrs[0], home.peer, role=Role.CLIENT)
                )
                await turns(after)
                dial.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    (await dial).close()  # it was quicker
                await until(lambda: len(others) == 0)
                conn = await laptop.dial(listener.addrs[0], home.peer)
                assert not conn.is_closed
                await listener.close()

        drive(main())

    # --- addresses --------------------------------------------------------------------

    def test_it_understands_its_own_addresses_and_no_others(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.nodes() as (home, _, addr):
                transport = home.transport
                assert transport.can_listen(Multiaddr.parse(self.listen_on))
                assert transport.can_dial(addr)
                assert transport.can_dial(addr.with_peer(home.peer))
                for other in (
                    "/unix/tmp/socket",
                    f"{addr}/p2p/{home.peer}/p2p-circuit",
                    f"{addr}/ws",
                ):
                    assert not transport.can_dial(Multiaddr.parse(other))
                    assert not transport.can_listen(Multiaddr.parse(other))

        drive(main())

    def test_20_peers_may_come_at_once(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.making() as make:
                home, laptops = make("home"), [make(f"laptop {number}") for number in range(20)]
                listener = await home.listen(self.listen_on)
                async with asyncio.TaskGroup() as group:
                    for laptop in laptops:
                        group.create_task(laptop.dial(listener.addrs[0], home.peer))
                came = {(await home.accepted.get()).peer for _ in laptops}
                assert came == {laptop.peer for laptop in laptops}
                await listener.close()

        drive(main())
