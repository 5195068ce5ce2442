from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from peerup.errors import ConnectionClosedError
from peerup.transport.socket_stream import SMALL_READ, SocketStream
from tests.conformance.byte_streams import ByteStreamSuite, turns
from tests.conformance.conversation import pattern
from tests.transport.sockets import BUFFER, connected_sockets, socket_ends

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from tests.conformance.byte_streams import Drive, Ends
    from tests.sim.clock import RunReal

pytestmark = pytest.mark.real_clock


class TestSocketStream(ByteStreamSuite):
    capacity = 16 * BUFFER

    @pytest.fixture
    def drive(self, run_real: RunReal) -> Drive[None]:
        return run_real

    def pair(self) -> AbstractAsyncContextManager[Ends]:
        return socket_ends()


def test_large_and_small_reads_may_alternate(run_real: RunReal) -> None:
    async def main() -> None:
        payload = pattern(1_000_000)
        async with socket_ends() as (one, two), asyncio.TaskGroup() as group:
            group.create_task(one.write(payload))
            got, sizes = b"", [1, 4 * SMALL_READ, 100, 512 * 1024, SMALL_READ]
            while len(got) < len(payload):
                size = sizes[len(got) % len(sizes)]
                data = await two.read(size)
                assert 1 <= len(data) <= size
                got += data
            assert got == payload

    run_real(main())


def test_nothing_is_read_while_nobody_asks(run_real: RunReal) -> None:
    async def main() -> None:
        async with socket_ends() as (one, two):
            await one.write(b"first")
            assert await two.read() == b"first"
            await one.write(b"second")
            await turns()
            peeked = two.socket.recv(100, socket.MSG_PEEK)
            assert peeked == b"second", "still in the kernel, whose window fills"
            assert await two.read() == b"second"

    run_real(main())


def test_written_counts_what_the_kernel_took(run_real: RunReal) -> None:
    async def main() -> None:
        async with socket_ends() as (one, two):
            await one.write(b"12345")
            assert one.written == 5
            writer = asyncio.create_task(one.write(bytes(64 * BUFFER)))
            await turns(100)
            assert 5 < one.written < 64 * BUFFER
            before = one.written
            while one.written == before:
                await two.read()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    run_real(main())


def test_a_reset_is_seen_as_a_reset_by_any_program(run_real: RunReal) -> None:
    async def main() -> None:
        near, far = connected_sockets()
        stream = SocketStream(near)
        await stream.write(b"half")
        stream.reset()
        far.setblocking(True)
        assert far.recv(100) == b"half"
        with far, pytest.raises(ConnectionResetError):
            far.recv(100)

    run_real(main())


def test_close_is_seen_as_an_end_by_any_program(run_real: RunReal) -> None:
    async def main() -> None:
        near, far = connected_sockets()
        stream = SocketStream(near)
        await stream.write(b"all")
        stream.close()
        far.setblocking(True)
        with far:
            assert far.recv(100) == b"all"
            assert far.recv(100) == b""

    run_real(main())


def test_the_descriptor_is_given_back_at_once(run_real: RunReal) -> None:
    async def main() -> None:
        for let_go in (SocketStream.close, SocketStream.reset):
            near, far = connected_sockets()
            stream = SocketStream(near)
            reader = asyncio.create_task(stream.read())
            writer = asyncio.create_task(stream.write(bytes(64 * BUFFER)))
            await turns()
            let_go(stream)
            assert near.fileno() == -1
            for task in (reader, writer):
                with pytest.raises(ConnectionClosedError):
                    await task
            far.close()

    run_real(main())


def test_a_reader_that_is_cancelled_as_the_socket_closes_leaves_no_error(run_real: RunReal) -> None:
    async def main() -> None:
        near, far = connected_sockets()
        stream = SocketStream(near)
        tasks = [
            asyncio.create_task(stream.read()),
            asyncio.create_task(stream.write(bytes(64 * BUFFER))),
        ]
        await turns()
        stream.close()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with pytest.raises(asyncio.CancelledError):
                await task
        far.close()

    run_real(main())
