from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, RemoteProtocolError, WrongPeerError
from peerup.transport.memory import PIPE_SIZE, Pipe, pipe
from peerup.transport.secure import READ_SIZE, NoiseChannel, handshake
from peerup.wire.noise import MAX_PLAINTEXT
from peerup.wire.peer_id import PeerId
from peerup.wire.yamux import PROTOCOL
from tests.conformance.conversation import pattern
from tests.conformance.transports import key_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.sim.clock import RunVirtual

RECORD = 2 + 100 + 16  # bytes on the wire of a message of 100


def peer_of(name: str) -> PeerId:
    return PeerId.from_public_key(key_of(name).public_key)


def dial(raw: Pipe, expected: str | None = "home") -> Coroutine[None, None, NoiseChannel]:
    peer = None if expected is None else peer_of(expected)
    return handshake(raw, key_of("laptop"), initiator=True, expected=peer, muxers=[PROTOCOL])


def answer(raw: Pipe) -> Coroutine[None, None, NoiseChannel]:
    return handshake(raw, key_of("home"), initiator=False, expected=None, muxers=[PROTOCOL])


async def channels() -> tuple[NoiseChannel, NoiseChannel]:
    """Both ends of a secure channel, the dialler's first."""
    one, two = pipe()
    async with asyncio.TaskGroup() as group:
        dialler, listener = group.create_task(dial(one)), group.create_task(answer(two))
    return dialler.result(), listener.result()


