from __future__ import annotations

import asyncio

import pytest

from peerup.errors import DialError, NotAuthorizedError
from peerup.host.handlers import Registration
from peerup.node.node import Node
from peerup.node.traceroute import MAX_NAME, Hop, find_route, traceroute
from peerup.protocols.ping import PEERUP_PROTOCOL, PROTOCOL, REPLY_TIMEOUT_S
from peerup.transport.muxed import MuxedStream
from tests.node.town import InTown, Town
from tests.world import memory, never, peer_of, through

HOME, RELAY = peer_of("home"), peer_of("relay")


async def hops_of(node: Node) -> list[Hop]:
    route = await find_route(node, HOME)
    return [hop async for hop in traceroute(node, route)]


def test_a_relayed_path_has_two_hops(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        route = await find_route(laptop, HOME)
        assert (route.path, route.relay) == ("RELAYED", RELAY)
        near, far = await hops_of(laptop)
        assert (near.hop, near.peer, near.address) == (1, RELAY, str(memory(1)))
        assert near.name.startswith("relay-server/")
        assert (far.hop, far.peer, far.address) == (2, HOME, str(through(RELAY)))
        assert far.name.startswith("peerup/")
        assert [hop.error for hop in (near, far)] == ["", ""]
        assert near.rtt_ms is not None
        assert far.rtt_ms is not None

    in_town(main)


def test_a_direct_path_has_one_hop(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        home = await town.node("home", "laptop", at=2)
        laptop = await town.node("laptop", serving=False)
        await laptop.host.connect(HOME, home.host.addrs)
        route = await find_route(laptop, HOME)
        assert (route.path, route.relay) == ("DIRECT", None)
        (hop,) = await hops_of(laptop)
        assert (hop.hop, hop.peer, hop.address) == (1, HOME, str(memory(2)))

    in_town(main)


def test_each_hop_is_measured_by_itself(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home = await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)

        async def slow(stream: MuxedStream) -> None:
            await stream.read()
            await asyncio.sleep(0.25)
            await stream.write(b"pong\n")

        home.host.stop_handling(PEERUP_PROTOCOL)
        home.host.handle(PEERUP_PROTOCOL, Registration(slow, on_limited=True))
        near, far = await hops_of(laptop)
        assert near.rtt_ms == pytest.approx(0.0)
        assert far.rtt_ms == pytest.approx(250.0)

    in_town(main)


def test_a_hop_that_speaks_no_ping_is_measured_by_its_refusal(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        relay = await town.relay("home", "laptop")
        home = await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        relay.host.stop_handling(PROTOCOL)
        for protocol in (PEERUP_PROTOCOL, PROTOCOL):
            home.host.stop_handling(protocol)
        hops = await hops_of(laptop)
        assert [hop.error for hop in hops] == ["", ""]
        assert all(hop.rtt_ms is not None for hop in hops)

    in_town(main)


def test_w07_a_silent_hop_is_reported_and_the_next_one_measured(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        relay = await town.relay("home", "laptop")
        await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        relay.host.stop_handling(PROTOCOL)
        relay.host.handle(PROTOCOL, never)
        began = laptop.host.clock()
        near, far = await hops_of(laptop)
        assert (near.rtt_ms, near.error) == (None, "cannot reach peer: no answer in time")
        assert far.rtt_ms is not None
        assert laptop.host.clock() - began == pytest.approx(REPLY_TIMEOUT_S, abs=0.1)

    in_town(main)


def test_a_hop_that_goes_away_meanwhile_is_reported(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home = await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        route = await find_route(laptop, HOME)
        await town.stop(home)
        await route.conn.wait_closed()
        near, far = [hop async for hop in traceroute(laptop, route)]
        assert near.error == ""
        assert far.error.startswith("cannot reach peer: ")
        assert far.rtt_ms is None

    in_town(main)


def test_what_a_hop_calls_itself_is_short_and_printable(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        await laptop.connect(HOME)
        laptop.host.peerstore.set_identity(HOME, [], "\x1b[2J" + "x" * 5000)
        _, far = await hops_of(laptop)
        assert far.name.startswith("\\x1b[2Jx")
        assert len(far.name) <= MAX_NAME

    in_town(main)


def test_a_peer_that_is_absent_has_no_route(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        with pytest.raises(DialError, match="NO_RESERVATION"):
            await find_route(laptop, HOME)

    in_town(main)


def test_a_peer_that_does_not_want_us_any_more_ends_it(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        route = await find_route(laptop, HOME)
        town.authorize("home")
        await route.conn.wait_closed()
        with pytest.raises(NotAuthorizedError):
            [hop async for hop in traceroute(laptop, route)]

    in_town(main)
