from __future__ import annotations

import asyncio
import logging

import pytest

from peerup.errors import (
    ConnectionClosedError,
    DialError,
    LocalProtocolError,
    PeerupError,
    ResourceLimitError,
)
from peerup.host.events import ConnectionClosed, ConnectionOpened, ProtocolsChanged
from peerup.host.host import CLOSE_TIMEOUT_S, GREETING_TIMEOUT_S, Host
from peerup.transport.endpoints import Role
from peerup.transport.limits import Limits
from peerup.transport.muxed import MuxedConnection
from peerup.wire.error_codes import ConnectionCode
from peerup.wire.multiaddr import Multiaddr
from tests.internet import Internet
from tests.world import InWorld, World, echo, key_of, memory, never, peer_of, through, until

QUIC = Multiaddr.parse("/ip4/127.0.0.1/udp/4001/quic-v1")


async def two(world: World, *, limits: Limits | None = None) -> tuple[Host, Host]:
    """A host that echoes at number 2, and one that knows where."""
    home = await world.host("home", at=2, limits=limits)
    home.handle("/echo", echo)
    laptop = await world.host("laptop")
    laptop.peerstore.add_addrs(home.peer, home.addrs, 3600.0)
    return home, laptop


# --- listening ------------------------------------------------------------------------