async def receive(channel: NoiseChannel, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += b"".join(await channel.receive())
    return data


# --- the handshake ------------------------------------------------------------------------


def test_both_sides_learn_who_is_there(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = await channels()
        assert (one.session.peer, two.session.peer) == (peer_of("home"), peer_of("laptop"))
        assert one.session.muxer == two.session.muxer == PROTOCOL

    run(main())


def test_another_peer_than_expected_is_refused_before_we_say_who_we_are(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        listener = asyncio.create_task(answer(two))
        with pytest.raises(WrongPeerError):
            await dial(one, expected="somebody else")
        one.close_write()
        with pytest.raises(RemoteProtocolError, match="hung up"):
            await listener

    run(main())


def test_hanging_up_in_the_handshake_is_the_fault_of_the_peer(run: RunVirtual) -> None:
    async def main() -> None:
        for work in (dial, answer):
            one, two = pipe()
            two.close_write()
            with pytest.raises(RemoteProtocolError, match="hung up"):
                await work(one)

    run(main())


def test_a_message_that_is_too_long_is_not_waited_for(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        await one.write(b"\xff\xff")
        with pytest.raises(LimitError):
            await answer(two)

    run(main())


def test_what_came_with_the_last_message_of_the_handshake_is_not_lost(run: RunVirtual) -> None:
    class Slow(Pipe):
        """Reads nothing for a second, so that several messages come at once."""

        async def read(self, max_bytes: int = 65536) -> bytes:
            await asyncio.sleep(1)
            parts = await super().read(max_bytes)
            while self._in.pieces:
                parts += await super().read(max_bytes)
            return parts

    async def main() -> None:
        one, two = pipe()

        async def talk_at_once() -> None:
            channel = await dial(one)
            await channel.write(b"early ")
            await channel.write(b"words")

        async with asyncio.TaskGroup() as group:
            group.create_task(talk_at_once())
            listener = group.create_task(answer(Slow(two._in, two._out)))
        assert await receive(listener.result(), 11) == b"early words"

    run(main())


@given(data=st.binary(max_size=300), initiator=st.booleans())
def test_any_bytes_in_the_handshake_are_the_fault_of_the_peer(
    run: RunVirtual, data: bytes, *, initiator: bool
) -> None:
    async def main() -> None:
        one, two = pipe()
        await two.write(data)
        two.close_write()
        with pytest.raises(RemoteProtocolError):
            await (dial(one) if initiator else answer(one))

    run(main())


# --- records ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, MAX_PLAINTEXT, MAX_PLAINTEXT + 1, 3 * MAX_PLAINTEXT + 5])
def test_what_one_side_writes_the_other_receives(run: RunVirtual, size: int) -> None:
    async def main() -> None:
        payload = pattern(size)
        for near, far in (await channels(), (await channels())[::-1]):
            await near.write(payload)
            assert await receive(far, size) == payload
            await near.write_batch([payload[:7], memoryview(payload)[7:100], payload[100:]])
            assert await receive(far, size) == payload

    run(main())


def test_the_end_is_an_empty_list(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = await channels()
        await one.write(b"last")
        one.raw.close_write()
        assert await two.receive() == [b"last"]
        assert await two.receive() == []
        assert await two.read() == b""

    run(main())


def test_an_empty_record_says_nothing_and_is_no_end(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = await channels()
        await one.raw.write(_empty(one))
        await one.write(b"x")
        assert await two.receive() == [b"x"]

    run(main())


def _empty(channel: NoiseChannel) -> bytes:
    """A record without a payload, which our own side never makes."""
    buffer = bytearray(18)
    size = channel.session.sealer._seal_record(0, memoryview(buffer), 0)
    return bytes(buffer[:size])


@given(bit=st.integers(0, 8 * RECORD - 1))
def test_a_flipped_bit_ends_the_channel(run: RunVirtual, bit: int) -> None:
    async def main() -> None:
        one, two = await channels()
        record = bytearray(one.session.sealer.seal(pattern(100)))
        record[bit // 8] ^= 1 << bit % 8
        await one.raw.write(record)
        one.raw.close_write()
        with pytest.raises(RemoteProtocolError):
            await two.receive()

    run(main())


@pytest.mark.parametrize("order", [[0, 0], [1, 0], [1], [0, 2]])
def test_records_cannot_be_replayed_dropped_or_reordered(run: RunVirtual, order: list[int]) -> None:
    async def main() -> None:
        one, two = await channels()
        records = [one.session.sealer.seal(pattern(100, number)) for number in range(3)]
        await one.raw.write(b"".join(records[number] for number in order))
        with pytest.raises(RemoteProtocolError, match="verify"):
            await receive(two, 300)

    run(main())


@pytest.mark.parametrize("cut", [1, 2, 17, RECORD - 1])
def test_an_end_inside_a_record_is_no_end(run: RunVirtual, cut: int) -> None:
    async def main() -> None:
        one, two = await channels()
        await one.raw.write(one.session.sealer.seal(bytes(100))[:cut])
        one.raw.close_write()
        with pytest.raises(RemoteProtocolError, match="inside a record"):
            await two.receive()

    run(main())


@given(cuts=st.lists(st.integers(1, 80_000), max_size=8))
def test_how_records_are_cut_never_matters(run: RunVirtual, cuts: list[int]) -> None:
    async def main() -> None:
        payload = pattern(100_000)
        one, two = await channels()
        wire = bytes(one.session.sealer.seal(payload))

        async def send() -> None:
            rest = wire
            for cut in cuts:
                await one.raw.write(rest[:cut])
                rest = rest[cut:]
                await asyncio.sleep(1)
            await one.raw.write(rest)

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            assert await receive(two, len(payload)) == payload

    run(main())


# --- buffers that are used again ----------------------------------------------------------


def test_a_batch_whose_write_is_cancelled_spoils_no_other(run: RunVirtual) -> None:
    async def main() -> None:
        stuck, reader = await channels()
        first, second = pattern(READ_SIZE, 1), pattern(READ_SIZE, 2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await stuck.write_batch([first])  # more than the pipe holds
        one, two = await channels()
        async with asyncio.TaskGroup() as group:
            group.create_task(one.write_batch([second]))
            assert await receive(two, len(second)) == second
        arrived = await receive(reader, PIPE_SIZE - MAX_PLAINTEXT - 1_000)
        assert first.startswith(arrived)

    run(main())


def test_batches_on_many_channels_at_once_do_not_mix(run: RunVirtual) -> None:
    async def main() -> None:
        async def use(number: int) -> None:
            one, two = await channels()
            payload = pattern(READ_SIZE, number)
            async with asyncio.TaskGroup() as inner:
                inner.create_task(one.write_batch([payload]))
                assert await receive(two, len(payload)) == payload

        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(use(number))

    run(main())
