from __future__ import annotations

import asyncio

import pytest

from peerup.errors import ConnectionClosedError, DialError, NotAuthorizedError, WrongPeerError
from peerup.host.dialer import (
    BACKOFF_S,
    DIAL_TIMEOUT_S,
    MAX_BACKOFF_S,
    MAX_BACKOFFS,
    RELAY_DELAY_S,
    STAGGER_S,
    Backoff,
)
from peerup.host.gater import Answer, Verdict
from peerup.host.host import Host
from peerup.transport.endpoints import Role
from peerup.transport.muxed import MuxedConnection
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from tests.internet import SILENT, Internet
from tests.world import InWorld, World, peer_of, until

HOME = peer_of("home")
LOOPBACK = "/ip4/127.0.0.1/tcp/4001"
LAN = "/ip4/192.168.1.5/tcp/4001"
PUBLIC = "/ip4/192.0.2.1/tcp/4001"
OTHER = "/ip4/192.0.2.2/tcp/4001"
RELAYED = f"/ip4/198.51.100.7/tcp/7777/p2p/{peer_of('relay')}/p2p-circuit"


def addresses(*texts: str) -> list[Multiaddr]:
    return [Multiaddr.parse(text) for text in texts]


def many(count: int) -> list[str]:
    return [f"/ip4/192.0.2.{number // 200}/tcp/{4000 + number}" for number in range(count)]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Refusing:
    """A gater that wants nobody."""

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        return Answer.NO


async def laptop_in(world: World, net: Internet) -> Host:
    return await world.host("laptop", transports=[net.machine("198.51.100.1")], identify=False)


async def home_in(world: World, net: Internet, *addrs: str) -> Host:
    machine = net.machine("192.0.2.1")
    listen = addresses(*addrs)
    return await world.host("home", transports=[machine], listen=listen, identify=False)


# --- back-off -------------------------------------------------------------------------


def test_an_address_is_left_alone_twice_as_long_after_each_failure() -> None:
    clock = Clock()
    backoff, (addr,) = Backoff(clock), addresses(PUBLIC)
    wait = BACKOFF_S
    for _ in range(12):
        backoff.failed(HOME, addr)
        clock.now += wait - 0.001
        assert backoff.blocks(HOME, addr)
        clock.now += 0.001
        assert not backoff.blocks(HOME, addr)
        wait = min(2 * wait, MAX_BACKOFF_S)
    backoff.succeeded(HOME, addr)
    backoff.failed(HOME, addr)
    clock.now += BACKOFF_S
    assert not backoff.blocks(HOME, addr)


def test_an_address_that_fails_for_one_peer_may_do_for_another() -> None:
    backoff, (addr,) = Backoff(Clock()), addresses(PUBLIC)
    backoff.failed(HOME, addr)
    assert not backoff.blocks(peer_of("other"), addr)


def test_only_so_many_failures_are_remembered() -> None:
    backoff, addrs = Backoff(Clock()), addresses(*many(MAX_BACKOFFS + 1))
    for addr in addrs:
        backoff.failed(HOME, addr)
    assert len(backoff._failed) == MAX_BACKOFFS
    assert not backoff.blocks(HOME, addrs[0])
    assert backoff.blocks(HOME, addrs[1])


