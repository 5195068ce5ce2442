from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import (
    NegotiationError,
    RemoteProtocolError,
    ResourceLimitError,
    StreamResetError,
)
from peerup.host.handlers import Handler, Registration
from peerup.host.host import Host
from peerup.protocols import ping
from peerup.transport.memory import pipe
from peerup.transport.messages import read_exactly
from peerup.transport.muxed import MuxedConnection, MuxedStream
from tests.sim.clock import RunVirtual
from tests.world import InWorld, World, echo, never, read_all, until

BOTH = [ping.PEERUP_PROTOCOL, ping.PROTOCOL]


async def pair(
    world: World, handlers: dict[str, Handler | Registration] | None = None
) -> tuple[Host, MuxedConnection]:
    """A connection to a host that answers both pings, or has these handlers."""
    home = await world.host("home", at=2)
    standard = Registration(ping.serve, ping.MAX_INBOUND)
    ours: dict[str, Handler | Registration] = {
        ping.PROTOCOL: standard,
        ping.PEERUP_PROTOCOL: ping.serve_peerup,
    }
    for protocol, handler in (ours if handlers is None else handlers).items():
        home.handle(protocol, handler)
    laptop = await world.host("laptop")
    return laptop, await laptop.connect(home.peer, home.addrs)


def answering(answer: bytes, after: float = 0.0) -> Handler:
    """A handler that reads something, waits, and says this."""

    async def handler(stream: MuxedStream) -> None:
        await stream.read()
        await asyncio.sleep(after)
        await stream.write(answer)

    return handler


async def late_echo(stream: MuxedStream) -> None:
    while data := await stream.read():
        await asyncio.sleep(0.25)
        await stream.write(data)


# --- asking ---------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", BOTH)
def test_one_round_trip_is_measured(in_world: InWorld, protocol: str) -> None:
    async def main(world: World) -> None:
        answers: dict[str, Handler | Registration] = {
            ping.PROTOCOL: late_echo,
            ping.PEERUP_PROTOCOL: answering(b"pong\n", after=0.25),
        }
        laptop, conn = await pair(world, answers)
        for _ in range(3):
            assert await ping.ping(laptop, conn, [protocol]) == pytest.approx(0.25)
        await until(lambda: len(conn) == 0)

    in_world(main)


def test_agreeing_on_the_protocol_is_not_part_of_the_round_trip(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world, {"/only": answering(b"pong\n", after=0.25)})
        assert await ping.ping(laptop, conn, ["/a", "/b", "/only"]) == pytest.approx(0.25)

    in_world(main)


@pytest.mark.parametrize("known", BOTH)
def test_the_first_ping_that_the_peer_speaks_is_used(in_world: InWorld, known: str) -> None:
    async def main(world: World) -> None:
        handler = ping.serve if known == ping.PROTOCOL else ping.serve_peerup
        laptop, conn = await pair(world, {known: handler})
        assert await ping.ping(laptop, conn, BOTH) >= 0

    in_world(main)


def test_a_peer_that_speaks_no_ping_says_so(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world, {})
        with pytest.raises(NegotiationError):
            await ping.ping(laptop, conn, BOTH)

    in_world(main)


async def trickle(stream: MuxedStream) -> None:
    """Answer a byte now and then, for ever."""
    while True:
        await stream.write(b"p")
        await asyncio.sleep(4)


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("handler", [never, trickle])
def test_w07_a_silent_peer_is_given_up_after_10_s(
    in_world: InWorld, protocol: str, handler: Handler
) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world, {protocol: handler})
        began = laptop.clock()
        with pytest.raises(TimeoutError):
            await ping.ping(laptop, conn, [protocol])
        assert laptop.clock() - began == pytest.approx(ping.REPLY_TIMEOUT_S)
        assert len(conn) == 0  # nothing is left behind
        assert not conn.is_closed

    in_world(main)


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        (ping.PROTOCOL, bytes(32)),
        (ping.PROTOCOL, b"short"),
        (ping.PROTOCOL, b""),
        (ping.PEERUP_PROTOCOL, b"unknown\n"),
        (ping.PEERUP_PROTOCOL, b"\x1b[2Jpong\n"),
        (ping.PEERUP_PROTOCOL, b""),
        (ping.PEERUP_PROTOCOL, b"pong" * 100_000),
    ],
)
def test_an_answer_that_is_none_is_the_peers_fault(
    in_world: InWorld, protocol: str, answer: bytes
) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world, {protocol: answering(answer)})
        with pytest.raises(RemoteProtocolError) as caught:
            await ping.ping(laptop, conn, [protocol])
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 200

    in_world(main)


@given(answer=st.binary(max_size=100))
def test_any_answer_is_an_error_or_a_pong(in_world: InWorld, answer: bytes) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world, {ping.PEERUP_PROTOCOL: answering(answer)})
        try:
            await ping.ping(laptop, conn, [ping.PEERUP_PROTOCOL])
        except RemoteProtocolError:
            return
        assert answer.strip() == b"pong"

    in_world(main)


