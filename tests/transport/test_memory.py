from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from peerup.tasks import Supervisor
from peerup.transport.memory import PIPE_SIZE, MemoryNetwork, pipe
from peerup.wire.multiaddr import Multiaddr
from tests.conformance.byte_streams import ByteStreamSuite
from tests.conformance.transports import Node, TransportSuite
from tests.transport.logs import quiet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from peerup.transport.base import TransportFactory
    from tests.conformance.byte_streams import Drive, Ends
    from tests.sim.clock import RunVirtual


@contextlib.asynccontextmanager
async def pipe_ends() -> AsyncIterator[Ends]:
    yield pipe()


class TestPipe(ByteStreamSuite):
    capacity = PIPE_SIZE

    @pytest.fixture
    def drive(self, run: RunVirtual) -> Drive[None]:
        return run

    def pair(self) -> AbstractAsyncContextManager[Ends]:
        return pipe_ends()


class TestMemory(TransportSuite):
    listen_on = "/memory/0"

    @pytest.fixture
    def drive(self, run: RunVirtual) -> Drive[None]:
        return run

    def factory(self) -> TransportFactory:
        return MemoryNetwork().transport


def test_a_pipe_holds_so_much_and_no_more(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        await one.write(bytes(PIPE_SIZE))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await one.write(b"x")
        await two.read(1)
        await one.write(b"x")
        assert one.written == PIPE_SIZE + 1

    run(main())


def test_a_number_is_given_out_once(run: RunVirtual) -> None:
    async def main() -> None:
        network = MemoryNetwork()
        async with Supervisor() as tasks:
            node = Node("home", network.transport, tasks)
            first = await node.listen("/memory/5")
            free = await node.listen("/memory/0")
            assert first.addrs == (Multiaddr.parse("/memory/5"),)
            assert free.addrs != first.addrs
            with pytest.raises(OSError, match="/memory/5 is taken"):
                await node.listen("/memory/5")
            await first.close()
            second = await node.listen("/memory/5")
            assert second.addrs == first.addrs
            await first.close()
            with pytest.raises(OSError, match="/memory/5 is taken"):
                await node.listen("/memory/5")

    run(main())


def test_networks_are_separate(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            home = Node("home", MemoryNetwork().transport, tasks)
            laptop = Node("laptop", MemoryNetwork().transport, tasks)
            listener = await home.listen("/memory/5")
            with pytest.raises(ConnectionRefusedError):
                await laptop.dial(listener.addrs[0], home.peer)

    run(main())


def test_a_listener_that_closes_down_resets_who_comes(run: RunVirtual) -> None:
    async def main() -> None:
        network = MemoryNetwork()
        async with Supervisor() as tasks:
            await Node("home", network.transport, tasks).listen("/memory/5")
        near = network.connect(5, Multiaddr.parse("/memory/0"))
        with pytest.raises(ConnectionResetError):
            await near.read()

    run(main())


def test_strangers_leave_no_trace_in_the_log(run: RunVirtual) -> None:
    async def main() -> None:
        network = MemoryNetwork()
        async with Supervisor() as tasks:
            home = Node("home", network.transport, tasks)
            await home.listen("/memory/5")
            with quiet():
                for data in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(1_000)):
                    near = network.connect(5, Multiaddr.parse("/memory/0"))
                    await near.write(data)
                    with contextlib.suppress(OSError):
                        while await near.read():
                            pass
            assert home.accepted.empty()

    run(main())
