from __future__ import annotations

import asyncio

import pytest

from peerup.errors import NotAuthorizedError
from peerup.node.diagnostics import (
    SEEK_S,
    PingReply,
    PingStatistics,
    PingTally,
    ping,
    summarise,
)
from peerup.protocols.ping import PEERUP_PROTOCOL, PROTOCOL, REPLY_TIMEOUT_S
from peerup.transport.muxed import MuxedStream
from tests.node.town import InTown, Town
from tests.world import memory, never, peer_of, through

HOME = peer_of("home")


def reply(seq: int, rtt_ms: float | None) -> PingReply:
    return PingReply(seq, rtt_ms, "DIRECT", "/memory/2")


def test_the_statistics_of_no_ping_are_zero() -> None:
    assert summarise([]) == PingStatistics(0, 0, 0, 0.0, 0.0, 0.0, 0.0)


def test_lost_pings_count_but_have_no_time() -> None:
    replies = [reply(1, 10.0), reply(2, None), reply(3, 30.0), reply(4, None)]
    assert summarise(replies) == PingStatistics(4, 2, 2, 50.0, 10.0, 20.0, 30.0)


def test_when_all_are_lost_there_is_no_time_at_all() -> None:
    assert summarise([reply(1, None)]) == PingStatistics(1, 0, 1, 100.0, 0.0, 0.0, 0.0)


def test_a_tally_can_be_read_at_any_moment() -> None:
    tally = PingTally()
    tally.add(reply(1, 5.0))
    assert tally.statistics().avg_ms == 5.0
    tally.add(reply(2, 15.0))
    assert tally.statistics() == PingStatistics(2, 2, 0, 0.0, 5.0, 10.0, 15.0)


def test_pings_are_counted_timed_and_spaced(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        await laptop.connect(HOME)
        began = laptop.host.clock()
        replies = [one async for one in ping(laptop, HOME, count=4, interval=0.5)]
        assert laptop.host.clock() - began == pytest.approx(1.5)  # none after the last
        assert [one.seq for one in replies] == [1, 2, 3, 4]
        assert all(one.rtt_ms is not None and one.error == "" for one in replies)
        assert {one.path for one in replies} == {"RELAYED"}
        assert {one.address for one in replies} == {str(through(peer_of("relay")))}

    in_town(main)


def test_zero_pings_go_on_for_ever(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        seen = 0
        async for one in ping(laptop, HOME, count=0, interval=1.0):
            seen = one.seq
            if seen == 100:
                break
        assert seen == 100

    in_town(main)


def test_a_path_that_changes_shows(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home = await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        paths = []
        async for one in ping(laptop, HOME, count=2, interval=1.0):
            paths.append(one.path)
            if one.seq == 1:
                await home.host.listen(memory(2))
                await laptop.host.connect(HOME, [memory(2)], direct=True)
        assert paths == ["RELAYED", "DIRECT"]

    in_town(main)


def test_a_peer_that_cannot_be_reached_is_a_lost_ping_with_the_reason(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        relay = await town.relay("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        replies = [one async for one in ping(laptop, HOME, count=2, interval=1.0)]
        assert [one.rtt_ms for one in replies] == [None, None]
        assert "NO_RESERVATION" in replies[0].error
        assert (replies[0].path, replies[0].address) == ("", "")
        await town.stop(relay)
        (last,) = [one async for one in ping(laptop, HOME, count=1, interval=1.0)]
        assert "nobody listens" in last.error

    in_town(main)


def test_w07_a_silent_peer_is_a_lost_ping_and_the_next_one_is_sent(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home = await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        await laptop.connect(HOME)
        for protocol in (PEERUP_PROTOCOL, PROTOCOL):
            home.host.stop_handling(protocol)
            home.host.handle(protocol, never)
        began = laptop.host.clock()
        async with asyncio.timeout(100):
            replies = [one async for one in ping(laptop, HOME, count=3, interval=1.0)]
        assert [one.error for one in replies] == ["no answer in time"] * 3
        assert [one.path for one in replies] == ["RELAYED"] * 3
        assert laptop.host.clock() - began == pytest.approx(3 * REPLY_TIMEOUT_S + 2, abs=0.1)

    in_town(main)


def test_a_peer_that_answers_late_is_measured(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home = await town.node("home", "laptop", at=2)
        laptop = await town.node("laptop", serving=False)

        async def slow(stream: MuxedStream) -> None:
            await stream.read()
            await asyncio.sleep(0.125)
            await stream.write(b"pong\n")

        home.host.stop_handling(PEERUP_PROTOCOL)
        home.host.handle(PEERUP_PROTOCOL, slow)
        await laptop.host.connect(HOME, [memory(2)])
        (one,) = [one async for one in ping(laptop, HOME, count=1, interval=1.0)]
        assert one.rtt_ms == pytest.approx(125.0)

    in_town(main)


def test_a_peer_that_does_not_want_us_is_not_asked_again(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        await town.node("home", "somebody-else")
        laptop = await town.node("laptop", serving=False)
        with pytest.raises(NotAuthorizedError):
            [one async for one in ping(laptop, HOME, count=4, interval=1.0)]

    in_town(main)


def test_a_peer_that_has_no_ping_of_peerups_answers_the_common_one(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home = await town.node("home", "laptop")
        home.host.stop_handling(PEERUP_PROTOCOL)
        laptop = await town.node("laptop", serving=False)
        (one,) = [one async for one in ping(laptop, HOME, count=1, interval=1.0)]
        assert one.rtt_ms is not None

    in_town(main)


def test_until_direct_stops_at_the_first_answer_over_a_direct_path(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home = await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        paths = []
        async for one in ping(laptop, HOME, count=0, interval=1.0, until_direct=True):
            paths.append(one.path)
            if one.seq == 3:  # home gets an address, and its identify tells us
                await home.host.listen(memory(2))
        assert paths[:3] == ["RELAYED"] * 3
        assert paths[-1] == "DIRECT"
        assert "DIRECT" not in paths[:-1]
        assert len(paths) <= 3 + 3 + SEEK_S

    in_town(main)


def test_until_direct_ends_with_the_count_where_there_is_no_direct_path(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        await laptop.connect(HOME)
        await asyncio.sleep(10)
        before = len(laptop.host.tasks)
        pings = ping(laptop, HOME, count=5, interval=1.0, until_direct=True)
        replies = [one async for one in pings]
        assert [one.is_direct for one in replies] == [False] * 5
        await asyncio.sleep(0.1)
        assert len(laptop.host.tasks) == before  # nobody seeks any more

    in_town(main)


def test_a_lost_ping_is_no_direct_answer() -> None:
    assert not reply(1, None).is_direct
    assert reply(1, 1.0).is_direct


def test_w07_a_peer_that_answers_no_stream_at_all_is_a_lost_ping(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home = await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        await laptop.connect(HOME)

        async def mute(stream: MuxedStream) -> None:
            await never(stream)

        home.host._serve_stream = mute  # type: ignore[method-assign]
        began = laptop.host.clock()
        replies = [one async for one in ping(laptop, HOME, count=2, interval=1.0)]
        assert [one.error for one in replies] == ["no answer in time"] * 2
        assert laptop.host.clock() - began < 2 * 20.0 + 1.0

    in_town(main)
