"""How a device answers the relays that call it."""

from __future__ import annotations

import pytest

from peerup.errors import (
    NegotiationError,
    NotAuthorizedError,
    PeerupError,
    ResourceLimitError,
    StreamResetError,
)
from peerup.host.gater import Answer, Verdict
from peerup.host.host import Host
from peerup.relay.client import MAX_CIRCUITS, STOP_TIMEOUT_S
from peerup.transport.endpoints import Endpoints, Role
from peerup.transport.messages import expect_message, write_message
from peerup.transport.muxed import MuxedConnection, MuxedStream
from peerup.transport.upgrade import UPGRADE_TIMEOUT_S, upgrade
from peerup.wire.circuit import (
    MAX_MESSAGE,
    STOP_PROTOCOL,
    Limit,
    Peer,
    Status,
    StopMessage,
    StopType,
)
from peerup.wire.delimited import join
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import decode, encode
from tests.world import InWorld, World, echo, peer_of, read_all, through, until

HOME, RELAY, LAPTOP = peer_of("home"), peer_of("relay"), peer_of("laptop")


async def calling(world: World) -> tuple[Host, MuxedStream]:
    """A device, and a STOP stream that its relay has opened to it."""
    relay = await world.host("relay", at=1)
    home = await world.device("home")
    home.handle("/echo", echo)
    await home.connect(relay.peer, relay.addrs)
    return home, await relay.open_stream(home.peer, STOP_PROTOCOL)


def call(source: PeerId = LAPTOP, limit: Limit | None = None) -> StopMessage:
    return StopMessage(StopType.CONNECT, peer=Peer(source.to_bytes()), limit=limit)


async def answer_on(stream: MuxedStream) -> StopMessage:
    return decode(StopMessage, await expect_message(stream, MAX_MESSAGE))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (StopMessage(StopType.STATUS, status=Status.OK), Status.UNEXPECTED_MESSAGE),
        (StopMessage(StopType.CONNECT), Status.MALFORMED_MESSAGE),
        (StopMessage(StopType.CONNECT, peer=Peer(b"no peer id")), Status.MALFORMED_MESSAGE),
        (b"\xff" * 30, Status.MALFORMED_MESSAGE),
        (join(bytes(MAX_MESSAGE + 1)), Status.MALFORMED_MESSAGE),
        (join(b"\x08\x09"), Status.MALFORMED_MESSAGE),  # type 9
    ],
)
def test_a_call_that_makes_no_sense_is_answered_with_its_status(
    in_world: InWorld, request_: StopMessage | bytes, status: Status
) -> None:
    async def main(world: World) -> None:
        home, stream = await calling(world)
        data = request_ if isinstance(request_, bytes) else join(encode(request_))
        await stream.write(data)
        answer = await answer_on(stream)
        assert (answer.type, answer.status) == (StopType.STATUS, status)
        assert await read_all(stream) == b""
        assert [conn.peer for conn in home.connections] == [RELAY]

    in_world(main)


def test_a_relay_that_calls_and_says_nothing_is_dropped_after_10_s(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, stream = await calling(world)
        began = home.clock()
        with pytest.raises(StreamResetError):
            await stream.read()
        assert home.clock() - began == pytest.approx(STOP_TIMEOUT_S)

    in_world(main)


@pytest.mark.parametrize("then", [b"", b"\x13/multistream/1.0.0\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_caller_that_does_not_go_on_is_dropped(in_world: InWorld, then: bytes) -> None:
    async def main(world: World) -> None:
        home, stream = await calling(world)
        await write_message(stream, encode(call()))
        assert (await answer_on(stream)).status == Status.OK
        began = home.clock()
        await stream.write(then)
        with pytest.raises(StreamResetError):
            await read_all(stream)
        assert home.clock() - began <= UPGRADE_TIMEOUT_S + 0.1
        assert [conn.peer for conn in home.connections] == [RELAY]
        assert home.connections.best(RELAY) is not None

    in_world(main)


@pytest.mark.parametrize(
    ("limit", "limited"), [(None, False), (Limit(), True), (Limit(120, 131072), True)]
)
def test_behind_the_answer_is_a_connection_like_any_other(
    in_world: InWorld, limit: Limit | None, limited: bool
) -> None:
    async def main(world: World) -> None:
        home, stream = await calling(world)
        await write_message(stream, encode(call(limit=limit)))
        await answer_on(stream)
        laptop = await world.host("laptop")
        ends = Endpoints(through(RELAY))
        conn = await upgrade(stream, laptop.local, ends, role=Role.CLIENT, expected=HOME)
        await laptop.adopt(conn)
        await until(lambda: home.connections.best(LAPTOP) is not None)
        (back,) = home.connections.of(LAPTOP)
        assert (back.inbound, back.relayed, back.path) == (True, True, "RELAYED")
        assert back.limited is limited
        assert back.remote_addr == through(RELAY)
        if limited:
            with pytest.raises(NegotiationError):  # it did not ask for limited connections
                await laptop.open_stream_on(conn, "/echo")
            with pytest.raises(ResourceLimitError):
                await home.open_stream(LAPTOP, "/anything")
        else:
            echoed = await laptop.open_stream_on(conn, "/echo")
            echoed.reset()

    in_world(main)


class OnlyRelay:
    """A gater that lets the relay in and nobody else."""

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        return Answer.YES if peer == RELAY else Answer.NO


def test_w00_a_stranger_that_comes_through_a_relay_is_refused_all_the_same(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        relay, _ = await world.relay()
        home = await world.home(gater=OnlyRelay())
        laptop = await world.device("laptop")
        with pytest.raises(NotAuthorizedError) as caught:
            await laptop.connect(home.peer, [through(relay)])
        assert "relay" not in str(caught.value)  # it is home that does not want us
        assert [conn.peer for conn in home.connections] == [RELAY]

    in_world(main)


def test_a_call_within_a_call_is_refused(in_world: InWorld) -> None:
    """Through a circuit nobody may act as a relay."""

    async def main(world: World) -> None:
        relay, _ = await world.relay()
        home = await world.home()
        laptop = await world.device("laptop")
        conn = await laptop.connect(home.peer, [through(relay)])
        stream = await laptop.open_stream_on(conn, STOP_PROTOCOL)
        await write_message(stream, encode(call()))
        assert (await answer_on(stream)).status != Status.OK

    in_world(main)


def test_one_relay_may_have_so_many_calls_open(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        relay = await world.host("relay", at=1)
        home = await world.device("home")
        conn = await home.connect(relay.peer, relay.addrs)
        held: list[MuxedStream] = []

        async def call_again() -> None:
            while len(held) <= MAX_CIRCUITS:
                held.append(await relay.open_stream(home.peer, STOP_PROTOCOL))

        with pytest.raises(PeerupError):
            await call_again()
        for stream in held:
            stream.reset()
        assert not conn.is_closed

    in_world(main)


def test_a_call_ends_with_the_connection_to_its_relay(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        relay, _ = await world.relay()
        home = await world.home()
        laptop = await world.device("laptop")
        conn: MuxedConnection = await laptop.connect(home.peer, [through(relay)])
        home.connections.of(RELAY)[0].close()
        await until(lambda: conn.is_closed and not home.connections.of(LAPTOP))

    in_world(main)