def test_a_host_says_where_it_listens(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        assert home.addrs == (memory(2),)
        await home.listen(memory(0))  # any free number
        assert len(home.addrs) == 2

    in_world(main)


def test_an_address_without_a_transport_is_the_callers_mistake(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home")
        assert home.can_listen(memory(2))
        assert not home.can_listen(QUIC)
        with pytest.raises(LocalProtocolError, match="no transport can listen on /ip4/127"):
            await home.listen(QUIC)

    in_world(main)


def test_a_host_that_cannot_listen_keeps_nothing(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.host("home", at=2)
        with pytest.raises(OSError, match="is taken"):
            await world.host("other", listen=[memory(3), memory(2)])
        await world.host("third", at=3)  # it has given number 3 back

    in_world(main)


# --- connecting -----------------------------------------------------------------------


def test_a_connection_is_used_again_and_again(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        conn = await laptop.connect(home.peer)
        assert await laptop.connect(home.peer) is conn
        stream = await laptop.open_stream(home.peer, "/echo")
        assert stream.connection is conn
        assert [one.peer for one in home.connections] == [laptop.peer]

    in_world(main)


def test_the_answering_side_may_open_streams_too(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        laptop.handle("/echo", echo)
        conn = await laptop.connect(home.peer)
        stream = await home.open_stream(laptop.peer, "/echo")
        assert stream.connection.inbound
        assert not conn.inbound

    in_world(main)


def test_a_peer_of_which_nothing_is_known_cannot_be_reached(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop = await world.host("laptop")
        with pytest.raises(DialError, match="no addresses known"):
            await laptop.connect(peer_of("home"))

    in_world(main)


def test_a_connection_that_broke_is_dialled_anew(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        conn = await laptop.connect(home.peer)
        await world.stop(home)
        await until(lambda: conn.is_closed)
        with pytest.raises(DialError):
            await laptop.connect(home.peer)
        await two_again(world)
        assert await laptop.connect(home.peer) is not conn

    async def two_again(world: World) -> None:
        await world.host("home", at=2)

    in_world(main)


def test_where_a_direct_connection_is_asked_for_a_relayed_one_will_not_do(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        relay, _ = await world.relay()
        home = await world.home()
        laptop = await world.device("laptop")
        relayed = await laptop.connect(home.peer, [through(relay)])
        assert relayed.relayed
        with pytest.raises(DialError, match="no addresses known"):
            await laptop.connect(home.peer, direct=True)
        await home.listen(memory(2))
        direct = await laptop.connect(home.peer, [memory(2)], direct=True)
        assert not direct.relayed
        assert await laptop.connect(home.peer) is direct  # new streams take the better one

    in_world(main)


def test_a_dial_for_anything_does_not_satisfy_one_for_a_direct_connection(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        relay, _ = await world.relay()
        home = await world.home()
        await home.listen(memory(2))
        laptop = await world.device("laptop")
        async with asyncio.TaskGroup() as group:
            anything = group.create_task(laptop.connect(home.peer, [through(relay)]))
            await asyncio.sleep(0)  # that dial is under way when the next call comes
            direct = group.create_task(laptop.connect(home.peer, [memory(2)], direct=True))
        assert anything.result().relayed
        assert not direct.result().relayed

    in_world(main)


def test_a_host_does_not_dial_itself(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        with pytest.raises(LocalProtocolError, match="does not connect to itself"):
            await home.connect(home.peer, home.addrs)
        assert len(home.connections) == 0

    in_world(main)


def test_our_own_key_seen_from_elsewhere_is_refused_with_a_warning(
    in_world: InWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(world: World) -> None:
        net = Internet()
        listen = [Multiaddr.parse("/ip4/192.0.2.1/tcp/4001")]
        home = await world.host("home", transports=[net.machine("192.0.2.1")], listen=listen)
        clone = await world.host("home", transports=[net.machine("198.51.100.9")])
        wire = net.machine("198.51.100.9")(clone.local)
        conn = await wire.dial(listen[0], home.peer, role=Role.CLIENT)
        await conn.wait_closed()
        assert len(home.connections) == 0

    in_world(main)
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "our own key" in warning.message
    assert "198.51.100.9" in str(vars(warning)["addr"])


def test_a_second_host_with_the_same_key_takes_the_place_of_the_first_for_others(
    in_world: InWorld,
) -> None:
    """A machine that was copied: nobody crashes, and each has a connection of its own."""

    async def main(world: World) -> None:
        home, laptop = await two(world)
        clone = await world.host("laptop")
        await laptop.connect(home.peer)
        await clone.connect(home.peer, [memory(2)])
        await until(lambda: len(home.connections.of(laptop.peer)) == 2)

    in_world(main)


# --- bounds ---------------------------------------------------------------------------


def test_a_peer_may_hold_so_many_connections(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world, limits=Limits(connections_per_peer=2))
        wire = world.network.transport(laptop.local)
        conns = [await wire.dial(memory(2), home.peer) for _ in range(3)]
        await conns[2].wait_closed()
        why = conns[2].reason
        assert isinstance(why, ConnectionClosedError)
        assert why.code == ConnectionCode.RESOURCE_LIMIT_EXCEEDED
        assert [conn.is_closed for conn in conns] == [False, False, True]
        assert len(home.connections) == 2
        for conn in conns:
            conn.close()

    in_world(main)


def test_all_peers_together_may_hold_so_many_connections(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, _ = await two(world, limits=Limits(connections=2))
        for name in ("one", "two"):
            await (await world.host(name)).connect(home.peer, [memory(2)])
        third = await world.host("three")
        with pytest.raises(ConnectionClosedError, match="0x1001"):
            await third.connect(home.peer, [memory(2)])
        assert len(home.connections) == 2

    in_world(main)


def test_a_connection_of_ours_beyond_the_bound_is_an_error_of_our_own(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, _ = await two(world)
        busy = await world.host("busy", limits=Limits(connections=0))
        with pytest.raises(PeerupError):
            await busy.connect(home.peer, [memory(2)])
        await until(lambda: len(home.connections) == 0)

    in_world(main)


# --- greeting -------------------------------------------------------------------------


def test_connect_waits_until_both_have_been_introduced(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        seen = []

        async def greeter(conn: MuxedConnection) -> None:
            await asyncio.sleep(1.0)
            seen.append(conn)

        laptop.greet(greeter)
        conn = await laptop.connect(home.peer)
        assert seen == [conn]
        assert "/echo" in laptop.peerstore.protocols(home.peer)

    in_world(main)


def test_a_peer_that_does_not_introduce_itself_costs_5_s_at_most(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)

        async def greeter(conn: MuxedConnection) -> None:
            await asyncio.get_running_loop().create_future()

        laptop.greet(greeter)
        began = laptop.clock()
        await laptop.connect(home.peer)
        assert laptop.clock() - began == pytest.approx(GREETING_TIMEOUT_S)
        await laptop.connect(home.peer)  # and only once
        assert laptop.clock() - began == pytest.approx(GREETING_TIMEOUT_S)

    in_world(main)


def test_a_connection_that_ends_while_it_is_greeted_is_not_the_last_word(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        greeted: list[MuxedConnection] = []

        async def greeter(conn: MuxedConnection) -> None:
            greeted.append(conn)
            if len(greeted) == 1:
                await asyncio.sleep(1)
                conn.close()

        laptop.greet(greeter)
        first = asyncio.create_task(laptop.connect(home.peer))
        await asyncio.sleep(0.5)
        assert await laptop.connect(home.peer) is greeted[1]
        with pytest.raises(ConnectionClosedError):
            await first

    in_world(main)


def test_a_greeter_that_fails_does_no_harm(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)

        async def greeter(conn: MuxedConnection) -> None:
            raise ResourceLimitError("no")

        laptop.greet(greeter)
        assert await laptop.connect(home.peer)

    in_world(main)


# --- events and the end ---------------------------------------------------------------


def test_connections_come_and_go_on_the_bus(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        with home.bus.subscribe(ConnectionOpened, ConnectionClosed) as events:
            conn = await laptop.connect(home.peer)
            opened = await events.next()
            assert isinstance(opened, ConnectionOpened)
            assert opened.connection.peer == laptop.peer
            conn.close()
            closed = await events.next()
            assert isinstance(closed, ConnectionClosed)
            assert closed.connection is opened.connection
            assert closed.connection.reason is not None
            assert len(home.connections) == 0

    in_world(main)


def test_protocols_come_and_go_on_the_bus(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", identify=False)
        with home.bus.subscribe(ProtocolsChanged) as events:
            home.handle("/a", echo)
            home.handle("/b", never)
            home.stop_handling("/a")
            seen = [(await events.next()).protocols for _ in range(3)]
        assert seen == [("/a",), ("/a", "/b"), ("/b",)]

    in_world(main)


def test_a_host_that_closes_tells_its_peers(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        stream = await laptop.open_stream(home.peer, "/echo")
        await world.stop(home)
        with pytest.raises(ConnectionClosedError) as caught:
            await stream.read()
        assert caught.value.code == ConnectionCode.SHUTDOWN
        await until(lambda: len(laptop.connections) == 0)

    in_world(main)


def test_a_peer_that_takes_nothing_holds_up_the_end_for_a_moment_only(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop = await two(world)
        conn = await laptop.connect(home.peer)
        stream = await laptop.open_stream(home.peer, "/echo")

        class Stuck:
            """A wire that takes no more."""

            def __getattr__(self, name: str) -> object:
                return getattr(raw, name)

            async def write(self, data: bytes) -> None:
                await asyncio.get_running_loop().create_future()

        link = conn.link
        raw = link._channel.raw  # type: ignore[attr-defined]
        link._channel.raw = Stuck()  # type: ignore[attr-defined]
        await stream.write(bytes(1000))
        began = laptop.clock()
        await world.stop(laptop)
        assert laptop.clock() - began <= CLOSE_TIMEOUT_S

    in_world(main)


def test_a_host_may_be_made_outside_a_loop() -> None:
    assert Host(key_of("home")).peer == peer_of("home")
