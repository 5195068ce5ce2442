from __future__ import annotations

import asyncio

from peerup.host.events import MAX_QUEUED, AddressesChanged, Bus, PeerIdentified, ProtocolsChanged
from tests.sim.clock import RunVirtual
from tests.world import peer_of


def changed(*protocols: str) -> ProtocolsChanged:
    return ProtocolsChanged(protocols)


def test_a_subscriber_gets_the_kinds_it_asked_for_in_their_order(run: RunVirtual) -> None:
    async def main() -> None:
        bus = Bus()
        with bus.subscribe(ProtocolsChanged, PeerIdentified) as events:
            bus.publish(changed("/a"))
            bus.publish(AddressesChanged(()))
            bus.publish(PeerIdentified(peer_of("home"), ("/b",)))
            assert events.pending == 2
            assert await events.next() == changed("/a")
            assert await events.next() == PeerIdentified(peer_of("home"), ("/b",))
            assert events.pending == 0

    run(main())


def test_every_subscriber_gets_every_event(run: RunVirtual) -> None:
    async def main() -> None:
        bus = Bus()
        with bus.subscribe(ProtocolsChanged) as one, bus.subscribe(ProtocolsChanged) as two:
            bus.publish(changed("/a"))
            assert await one.next() == await two.next() == changed("/a")

    run(main())


def test_whoever_waits_is_woken(run: RunVirtual) -> None:
    async def main() -> None:
        bus = Bus()
        with bus.subscribe(ProtocolsChanged) as events:
            asyncio.get_running_loop().call_later(3, bus.publish, changed("/a"))
            async with asyncio.timeout(4):
                assert await events.next() == changed("/a")

    run(main())


def test_a_waiter_that_is_cancelled_loses_nothing(run: RunVirtual) -> None:
    async def main() -> None:
        bus = Bus()
        with bus.subscribe(ProtocolsChanged) as events:
            for _ in range(2):
                try:
                    async with asyncio.timeout(1):
                        await events.next()
                except TimeoutError:
                    bus.publish(changed("/a"))
                else:
                    break
            assert events.pending == 0

    run(main())


def test_nothing_arrives_after_the_block() -> None:
    bus = Bus()
    with bus.subscribe(ProtocolsChanged) as events:
        pass
    bus.publish(changed("/a"))
    assert events.pending == 0


def test_a_subscriber_that_is_too_slow_loses_the_oldest(run: RunVirtual) -> None:
    async def main() -> None:
        bus = Bus()
        with bus.subscribe(ProtocolsChanged) as events:
            for number in range(MAX_QUEUED + 1):
                bus.publish(changed(f"/{number}"))
            assert events.pending == MAX_QUEUED
            assert await events.next() == changed("/1")

    run(main())
