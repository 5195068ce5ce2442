from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import pytest

from peerup.errors import (
    DialError,
    NegotiationError,
    NotAuthorizedError,
    PeerupError,
    RelayRefusedError,
)
from peerup.host.events import AddressesChanged
from peerup.host.gater import Answer, Verdict
from peerup.host.host import Host
from peerup.relay.autorelay import AutoRelay
from peerup.relay.quota import Quota, RelayLimits
from peerup.relay.reservations import REFUSED_RETRY_S
from peerup.relay.server import HopService
from peerup.transport.muxed import MuxedConnection
from peerup.wire.circuit import HOP_PROTOCOL, Status
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from tests.internet import SILENT, Internet
from tests.world import (
    UNLIMITED,
    InWorld,
    World,
    echo,
    memory,
    never,
    peer_of,
    through,
    until,
)

HOME, RELAY, SECOND = peer_of("home"), peer_of("relay"), peer_of("second")
BACK_WITHIN = 5.0  # seconds after a relay is back


@dataclass
class ListGater:
    listed: set[PeerId] = field(default_factory=set)

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        return Answer.YES if peer in self.listed else Answer.NO


def keeping(host: Host, *relays: tuple[PeerId, int]) -> AutoRelay:
    return AutoRelay(host, {relay: [memory(at)] for relay, at in relays})


async def home_at(world: World, *relays: tuple[PeerId, int]) -> tuple[Host, AutoRelay]:
    home = await world.device("home")
    home.handle("/echo", echo)
    return home, keeping(home, *(relays or ((RELAY, 1),)))


async def reachable(world: World, name: str = "laptop") -> bool:
    """Dial home as somebody does who has just come."""
    laptop = await world.device(name)
    try:
        stream = await laptop.open_stream(HOME, "/echo", addrs=[through(RELAY)])
        await stream.write(b"hello")
        return await stream.read() == b"hello"
    except PeerupError:
        return False
    finally:
        await world.stop(laptop)


# --- holding --------------------------------------------------------------------------


