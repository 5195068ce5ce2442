"""What ``peerup nc`` and ``peerup proxy`` are made of, beyond single streams."""

from __future__ import annotations

import asyncio

import pytest

from peerup.errors import (
    ConnectionClosedError,
    DialError,
    NotAuthorizedError,
    ServiceError,
    StreamResetError,
)
from peerup.host.handlers import Handler, Registration
from peerup.node import proxies
from peerup.node.node import Node
from peerup.node.proxies import (
    DELIVERY_S,
    FIRST_RETRY_S,
    MAX_RETRY_S,
    carry,
    check_service,
    stay_connected,
)
from peerup.transport.memory import pipe
from peerup.transport.muxed import MuxedStream
from tests.conformance.byte_streams import read_all as read_end
from tests.conformance.byte_streams import send
from tests.conformance.conversation import pattern
from tests.node.town import WEB, InTown, Town
from tests.world import echo, never, peer_of, until

HOME = peer_of("home")


async def pair(town: Town, handler: Handler = echo) -> tuple[Node, Node]:
    """Home with the service ``web``, and a laptop that only dials."""
    home = await town.node("home", "laptop")
    home.host.handle(WEB, Registration(handler, on_limited=True))
    return home, await town.node("laptop", serving=False)


def test_bytes_pass_both_ways_and_each_end_is_passed_on(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await pair(town)
        local, ours = pipe()
        async with asyncio.TaskGroup() as group:
            carrying = group.create_task(carry(laptop, HOME, "web", ours))
            group.create_task(send(local, pattern(500_000)))
            assert await read_end(local) == pattern(500_000)
        moved = carrying.result()
        assert (moved.forth, moved.back) == (500_000, 500_000)

    in_town(main)


def test_it_ends_only_when_the_last_bytes_are_over_there(in_town: InTown) -> None:
    heard: list[int] = []

    async def late(stream: MuxedStream) -> None:
        stream.close_write()  # first of all
        await asyncio.sleep(5)
        while data := await stream.read():
            heard.append(len(data))

    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await pair(town, late)
        local, ours = pipe()
        async with asyncio.TaskGroup() as group:
            carrying = group.create_task(carry(laptop, HOME, "web", ours))
            group.create_task(send(local, pattern(1_000_000)))
        assert carrying.result().forth == 1_000_000
        await town.stop(laptop)  # which takes its connections along
        assert sum(heard) == 1_000_000

    in_town(main)


def test_a_peer_that_never_reads_the_last_bytes_is_given_up(in_town: InTown) -> None:
    async def deaf(stream: MuxedStream) -> None:
        stream.close_write()
        await never(stream)

    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await pair(town, deaf)
        local, ours = pipe()
        began = laptop.host.clock()

        async def carrying() -> None:
            with pytest.raises(TimeoutError):
                await carry(laptop, HOME, "web", ours)

        async with asyncio.TaskGroup() as group:
            group.create_task(carrying())
            group.create_task(send(local, b"x" * 400_000))
        assert laptop.host.clock() - began == pytest.approx(DELIVERY_S, abs=1.0)

    in_town(main)


async def crash(stream: MuxedStream) -> None:
    await stream.write(b"half")
    stream.reset()


def test_w36_a_service_that_breaks_off_is_an_error_that_says_so(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await pair(town, crash)
        local, ours = pipe()
        with pytest.raises(ServiceError, match="broke off"):
            await carry(laptop, HOME, "web", ours)
        with pytest.raises(ConnectionResetError):
            await read_end(local)

    in_town(main)


def test_a_service_that_is_not_for_us_is_not_authorized(in_town: InTown) -> None:
    async def refuse(stream: MuxedStream) -> None:
        raise NotAuthorizedError("not you")

    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await pair(town, refuse)
        _, ours = pipe()
        with pytest.raises(NotAuthorizedError):
            await carry(laptop, HOME, "web", ours)

    in_town(main)


@pytest.mark.parametrize("known", [True, False])
def test_a_service_that_is_not_there_is_named(in_town: InTown, known: bool) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home, laptop = await pair(town)
        await laptop.connect(HOME)
        if known:  # from identify, so that the stream is opened lazily, and refused late
            home.host.handlers.remove(WEB)
        service = "web" if known else "other"
        _, ours = pipe()
        with pytest.raises(ServiceError, match=f"offers no service '{service}'"):
            await carry(laptop, HOME, service, ours)

    in_town(main)


def test_a_local_end_that_breaks_resets_the_stream(in_town: InTown) -> None:
    ended: list[Exception] = []

    async def listen(stream: MuxedStream) -> None:
        try:
            while await stream.read():
                pass
        except StreamResetError as why:
            ended.append(why)

    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await pair(town, listen)
        local, ours = pipe()

        async def carrying() -> None:
            with pytest.raises(ConnectionError):
                await carry(laptop, HOME, "web", ours)

        async with asyncio.TaskGroup() as group:
            group.create_task(carrying())
            await local.write(b"x")
            await asyncio.sleep(1)
            local.reset()
        await until(lambda: ended)

    in_town(main)


def test_what_the_peer_said_it_speaks_tells_of_its_services(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await pair(town)
        await check_service(laptop, HOME, "other")  # nothing is known yet
        await laptop.connect(HOME)
        await check_service(laptop, HOME, "web")
        with pytest.raises(ServiceError, match="offers no service 'other'"):
            await check_service(laptop, HOME, "other")

    in_town(main)


def test_a_service_that_the_peer_left_out_of_its_list_is_asked_for(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await pair(town)
        await laptop.connect(HOME)
        laptop.host.peerstore.set_identity(HOME, ["/ipfs/id/1.0.0"], "")
        await check_service(laptop, HOME, "web")

    in_town(main)


def test_a_connection_that_is_lost_is_made_again(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        relay = await town.relay("home", "laptop")
        _, laptop = await pair(town)
        diary: list[object] = []
        await laptop.connect(HOME)
        laptop.host.tasks.spawn(stay_connected, laptop, HOME, diary.append)
        await asyncio.sleep(100)
        assert diary == []
        await town.stop(relay)
        await until(lambda: diary)
        assert isinstance(diary[0], ConnectionClosedError)
        await asyncio.sleep(300)
        await town.relay("home", "laptop")
        took = await until(lambda: len(diary) == 2, within=60.0)
        assert took <= 2 * MAX_RETRY_S
        assert diary[1] is laptop.host.connections.best(HOME)

    in_town(main)


def test_a_peer_that_hangs_up_again_and_again_is_asked_less_and_less_often(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home, laptop = await pair(town)

        async def hang_up() -> None:
            while True:
                for conn in home.host.connections:
                    if conn.peer == laptop.peer_id:
                        conn.close()
                await asyncio.sleep(0.05)

        diary: list[object] = []
        await laptop.connect(HOME)
        laptop.host.tasks.spawn(stay_connected, laptop, HOME, diary.append)
        home.host.tasks.spawn(hang_up)
        await asyncio.sleep(60)
        assert 10 < len(diary) < 40  # two for each time: 0, 0.5, 1, 2, 4, 8, 10, ... s apart

    in_town(main)


def test_another_connection_that_is_there_is_no_outage(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home = await town.node("home", "laptop", at=2)
        laptop = await town.node("laptop", serving=False)
        relayed = await laptop.connect(HOME)
        diary: list[object] = []
        laptop.host.tasks.spawn(stay_connected, laptop, HOME, diary.append)
        await asyncio.sleep(1)
        await laptop.host.connect(HOME, home.host.addrs, direct=True)
        relayed.close()
        await asyncio.sleep(60)
        assert diary == []

    in_town(main)


@pytest.mark.parametrize("who", ["home", "relay"])
def test_w06_a_revocation_ends_it_at_once_and_is_not_tried_again(in_town: InTown, who: str) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await pair(town)

        async def stay() -> None:
            with pytest.raises(NotAuthorizedError):
                await stay_connected(laptop, HOME, print)

        async with asyncio.TaskGroup() as group:
            staying = group.create_task(stay())
            await asyncio.sleep(5)
            assert not staying.done()
            began = laptop.host.clock()
            town.authorize(who, *(["home"] if who == "relay" else []))
            await staying
            assert laptop.host.clock() - began < 2.0 + 2 * FIRST_RETRY_S

    in_town(main)


def test_whoever_is_absent_at_the_start_is_an_error(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        with pytest.raises(DialError):
            await stay_connected(laptop, HOME, print)

    in_town(main)


def test_a_connection_that_ends_before_the_last_bytes_left_is_an_error(
    in_town: InTown,
) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await pair(town, never)
        stream = await proxies.open_service(laptop, HOME, "web")
        await stream.write(b"x" * 400_000)  # more than goes out unread
        stream.close_write()
        stream.connection.close()
        with pytest.raises(ConnectionClosedError):
            await proxies._delivered(laptop, stream)

    in_town(main)
