"""Two go peers against each other: what the driver says of them is true.

A cell that fails against us is then ours, and not the driver's.
"""

from __future__ import annotations

import asyncio
import hashlib
import struct
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from interop.foreign import ECHO, HANG, MANUAL, RESET, circuit_addr, pattern
from interop.go_peer import GoPeer, Options, RelayService
from interop.process import CommandError, Process, ProcessDiedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interop.conftest import Run

MIB: Final = 1 << 20
PERMISSION_DENIED: Final = 202
NO_RESERVATION: Final = 204
PUSH: Final = "/ipfs/id/push/1.0.0"
HOP: Final = "/libp2p/circuit/relay/0.2.0/hop"


@asynccontextmanager
async def two_peers(
    binary: Path, *, dialer: Options | None = None, listener: Options | None = None
) -> AsyncIterator[tuple[GoPeer, GoPeer]]:
    """Two connected go peers, the dialler first."""
    async with (
        GoPeer.start(binary, **(dialer or {})) as one,
        GoPeer.start(binary, **(listener or {})) as other,
    ):
        await one.connect(other.addr)
        yield one, other


def test_the_seed_gives_the_peer_id_and_options_reach_the_host(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        announced = "/ip4/45.0.0.1/tcp/4001"
        options: Options = {"seed": "07" * 32, "listen": [], "announce": [announced]}
        async with GoPeer.start(go_binary, **options) as go:
            # Ed25519 keys are the same everywhere: any libp2p makes this id of that seed.
            assert go.peer == "12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7"
            assert go.addr == ""
            identity = await go.id()
            assert identity.addrs == (announced,)
            assert identity.version == "v0.51.0"
            assert {ECHO, MANUAL, PUSH} <= set(identity.protocols)

    run(scenario())


@pytest.mark.parametrize("early_muxer", [True, False])
@pytest.mark.parametrize(("security", "chosen"), [("noise", "/noise"), ("tls", "/tls/1.0.0")])
def test_connections_use_the_security_and_muxer_negotiation_asked_for(
    go_binary: Path, run: Run, security: str, chosen: str, early_muxer: bool
) -> None:
    async def scenario() -> None:
        options: Options = {"security": [security], "early_muxer": early_muxer}
        async with two_peers(go_binary, dialer=options) as (one, other):
            (conn,) = await one.conns()
            assert (conn.peer, conn.direction) == (other.peer, "Outbound")
            assert (conn.transport, conn.security, conn.muxer) == ("tcp", chosen, "/yamux/1.0.0")
            assert conn.early_muxer is early_muxer
            assert not conn.limited
            (back,) = await other.conns(one.peer)
            assert (back.direction, back.remote) == ("Inbound", conn.local)

    run(scenario())


def test_quic_is_one_more_transport(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        options: Options = {"transports": ["quic"], "listen": ["/ip4/127.0.0.1/udp/0/quic-v1"]}
        async with two_peers(go_binary, dialer=options, listener=options) as (one, other):
            assert (await one.conns())[0].transport == "quic-v1"
            assert (await one.echo(other.peer, MIB)).bytes == MIB

    run(scenario())


def test_identify_tells_who_the_peer_is_and_how_it_sees_us(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary, listener={"user_agent": "driven/1"}) as (one, other):
            about = await one.identify(other.peer)
            assert about.agent == "driven/1"
            assert {ECHO, MANUAL, PUSH} <= set(about.protocols)
            assert about.signed_record
            assert [f"{addr}/p2p/{other.peer}" for addr in about.listen_addrs] == [other.addr]
            assert about.observed == (await one.conns())[0].local
            await one.event("identified", peer=other.peer, agent="driven/1")

    run(scenario())


def test_a_handler_that_comes_and_goes_is_pushed(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary) as (one, other):
            await one.identify(other.peer)
            await other.handle("/late/1.0.0", "echo")
            pushed = await one.event("pushed", peer=other.peer)
            assert pushed["added"] == ["/late/1.0.0"]
            assert "/late/1.0.0" in (await one.identify(other.peer)).protocols
            await other.unhandle("/late/1.0.0")
            pushed = await one.event("pushed", peer=other.peer)
            assert pushed["removed"] == ["/late/1.0.0"]

    run(scenario())


def test_ping_measures_each_round_trip(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary) as (one, other):
            rtts = await one.ping(other.peer, 5)
            assert len(rtts) == 5
            assert all(0 < rtt < 5 for rtt in rtts)

    run(scenario())


@pytest.mark.parametrize("size", [0, 1, 8 * MIB])
def test_transfers_carry_the_pattern_both_ways(go_binary: Path, run: Run, size: int) -> None:
    async def scenario() -> None:
        expected = hashlib.sha256(pattern(size)).hexdigest()
        async with two_peers(go_binary) as (one, other):
            for transfer in (one.echo, one.sink, one.source):
                result = await transfer(other.peer, size)
                assert (result.bytes, result.sha256) == (size, expected)
            back = await other.echo(one.peer, size)
            assert (back.bytes, back.sha256) == (size, expected)

    run(scenario())


def test_a_slow_reader_pauses_and_then_takes_the_rest(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary) as (one, other):
            result = await one.source(other.peer, 4 * MIB, pause_after=1000, pause=0.3)
            assert result.bytes == 4 * MIB
            assert result.seconds >= 0.3

    run(scenario())


@pytest.mark.parametrize("parallel", [1, 50])
def test_many_echo_streams_run_in_turn_or_at_once(go_binary: Path, run: Run, parallel: int) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary) as (one, other):
            result = await one.echo_many(other.peer, 200, size=5000, parallel=parallel)
            assert (result.done, result.failed, result.failures) == (200, 0, ())

    run(scenario())


def test_many_echo_streams_count_the_failures(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary) as (one, other):
            await other.unhandle(ECHO)
            result = await one.echo_many(other.peer, 7, parallel=3)
            assert (result.done, result.failed, len(result.failures)) == (0, 7, 5)

    run(scenario())


@pytest.mark.parametrize("code", [0, 7, 0xFFFFFFFF])
def test_the_code_of_a_reset_is_seen(go_binary: Path, run: Run, code: int) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary) as (one, other):
            stream = await one.open_stream(other.peer, RESET)
            await stream.write(struct.pack(">I", code))
            with pytest.raises(CommandError, match="reset") as caught:
                await stream.read()
            assert (caught.value.reset, caught.value.remote) == (True, True)
            assert caught.value.stream_code == code
            assert caught.value.conn_code is None

    run(scenario())


