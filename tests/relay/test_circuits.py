"""What passes through a relay, how much of it, and how it ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from peerup.errors import (
    ConnectionClosedError,
    DialError,
    NotAuthorizedError,
    PeerupError,
    StreamResetError,
)
from peerup.host.gater import Answer, Verdict
from peerup.host.handlers import Registration
from peerup.host.host import Host
from peerup.relay.quota import RelayLimits
from peerup.relay.server import HopService
from peerup.transport.muxed import MuxedConnection, MuxedStream
from peerup.wire.error_codes import StreamCode
from peerup.wire.peer_id import PeerId
from tests.world import InWorld, World, echo, never, peer_of, read_all, through, until

HOME, RELAY, LAPTOP = peer_of("home"), peer_of("relay"), peer_of("laptop")
ANYWHERE = Registration(echo, on_limited=True)


@dataclass
class ListGater:
    """Lets in whom it lists."""

    listed: set[PeerId] = field(default_factory=lambda: {HOME, LAPTOP})

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        return Answer.YES if peer in self.listed else Answer.NO


@dataclass
class Scene:
    """A relay, a home with a place at it, a laptop, and the laptop's way to home."""

    relay: Host
    hop: HopService
    home: Host
    laptop: Host
    conn: MuxedConnection


async def scene(
    world: World, limits: RelayLimits | None = None, gater: ListGater | None = None
) -> Scene:
    if limits is None:
        relay, hop = await world.relay(gater=gater)
    else:
        relay, hop = await world.relay(limits, gater=gater)
    home = await world.home()
    home.handle("/echo", ANYWHERE)
    laptop = await world.device("laptop")
    return Scene(relay, hop, home, laptop, await laptop.connect(HOME, [through(relay)]))


async def echoes(laptop: Host, size: int = 5) -> bool:
    """Say something to home, on a new circuit if need be, and listen."""
    stream = await laptop.open_stream(HOME, "/echo", addrs=[through(RELAY)], allow_limited=True)

    async def say() -> None:
        await stream.write(bytes(size))
        stream.close_write()

    async with asyncio.TaskGroup() as group:
        group.create_task(say())
        heard = group.create_task(read_all(stream))
    return heard.result() == bytes(size)


# --- limits ---------------------------------------------------------------------------


async def talk_until_cut(stream: MuxedStream) -> tuple[int, PeerupError]:
    """Say as much as is let through; return how much came back, and the end."""
    heard = 0
    try:
        while True:
            await stream.write(bytes(1024))
            heard += len(await stream.read())
    except PeerupError as why:
        return heard, why


