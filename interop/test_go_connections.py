"""Cells with go: how connections come about, who is let in, how they end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import pytest

from interop.cells import (
    MIB,
    Lab,
    Role,
    Says,
    Transport,
    both_dial,
    meet,
    over,
    pair,
    quic_socket,
    roles,
)
from interop.foreign import ECHO, MANUAL, posing_as
from interop.process import CommandError
from peerup.errors import (
    ConnectionClosedError,
    DialError,
    NegotiationError,
    NotAuthorizedError,
    WrongPeerError,
)
from peerup.host.gater import Answer, Only
from peerup.protocols import identify, ping
from peerup.transport import quic_endpoint
from peerup.wire.error_codes import ConnectionCode, StreamCode

if TYPE_CHECKING:
    from pathlib import Path

    from interop import our
    from interop.conftest import Run

CODES: Final = (1, 2, ConnectionCode.GARBAGE_COLLECTED, ConnectionCode.SHUTDOWN, 0x12345678)


# --- opening --------------------------------------------------------------------------


@over(Transport.TCP)
@both_dial
@pytest.mark.parametrize("early", [True, False], ids=["early muxer", "late muxer"])
def test_noise_and_yamux(lab: Lab, run: Run, role: Role, early: bool) -> None:
    async def scenario() -> None:
        async with pair(lab, role, go={"early_muxer": early}) as (ours, go):
            (seen,) = await go.conns(ours.peer)
            assert (seen.security, seen.muxer) == ("/noise", "/yamux/1.0.0")
            assert ours.conn(go.peer).info.early_muxer is early
            assert seen.early_muxer is early
            assert not seen.limited
            assert (await ours.echo(go.peer, 100_000)).bytes == 100_000
            assert (await go.echo(ours.peer, 100_000)).bytes == 100_000

    run(scenario())


@over(Transport.QUIC)
@both_dial
def test_quic(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab, role) as (ours, go):
            (seen,) = await go.conns(ours.peer)
            assert (seen.transport, seen.security, seen.muxer) == ("quic-v1", "", "")
            assert not seen.limited
            conn = ours.conn(go.peer)
            assert (conn.transport, conn.info.early_muxer) == ("quic", False)
            assert (await ours.echo(go.peer, 100_000)).bytes == 100_000
            assert (await go.echo(ours.peer, 100_000)).bytes == 100_000

    run(scenario())


@over(Transport.QUIC)
@both_dial
def test_the_largest_datagrams_that_peers_take(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        full: our.Options = {"transports": ["quic with full datagrams"]}
        async with pair(lab, role, ours=full) as (ours, go):
            assert (await ours.echo(go.peer, MIB)).bytes == MIB
            assert (await go.echo(ours.peer, MIB)).bytes == MIB

    run(scenario())


@over(Transport.QUIC)
@roles(Role.THEY_DIAL)
def test_a_dialler_has_to_prove_its_address(
    lab: Lab, run: Run, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quic_endpoint, "RETRY_ABOVE", 0)

    async def scenario() -> None:
        async with pair(lab, role) as (ours, go):
            assert quic_socket(ours).counters.retries > 0
            assert (await go.echo(ours.peer, 1000)).bytes == 1000

    run(scenario())


@over(Transport.TCP)
@both_dial
def test_tls_first_then_noise(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab, role, go={"security": ["tls", "noise"]}) as (ours, go):
            assert (await go.conns(ours.peer))[0].security == "/noise"
            assert (await go.echo(ours.peer, 1000)).bytes == 1000

    run(scenario())


@over(Transport.TCP)
@both_dial
def test_tls_alone_is_no_way_to_connect(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with lab.ours() as ours, lab.go(security=["tls"]) as go:
            if role is Role.WE_DIAL:
                with pytest.raises(DialError) as failed:
                    await ours.connect(go.addr)
                (cause,) = failed.value.causes.values()
                assert isinstance(cause, NegotiationError)
            else:
                with pytest.raises(CommandError, match="protocols not supported"):
                    await go.connect(ours.addr)

    run(scenario())


@both_dial
def test_another_peer_than_expected(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with (
            lab.ours() as ours,
            lab.go() as go,
            lab.ours(listen=()) as somebody,
        ):
            for _ in range(2):  # a failure blocks nothing
                if role is Role.WE_DIAL:
                    with pytest.raises(DialError) as failed:
                        await ours.connect(posing_as(go.addr, somebody.peer))
                    (cause,) = failed.value.causes.values()
                    assert isinstance(cause, WrongPeerError)
                else:
                    with pytest.raises(CommandError, match="peer id mismatch"):
                        await go.connect(posing_as(ours.addr, somebody.peer))
            assert (await go.conns(), len(ours.host.connections)) == ((), 0)
            await meet(role, ours, go)
            assert (await go.echo(ours.peer, 1000)).bytes == 1000

    run(scenario())


@both_dial
def test_reconnecting_whoever_closes(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with lab.ours() as ours, lab.go() as go:
            for turn in range(20):
                await meet(role, ours, go)
                assert (await ours.echo(go.peer, turn)).bytes == turn
                if turn % 2:
                    ours.disconnect(go.peer)
                else:
                    await go.disconnect(ours.peer)
                await go.event("connectedness", peer=ours.peer, state="NotConnected")
                await ours.gone(go.peer)
            assert (await go.conns(), len(ours.host.connections)) == ((), 0)

    run(scenario())


@roles(Role.WE_DIAL)
def test_both_dial_at_once(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        for _ in range(5):
            async with lab.ours() as ours, lab.go() as go:
                async with asyncio.TaskGroup() as group:
                    group.create_task(ours.connect(go.addr))
                    group.create_task(go.connect(ours.addr))
                assert (await ours.echo(go.peer, 1000)).bytes == 1000
                assert (await go.echo(ours.peer, 1000)).bytes == 1000
                assert len(await go.conns(ours.peer)) == len(ours.conns(go.peer))

    run(scenario())


@both_dial
def test_peers_with_both_transports(
    go_binary: Path, run: Run, role: Role, transport: Transport
) -> None:
    async def scenario() -> None:
        both = Lab(go_binary, (transport.other, transport))
        async with both.ours() as ours, both.go() as go:
            if role is Role.WE_DIAL:
                await ours.connect(transport.addr_of(go))
            else:
                await go.connect(transport.addr_of(ours))
                await ours.greeted(go.peer)
            assert ours.conn(go.peer).transport == transport.value
            assert len((await go.identify(ours.peer)).listen_addrs) == 2
            assert (await ours.echo(go.peer, 1000)).bytes == 1000
            assert (await go.echo(ours.peer, 1000)).bytes == 1000

    run(scenario())


# --- ending ---------------------------------------------------------------------------


@both_dial
def test_we_close_and_go_reads_the_code(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with lab.ours() as ours, lab.go() as go:
            for code in (0, *CODES, ConnectionCode.GATED):
                await meet(role, ours, go)
                stream = await ours.open_stream(go.peer, MANUAL)
                far = await go.accept_stream()
                ours.disconnect(go.peer, code)
                with pytest.raises(CommandError) as caught:
                    await far.read()
                assert (caught.value.conn_code, caught.value.remote) == (code, True)
                with pytest.raises(ConnectionClosedError):
                    await stream.read()
                await go.event("connectedness", peer=ours.peer, state="NotConnected")

    run(scenario())


@both_dial
def test_go_closes_and_we_read_the_code(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with lab.ours() as ours, lab.go() as go:
            for code in (0, *CODES):
                await meet(role, ours, go)
                stream = await ours.open_stream(go.peer, MANUAL)
                await go.disconnect(ours.peer, code)
                with pytest.raises(ConnectionClosedError) as caught:
                    await stream.read()
                assert caught.value.code == code
                await ours.gone(go.peer)

    run(scenario())


@both_dial
def test_we_end_and_go_knows(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with lab.go() as go:
            async with lab.ours() as ours:
                await meet(role, ours, go)
                await ours.open_stream(go.peer, MANUAL)
                far = await go.accept_stream()
            with pytest.raises(CommandError) as caught:
                await far.read()
            assert caught.value.conn_code == ConnectionCode.SHUTDOWN

    run(scenario())


@both_dial
def test_go_ends_and_we_know(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with lab.ours() as ours:
            async with lab.go() as go:
                await meet(role, ours, go)
                stream = await ours.open_stream(go.peer, MANUAL)
            with pytest.raises(ConnectionClosedError):
                await stream.read()
            await ours.gone(go.peer)

    run(scenario())


# --- who is let in --------------------------------------------------------------------


@roles(Role.THEY_DIAL)
def test_we_refuse_and_go_reads_why(lab: Lab, run: Run, role: Role) -> None:
    run(go_is_refused(lab, early_muxer=True))


@over(Transport.TCP)
@roles(Role.THEY_DIAL)
def test_we_refuse_after_the_muxer_was_agreed_on(lab: Lab, run: Run, role: Role) -> None:
    run(go_is_refused(lab, early_muxer=False))


async def go_is_refused(lab: Lab, *, early_muxer: bool) -> None:
    async with lab.ours(gater=Says(Answer.NO)) as ours, lab.go(early_muxer=early_muxer) as go:
        with contextlib.suppress(CommandError):  # as our answer may be there too soon
            await go.connect(ours.addr)
        failed = await go.event("identify_failed", peer=ours.peer)
        assert failed["error"]["conn_code"] == ConnectionCode.GATED
        await go.event("connectedness", peer=ours.peer, state="NotConnected")
        assert len(ours.host.connections) == 0


@roles(Role.WE_DIAL)
def test_go_says_that_we_are_not_authorized(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with pair(lab) as (ours, go):
            conn = ours.conn(go.peer)
            stream = await ours.open_stream(go.peer, MANUAL)
            await go.disconnect(ours.peer, ConnectionCode.GATED)
            with pytest.raises(NotAuthorizedError):
                await stream.read()
            with pytest.raises(NotAuthorizedError):
                await ours.host.open_stream_on(conn, ECHO)

    run(scenario())


@both_dial
def test_only_some_protocols_for_go(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        some = Only({identify.PROTOCOL, identify.PUSH_PROTOCOL, ping.PROTOCOL})
        async with pair(lab, role, ours={"gater": Says(some)}) as (ours, go):
            assert len(await go.ping(ours.peer)) == 1
            stream = await go.open_stream(ours.peer, ECHO)
            await stream.write(b"?")
            with pytest.raises(CommandError) as caught:
                await stream.read()
            assert caught.value.stream_code == StreamCode.GATED
            assert (await ours.echo(go.peer, 1000)).bytes == 1000

    run(scenario())


@both_dial
def test_go_is_revoked_while_connected(lab: Lab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        gater = Says(Answer.YES)
        async with pair(lab, role, ours={"gater": gater}) as (ours, go):
            stream = await go.open_stream(ours.peer, ECHO)
            await stream.write(b"!")
            assert await stream.read() == b"!"
            gater.answer = Answer.NO
            ours.host.recheck()
            with pytest.raises(CommandError) as caught:
                await stream.read()
            assert caught.value.conn_code == ConnectionCode.GATED
            await ours.gone(go.peer)

    run(scenario())