def test_the_code_of_our_own_reset_reaches_the_handler(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary) as (one, other):
            stream = await one.open_stream(other.peer, ECHO)
            await stream.write(b"some")
            assert await stream.read_exactly(4) == b"some"
            await stream.reset(9)
            failed = await other.event("handler_failed", protocol=ECHO, peer=one.peer)
            assert failed["bytes"] == 4
            assert failed["error"]["stream_code"] == 9

    run(scenario())


def test_both_ends_of_a_manual_stream_are_driven(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary) as (one, other):
            near = await one.open_stream(other.peer, "/unknown/1", MANUAL)
            assert near.protocol == MANUAL
            await near.write(b"question")
            await near.close_write()
            far = await other.accept_stream()
            assert await far.read(5) == b"quest"
            assert await far.read_exactly(100) == b"ion"
            assert await far.read() == b""
            await far.write(pattern(200_000))
            await far.close()
            assert (await near.digest()).sha256 == hashlib.sha256(pattern(200_000)).hexdigest()
            await near.close_read()
            await near.close()

    run(scenario())


def test_a_writer_waits_for_a_reader_who_does_not_read(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary) as (one, other):
            stream = await one.open_stream(other.peer, HANG)
            await stream.write(bytes(200_000))
            with pytest.raises(CommandError) as caught:
                await stream.write(bytes(200_000), within=0.2)  # the window is 262,144 bytes
            assert caught.value.timeout

    run(scenario())


def test_the_code_of_a_closed_connection_is_seen(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary) as (one, other):
            stream = await one.open_stream(other.peer, MANUAL)
            await stream.write(b"x")
            await other.accept_stream()
            await other.disconnect(one.peer, code=0x1007)
            with pytest.raises(CommandError) as caught:
                await stream.read()
            assert (caught.value.conn_code, caught.value.remote) == (0x1007, True)
            await one.event("connectedness", peer=other.peer, state="NotConnected")
            assert await one.conns() == ()

    run(scenario())


