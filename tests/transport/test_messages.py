from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, RemoteProtocolError
from peerup.transport.memory import pipe
from peerup.transport.messages import (
    expect_message,
    read_exactly,
    read_message,
    write_message,
)

if TYPE_CHECKING:
    from tests.sim.clock import RunVirtual

MOST = 1000


async def read(data: bytes, *, end: bool = True) -> list[bytes]:
    """Every message in ``data``, up to the end."""
    one, two = pipe()
    await one.write(data)
    if end:
        one.close_write()
    found = []
    while (message := await read_message(two, MOST)) is not None:
        found.append(message)
    return found


@given(messages=st.lists(st.binary(max_size=MOST), max_size=5))
def test_what_is_written_is_read(run: RunVirtual, messages: list[bytes]) -> None:
    async def main() -> None:
        one, two = pipe()
        for message in messages:
            await write_message(one, message)
        one.close_write()
        for message in messages:
            assert await read_message(two, MOST) == message
        assert await read_message(two, MOST) is None

    run(main())


def test_not_a_byte_too_much_is_read(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        await write_message(one, bytes(300))
        await one.write(b"for somebody else")
        assert await expect_message(two, MOST) == bytes(300)
        assert await two.read() == b"for somebody else"

    run(main())


def test_how_bytes_arrive_does_not_matter(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()

        async def trickle() -> None:
            for byte in b"\x03abc\x80\x02" + bytes(256):
                await one.write(bytes([byte]))
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            group.create_task(trickle())
            assert await read_message(two, MOST) == b"abc"
            assert await read_message(two, MOST) == bytes(256)

    run(main())


def test_a_longer_message_is_refused_before_it_is_read(run: RunVirtual) -> None:
    async def main() -> None:
        assert await read(b"\xe8\x07" + bytes(MOST)) == [bytes(MOST)]
        with pytest.raises(LimitError):
            await read(b"\xe9\x07", end=False)
        with pytest.raises(LimitError):
            await read(b"\xff" * 8 + b"\x7f", end=False)

    run(main())


@pytest.mark.parametrize(
    "data", [b"\x80", b"\x03ab", b"\x83", b"\x81\x00", b"\xff" * 9, b"\xff" * 20]
)
def test_a_broken_message_is_the_fault_of_the_peer(run: RunVirtual, data: bytes) -> None:
    async def main() -> None:
        with pytest.raises(RemoteProtocolError):
            await read(data)

    run(main())


def test_an_end_instead_of_a_message_is_an_error_only_where_one_is_due(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        one.close_write()
        assert await read_message(two, MOST) is None
        with pytest.raises(RemoteProtocolError):
            await expect_message(two, MOST)

    run(main())


def test_an_empty_message_is_a_message(run: RunVirtual) -> None:
    async def main() -> None:
        assert await read(b"\x00\x00") == [b"", b""]

    run(main())


def test_read_exactly_waits_for_all_of_it(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        assert await read_exactly(two, 0) == b""
        for piece in (b"ab", b"cd", b"e"):
            await one.write(piece)
        assert await read_exactly(two, 4) == b"abcd"
        one.close_write()
        with pytest.raises(RemoteProtocolError, match="after 1 of 2 bytes"):
            await read_exactly(two, 2)

    run(main())


@given(data=st.binary(max_size=200))
def test_any_bytes_are_messages_or_an_error_of_the_peer(run: RunVirtual, data: bytes) -> None:
    async def main() -> None:
        with contextlib.suppress(RemoteProtocolError):
            assert sum(map(len, await read(data))) <= len(data)

    run(main())