def test_a_place_is_held_from_the_start_and_advertised(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        _, hop = await world.relay()
        home, places = await home_at(world)
        with home.bus.subscribe(AddressesChanged) as changes:
            took = await until(lambda: places.held)
            assert took < 1.0
            assert (await changes.next()).addrs == (through(RELAY),)
        assert home.addrs == (through(RELAY),)
        assert places.failed == {}
        assert hop.quota.holds(HOME, home.clock())
        assert await reachable(world)

    in_world(main)


@pytest.mark.parametrize("ttl", [20.0, 120.0, 3600.0])
def test_a_place_is_refreshed_in_time_for_ever(in_world: InWorld, ttl: float) -> None:
    async def main(world: World) -> None:
        _, hop = await world.relay(RelayLimits(ttl=ttl))
        home, places = await home_at(world)
        await until(lambda: places.held)
        with home.bus.subscribe(AddressesChanged) as changes:
            for _ in range(50):
                await asyncio.sleep(ttl / 5)
                assert hop.quota.holds(HOME, home.clock())
            assert changes.pending == 0  # nobody has to hear of it
        assert len(hop.quota) == 1
        assert len(home.connections.of(RELAY)) == 1

    in_world(main)


def test_it_is_asked_for_rarely(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        asked = []

        class Counting(Quota):
            def reserve(self, peer: PeerId, source: str, now: float) -> Status:
                asked.append(now)
                return super().reserve(peer, source, now)

        _, hop = await world.relay()
        hop.quota = Counting(UNLIMITED)
        await home_at(world)
        await asyncio.sleep(3 * 3600)
        assert 3 <= len(asked) <= 8

    in_world(main)


def test_a_place_at_each_relay_is_held_at_the_same_time(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        one, _ = await world.relay()
        await world.relay(name="second", at=2)
        home, places = await home_at(world, (RELAY, 1), (SECOND, 2))
        await until(lambda: len(places.held) == 2)
        assert set(home.addrs) == {through(RELAY), through(SECOND, 2)}
        await world.stop(one)  # the other one is not concerned, and there is no gap
        await until(lambda: home.addrs == (through(SECOND, 2),), within=1.0)
        laptop = await world.device("laptop")
        assert await laptop.connect(HOME, [through(RELAY), through(SECOND, 2)])

    in_world(main)


def test_a_relay_that_does_not_answer_keeps_no_other_waiting(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        mute = await world.host("second", at=2)
        mute.handle(HOP_PROTOCOL, never)
        await world.relay()
        _, places = await home_at(world, (SECOND, 2), (RELAY, 1))
        assert await until(lambda: RELAY in places.held) < 1.0
        await until(lambda: SECOND in places.failed, within=20.0)
        assert isinstance(places.failed[SECOND], TimeoutError)

    in_world(main)


# --- losing and finding again (W-39) --------------------------------------------------


@pytest.mark.parametrize("down", [0.0, 0.1, 3.0, 60.0, 3600.0])
def test_w39_home_is_reachable_within_5_s_after_its_relay_is_back(
    in_world: InWorld, down: float
) -> None:
    async def main(world: World) -> None:
        relay, _ = await world.relay()
        home, places = await home_at(world)
        await until(lambda: places.held)
        await world.stop(relay)
        await until(lambda: home.addrs == ())  # it does not advertise what does not work
        await asyncio.sleep(down)
        assert not await reachable(world)
        await world.relay()
        began = home.clock()
        await until(lambda: places.held, within=BACK_WITHIN)
        assert await reachable(world)
        assert home.clock() - began < BACK_WITHIN

    in_world(main)


def test_w39_fifty_homes_are_back_within_5_s_and_not_at_one_moment(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        relay, _ = await world.relay()
        homes = [await world.device(f"home{number}") for number in range(50)]
        kept = [keeping(home, (RELAY, 1)) for home in homes]
        await until(lambda: all(places.held for places in kept))
        await world.stop(relay)
        await asyncio.sleep(600)
        arrivals: list[float] = []
        relay, hop = await world.relay()
        began = relay.clock()
        while len(arrivals) < 50:
            arrivals += [relay.clock() - began] * (len(hop.quota) - len(arrivals))
            await asyncio.sleep(0.01)
            assert relay.clock() - began < BACK_WITHIN
        busiest = max(sum(at <= one < at + 0.1 for one in arrivals) for at in arrivals)
        assert busiest <= 15
        assert all(len(places.held) == 1 for places in kept)

    in_world(main)


def test_w39_a_relay_that_starts_later_than_home_is_found_within_5_s(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, places = await home_at(world)
        await asyncio.sleep(1234)
        assert isinstance(places.failed[RELAY], DialError)
        assert home.addrs == ()
        await world.relay()
        await until(lambda: places.held, within=BACK_WITHIN)
        assert places.failed == {}

    in_world(main)


def test_w39_a_connection_that_breaks_alone_is_made_again_at_once(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        relay, hop = await world.relay()
        home, places = await home_at(world)
        await until(lambda: places.held)
        for _ in range(5):
            for conn in relay.connections.of(HOME):
                conn.close()
            await until(lambda: not places.held)
            assert await until(lambda: places.held) <= 1.0
            assert hop.quota.holds(HOME, home.clock())
            await asyncio.sleep(60)

    in_world(main)


def test_w39_a_line_that_fell_silent_is_noticed_and_replaced(in_world: InWorld) -> None:
    """A power cut sends no farewell: only keepalive can tell."""

    async def main(world: World) -> None:
        net = Internet()
        where = Multiaddr.parse("/ip4/203.0.113.1/tcp/7777")
        relay = await world.host("relay", transports=[net.machine("203.0.113.1")], listen=[where])
        HopService(relay, UNLIMITED)
        home = await world.host("home", transports=[net.machine("198.51.100.1")])
        places = AutoRelay(home, {RELAY: [where]})
        await until(lambda: places.held)
        for side in (net.open[-1]._in, net.open[-1]._out):
            side.pieces = Swallow()  # type: ignore[assignment]
        net.delay[str(where)] = SILENT
        await until(lambda: not places.held, within=60)
        net.delay.clear()
        await until(lambda: places.held, within=25)

    in_world(main)


class Swallow(list[bytes]):
    """A wire that takes everything and delivers nothing."""

    def append(self, piece: bytes) -> None:
        pass


def test_w39_a_full_relay_is_asked_again_and_again(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay(RelayLimits(reservations=1))
        first = await world.home("first")
        home, places = await home_at(world)
        await asyncio.sleep(600)
        why = places.failed[RELAY]
        assert isinstance(why, RelayRefusedError)
        assert why.status == Status.RESERVATION_REFUSED
        assert home.addrs == ()
        await world.stop(first)
        await until(lambda: places.held, within=REFUSED_RETRY_S + 1)

    in_world(main)


def test_w39_a_relay_that_authorizes_us_late_is_noticed(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        gater = ListGater()
        await world.relay(gater=gater)
        _, places = await home_at(world)
        await asyncio.sleep(600)
        why = places.failed[RELAY]
        assert isinstance(why, NotAuthorizedError)
        assert "peerup relay authorize" in why.hint
        gater.listed.add(HOME)
        await until(lambda: places.held, within=REFUSED_RETRY_S + 1)

    in_world(main)


def test_w39_refusals_of_a_relay_that_starts_cost_seconds_not_half_a_minute(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        _, places = await home_at(world)
        await asyncio.sleep(3600)  # long enough for every wait to be at its longest
        gater = ListGater()
        await world.relay(gater=gater)
        await until(lambda: isinstance(places.failed.get(RELAY), NotAuthorizedError))
        gater.listed.add(HOME)
        await until(lambda: places.held, within=BACK_WITHIN)

    in_world(main)


def test_a_peer_that_is_no_relay_is_named_and_asked_rarely(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        other = await world.host("relay", at=1)
        _, places = await home_at(world)
        await asyncio.sleep(3600)
        assert isinstance(places.failed[RELAY], NegotiationError)
        assert len(other.connections.of(HOME)) == 1

    in_world(main)


def test_a_relay_at_another_address_than_configured_is_not_used(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay(name="impostor")
        _, places = await home_at(world)
        await asyncio.sleep(60)
        assert places.held == {}
        assert "expected peer" in str(places.failed[RELAY])

    in_world(main)


def test_after_the_end_it_asks_no_more(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        relay, hop = await world.relay()
        home, places = await home_at(world)
        await until(lambda: places.held)
        places.close()
        places.close()  # twice is no harm
        for conn in relay.connections.of(HOME):
            conn.close()
        await asyncio.sleep(600)
        assert len(hop.quota) == 0
        assert HOME not in relay.connections.peers
        assert home.peer == HOME

    in_world(main)


# --- what it tells --------------------------------------------------------------------


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("peerup.relay")
    ]


def test_the_same_failure_is_not_told_again_and_again(
    in_world: InWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(world: World) -> None:
        await home_at(world)
        await asyncio.sleep(3600)

    in_world(main)
    assert len(warnings(caplog)) == 1


def test_an_end_in_order_is_no_reason_to_warn(
    in_world: InWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(world: World) -> None:
        await world.relay()
        home, places = await home_at(world)
        await until(lambda: places.held)
        places.close()
        await world.stop(home)

    in_world(main)
    assert warnings(caplog) == []


def test_a_relay_that_goes_is_told_once_and_its_return_too(
    in_world: InWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(world: World) -> None:
        relay, _ = await world.relay()
        home, places = await home_at(world)
        await until(lambda: places.held)
        await world.stop(relay)
        await asyncio.sleep(600)
        await world.relay()
        await until(lambda: places.held)
        places.close()
        await world.stop(home)

    caplog.set_level(logging.INFO)
    in_world(main)
    assert 1 <= len(warnings(caplog)) <= 2  # it went; it is not there
    held = [message for message in caplog.messages if "reservation held" in message]
    assert len(held) == 2


def test_a_relayed_connection_does_not_pass_for_one_to_the_relay(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay()
        second = await world.home("second")
        HopService(second, UNLIMITED)  # a relay that so far can be reached through another only
        home, places = await home_at(world, (RELAY, 1), (SECOND, 2))
        conn: MuxedConnection = await home.connect(SECOND, [through(RELAY)])
        assert conn.relayed
        await asyncio.sleep(60)
        assert SECOND not in places.held
        await second.listen(memory(2))
        await until(lambda: SECOND in places.held, within=REFUSED_RETRY_S + 1)

    in_world(main)
