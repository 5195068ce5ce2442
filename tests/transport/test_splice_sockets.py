"""A splice between a stream and what the operating system calls a connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from peerup.errors import StreamResetError
from peerup.transport.splice import Moved, splice
from tests.conformance.byte_streams import read_all, send, turns
from tests.conformance.conversation import pattern
from tests.transport.links import connected
from tests.transport.sockets import socket_ends

if TYPE_CHECKING:
    from tests.sim.clock import RunReal

pytestmark = pytest.mark.real_clock


def test_a_download_passes_whole(run_real: RunReal) -> None:
    async def main() -> None:
        payload = pattern(3_000_000)
        async with socket_ends() as (local, end), connected() as (one, two):
            stream = await one.open_stream()
            remote = await two.accept_stream()
            joint = asyncio.create_task(splice(end, stream))
            await send(local, b"GET")
            assert await read_all(remote) == b"GET"
            writer = asyncio.create_task(send(remote, payload))
            assert await read_all(local) == payload
            assert await joint == Moved(forth=3, back=len(payload))
            await writer

    run_real(main())


def test_w36_a_real_socket_that_is_reset_resets_the_stream(run_real: RunReal) -> None:
    async def main() -> None:
        for size in (0, 10, 1_000_000):
            async with socket_ends() as (local, end), connected() as (one, two):
                stream = await one.open_stream()
                remote = await two.accept_stream()
                joint = asyncio.create_task(splice(end, stream))
                remote.close_write()
                writer = asyncio.create_task(local.write(bytes(size)))
                await turns(50)
                local.reset()
                with pytest.raises(StreamResetError):
                    await read_all(remote)
                for task in (joint, writer):
                    with contextlib.suppress(ConnectionError):
                        await task

    run_real(main())


def test_w36_a_stream_that_is_reset_resets_a_real_socket(run_real: RunReal) -> None:
    async def main() -> None:
        async with socket_ends() as (local, end), connected() as (one, two):
            stream = await one.open_stream()
            remote = await two.accept_stream()
            joint = asyncio.create_task(splice(end, stream))
            local.close_write()
            await remote.write(b"half")
            assert await local.read() == b"half"
            remote.reset(0x1002)
            with pytest.raises(ConnectionResetError):
                await read_all(local)
            with pytest.raises(StreamResetError):
                await joint

    run_real(main())
