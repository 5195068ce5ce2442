"""What a host does with the streams that its peers open."""

from __future__ import annotations

import asyncio

import pytest

from peerup.errors import (
    ConnectionClosedError,
    NegotiationError,
    NotAuthorizedError,
    ResourceLimitError,
    StreamResetError,
)
from peerup.host.handlers import Handler, Registration
from peerup.host.host import Host
from peerup.transport.muxed import MuxedStream
from peerup.wire.error_codes import StreamCode
from tests.world import InWorld, World, echo, never, peer_of, read_all, until


async def two(world: World) -> tuple[Host, Host]:
    home = await world.host("home", at=2)
    home.handle("/echo", echo)
    laptop = await world.host("laptop")
    await laptop.connect(home.peer, home.addrs)
    return home, laptop


async def echoes(host: Host) -> bool:
    stream = await host.open_stream(peer_of("home"), "/echo")
    await stream.write(b"still here")
    stream.close_write()
    return await read_all(stream) == b"still here"


def raising(why: Exception) -> Handler:
    async def handler(stream: MuxedStream) -> None:
        await stream.read(1)
        raise why

    return handler


@pytest.mark.parametrize(
    ("why", "code"),
    [
        (ZeroDivisionError("a bug of ours"), StreamCode.NONE),
        (ValueError("another"), StreamCode.NONE),
        (OSError("disk full"), StreamCode.NONE),
        (TimeoutError(), StreamCode.NONE),
        (ResourceLimitError("too much"), StreamCode.RESOURCE_LIMIT_EXCEEDED),
        (NotAuthorizedError("not you"), StreamCode.GATED),
    ],
)
def test_a_handler_that_fails_resets_its_stream_and_nothing_else(
    in_world: InWorld, why: Exception, code: StreamCode
) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        home.handle("/fail", raising(why))
        other = await laptop.open_stream(home.peer, "/echo")
        stream = await laptop.open_stream(home.peer, "/fail")
        await stream.write(b"x")
        with pytest.raises(StreamResetError) as caught:
            await stream.read()
        assert (caught.value.code, caught.value.by_peer) == (code, True)
        await other.write(b"not concerned")
        assert await other.read() == b"not concerned"
        assert await echoes(laptop)
        if isinstance(why, (ZeroDivisionError, ValueError)):  # bugs are loud, and said once
            assert world.crashes.pop() is why

    in_world(main)


def test_a_handler_that_returns_ends_the_stream_in_order(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)

        async def greet(stream: MuxedStream) -> None:
            await stream.write(b"hello")

        home.handle("/greet", greet)
        stream = await laptop.open_stream(home.peer, "/greet")
        assert await read_all(stream) == b"hello"

    in_world(main)


def test_a_peer_that_holds_too_many_streams_is_told_so(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        home.handle("/hold", Registration(never, max_per_peer=2))
        held = [await laptop.open_stream(home.peer, "/hold") for _ in range(2)]
        with pytest.raises(ResourceLimitError, match="no room for another /hold stream"):
            await laptop.open_stream(home.peer, "/hold")
        assert await echoes(laptop)  # other protocols have their own bound
        other = await world.host("other")
        stream = await other.open_stream(home.peer, "/hold", addrs=home.addrs)  # and other peers
        stream.reset()
        for one in held:
            one.reset()

    in_world(main)


def test_the_bound_counts_all_connections_of_a_peer(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        home.handle("/hold", Registration(never, max_per_peer=1))
        clone = await world.host("laptop")
        held = await laptop.open_stream(home.peer, "/hold")
        with pytest.raises(ResourceLimitError):
            await clone.open_stream(home.peer, "/hold", addrs=home.addrs)
        held.reset()

    in_world(main)


def test_a_stream_that_is_over_makes_room(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        home.handle("/one", Registration(echo, max_per_peer=1))
        for _ in range(10):
            stream = await laptop.open_stream(home.peer, "/one")
            stream.close_write()
            assert await read_all(stream) == b""

    in_world(main)


def test_streams_of_a_connection_that_breaks_make_room(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        home.handle("/hold", Registration(never, max_per_peer=1))
        stream = await laptop.open_stream(home.peer, "/hold")
        stream.connection.close()
        await until(lambda: len(home.connections) == 0)
        again = await laptop.open_stream(home.peer, "/hold", addrs=home.addrs)
        again.reset()

    in_world(main)


def test_a_handler_is_stopped_when_its_connection_breaks(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        stopped = asyncio.Event()

        async def patient(stream: MuxedStream) -> None:
            try:
                await never(stream)
            finally:
                stopped.set()

        home.handle("/patient", patient)
        stream = await laptop.open_stream(home.peer, "/patient")
        stream.connection.close()
        async with asyncio.timeout(1.0):
            await stopped.wait()

    in_world(main)


def test_a_protocol_that_is_served_no_longer_is_refused(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        stream = await laptop.open_stream(home.peer, "/echo")
        home.stop_handling("/echo")
        with pytest.raises(NegotiationError):
            await laptop.open_stream(home.peer, "/echo")
        await stream.write(b"what is open goes on")
        assert await stream.read() == b"what is open goes on"

    in_world(main)


def test_a_slow_handler_keeps_nobody_else_waiting(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        home.handle("/hold", never)
        held = await laptop.open_stream(home.peer, "/hold")
        async with asyncio.timeout(1.0):
            assert await echoes(laptop)
        held.reset()

    in_world(main)


def test_a_stream_cannot_be_opened_on_a_closed_connection(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        conn = await laptop.connect(home.peer)
        conn.close()
        with pytest.raises(ConnectionClosedError):
            await laptop.open_stream_on(conn, "/echo")

    in_world(main)


def test_two_hundred_streams_at_once_and_a_thousand_in_a_row(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        home.handle("/many", Registration(echo, max_per_peer=256))

        async def one(number: int) -> None:
            stream = await laptop.open_stream(home.peer, "/many")
            await stream.write(b"%d" % number)
            stream.close_write()
            assert await read_all(stream) == b"%d" % number

        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(one(number))
        for number in range(1000):
            await one(number)
        conn = await laptop.connect(home.peer)
        await until(lambda: len(conn) == 0)

    in_world(main)
