from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from peerup.errors import (
    ConnectionClosedError,
    NotAuthorizedError,
    ResourceLimitError,
    StreamResetError,
)
from peerup.transport.memory import PIPE_SIZE, pipe
from peerup.transport.splice import PIECE, STALL_S, Moved, splice
from peerup.wire.error_codes import StreamCode
from peerup.wire.yamux_stream import INITIAL_WINDOW, MAX_QUEUED
from tests.conformance.byte_streams import read_all, send
from tests.conformance.conversation import pattern
from tests.transport.links import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from peerup.transport.memory import Pipe
    from peerup.transport.muxed import MuxedStream
    from tests.sim.clock import RunVirtual

BOTH = pytest.mark.parametrize("forth", [True, False])


@dataclass
class Relayed:
    """A stream to somebody in the middle, a stream from there, and who joins them."""

    left: MuxedStream
    right: MuxedStream
    near: MuxedStream
    far: MuxedStream
    joint: asyncio.Task[Moved]

    def ends(self, *, forth: bool) -> tuple[MuxedStream, MuxedStream]:
        return (self.left, self.right) if forth else (self.right, self.left)


@contextlib.asynccontextmanager
async def relayed(spend: Callable[[int, bool], int] | None = None) -> AsyncIterator[Relayed]:
    async with connected() as (one, two), connected() as (three, four):
        left = await one.open_stream()
        near = await two.accept_stream()
        far = await three.open_stream()
        right = await four.accept_stream()
        joint = asyncio.create_task(splice(near, far, spend=spend))
        yield Relayed(left, right, near, far, joint)
        joint.cancel()


@dataclass
class Proxied:
    """A socket's stand-in, a stream, and who joins them."""

    local: Pipe
    remote: MuxedStream
    joint: asyncio.Task[Moved]


@contextlib.asynccontextmanager
async def proxied() -> AsyncIterator[Proxied]:
    async with connected() as (one, two):
        stream = await one.open_stream()
        remote = await two.accept_stream()
        local, end = pipe()
        joint = asyncio.create_task(splice(end, stream))
        yield Proxied(local, remote, joint)
        joint.cancel()


# --- bytes and ends -----------------------------------------------------------------------


def test_bytes_pass_both_ways_at_once(run: RunVirtual) -> None:
    async def main() -> None:
        there, back = pattern(2_000_000, 1), pattern(1_500_000, 2)
        async with relayed() as path, asyncio.TaskGroup() as group:
            group.create_task(send(path.left, there))
            group.create_task(send(path.right, back))
            at_right = group.create_task(read_all(path.right))
            assert await read_all(path.left) == back
            assert await at_right == there
            assert await path.joint == Moved(forth=len(there), back=len(back))

    run(main())


@BOTH
def test_the_end_of_one_side_is_the_end_on_the_other(run: RunVirtual, *, forth: bool) -> None:
    async def main() -> None:
        async with relayed() as path:
            one, two = path.ends(forth=forth)
            await send(one, b"question")
            assert await read_all(two) == b"question"
            await asyncio.sleep(60)
            assert not path.joint.done()
            await send(two, b"answer")
            assert await read_all(one) == b"answer"
            await path.joint
            assert len(path.near.connection) == len(path.far.connection) == 0

    run(main())


def test_the_end_of_a_socket_is_the_end_of_the_stream(run: RunVirtual) -> None:
    async def main() -> None:
        async with proxied() as path:
            await send(path.local, b"GET / HTTP/1.0\r\n\r\n")
            assert (await read_all(path.remote)).startswith(b"GET")
            await send(path.remote, b"<html>")
            assert await read_all(path.local) == b"<html>"
            assert await path.joint == Moved(forth=18, back=6)

    run(main())


# --- resets -------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("code", [0, 1, 0x1004, 2**32 - 1])
def test_w36_a_reset_stays_a_reset_with_its_code(
    run: RunVirtual, code: int, *, forth: bool
) -> None:
    async def main() -> None:
        async with relayed() as path:
            one, two = path.ends(forth=forth)
            await one.write(b"half a fi")
            assert await two.read() == b"half a fi"
            one.reset(code)
            for work in (two.read(), two.write(b"x")):
                with pytest.raises(StreamResetError) as caught:
                    await work
                assert (caught.value.code, caught.value.by_peer) == (code, True)
            with pytest.raises(StreamResetError) as caught:
                await path.joint
            assert caught.value.code == code

    run(main())


@BOTH
def test_w36_half_a_file_is_never_taken_for_a_whole_one(run: RunVirtual, *, forth: bool) -> None:
    async def main() -> None:
        for size in (0, 1, 10_000, 300_000, 2_000_000):
            async with relayed() as path:
                one, two = path.ends(forth=forth)
                two.close_write()  # the usual state of a download: the question is complete
                await asyncio.sleep(1)
                writer = asyncio.create_task(one.write(bytes(size)))
                await asyncio.sleep(1)
                one.reset()
                with pytest.raises(StreamResetError):
                    await read_all(two)
                with contextlib.suppress(StreamResetError):
                    await writer

    run(main())


def test_w36_a_socket_that_breaks_resets_the_stream(run: RunVirtual) -> None:
    async def main() -> None:
        async with proxied() as path:
            await path.local.write(b"half")
            assert await path.remote.read() == b"half"
            path.local.reset()
            with pytest.raises(StreamResetError):
                await path.remote.read()
            with pytest.raises(ConnectionError):
                await path.joint

    run(main())


