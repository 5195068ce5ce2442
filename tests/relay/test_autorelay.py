from __future__ import annotations

import asyncio
import logging

import pytest

from peerup.errors import NegotiationError, RemoteProtocolError
from peerup.host.events import AddressesChanged
from peerup.relay.autorelay import AutoRelay
from peerup.relay.quota import Quota, RelayLimits
from peerup.relay.reservations import REFUSED_RETRY_S
from peerup.relay.server import HopService
from peerup.transport.muxed import MuxedConnection
from peerup.wire.circuit import HOP_PROTOCOL, Status
from peerup.wire.peer_id import PeerId
from tests.relay.homes import HOME, RELAY, SECOND, home_at, reachable
from tests.world import UNLIMITED, InWorld, World, memory, never, through, until

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


# --- what follows a place -------------------------------------------------------------


def test_what_is_to_follow_a_place_follows_each_time_and_counts(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        seen: list[float] = []
        trouble: list[Exception] = [RemoteProtocolError("not now")]

        async def then(conn: MuxedConnection) -> None:
            assert conn.peer == RELAY
            seen.append(home.clock())
            if trouble:
                raise trouble.pop()

        await world.relay(RelayLimits(ttl=60.0))
        home = await world.device("home")
        places = AutoRelay(home, {RELAY: [memory(1)]}, then)
        await until(lambda: places.failed)
        assert not places.held
        await until(lambda: places.held)
        await asyncio.sleep(100)
        assert len(seen) >= 4
        places.close()

    in_world(main)
