"""How a relay answers those who want to be connected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import NegotiationError, ResourceLimitError, StreamResetError
from peerup.host.handlers import Handler
from peerup.host.host import Host
from peerup.relay.quota import RelayLimits
from peerup.relay.server import REQUEST_TIMEOUT_S, STOP_TIMEOUT_S, HopService
from peerup.transport.messages import expect_message, write_message
from peerup.transport.muxed import MuxedStream
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
)
from peerup.wire.delimited import join
from peerup.wire.protobuf import decode, encode
from tests.relay.asking import HOME, LAPTOP, RELAY, RESERVE, ask, ask_on, connect_to, status_of
from tests.world import InWorld, World, memory, never, through, until


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
