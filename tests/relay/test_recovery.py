"""W-39: home is reachable again within seconds, whatever happened to its relay."""

from __future__ import annotations

import asyncio

import pytest

from peerup.errors import DialError, NotAuthorizedError, RelayRefusedError
from peerup.relay.autorelay import AutoRelay
from peerup.relay.quota import RelayLimits
from peerup.relay.reservations import REFUSED_RETRY_S
from peerup.relay.server import HopService
from peerup.wire.circuit import Status
from peerup.wire.multiaddr import Multiaddr
from tests.internet import SILENT, Internet
from tests.relay.homes import HOME, RELAY, ListGater, home_at, keeping, reachable
from tests.world import UNLIMITED, InWorld, World, until

BACK_WITHIN = 5.0  # seconds after a relay is back


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
        await asyncio.sleep(60)
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