def test_at_the_limit_of_data_both_ends_see_why_and_a_new_circuit_is_possible(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        limit = 256 * 1024
        stage = await scene(world, RelayLimits(session_seconds=None, session_data=limit))
        (far,) = stage.home.connections.of(LAPTOP)
        stream = await stage.laptop.open_stream_on(stage.conn, "/echo", allow_limited=True)
        heard, why = await talk_until_cut(stream)
        assert limit * 0.9 < heard < limit  # handshakes and headers count too
        for reason in (why, stage.conn.reason, far.reason):
            assert isinstance(reason, StreamResetError)
            assert reason.code == StreamCode.RESOURCE_LIMIT_EXCEEDED
        assert not +stage.hop.quota._circuits
        assert await echoes(stage.laptop)

    in_world(main)


def test_each_direction_has_a_limit_of_its_own(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        got = 0

        async def swallow(stream: MuxedStream) -> None:
            nonlocal got
            while data := await stream.read():
                got += len(data)
            await stream.write(bytes(200 * 1024))

        limits = RelayLimits(session_seconds=None, session_data=256 * 1024)
        stage = await scene(world, limits)
        stage.home.handle("/swallow", Registration(swallow, on_limited=True))
        stream = await stage.laptop.open_stream_on(stage.conn, "/swallow", allow_limited=True)
        await stream.write(bytes(200 * 1024))
        stream.close_write()
        assert len(await read_all(stream)) == got == 200 * 1024

    in_world(main)


def test_at_the_limit_of_time_both_ends_see_why_and_a_new_circuit_is_possible(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        stage = await scene(world, RelayLimits(session_seconds=60, session_data=None))
        (far,) = stage.home.connections.of(LAPTOP)
        began = stage.conn.opened_at
        await stage.conn.wait_closed()
        assert stage.laptop.clock() - began == pytest.approx(60, abs=0.1)
        await far.wait_closed()
        for reason in (stage.conn.reason, far.reason):
            assert isinstance(reason, StreamResetError)
            assert reason.code == StreamCode.RESOURCE_LIMIT_EXCEEDED
        assert not +stage.hop.quota._circuits
        assert await echoes(stage.laptop)

    in_world(main)


def test_a_circuit_that_ended_before_its_time_is_left_alone(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        stage = await scene(world, RelayLimits(session_seconds=60, session_data=None))
        stage.conn.close()
        await until(lambda: not +stage.hop.quota._circuits)
        await asyncio.sleep(50)
        assert await echoes(stage.laptop)
        await asyncio.sleep(20)  # over the 60 s of the first, which is not the second's end
        assert await echoes(stage.laptop)
        assert len(stage.home.connections.of(LAPTOP)) == 1

    in_world(main)


def test_without_limits_a_circuit_lasts_and_is_not_limited(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        stage = await scene(world)
        assert not stage.conn.limited
        assert await echoes(stage.laptop, 4 * 1024 * 1024)
        await asyncio.sleep(3 * 3600)
        assert not stage.conn.is_closed
        assert await echoes(stage.laptop)
        assert len(stage.laptop.connections.of(HOME)) == 1

    in_world(main)


def test_connections_to_the_relay_itself_have_no_limits(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        stage = await scene(world, RelayLimits(session_seconds=60, session_data=128 * 1024))
        await asyncio.sleep(3600)
        assert stage.relay.connections.best(HOME) is not None
        assert stage.relay.connections.best(LAPTOP) is not None

    in_world(main)


# --- W-36: a reset stays a reset ------------------------------------------------------


async def half_a_file(stream: MuxedStream) -> None:
    """Send some, then wait for what happens."""
    await stream.write(bytes(100_000))
    await never(stream)


async def downloading(world: World) -> tuple[Scene, MuxedStream]:
    stage = await scene(world)
    stage.home.handle("/file", half_a_file)
    stream = await stage.laptop.open_stream_on(stage.conn, "/file")
    assert await stream.read()
    return stage, stream


@pytest.mark.parametrize("culprit", ["relay", "home"])
def test_w36_who_dies_in_a_download_never_makes_it_look_complete(
    in_world: InWorld, culprit: str
) -> None:
    async def main(world: World) -> None:
        stage, stream = await downloading(world)
        await world.stop(stage.relay if culprit == "relay" else stage.home)
        with pytest.raises((StreamResetError, ConnectionClosedError)):
            await read_all(stream)

    in_world(main)


@pytest.mark.parametrize("code", [0, 7, StreamCode.RESOURCE_LIMIT_EXCEEDED, 0xFFFFFFFF])
def test_w36_a_reset_keeps_its_code_from_end_to_end(in_world: InWorld, code: int) -> None:
    async def main(world: World) -> None:
        stage = await scene(world)

        async def reset(stream: MuxedStream) -> None:
            await stream.read()
            stream.reset(code)

        stage.home.handle("/reset", reset)
        stream = await stage.laptop.open_stream_on(stage.conn, "/reset")
        await stream.write(b"x")
        with pytest.raises(StreamResetError) as caught:
            await read_all(stream)
        assert (caught.value.code, caught.value.by_peer) == (code, True)
        assert not stage.conn.is_closed

    in_world(main)


def test_w36_a_reset_of_the_circuit_itself_arrives_as_one_with_its_code(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        stage = await scene(world)
        (far,) = stage.home.connections.of(LAPTOP)
        raw = stage.conn.link._channel.raw  # type: ignore[attr-defined]
        raw.reset(7)
        await far.wait_closed()
        assert isinstance(far.reason, StreamResetError)
        assert (far.reason.code, far.reason.by_peer) == (7, True)
        assert not +stage.hop.quota._circuits

    in_world(main)


def test_each_half_of_a_stream_ends_by_itself_through_a_relay(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        stage = await scene(world)

        async def late(stream: MuxedStream) -> None:
            got = await read_all(stream)  # up to the end of their half
            await asyncio.sleep(60)
            await stream.write(got)

        stage.home.handle("/late", late)
        stream = await stage.laptop.open_stream_on(stage.conn, "/late")
        await stream.write(b"question")
        stream.close_write()
        assert await read_all(stream) == b"question"

    in_world(main)


def test_an_orderly_end_of_the_connection_is_one_at_the_other_end(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        stage = await scene(world)
        (far,) = stage.home.connections.of(LAPTOP)
        stage.conn.close()
        await far.wait_closed()
        assert isinstance(far.reason, ConnectionClosedError)
        await until(lambda: not +stage.hop.quota._circuits, within=1.0)
        await until(lambda: len(stage.relay.connections.of(LAPTOP)[0]) == 0)

    in_world(main)


# --- one does not disturb the other ---------------------------------------------------


def test_a_slow_reader_stops_its_sender_and_nobody_else(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        stage = await scene(world)
        sent = 0

        async def pour(stream: MuxedStream) -> None:
            nonlocal sent
            while True:
                await stream.write(bytes(64 * 1024))
                sent += 64 * 1024

        stage.home.handle("/pour", pour)
        stream = await stage.laptop.open_stream_on(stage.conn, "/pour")
        await asyncio.sleep(60)  # during which nobody reads
        assert 0 < sent < 4 * 1024 * 1024
        before = sent
        await asyncio.sleep(60)
        assert sent == before
        assert await echoes(stage.laptop)  # on the same connection
        other = await world.device("other")
        assert await echoes(other)  # through the same relay
        stream.reset()

    in_world(main)


# --- W-06 at the relay ----------------------------------------------------------------


@pytest.mark.parametrize("removed", [HOME, LAPTOP])
def test_w06_whom_the_relay_removes_loses_its_circuits(in_world: InWorld, removed: PeerId) -> None:
    async def main(world: World) -> None:
        gater = ListGater()
        stage = await scene(world, gater=gater)
        stream = await stage.laptop.open_stream_on(stage.conn, "/echo")
        gater.listed.discard(removed)
        stage.relay.recheck([removed])
        async with asyncio.timeout(2.0):
            with pytest.raises(PeerupError):
                await read_all(stream)
            await until(lambda: removed not in stage.relay.connections.peers)
            await until(lambda: not +stage.hop.quota._circuits)
        if removed == HOME:
            assert not stage.hop.quota.holds(HOME, stage.relay.clock())
            with pytest.raises(DialError, match="NO_RESERVATION"):
                await stage.laptop.connect(HOME, [through(RELAY)])
        else:
            with pytest.raises(NotAuthorizedError):
                await stage.laptop.connect(HOME, [through(RELAY)])

    in_world(main)


def test_w06_whom_home_removes_loses_what_comes_through_the_relay(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        gater = ListGater({LAPTOP, RELAY})
        relay, _ = await world.relay()
        home = await world.home(gater=gater)
        home.handle("/echo", echo)
        laptop = await world.device("laptop")
        stream = await laptop.open_stream(HOME, "/echo", addrs=[through(relay)])
        gater.listed.discard(LAPTOP)
        home.recheck([LAPTOP])
        async with asyncio.timeout(2.0):
            with pytest.raises(NotAuthorizedError):
                await read_all(stream)
        await until(lambda: not home.connections.of(LAPTOP), within=2.0)
        assert home.connections.best(RELAY) is not None

    in_world(main)
