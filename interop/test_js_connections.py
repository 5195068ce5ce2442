"""Cells with js: connections, what each side learns of the other, and that it is there."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import pytest

from interop.cells import MIB, JsLab, Role, Transport, both_dial, meet, over, quic_socket, roles
from interop.foreign import ECHO, MANUAL, posing_as
from interop.our import AGENT
from interop.process import CommandError
from peerup.errors import ConnectionClosedError, DialError, StreamResetError, WrongPeerError
from peerup.transport import quic_endpoint
from peerup.wire.multiaddr import Multiaddr

if TYPE_CHECKING:
    from interop import our
    from interop.conftest import Run

WRONG_PEER: Final = r"does not match expected|but connected to"
IDLE_S: Final = 20.0  # twice what js waits for a word over QUIC


def bare(addr: str) -> str:
    """The address without its ``/p2p``."""
    return str(Multiaddr.parse(addr).without_peer())


@both_dial
def test_connection(js_lab: JsLab, run: Run, role: Role, transport: Transport) -> None:
    async def scenario() -> None:
        async with js_lab.pair(role) as (ours, js):
            (seen,) = await js.conns(ours.peer)
            if transport is Transport.TCP:
                assert (seen.security, seen.muxer) == ("/noise", "/yamux/1.0.0")
            else:
                assert (seen.security, seen.muxer) == ("native", "quic")
            assert not seen.limited
            assert ours.conn(js.peer).transport == transport.value
            assert (await ours.echo(js.peer, 1000)).bytes == 1000
            assert (await js.echo(ours.peer, 1000)).bytes == 1000

    run(scenario())


@over(Transport.QUIC)
@both_dial
def test_the_largest_datagrams_that_peers_take(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        full: our.Options = {"transports": ["quic with full datagrams"]}
        async with js_lab.pair(role, ours=full) as (ours, js):
            assert (await ours.echo(js.peer, MIB)).bytes == MIB
            assert (await js.echo(ours.peer, MIB)).bytes == MIB

    run(scenario())


@over(Transport.QUIC)
@roles(Role.THEY_DIAL)
def test_a_dialler_has_to_prove_its_address(
    js_lab: JsLab, run: Run, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quic_endpoint, "RETRY_ABOVE", 0)

    async def scenario() -> None:
        async with js_lab.pair(role) as (ours, js):
            assert quic_socket(ours).counters.retries > 0
            assert (await js.echo(ours.peer, 1000)).bytes == 1000

    run(scenario())


@both_dial
def test_identify_tells_js_all_of_us(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.pair(role) as (ours, js):
            about = await js.identify(ours.peer)
            assert about.agent == AGENT
            assert sorted(about.protocols) == sorted(ours.host.handlers.protocols)
            assert about.listen_addrs == (bare(ours.addr),)
            assert about.observed == str(ours.conn(js.peer).remote_addr)
            assert about.signed_record
            assert bare(ours.addr) in about.addrs

    run(scenario())


@both_dial
def test_identify_tells_us_all_of_js(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.pair(role, js={"user_agent": "driven/1"}) as (ours, js):
            peer, known = ours.conn(js.peer).peer, ours.host.peerstore
            assert known.agent(peer) == "driven/1"
            assert known.protocols(peer) == set((await js.id()).protocols)
            assert Multiaddr.parse(bare(js.addr)) in known.addrs(peer)
            observed = ours.conn(js.peer).info.ends.local
            (seen,) = await js.conns(ours.peer)
            assert str(observed) == seen.remote

    run(scenario())


@both_dial
def test_pings_both_ways(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.pair(role) as (ours, js):
            there = [await ours.ping(js.peer) for _ in range(5)]
            back = await js.ping(ours.peer, 5)
            assert len(back) == 5  # in whole milliseconds
            assert all(rtt < 1 for rtt in (*there, *back))

    run(scenario())


@both_dial
def test_another_peer_than_expected(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            js_lab.ours() as ours,
            js_lab.js() as js,
            js_lab.ours(listen=()) as somebody,
        ):
            for _ in range(2):  # a failure blocks nothing
                if role is Role.WE_DIAL:
                    with pytest.raises(DialError) as failed:
                        await ours.connect(posing_as(js.addr, somebody.peer))
                    (cause,) = failed.value.causes.values()
                    assert isinstance(cause, WrongPeerError)
                else:
                    with pytest.raises(CommandError, match=WRONG_PEER):
                        await js.connect(posing_as(ours.addr, somebody.peer))
            if role is Role.WE_DIAL:
                await ours.connect(js.addr)
            else:
                await js.connect(ours.addr)
            assert (await js.echo(ours.peer, 1000)).bytes == 1000

    run(scenario())


@both_dial
def test_reconnecting_whoever_closes(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.ours() as ours, js_lab.js() as js:
            for turn in range(6):
                await meet(role, ours, js)
                stream = await ours.open_stream(js.peer, MANUAL)
                await js.accept_stream()
                if turn % 2:
                    ours.disconnect(js.peer)
                    with pytest.raises(ConnectionClosedError):
                        await stream.read()
                else:
                    await js.disconnect(ours.peer)
                    with contextlib.suppress(ConnectionClosedError, StreamResetError):
                        assert await stream.read() == b""  # js ends streams before it goes
                await js.event("connectedness", peer=ours.peer, state="NotConnected")
                await ours.gone(js.peer)

    run(scenario())


@pytest.mark.slow
@over(Transport.QUIC)
def test_after_20_s_in_which_nobody_said_a_word(js_lab: JsLab, run: Run) -> None:
    async def still_works(role: Role) -> None:
        async with js_lab.pair(role) as (ours, js):
            conn = ours.conn(js.peer)
            stream = await ours.open_stream(js.peer, ECHO)
            await asyncio.sleep(IDLE_S)
            assert ours.conn(js.peer) is conn
            await stream.write(b"there")
            assert await stream.read_exactly(5) == b"there"
            assert (await js.echo(ours.peer, 1000)).bytes == 1000

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:  # side by side, as both wait
            group.create_task(still_works(Role.WE_DIAL))
            group.create_task(still_works(Role.THEY_DIAL))

    run(scenario())
