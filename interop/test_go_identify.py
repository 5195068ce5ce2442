"""Cells with go: what each side learns of the other, and that it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from interop.cells import Lab, Role, Transport, both_dial, hears_of, pair, roles
from interop.foreign import ECHO
from interop.go_peer import GoPeer
from interop.our import AGENT, OurPeer
from interop.process import CommandError
from peerup.protocols import identify, ping
from peerup.transport.messages import read_message
from peerup.wire import identify as wire
from peerup.wire.error_codes import StreamCode
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_record import open_peer_record

if TYPE_CHECKING:
    from interop.conftest import Run

LATE: Final = "/peerup-test/late/1.0.0"


def bare(addr: str) -> str:
    """The address without its ``/p2p``."""
    return str(Multiaddr.parse(addr).without_peer())


async def identity_of(ours: OurPeer, peer: str) -> wire.Identify:
    """Ask ``peer`` once more and return all that it says, before anything is checked."""
    messages = []
    async with (await ours.open_stream(peer, identify.PROTOCOL)).raw as stream:
        while (message := await read_message(stream, wire.MAX_MESSAGE)) is not None:
            messages.append(message)
    return wire.merge(messages)


@both_dial
def test_identify_tells_go_all_of_us(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab, role) as (ours, go):
            about = await go.identify(ours.peer)
            assert about.agent == AGENT
            assert sorted(about.protocols) == sorted(ours.host.handlers.protocols)
            assert about.listen_addrs == (bare(ours.addr),)
            assert bare(ours.addr) in about.addrs
            assert about.observed == str(ours.conn(go.peer).remote_addr)
            assert about.signed_record

    run(scenario())


@both_dial
def test_identify_tells_us_all_of_go(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab, role, go={"user_agent": "driven/1"}) as (ours, go):
            conn = ours.conn(go.peer)
            known = ours.host.peerstore
            assert known.agent(conn.peer) == "driven/1"
            assert known.protocols(conn.peer) == set((await go.id()).protocols)
            assert Multiaddr.parse(bare(go.addr)) in known.addrs(conn.peer)

            told = await identity_of(ours, go.peer)
            (seen,) = await go.conns(ours.peer)
            assert told.observed_addr == Multiaddr.parse(seen.remote).to_bytes()
            assert conn.info.ends.local is not None
            assert str(conn.info.ends.local) == seen.remote
            assert told.signed_peer_record is not None
            record = open_peer_record(told.signed_peer_record, conn.peer)
            assert [str(addr) for addr in record.addrs] == [bare(go.addr)]

    run(scenario())


@both_dial
def test_identify_of_a_dialler_that_listens_nowhere(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        if role is Role.WE_DIAL:
            async with pair(lab, role, ours={"listen": ()}) as (ours, go):
                about = await go.identify(ours.peer)
                assert (about.agent, about.listen_addrs) == (AGENT, ())
                assert (await go.echo(ours.peer, 1000)).bytes == 1000
        else:
            async with pair(lab, role, go={"listen": []}) as (ours, go):
                assert ECHO in ours.host.peerstore.protocols(ours.conn(go.peer).peer)
                assert (await ours.echo(go.peer, 1000)).bytes == 1000

    run(scenario())


@both_dial
def test_identify_push_from_us_of_protocols(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab, role) as (ours, go):
            await go.identify(ours.peer)
            ours.serve_echo_as(LATE)
            assert await change_pushed_to(go) == ([LATE], None)
            ours.host.stop_handling(LATE)
            assert await change_pushed_to(go) == (None, [LATE])
            assert LATE not in (await go.identify(ours.peer)).protocols

    run(scenario())


async def change_pushed_to(go: GoPeer) -> tuple[list[str] | None, list[str] | None]:
    """Return the next protocols that a push adds and removes; some change only addresses."""
    while True:
        pushed = await go.event("pushed")
        if pushed["added"] or pushed["removed"]:
            return pushed["added"], pushed["removed"]


@both_dial
def test_identify_push_from_us_of_addresses(
    lab: Lab, run: Run, role: Role, transport: Transport
) -> None:
    async def scenario() -> None:
        async with pair(lab, role) as (ours, go):
            await go.identify(ours.peer)
            another = await ours.listen(transport.loopback)
            await hears_of(go, ours.peer, bare(another))
            assert bare(ours.addr) in (await go.identify(ours.peer)).addrs

    run(scenario())


@both_dial
def test_identify_push_from_go(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab, role) as (ours, go):
            await go.handle(LATE, "echo")
            await ours.identified(go.peer, LATE)
            await go.unhandle(LATE)
            await ours.identified(go.peer, LATE, speaks=False)
            await ours.identified(go.peer, ECHO)

    run(scenario())


@both_dial
def test_pings_both_ways(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab, role) as (ours, go):
            there = [await ours.ping(go.peer) for _ in range(5)]
            back = await go.ping(ours.peer, 5)
            assert len(back) == 5
            assert all(0 < rtt < 1 for rtt in (*there, *back))

    run(scenario())


@roles(Role.THEY_OPEN)
def test_a_third_ping_stream_of_a_peer_is_refused(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            payload = bytes(ping.SIZE)
            for _ in range(ping.MAX_INBOUND):
                stream = await go.open_stream(ours.peer, ping.PROTOCOL)
                await stream.write(payload)
                assert await stream.read_exactly(ping.SIZE) == payload
            stream = await go.open_stream(ours.peer, ping.PROTOCOL)
            await stream.write(payload)
            with pytest.raises(CommandError) as caught:
                await stream.read()
            assert caught.value.stream_code == StreamCode.RESOURCE_LIMIT_EXCEEDED

    run(scenario())


@both_dial
def test_hosts_with_the_limits_of_go(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab, role, go={"limits": True}) as (ours, go):
            assert (await ours.echo(go.peer, 100_000)).bytes == 100_000
            assert (await go.echo_many(ours.peer, 20, parallel=20)).failed == 0
            assert (await ours.echo_many(go.peer, 20, parallel=20)).failed == 0

    run(scenario())