def test_what_failed_a_moment_ago_is_tried_last(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        laptop = await laptop_in(world, net)
        with pytest.raises(DialError):
            await laptop.connect(HOME, addresses(LAN))
        await home_in(world, net, LAN, PUBLIC)
        conn = await laptop.connect(HOME, addresses(LAN, PUBLIC))
        assert str(conn.remote_addr) == PUBLIC
        conn.close()
        await asyncio.sleep(BACKOFF_S)
        net.dials.clear()
        await laptop.connect(HOME)
        assert net.dials[0][1] == LAN

    in_world(main)


# --- the race -------------------------------------------------------------------------


def test_dials_start_one_after_the_other_and_relays_wait_longer(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        laptop = await laptop_in(world, net)
        net.delay = dict.fromkeys([LOOPBACK, LAN, PUBLIC, RELAYED], SILENT)
        began = laptop.clock()
        with pytest.raises(DialError) as caught:
            await laptop.connect(HOME, addresses(RELAYED, PUBLIC, LAN, LOOPBACK))
        assert net.since(began) == [
            (0.0, LOOPBACK),
            (STAGGER_S, LAN),
            (2 * STAGGER_S, PUBLIC),
            (2 * STAGGER_S + RELAY_DELAY_S, RELAYED),
        ]
        assert laptop.clock() - began == pytest.approx(
            2 * STAGGER_S + RELAY_DELAY_S + DIAL_TIMEOUT_S
        )
        assert set(caught.value.causes) == {LOOPBACK, LAN, PUBLIC, RELAYED}
        assert "no answer in time" in str(caught.value)

    in_world(main)


def test_after_a_failure_the_next_dial_starts_at_once(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        await home_in(world, net, PUBLIC)
        laptop = await laptop_in(world, net)
        net.delay[OTHER] = 0.1  # and then nobody is there
        began = laptop.clock()
        await laptop.connect(HOME, addresses(LOOPBACK, OTHER, PUBLIC))
        assert net.since(began) == [(0.0, LOOPBACK), (0.0, OTHER), (0.1, PUBLIC)]

    in_world(main)


def test_the_first_to_finish_wins_and_the_others_are_given_up(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        home = await home_in(world, net, LAN, PUBLIC, OTHER)
        laptop = await laptop_in(world, net)
        net.delay = {LAN: 5.0, PUBLIC: 0.5, OTHER: SILENT}
        began = laptop.clock()
        conn = await laptop.connect(HOME, addresses(LAN, PUBLIC, OTHER))
        assert str(conn.remote_addr) == PUBLIC
        assert laptop.clock() - began == pytest.approx(STAGGER_S + 0.5)
        await asyncio.sleep(60)
        assert len(net.open) == 1
        assert len(home.connections) == len(laptop.connections) == 1

    in_world(main)


def test_the_loser_of_a_dead_heat_is_closed(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        home = await home_in(world, net, PUBLIC, OTHER)
        laptop = await laptop_in(world, net)
        net.delay = {PUBLIC: STAGGER_S + 1.0, OTHER: 1.0}
        await laptop.connect(HOME, addresses(PUBLIC, OTHER))
        assert len(net.open) == 2  # both got through in the same moment
        await until(lambda: len(home.connections) == 1)
        await asyncio.sleep(60)
        assert len(home.connections) == len(laptop.connections) == 1

    in_world(main)


def test_a_transport_that_is_done_with_all_its_dials_at_once_keeps_one(in_world: InWorld) -> None:
    """The queue of results can hold two winners; the second must not stay open unseen."""

    async def main(world: World) -> None:
        net, release = Internet(), asyncio.Event()
        made: list[MuxedConnection] = []

        class Together:
            """Dials as the machine does, and hands over when all are through."""

            def __init__(self, host: Host) -> None:
                self._inner = net.machine("198.51.100.1")(host.local)
                self.can_dial = self._inner.can_dial
                self.can_listen = self._inner.can_listen
                self.listen = self._inner.listen
                self.close = self._inner.close
                self.close = self._inner.close

            async def dial(self, addr: Multiaddr, peer: PeerId, *, role: Role) -> MuxedConnection:
                conn = await self._inner.dial(addr, peer, role=role)
                made.append(conn)
                await release.wait()
                return conn

        home = await home_in(world, net, PUBLIC, OTHER)
        laptop = await world.host("laptop", identify=False)
        laptop.add_transport(Together(laptop))
        asyncio.get_running_loop().call_later(1.0, release.set)
        conn = await laptop.connect(HOME, addresses(PUBLIC, OTHER))
        assert [one.is_closed for one in made] == [False, True]
        assert made[0] is conn
        await until(lambda: len(home.connections) == 1)

    in_world(main)


def test_addresses_that_no_transport_understands_are_not_tried(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        laptop = await laptop_in(world, net)
        with pytest.raises(DialError, match="no addresses known") as caught:
            await laptop.connect(HOME, addresses("/ip4/192.0.2.1/udp/4001/quic-v1"))
        assert caught.value.causes == {}
        assert net.dials == []

    in_world(main)


def test_all_that_a_name_stands_for_is_raced(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        await home_in(world, net, PUBLIC)
        net.delay = {OTHER: SILENT}
        laptop = await laptop_in(world, net)

        async def look_up(_name: str, _family: int) -> list[str]:
            return ["192.0.2.2", "192.0.2.1"]

        laptop._dialer._look_up = look_up
        (by_name,) = addresses("/dns/home.example/tcp/4001")
        conn = await laptop.connect(HOME, [by_name])
        assert str(conn.remote_addr) == PUBLIC
        assert [addr for _, addr in net.dials] == [OTHER, PUBLIC]

    in_world(main)


def test_whoever_answers_must_be_the_peer_that_was_dialled(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        home = await home_in(world, net, PUBLIC)
        laptop = await laptop_in(world, net)
        with pytest.raises(DialError) as caught:
            await laptop.connect(peer_of("other"), addresses(PUBLIC))
        (why,) = caught.value.causes.values()
        assert isinstance(why, WrongPeerError)
        assert (why.expected, why.actual) == (str(peer_of("other")), str(HOME))
        assert "authorize" in caught.value.hint
        assert len(laptop.connections) == 0
        await until(lambda: len(home.connections) == 0)

    in_world(main)


def test_a_peer_that_does_not_want_us_matters_more_than_dead_addresses(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        machine = net.machine("192.0.2.1")
        listen = addresses(PUBLIC)
        await world.host("home", transports=[machine], listen=listen, gater=Refusing())
        laptop = await laptop_in(world, net)
        with pytest.raises(NotAuthorizedError):
            await laptop.open_stream(HOME, "/anything", addrs=addresses(LAN, PUBLIC, OTHER))

    in_world(main)


# --- those who wait -------------------------------------------------------------------


def test_whoever_wants_the_same_peer_waits_for_the_same_dial(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        await home_in(world, net, PUBLIC)
        laptop = await laptop_in(world, net)
        net.delay[PUBLIC] = 2.0
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(laptop.connect(HOME, addresses(PUBLIC))) for _ in range(100)]
        assert len({id(call.result()) for call in calls}) == 1
        assert len(net.dials) == 1

    in_world(main)


def test_whoever_waits_for_a_dial_that_fails_gets_its_error(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        laptop = await laptop_in(world, net)
        net.delay[PUBLIC] = 2.0
        failed = []

        async def call() -> None:
            with pytest.raises(DialError) as caught:
                await laptop.connect(HOME, addresses(PUBLIC))
            failed.append(caught.value)

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(call())
        assert len(failed) == 3
        assert len(net.dials) == 1
        with pytest.raises(DialError):  # the next call is a new dial
            await laptop.connect(HOME, addresses(PUBLIC))
        assert len(net.dials) == 2

    in_world(main)


def test_a_caller_that_gives_up_does_not_take_the_dial_from_the_others(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        await home_in(world, net, PUBLIC)
        laptop = await laptop_in(world, net)
        net.delay[PUBLIC] = 2.0

        async def impatient() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await laptop.connect(HOME, addresses(PUBLIC))

        async with asyncio.TaskGroup() as group:
            group.create_task(impatient())
            patient = group.create_task(laptop.connect(HOME, addresses(PUBLIC)))
        assert patient.result().peer == HOME
        assert len(net.dials) == 1

    in_world(main)


def test_a_dial_that_nobody_waits_for_any_more_is_not_wasted(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        await home_in(world, net, PUBLIC)
        laptop = await laptop_in(world, net)
        net.delay[PUBLIC] = 2.0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await laptop.connect(HOME, addresses(PUBLIC))
        await asyncio.sleep(2.0)
        assert laptop.connections.best(HOME) is not None

    in_world(main)


@pytest.mark.parametrize("after", [0.0, 1.0])
def test_closing_the_host_ends_its_dials_with_an_error(in_world: InWorld, after: float) -> None:
    """With an error: a cancellation would look as if the caller itself had been cancelled."""

    async def main(world: World) -> None:
        net = Internet()
        laptop = await laptop_in(world, net)
        net.delay[PUBLIC] = SILENT
        ended = []

        async def call() -> None:
            with pytest.raises(ConnectionClosedError, match="the host is closed"):
                await laptop.connect(HOME, addresses(PUBLIC))
            ended.append(True)

        async with asyncio.TaskGroup() as group:
            group.create_task(call())
            await asyncio.sleep(after)  # 0: the dial has not taken its first step yet
            await world.stop(laptop)
            async with asyncio.timeout(1.0):
                await until(lambda: ended)

    in_world(main)
