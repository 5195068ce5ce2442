"""Descriptors of each kind; where one cannot be watched, a thread does the waiting."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import socket
import threading
from pathlib import Path

import pytest

from peerup.errors import ConnectionClosedError, LocalProtocolError
from peerup.transport.descriptor_stream import (
    PIPE_SIZE,
    SET_PIPE_SIZE,
    DescriptorStream,
)
from tests.sim.clock import RunReal
from tests.transport.descriptors import drain, feed, nowhere, pattern, pipe, taken

pytestmark = pytest.mark.real_clock

SIZE = 3_000_000


async def read_all(stream: DescriptorStream) -> bytes:
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)


def test_a_pipe_is_read_to_its_end(run_real: RunReal) -> None:
    async def main() -> None:
        with pipe() as (source, target):
            thread = feed(taken(target), pattern(SIZE))
            stream = DescriptorStream(source, nowhere())
            assert await read_all(stream) == pattern(SIZE)
            assert await stream.read() == b""
            stream.close()
            thread.join()

    run_real(main())


def test_a_pipe_is_written_whole_and_stays_blocking(run_real: RunReal) -> None:
    async def main() -> None:
        with pipe() as (source, target):
            copy = os.dup(target)
            thread, parts = drain(source)
            stream = DescriptorStream(None, taken(target))
            await stream.write(bytearray(pattern(SIZE)))
            assert stream.written == len(pattern(SIZE))
            assert os.get_blocking(copy)
            os.close(copy)
            stream.close()
            await asyncio.to_thread(thread.join)
            assert b"".join(parts) == pattern(SIZE)

    run_real(main())


@pytest.mark.skipif(SET_PIPE_SIZE is None, reason="pipes have one size here")
def test_a_pipe_is_made_to_hold_more(run_real: RunReal) -> None:
    async def main() -> None:
        with pipe() as (source, target):
            stream = DescriptorStream(source, taken(target))
            assert fcntl.fcntl(source, fcntl.F_GETPIPE_SZ) == PIPE_SIZE
            stream.close()

    run_real(main())


def test_a_file_is_read_though_no_loop_can_watch_it(run_real: RunReal, tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "in").write_bytes(pattern(SIZE))
        with (tmp_path / "in").open("rb") as file:
            stream = DescriptorStream(file.fileno(), nowhere())
            assert await read_all(stream) == pattern(SIZE)
            stream.close()

    run_real(main())


def test_nothing_can_be_read_from_nowhere(run_real: RunReal) -> None:
    async def main() -> None:
        null = os.open(os.devnull, os.O_RDONLY)
        for source in (null, None):
            stream = DescriptorStream(source, nowhere())
            assert await stream.read() == b""
            stream.close()
        os.close(null)

    run_real(main())


def test_a_socket_works_both_ways(run_real: RunReal) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            stream = DescriptorStream(theirs.fileno(), os.dup(theirs.fileno()))
            ours.sendall(b"ping")
            assert await stream.read() == b"ping"
            await stream.write(b"pong")
            assert ours.recv(4) == b"pong"
            assert theirs.getblocking()
            stream.close()

    run_real(main())


def test_a_terminal_gives_lines_until_control_d(run_real: RunReal) -> None:
    async def main() -> None:
        keyboard, terminal = pty.openpty()
        stream = DescriptorStream(terminal, os.dup(terminal))
        os.write(keyboard, b"hello\n\x04")
        assert await stream.read() == b"hello\n"
        assert await stream.read() == b""
        assert os.get_blocking(terminal)
        stream.close()
        os.close(keyboard)
        os.close(terminal)

    run_real(main())


def test_one_that_others_made_non_blocking_is_waited_for(run_real: RunReal) -> None:
    async def main() -> None:
        with pipe() as (source, target), pipe() as (back, out):
            os.set_blocking(source, False)
            os.set_blocking(out, False)
            thread, parts = drain(back)
            stream = DescriptorStream(source, taken(out))
            os.write(target, b"x")
            assert await stream.read() == b"x"
            await stream.write(pattern(SIZE))
            stream.close()
            await asyncio.to_thread(thread.join)
            assert b"".join(parts) == pattern(SIZE)

    run_real(main())


def test_whoever_is_quicker_takes_what_we_were_told_of(
    run_real: RunReal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        with pipe() as (source, target):
            os.set_blocking(source, False)
            stream = DescriptorStream(source, nowhere())
            read = os.read
            stolen: list[bytes] = []

            def late(number: int, size: int) -> bytes:
                if number == source and not stolen:
                    stolen.append(read(source, size))
                    os.write(target, b"ours")
                    raise BlockingIOError
                return read(number, size)

            monkeypatch.setattr("peerup.transport.descriptor_stream.os.read", late)
            os.write(target, b"theirs")
            assert await stream.read() == b"ours"
            assert stolen == [b"theirs"]
            stream.close()

    run_real(main())


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_a_cancelled_read_loses_nothing(run_real: RunReal, tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        (tmp_path / "in").write_bytes(b"all of it")
        with pipe() as (source, target), (tmp_path / "in").open("rb") as file:
            stream = DescriptorStream(source if kind == "pipe" else file.fileno(), nowhere())
            got = b""
            for turns in range(6):
                async with asyncio.TaskGroup() as group:
                    reading = group.create_task(stream.read(1))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    reading.cancel()
                got += b"" if reading.cancelled() else reading.result()
            feed(taken(target), b"all of it").join()
            assert got + await read_all(stream) == b"all of it"
            stream.close()

    run_real(main())


def test_a_writer_waits_for_a_slow_reader(run_real: RunReal) -> None:
    async def main() -> None:
        with pipe() as (source, target):
            stream = DescriptorStream(None, taken(target))
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(stream.write(pattern(SIZE)))
                for _ in range(100):
                    await asyncio.sleep(0)
                assert not writing.done()
                thread, parts = drain(source)
            stream.close()
            await asyncio.to_thread(thread.join)
            assert len(b"".join(parts)) == len(pattern(SIZE))

    run_real(main())


def test_a_reader_that_went_away_is_an_error(run_real: RunReal) -> None:
    async def main() -> None:
        with pipe() as (source, target):
            os.close(taken(source))
            stream = DescriptorStream(None, taken(target))
            with pytest.raises(BrokenPipeError):
                await stream.write(b"hello")
            stream.close()

    run_real(main())


def test_after_our_end_an_input_that_says_nothing_is_over(run_real: RunReal) -> None:
    async def main() -> None:
        with pipe() as (source, target):
            stream = DescriptorStream(source, nowhere(), linger=0.05)
            clock = asyncio.get_running_loop().time
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(stream.read())
                await asyncio.sleep(0)
                began = clock()
                stream.close_write()
            assert reading.result() == b""
            assert clock() - began >= 0.04  # the loop rounds
            os.write(target, b"too late")
            assert await stream.read() == b""
            stream.close()

    run_real(main())


def test_after_our_end_an_input_that_goes_on_is_read_to_its_end(run_real: RunReal) -> None:
    async def main() -> None:
        with pipe() as (source, target):
            stream = DescriptorStream(source, nowhere(), linger=2.0)
            stream.close_write()
            thread = feed(taken(target), pattern(SIZE))
            assert await read_all(stream) == pattern(SIZE)
            await asyncio.to_thread(thread.join)
            stream.close()

    run_real(main())


def test_our_end_is_seen_by_the_reader_while_we_still_read(run_real: RunReal) -> None:
    async def main() -> None:
        with pipe() as (source, target), pipe() as (back, out):
            stream = DescriptorStream(source, taken(out), linger=60.0)
            await stream.write(b"last")
            stream.close_write()
            assert await asyncio.to_thread(os.read, back, 10) == b"last"
            assert await asyncio.to_thread(os.read, back, 10) == b""
            os.write(target, b"more")
            assert await stream.read() == b"more"
            stream.close()

    run_real(main())


@pytest.mark.parametrize("end", ["close", "reset"])
def test_whoever_reads_is_woken_by_our_own_end(run_real: RunReal, end: str) -> None:
    async def main() -> None:
        with pipe() as (source, _):
            stream = DescriptorStream(source, nowhere())

            async def read() -> None:
                with pytest.raises(ConnectionClosedError):
                    await stream.read()

            async with asyncio.TaskGroup() as group:
                group.create_task(read())
                await asyncio.sleep(0)
                getattr(stream, end)()
                getattr(stream, end)()  # twice is no harm
            with pytest.raises(ConnectionClosedError):
                await stream.read()
            with pytest.raises(ConnectionClosedError):
                await stream.write(b"x")

    run_real(main())


def test_a_reset_is_no_end_for_whoever_reads(run_real: RunReal) -> None:
    async def main() -> None:
        with pipe() as (source, target):
            stream = DescriptorStream(None, target)
            await stream.write(b"half")
            stream.reset()
            os.set_blocking(source, False)
            assert os.read(source, 10) == b"half"
            with pytest.raises(BlockingIOError):
                os.read(source, 10)

    run_real(main())


def test_mistakes_of_ours_are_told(run_real: RunReal) -> None:
    async def main() -> None:
        with pipe() as (source, _), pipe() as (back, out):
            stream = DescriptorStream(source, taken(out))

            async def second_of_each() -> None:
                await asyncio.sleep(0)
                with pytest.raises(LocalProtocolError, match="two tasks read"):
                    await stream.read()
                with pytest.raises(LocalProtocolError, match="two tasks write"):
                    await stream.write(b"x")

            async with asyncio.TaskGroup() as group:
                reading = group.create_task(stream.read())
                group.create_task(stream.write(pattern(SIZE)))
                await second_of_each()
                thread, _ = drain(back)
                reading.cancel()
            stream.close_write()
            with pytest.raises(LocalProtocolError, match="after close_write"):
                await stream.write(b"x")
            await asyncio.to_thread(thread.join)
            stream.close()

    run_real(main())


def test_a_loop_that_has_ended_is_not_told_anything(run_real: RunReal) -> None:
    kept: list[tuple[DescriptorStream, threading.Thread]] = []
    with pipe() as (source, target):

        async def main() -> None:
            before = set(threading.enumerate())
            stream = DescriptorStream(None, taken(target))
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(stream.write(pattern(SIZE)))
                await asyncio.sleep(0)
                writing.cancel()
            (thread,) = set(threading.enumerate()) - before
            stream.close()
            kept.append((stream, thread))

        run_real(main())
        while os.read(source, 65536):  # now the thread can go on, and finds nobody
            pass
        kept[0][1].join(10.0)
        assert not kept[0][1].is_alive()
