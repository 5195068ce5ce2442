"""What every ordered byte stream must do: sockets, pipes, and the streams of a connection.

    class TestPipe(ByteStreamSuite):
        capacity = PIPE_SIZE
        ...

``pair`` makes two ends that are connected; ``drive`` is a fixture that runs a coroutine, on the
clock that jumps or on the real one. Nothing here waits for a time to pass, except where virtual
seconds are the subject.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import pytest

from peerup.errors import LocalProtocolError, PeerupError
from peerup.transport.base import ByteStream
from tests.conformance.conversation import pattern

T = TypeVar("T")
Drive = Callable[[Coroutine[Any, Any, T]], T]
Ends = tuple[ByteStream, ByteStream]


async def read_all(stream: ByteStream, piece: int = 65536) -> bytes:
    """Everything up to the end."""
    parts = []
    while data := await stream.read(piece):
        assert len(data) <= piece
        parts.append(data)
    return b"".join(parts)


async def turns(count: int = 20) -> None:
    """Let every task that can go on do so, ``count`` times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what other tasks are about to do; the runner bounds how long."""
    while not condition():
        await asyncio.sleep(0)


async def send(stream: ByteStream, data: bytes) -> None:
    await stream.write(data)
    stream.close_write()


class ByteStreamSuite:
    """Inherit as ``class Test…``, and say how to make two ends.

    ``capacity`` bounds what a writer may hand over while nobody reads.
    """

    capacity: int

    def pair(self) -> AbstractAsyncContextManager[Ends]:
        """Return two ends; the tests of this suite leave them in any state."""
        raise NotImplementedError

    @pytest.fixture
    def drive(self) -> Drive[None]:
        raise NotImplementedError

    # --- order ------------------------------------------------------------------------

    @pytest.mark.parametrize("piece", [1, 7, 65536])
    def test_bytes_arrive_in_order(self, drive: Drive[None], piece: int) -> None:
        async def main() -> None:
            async with self.pair() as (one, two), asyncio.TaskGroup() as group:
                payload = pattern(2_000 if piece < 65536 else 200_000)
                group.create_task(send(one, payload))
                assert await read_all(two, piece) == payload

        drive(main())

    def test_both_directions_flow_at_once(self, drive: Drive[None]) -> None:
        async def main() -> None:
            size = 2 * self.capacity + 1
            there, back = pattern(size, 1), pattern(size, 2)
            async with self.pair() as (one, two), asyncio.TaskGroup() as group:
                group.create_task(send(one, there))
                group.create_task(send(two, back))
                at_two = group.create_task(read_all(two))
                assert await read_all(one) == back
                assert await at_two == there

        drive(main())

    def test_many_small_writes_add_up(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                for number in range(1_000):
                    await one.write(bytes([number % 251]))
                one.close_write()
                assert await read_all(two) == bytes(number % 251 for number in range(1_000))

        drive(main())

    def test_a_read_returns_what_there_is(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                await one.write(b"hello")
                assert await two.read() == b"hello"
                await one.write(b"world")
                assert await two.read(3) == b"wor"
                assert await two.read(3) == b"ld"

        drive(main())

    def test_an_empty_write_is_nothing(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                await one.write(b"")
                await one.write(b"x")
                assert await two.read() == b"x"

        drive(main())

    # --- backpressure -----------------------------------------------------------------

    def test_a_writer_waits_for_a_reader_that_starts_late(self, drive: Drive[None]) -> None:
        async def main() -> None:
            payload = pattern(4 * self.capacity)
            handed = 0

            async def write() -> None:
                nonlocal handed
                for at in range(0, len(payload), 16_384):
                    await one.write(payload[at : at + 16_384])
                    handed = at
                one.close_write()

            async with self.pair() as (one, two), asyncio.TaskGroup() as group:
                group.create_task(write())
                await turns(1_000)
                assert 0 < handed <= self.capacity
                assert await read_all(two) == payload

        drive(main())

    def test_one_large_write_waits_too(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two), asyncio.TaskGroup() as group:
                payload = pattern(4 * self.capacity)
                writer = group.create_task(send(one, payload))
                await turns(1_000)
                assert not writer.done()
                assert await read_all(two) == payload

        drive(main())

    @pytest.mark.parametrize("size", [10, 100_000, None])
    def test_a_buffer_may_be_reused_after_the_write(
        self, drive: Drive[None], size: int | None
    ) -> None:
        async def main() -> None:
            buffer = bytearray(pattern(size or 2 * self.capacity))
            expected = bytes(buffer)

            async def write() -> None:
                await one.write(buffer)
                buffer[:] = bytes(len(buffer))
                await one.write(memoryview(buffer)[:3])
                buffer[:] = b"\xff" * len(buffer)
                one.close_write()

            async with self.pair() as (one, two), asyncio.TaskGroup() as group:
                group.create_task(write())
                await turns()
                assert await read_all(two) == expected + bytes(3)

        drive(main())

    # --- half-close -------------------------------------------------------------------

    def test_each_half_ends_by_itself(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                await send(one, b"question")
                assert await read_all(two) == b"question"
                assert await two.read() == b"", "the end stays"
                await two.write(b"answer, ")
                assert await one.read() == b"answer, "
                await send(two, b"bye")
                assert await read_all(one) == b"bye"
                assert await one.read() == b""

        drive(main())

    def test_a_waiting_reader_hears_of_the_end(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two), asyncio.TaskGroup() as group:
                reader = group.create_task(two.read())
                await turns()
                one.close_write()
                one.close_write()
                assert await reader == b""

        drive(main())

    def test_nothing_can_be_written_after_the_end(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                await one.write(b"all")
                one.close_write()
                with pytest.raises(LocalProtocolError):
                    await one.write(b"more")
                assert await read_all(two) == b"all"

        drive(main())

    # --- close and reset --------------------------------------------------------------

    def test_close_delivers_what_was_written(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                await one.write(b"last words")
                one.close()
                one.close()
                assert await read_all(two) == b"last words"

        drive(main())

    def test_close_wakes_our_own_reader(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, _):
                reader = asyncio.create_task(one.read())
                await turns()
                one.close()
                with pytest.raises(PeerupError):
                    await reader
                with pytest.raises(PeerupError):
                    await one.read()
                with pytest.raises(PeerupError):
                    await one.write(b"x")

        drive(main())

    @pytest.mark.parametrize("by_peer", [False, True])
    def test_reset_wakes_reader_and_writer(self, drive: Drive[None], *, by_peer: bool) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                reader = asyncio.create_task(one.read())
                writer = asyncio.create_task(one.write(bytes(4 * self.capacity)))
                await turns(1_000)
                assert not reader.done()
                assert not writer.done()
                (two if by_peer else one).reset()
                for task in (reader, writer):
                    with pytest.raises(ConnectionError):
                        await task

        drive(main())

    def test_a_reset_is_never_taken_for_an_end(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                await two.write(b"x")
                await one.read()
                one.reset()
                with pytest.raises(ConnectionError):
                    await read_all(two)
                for _ in range(3):
                    with pytest.raises(ConnectionError):
                        await two.read()
                with pytest.raises(ConnectionError):
                    await _write_on(two)
                with pytest.raises(ConnectionError):
                    await two.read()

        drive(main())

    def test_a_writer_that_hears_of_a_reset_leaves_no_end_to_read(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                one.reset()
                with pytest.raises(ConnectionError):
                    await _write_on(two)
                with pytest.raises(ConnectionError):
                    await two.read()

        drive(main())

    def test_everything_may_be_called_again_after_a_reset(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                one.reset()
                one.reset(5)
                one.close_write()
                one.close()
                one.reset()
                with pytest.raises(ConnectionError):
                    await one.read()
                with pytest.raises(ConnectionError):
                    await one.write(b"x")
                with pytest.raises(ConnectionError):
                    await two.read()

        drive(main())

    # --- cancellation -----------------------------------------------------------------

    @pytest.mark.parametrize("late", range(8))
    def test_a_cancelled_read_loses_nothing(self, drive: Drive[None], late: int) -> None:
        async def main() -> None:
            payload = pattern(20_000)
            got = b""
            async with self.pair() as (one, two):
                for at in range(0, len(payload), 1_000):
                    reader = asyncio.create_task(two.read(65536))
                    await asyncio.sleep(0)
                    await one.write(payload[at : at + 1_000])
                    await turns(late)
                    reader.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        got += await reader
                one.close_write()
                assert got + await read_all(two) == payload

        drive(main())

    def test_a_cancelled_write_leaves_a_prefix(self, drive: Drive[None]) -> None:
        async def main() -> None:
            payload = pattern(4 * self.capacity)
            async with self.pair() as (one, two):
                writer = asyncio.create_task(one.write(payload))
                await turns(1_000)
                writer.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await writer
                one.close_write()
                got = await read_all(two)
                assert payload.startswith(got)
                assert len(got) < len(payload)

        drive(main())

    # --- one reader, one writer -------------------------------------------------------

    def test_two_readers_are_our_own_mistake(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two), asyncio.TaskGroup() as group:
                reader = group.create_task(two.read())
                await turns()
                with pytest.raises(LocalProtocolError):
                    await two.read()
                await one.write(b"for the first")
                assert await reader == b"for the first"
                await one.write(b"next")
                assert await two.read() == b"next"

        drive(main())

    def test_two_writers_are_our_own_mistake(self, drive: Drive[None]) -> None:
        async def main() -> None:
            payload = pattern(4 * self.capacity)
            async with self.pair() as (one, two), asyncio.TaskGroup() as group:
                group.create_task(send(one, payload))
                await turns(1_000)
                with pytest.raises(LocalProtocolError):
                    await one.write(b"me too")
                assert await read_all(two) == payload

        drive(main())


async def _write_on(stream: ByteStream) -> None:
    for _ in range(10_000):
        await stream.write(bytes(1_000))