def test_w36_a_stream_that_is_reset_breaks_the_socket(run: RunVirtual) -> None:
    async def main() -> None:
        async with proxied() as path:
            await path.remote.write(b"half")
            assert await path.local.read() == b"half"
            path.remote.reset()
            with pytest.raises(ConnectionError):
                await path.local.read()

    run(main())


@BOTH
def test_w36_a_connection_that_is_lost_is_no_end(run: RunVirtual, *, forth: bool) -> None:
    async def main() -> None:
        async with relayed() as path:
            one, two = path.ends(forth=forth)
            await one.write(b"half")
            assert await two.read() == b"half"
            one.connection.close()
            with pytest.raises(StreamResetError):
                await two.read()
            with pytest.raises(ConnectionClosedError):
                await path.joint

    run(main())


def test_a_reader_that_goes_away_resets_the_writer(run: RunVirtual) -> None:
    async def main() -> None:
        async with relayed() as path:
            writer = asyncio.create_task(path.left.write(bytes(10_000_000)))
            await path.right.read()
            path.right.reset(7)
            with pytest.raises(StreamResetError) as caught:
                await writer
            assert caught.value.code == 7

    run(main())


# --- limits -------------------------------------------------------------------------------


@BOTH
def test_a_limit_ends_both_sides_with_its_code(run: RunVirtual, *, forth: bool) -> None:
    async def main() -> None:
        left = {True: 100_000, False: 100_000}

        def spend(size: int, way: bool) -> int:
            allowed = min(size, left[way])
            left[way] -= allowed
            return allowed

        async with relayed(spend) as path:
            one, two = path.ends(forth=forth)
            await one.write(bytes(99_999))
            got = 0
            while got < 99_999:
                got += len(await two.read())
            await two.write(b"the other way has a limit of its own")
            assert await one.read()
            await one.write(b"xyz")
            for end in (one, two):
                with pytest.raises(StreamResetError) as caught:
                    await read_all(end)
                assert caught.value.code == StreamCode.RESOURCE_LIMIT_EXCEEDED
            with pytest.raises(ResourceLimitError):
                await path.joint
            assert left[forth] == 0

    run(main())


def test_a_limit_that_is_just_enough_is_no_limit(run: RunVirtual) -> None:
    async def main() -> None:
        left = 300_000

        def spend(size: int, _: bool) -> int:
            nonlocal left
            allowed = min(size, left)
            left -= allowed
            return allowed

        async with relayed(spend) as path, asyncio.TaskGroup() as group:
            group.create_task(send(path.left, bytes(300_000)))
            assert await read_all(path.right) == bytes(300_000)
            path.right.close_write()
            assert await path.joint == Moved(forth=300_000)

    run(main())


def test_an_error_of_the_accountant_resets_both(run: RunVirtual) -> None:
    async def main() -> None:
        def spend(size: int, _: bool) -> int:
            raise NotAuthorizedError("not any more")

        async with relayed(spend) as path:
            await path.left.write(b"x")
            for end in (path.left, path.right):
                with pytest.raises(StreamResetError):
                    await end.read()
            with pytest.raises(NotAuthorizedError):
                await path.joint

    run(main())


# --- waiting ------------------------------------------------------------------------------


def test_a_slow_reader_stops_the_sender_at_the_other_end(run: RunVirtual) -> None:
    async def main() -> None:
        payload, handed = pattern(8_000_000), 0

        async def write() -> None:
            nonlocal handed
            for at in range(0, len(payload), 10_000):
                await path.left.write(payload[at : at + 10_000])
                handed = at
            path.left.close_write()

        async with relayed() as path:
            writer = asyncio.create_task(write())
            await asyncio.sleep(600)
            # Each window may have doubled once, as it was read quickly at first.
            held_by_a_connection = 2 * INITIAL_WINDOW + MAX_QUEUED
            assert handed <= 2 * held_by_a_connection + PIECE
            before = handed
            await asyncio.sleep(600)
            assert handed == before
            assert await read_all(path.right) == payload
            await writer

    run(main())


def test_a_slow_socket_stops_the_sender_at_the_other_end(run: RunVirtual) -> None:
    async def main() -> None:
        async with proxied() as path:
            writer = asyncio.create_task(send(path.remote, bytes(8_000_000)))
            await asyncio.sleep(600)
            assert path.remote.written <= INITIAL_WINDOW + MAX_QUEUED + PIECE + PIPE_SIZE
            assert await read_all(path.local) == bytes(8_000_000)
            await writer

    run(main())


def test_cancelling_resets_both_sides(run: RunVirtual) -> None:
    async def main() -> None:
        async with relayed() as path:
            await path.left.write(b"x")
            await path.right.read()
            path.joint.cancel()
            with pytest.raises(asyncio.CancelledError):
                await path.joint
            for end in (path.left, path.right):
                with pytest.raises(StreamResetError):
                    await end.read()

    run(main())


def test_a_time_limit_resets_both_sides(run: RunVirtual) -> None:
    async def main() -> None:
        (one, near), (far, two) = pipe(), pipe()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(120):
                await splice(near, far)
        for end in (one, two):
            with pytest.raises(ConnectionError):
                await end.read()

    run(main())


def test_a_peer_that_finished_and_reads_nothing_is_given_up(run: RunVirtual) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        (local, near), (far, peer) = pipe(), pipe()
        peer.close_write()  # and never reads: what go's Close looks like over yamux

        async def download() -> None:
            with contextlib.suppress(ConnectionError):  # in the end
                while True:
                    await local.write(bytes(64 * 1024))

        began = loop.time()
        async with asyncio.TaskGroup() as group:
            group.create_task(download())
            with pytest.raises(TimeoutError):
                await splice(near, far)
        assert STALL_S <= loop.time() - began < STALL_S + 1

    run(main())
