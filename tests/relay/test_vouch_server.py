"""A relay that vouches, among hosts: what strangers, holders and guests get, and for how long."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import DialError, NotAuthorizedError, RelayRefusedError
from peerup.protocols import identify, ping
from peerup.relay import vouch_client, vouched_file
from peerup.relay.vouch_server import (
    HOLDER_S,
    MAX_PER_SOURCE,
    MAX_STRANGERS,
    STRANGER_S,
    source_of,
    too_many,
)
from peerup.relay.vouching import VISIT, Pair
from peerup.wire.circuit import HOP_PROTOCOL, Status
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.vouch import VouchStatus
from tests.relay.asking import RESERVE, ask_on, connect_to
from tests.relay.vouching_relay import TICKET, WEB, at_relay, inviting, pair, show, start_relay, to
from tests.world import InWorld, World, echo, peer_of, until

RELAY, HOME, LAPTOP = peer_of("relay"), peer_of("home"), peer_of("laptop")


# --- strangers ------------------------------------------------------------------------


def test_without_an_invite_a_stranger_is_refused_as_ever(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await start_relay(world, tmp_path, "home")
        await world.home()
        with pytest.raises(NotAuthorizedError):
            await at_relay(await world.device("laptop"))

    in_world(main)


def test_a_stranger_may_show_a_ticket_and_nothing_else(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        conn = await at_relay(laptop)
        for protocol in (identify.PROTOCOL, identify.PUSH_PROTOCOL, ping.PROTOCOL, HOP_PROTOCOL):
            with pytest.raises(NotAuthorizedError):
                await laptop.open_stream_on(conn, protocol)
        assert await show(laptop) is VouchStatus.OK
        for protocol in (identify.PROTOCOL, ping.PROTOCOL):
            with pytest.raises(NotAuthorizedError):
                await laptop.open_stream_on(conn, protocol)

    in_world(main)


def test_what_a_stranger_asks_that_is_not_its_business_is_denied(
    in_world: InWorld, tmp_path: Path
) -> None:
    async def main(world: World) -> None:
        relay, _ = await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        conn = await at_relay(laptop)
        with pytest.raises(RelayRefusedError) as caught:
            await vouch_client.open_invite(laptop, conn, b"x" * 32, 60)
        assert caught.value.status == VouchStatus.PERMISSION_DENIED
        with pytest.raises(RelayRefusedError):
            await vouch_client.confirm(laptop, conn, TICKET, LAPTOP)
        await vouch_client.close_invite(laptop, conn, TICKET)
        assert relay.vouching.inviters == {HOME}
        assert await vouch_client.partners(laptop, conn) == frozenset()

    in_world(main)


def test_a_holder_reaches_its_inviter_once_and_for_a_minute(
    in_world: InWorld, tmp_path: Path
) -> None:
    async def main(world: World) -> None:
        await inviting(world, tmp_path, "other")
        await world.home("other")
        laptop = await world.device("laptop")
        await show(laptop)
        answer, _ = await ask_on(laptop, await at_relay(laptop), RESERVE)
        assert answer.status == Status.PERMISSION_DENIED
        answer, _ = await ask_on(laptop, await at_relay(laptop), connect_to(peer_of("other")))
        assert answer.status == Status.PERMISSION_DENIED
        answer, _ = await ask_on(laptop, await at_relay(laptop), connect_to(peer_of("nobody")))
        assert answer.status == Status.PERMISSION_DENIED  # as if it were there
        conn = await to(laptop, "home")
        assert conn.limited
        began = laptop.clock()
        await conn.wait_closed()
        assert VISIT.seconds is not None
        assert laptop.clock() - began == pytest.approx(VISIT.seconds, abs=2)
        with pytest.raises(DialError):
            await to(laptop, "home")
        await show(laptop)
        await to(laptop, "home")

    in_world(main)


def test_a_stranger_that_shows_nothing_is_sent_away(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        conn = await at_relay(laptop)
        began = laptop.clock()
        await conn.wait_closed()
        assert laptop.clock() - began == pytest.approx(STRANGER_S, abs=2)

    in_world(main)


def test_a_holder_does_not_stay_either(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        conn = await at_relay(laptop)
        await show(laptop)
        began = laptop.clock()
        await conn.wait_closed()
        assert laptop.clock() - began == pytest.approx(HOLDER_S, abs=2)

    in_world(main)


@pytest.mark.parametrize("ending", ["closed", "gone", "removed", "expired"])
def test_when_the_invite_is_over_nobody_stays_on_its_account(
    in_world: InWorld, tmp_path: Path, ending: str
) -> None:
    async def main(world: World) -> None:
        relay, home = await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        await show(laptop)
        through_relay = await to(laptop, "home")
        if ending == "closed":
            await vouch_client.close_invite(home, await at_relay(home), TICKET)
        elif ending == "gone":
            await world.stop(home)
        elif ending == "removed":
            relay.gate.known.clear()
            relay.host.recheck([HOME])
        else:
            await vouch_client.open_invite(home, await at_relay(home), TICKET, 1)
        async with asyncio.timeout(4.0):
            await through_relay.wait_closed()
            await until(lambda: LAPTOP not in relay.host.connections.peers)

    in_world(main)


def test_of_many_strangers_from_one_address_the_newest_stay(
    in_world: InWorld, tmp_path: Path
) -> None:
    async def main(world: World) -> None:
        relay, _ = await inviting(world, tmp_path)
        strangers = [await world.host(f"stranger {n}", identify=False) for n in range(20)]
        for one in strangers:
            await at_relay(one)
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)
        there = [one for one in strangers if one.peer in relay.host.connections.peers]
        assert there == strangers[-MAX_PER_SOURCE:]
        laptop = await world.device("laptop")
        await show(laptop)  # gets through all the same
        assert HOME in relay.host.connections.peers

    in_world(main)


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0, 100), st.sampled_from("abcdefghijkl")), max_size=200
    )
)
def test_who_has_to_go(visiting: list[tuple[bool, float, str]]) -> None:
    tagged: list[Any] = [(*one, number) for number, one in enumerate(visiting)]
    gone: set[Any] = set(too_many(tagged))
    kept = [one for one in tagged if one[3] not in gone]
    assert len(kept) <= MAX_STRANGERS
    for source in "abcdefghijkl":
        assert sum(one[2] == source for one in kept) <= MAX_PER_SOURCE
    for one in tagged:
        if one[3] in gone:
            rivals = [other for other in kept if other[2] == one[2]] or kept
            full = len(kept) == MAX_STRANGERS or len(rivals) == MAX_PER_SOURCE
            assert full
    if len({one[2] for one in tagged}) == len(tagged) <= MAX_STRANGERS:
        assert not gone


# --- guests ---------------------------------------------------------------------------


def test_a_guest_and_its_inviter_reach_each_other_and_nobody_else(
    in_world: InWorld, tmp_path: Path
) -> None:
    async def main(world: World) -> None:
        _, home = await inviting(world, tmp_path, "other")
        other = await world.home("other")
        await pair(home, await world.device("laptop"))
        await world.stop(world.running[-1])
        laptop = await world.home("laptop")  # with a place at the relay, now
        laptop.handle(WEB, echo)
        assert not (await to(laptop, "home")).limited
        await laptop.open_stream(HOME, WEB)
        for conn in home.connections.of(LAPTOP):
            conn.close()
        assert await to(home, "laptop")
        for source, target in ((other, "laptop"), (laptop, "other")):
            with pytest.raises(DialError, match="PERMISSION_DENIED"):
                await to(source, target)
        with pytest.raises(RelayRefusedError):
            await vouch_client.open_invite(laptop, await at_relay(laptop), b"x" * 32, 60)

    in_world(main)


def test_a_pair_outlives_the_relay(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        relay, home = await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        await pair(home, laptop)
        await world.stop(relay.host)
        again = await start_relay(world, tmp_path, "home")
        await until(lambda: HOME in again.host.connections.peers, within=30)
        await asyncio.sleep(1)
        assert await to(laptop, "home")

    in_world(main)


def test_a_pair_whose_inviter_the_relay_lost_meanwhile_is_not_revived(
    in_world: InWorld, tmp_path: Path
) -> None:
    async def main(world: World) -> None:
        relay, home = await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        await pair(home, laptop)
        await world.stop(relay.host)
        again = await start_relay(world, tmp_path, "other")
        assert vouched_file.load(again.file) == frozenset()
        again.gate.known.add(HOME)
        with pytest.raises(NotAuthorizedError):
            await at_relay(laptop)

    in_world(main)


@pytest.mark.parametrize("who", ["home", "laptop", "operator", "relay"])
def test_a_pair_ends_when_one_of_them_says_so(in_world: InWorld, tmp_path: Path, who: str) -> None:
    async def main(world: World) -> None:
        relay, home = await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        await pair(home, laptop)
        conn = await to(laptop, "home")
        if who == "home":
            assert await vouch_client.partners(home, await at_relay(home)) == {LAPTOP}
            await vouch_client.revoke(home, await at_relay(home), LAPTOP)
        elif who == "laptop":
            assert await vouch_client.partners(laptop, await at_relay(laptop)) == {HOME}
            await vouch_client.revoke(laptop, await at_relay(laptop), HOME)
        elif who == "operator":  # with a command, beside the running relay
            vouched_file.update(relay.file, vouched_file.without(LAPTOP))
        else:  # whose list lost home
            relay.gate.known.clear()
            relay.vouch.forget([HOME])
        async with asyncio.timeout(2.0):
            await conn.wait_closed()
        with pytest.raises((NotAuthorizedError, DialError)):
            await to(laptop, "home")
        assert vouched_file.load(relay.file) == frozenset()

    in_world(main)


def test_who_ends_one_pair_ends_no_other(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        relay, home = await inviting(world, tmp_path, "other")
        await pair(home, await world.device("laptop"))
        more = {Pair(peer_of("other"), LAPTOP, 0), Pair(HOME, peer_of("phone"), 0)}
        vouched_file.update(relay.file, lambda old: old | more)
        await asyncio.sleep(2)
        await vouch_client.revoke(home, await at_relay(home), LAPTOP)
        assert vouched_file.load(relay.file) == more

    in_world(main)


def test_who_has_no_pair_does_not_touch_the_file(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await inviting(world, tmp_path)
        thief = await world.device("thief")
        await vouch_client.revoke(thief, await at_relay(thief), HOME)

    in_world(main)
    assert list(tmp_path.iterdir()) == []


def test_nobody_ends_the_pair_of_others(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        relay, home = await inviting(world, tmp_path, "other")
        await pair(home, await world.device("laptop"))
        other = await world.device("other")
        await vouch_client.revoke(other, await at_relay(other), LAPTOP)
        await vouch_client.revoke(other, await at_relay(other), HOME)
        assert relay.vouching.is_pair(HOME, LAPTOP)

    in_world(main)


@pytest.mark.parametrize(
    ("addr", "source"),
    [
        ("/ip4/192.0.2.1/tcp/5", "192.0.2.1"),
        ("/ip6/2001:db8:1:2:3:4:5:6/tcp/5", "2001:db8:1:2::/64"),
        ("/ip6zone/eth0/ip6/fe80::1/tcp/5", "fe80::/64"),
        ("/dns4/example.org/tcp/5", "example.org"),
        ("/memory/7", "/memory/7"),
    ],
)
def test_what_counts_as_one_address(addr: str, source: str) -> None:
    conn: Any = SimpleNamespace(remote_addr=Multiaddr.parse(addr))
    assert source_of(conn) == source


def test_a_pair_ends_at_once_also_while_another_invite_is_open(
    in_world: InWorld, tmp_path: Path
) -> None:
    """Then the guest is a stranger, who may stay for a while: but not with what it had."""

    async def main(world: World) -> None:
        relay, home = await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        await pair(home, laptop)
        conn = await to(laptop, "home")
        await vouch_client.open_invite(home, await at_relay(home), b"x" * 32, 600)
        vouched_file.update(relay.file, vouched_file.without(LAPTOP))
        async with asyncio.timeout(2.0):
            await conn.wait_closed()

    in_world(main)
