from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import NegotiationError, ResourceLimitError, StreamResetError
from peerup.host.handlers import Handler
from peerup.host.host import Host
from peerup.relay.client import reserve
from peerup.relay.quota import REQUEST_BURST, RelayLimits
from peerup.relay.server import REQUEST_TIMEOUT_S, STOP_TIMEOUT_S, HopService
from peerup.transport.messages import expect_message, write_message
from peerup.transport.muxed import MuxedConnection, MuxedStream
from peerup.wire.circuit import (
    HOP_PROTOCOL,
    MAX_MESSAGE,
    STOP_PROTOCOL,
    HopMessage,
    HopType,
    Limit,
    Peer,
    Status,
    StopMessage,
    StopType,
    open_voucher,
)
from peerup.wire.delimited import join
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import decode, encode
from tests.internet import Internet
from tests.world import InWorld, World, memory, never, peer_of, read_all, through, until

HOME, RELAY, LAPTOP = peer_of("home"), peer_of("relay"), peer_of("laptop")
RESERVE = HopMessage(HopType.RESERVE)
HOUR = 3600


def connect_to(target: PeerId | bytes) -> HopMessage:
    raw = target if isinstance(target, bytes) else target.to_bytes()
    return HopMessage(HopType.CONNECT, peer=Peer(raw))


async def ask_on(
    host: Host, conn: MuxedConnection, request: HopMessage | bytes
) -> tuple[HopMessage, MuxedStream]:
    """Send a request to the relay at the other end; return its answer and the stream."""
    stream = await host.open_stream_on(conn, HOP_PROTOCOL)
    await stream.write(request if isinstance(request, bytes) else join(encode(request)))
    answer = decode(HopMessage, await expect_message(stream, MAX_MESSAGE))
    assert answer.type is HopType.STATUS
    return answer, stream


async def ask(host: Host, request: HopMessage | bytes) -> HopMessage:
    """Ask the relay; its answer must be all that it says."""
    conn = await host.connect(RELAY, [memory(1)])
    answer, stream = await ask_on(host, conn, request)
    if answer.status != Status.OK or request == RESERVE:
        assert await read_all(stream) == b""
    stream.reset()
    return answer


async def status_of(host: Host, request: HopMessage | bytes) -> int | None:
    return (await ask(host, request)).status


# --- reserving ------------------------------------------------------------------------


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


# --- connecting -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (connect_to(RELAY), Status.PERMISSION_DENIED),
        (connect_to(LAPTOP), Status.PERMISSION_DENIED),  # whoever asks here
        (connect_to(HOME), Status.NO_RESERVATION),
        (connect_to(b""), Status.MALFORMED_MESSAGE),
        (connect_to(b"no peer id"), Status.MALFORMED_MESSAGE),
        (connect_to(bytes(200)), Status.MALFORMED_MESSAGE),
        (HopMessage(HopType.CONNECT), Status.MALFORMED_MESSAGE),
        (HopMessage(HopType.STATUS, status=Status.OK), Status.UNEXPECTED_MESSAGE),
        (join(bytes(MAX_MESSAGE + 1)), Status.MALFORMED_MESSAGE),
        (join(b"\x08\x09"), Status.MALFORMED_MESSAGE),  # type 9
        (join(b"\x08\x01\x12\x00"), Status.MALFORMED_MESSAGE),  # a peer without an id
        (b"\xff" * 12, Status.MALFORMED_MESSAGE),
    ],
)
def test_a_request_that_cannot_be_granted_gets_its_status(
    in_world: InWorld, request_: HopMessage | bytes, status: Status
) -> None:
    async def main(world: World) -> None:
        relay, hop = await world.relay()
        laptop = await world.host("laptop")
        assert await status_of(laptop, request_) == status
        assert len(hop.quota) == 0
        assert relay.connections.best(LAPTOP) is not None  # it costs nobody the connection

    in_world(main)


