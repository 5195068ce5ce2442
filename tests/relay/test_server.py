from __future__ import annotations

import asyncio
import time

import pytest

from peerup.relay.client import reserve
from peerup.relay.quota import REQUEST_BURST, RelayLimits
from peerup.relay.server import HopService
from peerup.wire.circuit import Limit, Status, open_voucher
from peerup.wire.multiaddr import Multiaddr
from tests.internet import Internet
from tests.relay.asking import HOME, HOUR, RELAY, RESERVE, ask, ask_on, connect_to, status_of
from tests.world import InWorld, World, memory, until


def test_a_place_comes_with_an_hour_addresses_and_a_voucher(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        _, hop = await world.relay(RelayLimits())
        home = await world.host("home")
        answer = await ask(home, RESERVE)
        assert answer.status == Status.OK
        assert answer.reservation is not None
        assert answer.reservation.expire == pytest.approx(time.time_ns() / 1e9 + HOUR, abs=5)
        assert answer.reservation.addrs == (memory(1).with_peer(RELAY).to_bytes(),)
        assert answer.reservation.voucher is not None
        voucher = open_voucher(answer.reservation.voucher, relay=RELAY, peer=HOME)
        assert voucher.expires == answer.reservation.expire
        assert answer.limit == Limit(duration=120, data=128 * 1024)
        assert hop.quota.holds(HOME, home.clock())

    in_world(main)


def test_without_limits_the_limit_is_absent_not_zero(in_world: InWorld) -> None:
    """A limit of 0 would still make the connection a limited one."""

    async def main(world: World) -> None:
        await world.relay()
        assert (await ask(await world.host("home"), RESERVE)).limit is None

    in_world(main)


@pytest.mark.parametrize(
    ("listen", "source", "listed"),
    [
        # A relay on loopback still lists an address: rust refuses an empty list.
        ("127.0.0.1", "127.0.0.1", ["127.0.0.1"]),
        ("192.168.1.1", "192.168.1.9", ["192.168.1.1"]),
        ("203.0.113.1", "198.51.100.9", ["203.0.113.1"]),
    ],
)
def test_a_reservation_always_lists_addresses(
    in_world: InWorld, listen: str, source: str, listed: list[str]
) -> None:
    async def main(world: World) -> None:
        net = Internet()
        where = Multiaddr.parse(f"/ip4/{listen}/tcp/7777")
        relay = await world.host("relay", transports=[net.machine(listen)], listen=[where])
        HopService(relay, RelayLimits())
        home = await world.host("home", transports=[net.machine(source)])
        place = await reserve(home, await home.connect(RELAY, [where]))
        assert [addr.host for addr in place.addrs] == listed
        assert all(addr.split_circuit()[0].peer_id == RELAY for addr in place.addrs)

    in_world(main)


def test_the_address_where_the_peer_found_us_is_listed_first(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        listen = [Multiaddr.parse(f"/ip4/203.0.113.{n}/tcp/7777") for n in range(1, 40)]
        relay = await world.host("relay", transports=[net.machine("203.0.113.1")], listen=listen)
        HopService(relay, RelayLimits())
        home = await world.host("home", transports=[net.machine("198.51.100.9")])
        place = await reserve(home, await home.connect(RELAY, [listen[30]]))
        assert place.addrs[0].host == listen[30].host
        assert 1 < len(place.addrs) <= 16

    in_world(main)


def test_a_place_ends_with_the_last_connection(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        _, hop = await world.relay()
        home = await world.host("home")
        await ask(home, RESERVE)
        clone = await world.host("home")  # a second connection of the same peer
        await clone.connect(RELAY, [memory(1)])
        home.connections.of(RELAY)[0].close()
        await asyncio.sleep(1)
        assert hop.quota.holds(HOME, home.clock())
        clone.connections.of(RELAY)[0].close()
        await until(lambda: not hop.quota.holds(HOME, home.clock()), within=1.0)

    in_world(main)


def test_a_place_ends_with_its_time(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay(RelayLimits(ttl=60))
        home, laptop = await world.device("home"), await world.host("laptop")
        await ask(home, RESERVE)
        await asyncio.sleep(59)
        assert await status_of(laptop, connect_to(HOME)) == Status.OK
        await asyncio.sleep(1)
        assert await status_of(laptop, connect_to(HOME)) == Status.NO_RESERVATION

    in_world(main)


def test_a_relay_that_is_full_says_so(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay(RelayLimits(reservations=2))
        hosts = [await world.host(f"home{number}") for number in range(3)]
        statuses = [await status_of(host, RESERVE) for host in hosts]
        assert statuses == [Status.OK, Status.OK, Status.RESERVATION_REFUSED]
        assert await status_of(hosts[0], RESERVE) == Status.OK  # whoever is in may stay
        await world.stop(hosts[1])
        assert await status_of(hosts[2], RESERVE) == Status.OK

    in_world(main)


def test_places_are_counted_by_the_address_they_come_from(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        where = Multiaddr.parse("/ip4/203.0.113.1/tcp/7777")
        relay = await world.host("relay", transports=[net.machine("203.0.113.1")], listen=[where])
        HopService(relay, RelayLimits(reservations_per_ip=2))

        async def from_(ip: str, name: str) -> int | None:
            host = await world.host(name, transports=[net.machine(ip)])
            answer, _ = await ask_on(host, await host.connect(RELAY, [where]), RESERVE)
            return answer.status

        assert await from_("198.51.100.1", "a") == Status.OK
        assert await from_("198.51.100.1", "b") == Status.OK
        assert await from_("198.51.100.1", "c") == Status.RESERVATION_REFUSED
        assert await from_("198.51.100.2", "d") == Status.OK

    in_world(main)


def test_a_peer_that_asks_all_the_time_is_slowed_down_alone(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        _, hop = await world.relay()
        greedy, home = await world.host("greedy"), await world.host("home")
        statuses = [await status_of(greedy, RESERVE) for _ in range(REQUEST_BURST + 10)]
        assert statuses[:REQUEST_BURST] == [Status.OK] * REQUEST_BURST
        assert set(statuses[REQUEST_BURST:]) == {Status.RESOURCE_LIMIT_EXCEEDED}
        assert await status_of(home, RESERVE) == Status.OK
        await asyncio.sleep(1)
        assert await status_of(greedy, RESERVE) == Status.OK
        assert len(hop.quota) == 2

    in_world(main)
