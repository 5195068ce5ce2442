"""What every stream of a connection must do, besides what every byte stream does.

    class TestYamuxStream(StreamSuite):
        capacity = INITIAL_WINDOW + MAX_QUEUED
        ...

Runs on the clock that jumps, as lingering is counted in virtual seconds.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from peerup.errors import (
    ConnectionClosedError,
    LocalProtocolError,
    ResourceLimitError,
    StreamResetError,
)
from peerup.transport.base import Stream
from peerup.transport.muxed import CLOSE_LINGER_S
from tests.conformance.byte_streams import ByteStreamSuite, Drive, read_all, send
from tests.conformance.conversation import pattern

SOON_S = 1.0  # virtual seconds in which everything that can happen at once has happened


class StreamSuite(ByteStreamSuite):
    """Inherit as ``class Test…``; ``pair`` makes the two ends of one stream."""

    def pair(self) -> AbstractAsyncContextManager[tuple[Stream, Stream]]:
        raise NotImplementedError

    # --- reset ------------------------------------------------------------------------

    @pytest.mark.parametrize("code", [0, 7, 0x1002, 2**32 - 1])
    def test_a_reset_wakes_reader_and_writer_with_its_code(
        self, drive: Drive[None], code: int
    ) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                reader = asyncio.create_task(one.read())
                writer = asyncio.create_task(one.write(bytes(4 * self.capacity)))
                await asyncio.sleep(SOON_S)
                two.reset(code)
                for work in (reader, writer):
                    with pytest.raises(StreamResetError) as caught:
                        await work
                    assert (caught.value.code, caught.value.by_peer) == (code, True)
                for again in (one.read(), one.write(b"x")):
                    with pytest.raises(StreamResetError) as caught:
                        await again
                    assert (caught.value.code, caught.value.by_peer) == (code, True)
                for own in (two.read(), two.write(b"x")):
                    with pytest.raises(StreamResetError) as caught:
                        await own
                    assert (caught.value.code, caught.value.by_peer) == (code, False)

        drive(main())

    def test_unread_bytes_are_gone_after_a_reset(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                await one.write(b"half a file")
                await asyncio.sleep(SOON_S)
                one.reset()
                await asyncio.sleep(SOON_S)
                with pytest.raises(StreamResetError):
                    await two.read()

        drive(main())

    def test_a_reset_after_our_end_is_no_end_for_the_peer(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                await one.write(b"all of it")
                one.close_write()
                one.reset(3)
                with pytest.raises(StreamResetError):
                    await read_all(two)

        drive(main())

    def test_what_waits_for_the_window_is_dropped_by_a_reset_at_the_end(
        self, drive: Drive[None]
    ) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                two.close_write()
                await one.write(bytes(self.capacity))
                one.close_write()
                await asyncio.sleep(SOON_S)
                one.reset(9)
                with pytest.raises(StreamResetError) as caught:
                    await read_all(two)
                assert caught.value.code == 9

        drive(main())

    def test_the_first_reset_counts(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                one.reset(1)
                one.reset(2)
                two.reset(3)
                for end, code in ((one, 1), (two, 3)):
                    with pytest.raises(StreamResetError) as caught:
                        await end.read()
                    assert (caught.value.code, caught.value.by_peer) == (code, False)

        drive(main())

    # --- async with -------------------------------------------------------------------

    def test_leaving_the_block_closes_both_halves(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                async with one:
                    await one.write(b"done")
                assert await read_all(two) == b"done"
                await send(two, b"nobody reads this")
                await asyncio.sleep(SOON_S)
                assert len(one.connection) == len(two.connection) == 0

        drive(main())

    def test_an_exception_resets(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async def work(stream: Stream) -> None:
                async with stream:
                    await stream.write(b"half")
                    raise KeyError

            async with self.pair() as (one, two):
                with pytest.raises(KeyError):
                    await work(one)
                with pytest.raises(StreamResetError):
                    await read_all(two)

        drive(main())

    def test_a_cancelled_write_in_a_block_resets(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async def work(stream: Stream) -> None:
                async with stream:
                    await stream.write(bytes(4 * self.capacity))

            async with self.pair() as (one, two):
                task = asyncio.create_task(work(one))
                await asyncio.sleep(SOON_S)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                with pytest.raises(StreamResetError):
                    await read_all(two)

        drive(main())

    # --- close ------------------------------------------------------------------------

    def test_close_lingers_then_resets_a_peer_that_never_finishes(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                one.close()
                assert await read_all(two) == b""
                await asyncio.sleep(CLOSE_LINGER_S - SOON_S)
                await two.write(b"still talking")
                assert len(one.connection) == 1
                await asyncio.sleep(2 * SOON_S)
                with pytest.raises(StreamResetError) as caught:
                    await two.write(b"too long")
                assert caught.value.by_peer
                assert len(one.connection) == len(two.connection) == 0

        drive(main())

    def test_a_peer_that_finishes_in_time_is_not_reset(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                await two.write(b"unread")
                await asyncio.sleep(SOON_S)
                one.close()
                await asyncio.sleep(CLOSE_LINGER_S - SOON_S)
                await send(two, b"late")
                await asyncio.sleep(2 * CLOSE_LINGER_S)
                assert await read_all(two) == b""
                assert len(one.connection) == 0

        drive(main())

    def test_what_arrives_after_close_is_dropped_and_does_not_block_the_peer(
        self, drive: Drive[None]
    ) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                writer = asyncio.create_task(two.write(bytes(self.capacity)))
                await asyncio.sleep(SOON_S)
                one.close()
                await writer
                await two.write(bytes(4 * self.capacity))
                two.close_write()
                assert await two.read() == b""

        drive(main())

    def test_a_writer_that_waits_when_we_close_is_told(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                writer = asyncio.create_task(one.write(bytes(4 * self.capacity)))
                await asyncio.sleep(SOON_S)
                one.close()
                got = await read_all(two)
                assert len(got) < 4 * self.capacity
                with pytest.raises(LocalProtocolError):
                    await writer

        drive(main())

    # --- beside other streams ---------------------------------------------------------

    def test_a_slow_reader_holds_up_no_other_stream(self, drive: Drive[None]) -> None:
        async def main() -> None:
            payload = pattern(2 * self.capacity)
            async with self.pair() as (one, two), asyncio.TaskGroup() as group:
                stuck = asyncio.create_task(one.write(payload))
                await asyncio.sleep(SOON_S)
                other = await one.connection.open_stream()
                far = await two.connection.accept_stream()
                group.create_task(send(other, payload))
                assert await read_all(far) == payload
                assert not stuck.done()
                two.reset()
                with pytest.raises(StreamResetError):
                    await stuck
                far.close_write()

        drive(main())

    def test_a_reset_leaves_other_streams_alone(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                other = await one.connection.open_stream()
                far = await two.connection.accept_stream()
                one.reset()
                await send(other, b"fine")
                assert await read_all(far) == b"fine"

        drive(main())

    def test_streams_beyond_the_bound_wait_for_their_turn(self, drive: Drive[None]) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                conn, far = one.connection, two.connection
                count = 2 * 256 + 10
                opened, refused = [], 0

                async def serve() -> None:
                    while True:
                        (await far.accept_stream()).close()

                server = asyncio.create_task(serve())
                for _ in range(count):
                    opened.append(await conn.open_stream())
                    opened[-1].close_write()
                for stream in opened:
                    try:
                        assert await stream.read() == b""
                    except (StreamResetError, ResourceLimitError):
                        refused += 1  # more at once than the peer takes
                assert refused < count // 2
                server.cancel()
                conn.close()
                with pytest.raises(asyncio.CancelledError):
                    await server

        drive(main())

    # --- the connection ends ----------------------------------------------------------

    @pytest.mark.parametrize("by_peer", [False, True])
    def test_closing_the_connection_wakes_everybody(
        self, drive: Drive[None], *, by_peer: bool
    ) -> None:
        async def main() -> None:
            async with self.pair() as (one, two):
                tasks = [
                    asyncio.create_task(one.read()),
                    asyncio.create_task(one.write(bytes(4 * self.capacity))),
                    asyncio.create_task(one.connection.accept_stream()),
                    asyncio.create_task(one.connection.accept_stream()),
                ]
                await asyncio.sleep(SOON_S)
                (two if by_peer else one).connection.close()
                for task in tasks:
                    with pytest.raises(ConnectionClosedError):
                        await task
                assert len(one.connection) == 0

        drive(main())