def test_a_request_without_a_type_is_a_reservation_as_in_go(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay()
        assert await status_of(await world.host("home"), join(b"")) == Status.OK

    in_world(main)


@given(data=st.binary(max_size=100))
def test_any_request_is_answered_with_a_status(in_world: InWorld, data: bytes) -> None:
    async def main(world: World) -> None:
        await world.relay()
        laptop = await world.host("laptop", identify=False)
        assert await status_of(laptop, join(data)) in set(Status)

    in_world(main)


def test_a_peer_that_asks_for_nothing_is_dropped_after_10_s(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay()
        laptop = await world.host("laptop")
        conn = await laptop.connect(RELAY, [memory(1)])
        stream = await laptop.open_stream_on(conn, HOP_PROTOCOL)
        began = laptop.clock()
        with pytest.raises(StreamResetError):
            await stream.read()
        assert laptop.clock() - began == pytest.approx(REQUEST_TIMEOUT_S)

    in_world(main)


async def placed(world: World, handler: Handler) -> tuple[HopService, Host]:
    """A relay, and a home with a place at it that takes calls as ``handler`` does."""
    _, hop = await world.relay()
    home = await world.host("home")
    home.handle(STOP_PROTOCOL, handler)
    await ask(home, RESERVE)
    return hop, await world.host("laptop")


def answering(answer: StopMessage | bytes, end: bool = True) -> Handler:
    async def handler(stream: MuxedStream) -> None:
        await expect_message(stream, MAX_MESSAGE)
        await stream.write(answer if isinstance(answer, bytes) else join(encode(answer)))
        if not end:
            await never(stream)

    return handler


async def reset_it(stream: MuxedStream) -> None:
    stream.reset(7)


@pytest.mark.parametrize(
    "handler",
    [
        answering(StopMessage(StopType.STATUS, status=Status.PERMISSION_DENIED)),
        answering(StopMessage(StopType.STATUS, status=Status.MALFORMED_MESSAGE), end=False),
        answering(StopMessage(StopType.STATUS)),
        answering(StopMessage(StopType.CONNECT, status=Status.OK)),
        answering(b"\xff" * 20),
        answering(join(bytes(MAX_MESSAGE + 1))),
        answering(b""),
        reset_it,
    ],
)
def test_a_home_that_does_not_take_the_call_is_a_failed_connection(
    in_world: InWorld, handler: Handler
) -> None:
    async def main(world: World) -> None:
        hop, laptop = await placed(world, handler)
        began = laptop.clock()
        assert await status_of(laptop, connect_to(HOME)) == Status.CONNECTION_FAILED
        assert laptop.clock() == began
        assert not +hop.quota._circuits  # and counts no longer

    in_world(main)


def test_a_home_that_never_answers_is_a_failed_connection_within_30_s(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        hop, laptop = await placed(world, never)
        began = laptop.clock()
        assert await status_of(laptop, connect_to(HOME)) == Status.CONNECTION_FAILED
        assert laptop.clock() - began == pytest.approx(STOP_TIMEOUT_S)
        assert not +hop.quota._circuits

    in_world(main)


def test_a_home_that_speaks_no_stop_is_a_failed_connection(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay()
        home, laptop = await world.host("home"), await world.host("laptop")
        await ask(home, RESERVE)
        assert await status_of(laptop, connect_to(HOME)) == Status.CONNECTION_FAILED

    in_world(main)


def test_home_is_told_who_calls_and_under_which_limit(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        calls = []

        async def take(stream: MuxedStream) -> None:
            calls.append(decode(StopMessage, await expect_message(stream, MAX_MESSAGE)))
            answer = StopMessage(StopType.STATUS, status=Status.OK)
            await write_message(stream, encode(answer))
            await stream.write(b"hello from home")

        await world.relay(RelayLimits(session_seconds=600, session_data=1 << 26))
        home, laptop = await world.host("home"), await world.host("laptop")
        home.handle(STOP_PROTOCOL, take)
        await ask(home, RESERVE)
        conn = await laptop.connect(RELAY, [memory(1)])
        answer, stream = await ask_on(laptop, conn, connect_to(HOME))
        limit = Limit(duration=600, data=1 << 26)
        assert calls == [StopMessage(StopType.CONNECT, peer=Peer(LAPTOP.to_bytes()), limit=limit)]
        assert answer == HopMessage(HopType.STATUS, limit=limit, status=Status.OK)
        assert await stream.read() == b"hello from home"
        stream.close()

    in_world(main)


def test_a_peer_has_so_many_circuits(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        ok = StopMessage(StopType.STATUS, status=Status.OK)
        _, hop = await world.relay(RelayLimits(circuits_per_peer=2))
        home, laptop = await world.host("home"), await world.host("laptop")
        home.handle(STOP_PROTOCOL, answering(ok, end=False))
        await ask(home, RESERVE)
        conn = await laptop.connect(RELAY, [memory(1)])
        circuits = [(await ask_on(laptop, conn, connect_to(HOME))) for _ in range(2)]
        assert [answer.status for answer, _ in circuits] == [Status.OK] * 2
        assert await status_of(laptop, connect_to(HOME)) == Status.RESOURCE_LIMIT_EXCEEDED
        circuits[0][1].reset()
        await until(lambda: hop.quota._circuits[LAPTOP] == 1)
        assert await status_of(laptop, connect_to(HOME)) == Status.OK
        circuits[1][1].reset()

    in_world(main)


# --- over another relay ---------------------------------------------------------------


def test_whoever_comes_through_a_relay_gets_no_place_and_no_circuit(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay()
        inner = await world.home("inner")  # a relay that is itself behind a relay
        service = HopService(inner, RelayLimits())
        laptop = await world.device("laptop")
        conn = await laptop.connect(inner.peer, [through(RELAY)])
        assert conn.relayed
        for request in (RESERVE, connect_to(HOME)):
            answer, _ = await ask_on(laptop, conn, request)
            assert answer.status == Status.PERMISSION_DENIED
        assert len(service.quota) == 0

    in_world(main)


def test_on_a_limited_connection_nobody_is_a_relay_at_all(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay(RelayLimits())
        inner = await world.home("inner")
        HopService(inner, RelayLimits())
        laptop = await world.device("laptop")
        conn = await laptop.connect(inner.peer, [through(RELAY)])
        assert conn.limited
        with pytest.raises(ResourceLimitError):
            await laptop.open_stream_on(conn, HOP_PROTOCOL)
        with pytest.raises(NegotiationError):
            await laptop.open_stream_on(conn, HOP_PROTOCOL, allow_limited=True)

    in_world(main)