def test_a_reset_is_no_answer(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        async def reset(stream: MuxedStream) -> None:
            stream.reset(7)

        laptop, conn = await pair(world, {ping.PROTOCOL: reset})
        with pytest.raises(StreamResetError):
            await ping.ping(laptop, conn, [ping.PROTOCOL])

    in_world(main)


# --- answering ------------------------------------------------------------------------


def test_32_bytes_come_back_as_often_as_one_likes(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world)
        stream = await laptop.open_stream_on(conn, ping.PROTOCOL)
        for number in range(100):
            await stream.write(bytes([number]) * ping.SIZE)
            assert await stream.read() == bytes([number]) * ping.SIZE
        stream.close_write()
        assert await read_all(stream) == b""

    in_world(main)


@given(sizes=st.lists(st.integers(1, 40), max_size=9))
def test_how_payloads_are_cut_never_matters(run: RunVirtual, sizes: list[int]) -> None:
    async def main() -> None:
        near, far = pipe()
        data = bytes(range(4 * ping.SIZE))
        async with asyncio.TaskGroup() as group:
            group.create_task(ping.serve(cast("MuxedStream", far)))
            left = data
            for size in sizes:
                await near.write(left[:size])
                await asyncio.sleep(0.1)
                left = left[size:]
            await near.write(left)
            near.close_write()
        assert await read_exactly(near, len(data)) == data

    run(main())


@pytest.mark.parametrize("size", [1, 31, 33])
def test_a_payload_that_is_cut_short_resets_the_stream(in_world: InWorld, size: int) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world)
        stream = await laptop.open_stream_on(conn, ping.PROTOCOL)
        await stream.write(bytes(size))
        stream.close_write()
        with pytest.raises(StreamResetError):
            await read_all(stream)
        assert not conn.is_closed

    in_world(main)


@pytest.mark.parametrize("size", [0, 31])
def test_w07_a_client_that_falls_silent_is_dropped_after_30_s(in_world: InWorld, size: int) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world)
        stream = await laptop.open_stream_on(conn, ping.PROTOCOL)
        began = laptop.clock()
        await stream.write(bytes(size))
        with pytest.raises(StreamResetError):
            await stream.read()
        assert laptop.clock() - began == pytest.approx(ping.IDLE_TIMEOUT_S)

    in_world(main)


def test_one_peer_has_two_ping_streams_and_no_more(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world)
        held = [await laptop.open_stream_on(conn, ping.PROTOCOL) for _ in range(ping.MAX_INBOUND)]
        with pytest.raises(ResourceLimitError):
            await laptop.open_stream_on(conn, ping.PROTOCOL)
        for stream in held:
            stream.close()
        assert await ping.ping(laptop, conn, [ping.PROTOCOL]) >= 0

    in_world(main)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"ping\n", b"pong\n"),
        (b"ping\r\n", b"pong\n"),
        (b"PING\n", b"unknown\n"),
        (b"\n", b"unknown\n"),
        (b"\xff\x00\n", b"unknown\n"),
        (b"x" * 1000, b"unknown\n"),
    ],
)
def test_peerups_own_ping_answers_one_line(in_world: InWorld, line: bytes, answer: bytes) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world)
        stream = await laptop.open_stream_on(conn, ping.PEERUP_PROTOCOL)
        for at in range(len(line)):
            await stream.write(line[at : at + 1])
        assert await read_all(stream) == answer

    in_world(main)


def test_w07_a_line_that_never_ends_is_not_waited_for(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world)
        stream = await laptop.open_stream_on(conn, ping.PEERUP_PROTOCOL)
        began = laptop.clock()
        await stream.write(b"pin")
        with pytest.raises(StreamResetError):
            await stream.read()
        assert laptop.clock() - began == pytest.approx(ping.REPLY_TIMEOUT_S)

    in_world(main)


def test_the_answer_to_a_ping_is_not_an_echo_by_chance(in_world: InWorld) -> None:
    """Each ping sends other bytes, so what an earlier one brought back proves nothing."""

    async def main(world: World) -> None:
        sent: list[bytes] = []

        async def record(stream: MuxedStream) -> None:
            sent.append(await stream.read())
            await stream.write(sent[0])

        laptop, conn = await pair(world, {ping.PROTOCOL: record})
        assert await ping.ping(laptop, conn, [ping.PROTOCOL]) >= 0
        with pytest.raises(RemoteProtocolError):
            await ping.ping(laptop, conn, [ping.PROTOCOL])

    in_world(main)


def test_an_echo_answers_a_ping(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await pair(world, {ping.PROTOCOL: echo})
        assert await ping.ping(laptop, conn, [ping.PROTOCOL]) >= 0

    in_world(main)