def test_a_connection_closed_without_a_code_is_no_clean_end(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with two_peers(go_binary) as (one, other):
            stream = await one.open_stream(other.peer, MANUAL)
            await stream.write(b"x")
            await other.accept_stream()
            await other.disconnect(one.peer)
            with pytest.raises(CommandError, match="reset") as caught:
                await stream.read()
            assert caught.value.conn_code is None

    run(scenario())


def test_a_reservation_and_a_circuit_through_a_third_peer(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        service = RelayService(ttl=1800, duration=60, data=MIB)
        async with (
            GoPeer.start(go_binary, relay=service) as relay,
            GoPeer.start(go_binary) as one,
            GoPeer.start(go_binary, listen=[]) as other,
        ):
            assert HOP in (await relay.id()).protocols
            reservation = await other.reserve(relay.addr)
            assert abs(reservation.expires - time.time() - 1800) < 30
            assert (reservation.limit_duration, reservation.limit_data) == (60, MIB)
            assert reservation.addrs == (relay.addr,)
            assert reservation.voucher

            conn = await one.connect(circuit_addr(relay.addr, other.peer))
            assert conn.limited
            assert "/p2p-circuit" in conn.remote
            assert (await one.echo(other.peer, 100_000)).bytes == 100_000
            assert len(await other.ping(one.peer, 2)) == 2
            with pytest.raises(CommandError):
                await one.echo(other.peer, 1, allow_limited=False, within=0.5)
            with pytest.raises(CommandError):
                await one.echo(other.peer, 2 * MIB)  # more than the circuit may carry

    run(scenario())


def test_a_relay_without_limits_gives_plain_connections(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with (
            GoPeer.start(go_binary, relay=RelayService(unlimited=True)) as relay,
            GoPeer.start(go_binary) as one,
            GoPeer.start(go_binary, listen=[]) as other,
        ):
            reservation = await other.reserve(relay.addr)
            assert (reservation.limit_duration, reservation.limit_data) == (0, 0)
            assert not (await one.connect(circuit_addr(relay.addr, other.peer))).limited
            assert (await one.echo(other.peer, MIB, allow_limited=False)).bytes == MIB

    run(scenario())


def test_refusals_of_a_relay_carry_its_status(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with (
            GoPeer.start(go_binary, seed="01" * 32) as one,
            GoPeer.start(go_binary) as other,
            GoPeer.start(
                go_binary,
                relay=RelayService(allow_reserve=(one.peer,), allow_connect=(one.peer,)),
            ) as relay,
        ):
            with pytest.raises(CommandError) as caught:
                await other.reserve(relay.addr)
            assert caught.value.relay_status == PERMISSION_DENIED
            await one.reserve(relay.addr)
            with pytest.raises(CommandError) as caught:
                await other.connect(circuit_addr(relay.addr, one.peer))
            assert caught.value.relay_status == PERMISSION_DENIED
            with pytest.raises(CommandError) as caught:
                await one.connect(circuit_addr(relay.addr, other.peer))
            assert caught.value.relay_status == NO_RESERVATION

    run(scenario())


def test_static_relays_are_reserved_unasked(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with (
            GoPeer.start(go_binary, relay=RelayService()) as relay,
            GoPeer.start(go_binary, force_private=True, static_relays=[relay.addr]) as behind,
            GoPeer.start(go_binary) as one,
        ):
            await relay.event("identified", peer=behind.peer)
            async with asyncio.timeout(10):
                while not await _reachable(one, circuit_addr(relay.addr, behind.peer)):
                    await asyncio.sleep(0.05)
            assert len(await one.ping(behind.peer)) == 1

    async def _reachable(one: GoPeer, addr: str) -> bool:
        try:
            await one.connect(addr)
        except CommandError as error:
            if error.relay_status == NO_RESERVATION:
                return False
            raise
        return True

    run(scenario())


def test_a_wrong_argument_and_a_wrong_order_are_errors(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with Process.start(go_binary) as process:
            with pytest.raises(CommandError, match="start"):
                await process.call("id", {}, within=5)
            with pytest.raises(CommandError, match="unknown field"):
                await process.call("start", {"lisen": []}, within=5)

    run(scenario())


def test_a_process_that_dies_fails_the_block_with_its_last_words(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with Process.start(go_binary) as process:
            process._send({"id": "not a number"})
            await process.event("never", within=10)

    with pytest.raises(ProcessDiedError, match="request"):
        run(scenario())


def test_waits_are_bounded(go_binary: Path, run: Run) -> None:
    async def scenario() -> None:
        async with GoPeer.start(go_binary) as go:
            with pytest.raises(TimeoutError, match="never"):
                await go.event("never", within=0.01)
            with pytest.raises(CommandError) as caught:
                await go.identify(go.peer, within=0.01)  # nobody identifies itself
            assert caught.value.timeout

    run(scenario())
