from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import StreamResetError
from peerup.host.events import PeerIdentified
from peerup.host.handlers import Handler
from peerup.protocols.identify import PROTOCOL, PUSH_PROTOCOL, TIMEOUT_S, Identify
from peerup.transport.muxed import MuxedStream
from peerup.wire import identify as wire
from peerup.wire.delimited import join
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_record import seal_peer_record
from peerup.wire.protobuf import encode
from tests.internet import Internet
from tests.protocols.identities import HOME, LAN, LOOPBACK, PUBLIC, asking, identity, pushed, saying
from tests.world import InWorld, World, echo, key_of, memory, never, peer_of

# --- learning -------------------------------------------------------------------------


def test_both_ends_learn_of_each_other_when_they_connect(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        home.handle("/echo", echo)
        laptop = await world.host("laptop", at=3)
        with home.bus.subscribe(PeerIdentified) as events:
            await laptop.connect(home.peer, home.addrs)
            assert laptop.peerstore.protocols(home.peer) == {PROTOCOL, PUSH_PROTOCOL, "/echo"}
            assert laptop.peerstore.agent(home.peer) == "test/home"
            event = await events.next()
        assert (event.peer, set(event.protocols)) == (laptop.peer, {PROTOCOL, PUSH_PROTOCOL})
        assert home.peerstore.addrs(laptop.peer) == (memory(3),)

    in_world(main)


def test_a_peer_that_does_not_speak_identify_is_left_alone(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await asking(world, None)
        assert not conn.is_closed
        assert laptop.peerstore.protocols(HOME) == frozenset()

    in_world(main)


def test_a_peer_that_never_answers_costs_5_s(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await asking(world, never)
        assert laptop.clock() - conn.opened_at == pytest.approx(TIMEOUT_S)
        assert not conn.is_closed

    in_world(main)


def test_an_answer_in_pieces_is_merged(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        record = seal_peer_record(key_of("home"), [PUBLIC], 1)
        handler = saying(
            identity(protocols=["/a"], agent="one"),
            identity(protocols=["/b"], agent="two"),
            encode(wire.Identify(signed_peer_record=record)),
        )
        laptop, _ = await asking(world, handler)
        assert laptop.peerstore.protocols(HOME) == {"/a", "/b"}
        assert laptop.peerstore.agent(HOME) == "two"
        assert PUBLIC in laptop.peerstore.addrs(HOME)

    in_world(main)


def test_a_peer_that_identifies_itself_with_another_key_is_not_believed(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, _ = await asking(world, saying(identity(key=key_of("other"), addrs=[PUBLIC])))
        assert laptop.peerstore.protocols(HOME) == frozenset()
        assert PUBLIC not in laptop.peerstore.addrs(HOME)
        assert laptop.peerstore.protocols(peer_of("other")) == frozenset()

    in_world(main)


def test_the_signed_record_counts_more_than_the_list(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        record = seal_peer_record(key_of("home"), [PUBLIC], 1)
        message = identity(key=key_of("home"), addrs=[LAN], record=record)
        laptop, _ = await asking(world, saying(message))
        assert PUBLIC in laptop.peerstore.addrs(HOME)
        assert LAN not in laptop.peerstore.addrs(HOME)

    in_world(main)


@pytest.mark.parametrize(
    "record",
    [
        b"garbage",
        bytes(wire.MAX_MESSAGE // 2),
        seal_peer_record(key_of("other"), [PUBLIC], 1),  # of somebody else
        seal_peer_record(key_of("home"), [PUBLIC], 1)[:-1] + b"\x00",  # not what was signed
    ],
)
def test_a_bad_record_is_worth_nothing_and_the_rest_still_counts(
    in_world: InWorld, record: bytes
) -> None:
    async def main(world: World) -> None:
        laptop, _ = await asking(world, saying(identity(addrs=[LAN], record=record)))
        assert LAN in laptop.peerstore.addrs(HOME)
        assert PUBLIC not in laptop.peerstore.addrs(HOME)
        assert laptop.peerstore.protocols(HOME) == {"/x"}

    in_world(main)


def test_a_record_from_the_far_future_does_not_lock_out_the_next_one(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        far = seal_peer_record(key_of("home"), [LAN], 2**64 - 1)
        laptop, conn = await asking(world, saying(identity(record=far)))
        next_one = seal_peer_record(key_of("home"), [PUBLIC], 1)
        await pushed(world, conn, identity(record=next_one))
        assert PUBLIC in laptop.peerstore.addrs(HOME)

    in_world(main)


@pytest.mark.parametrize(
    ("at", "kept"),
    [
        ("127.0.0.1", {LOOPBACK, LAN, PUBLIC}),
        ("192.168.1.5", {LAN, PUBLIC}),
        ("203.0.113.5", {LAN, PUBLIC}),
    ],
)
def test_loopback_addresses_of_a_peer_elsewhere_are_not_believed(
    in_world: InWorld, at: str, kept: set[Multiaddr]
) -> None:
    async def main(world: World) -> None:
        net = Internet()
        where = Multiaddr.parse(f"/ip4/{at}/tcp/4001")
        machine = net.machine(at)
        home = await world.host("home", transports=[machine], listen=[where], identify=False)
        home.handle(PROTOCOL, saying(identity(addrs=[LOOPBACK, LAN, PUBLIC])))
        laptop = await world.host("laptop", transports=[net.machine("198.51.100.1")])
        await laptop.connect(HOME, [where])
        assert set(laptop.peerstore.addrs(HOME)) == kept | {where}

    in_world(main)


def test_what_a_peer_calls_itself_is_safe_to_show(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        message = identity(agent="\x1b[2J" + "x" * 4000, protocols=["/ok", "/\x1b[31m", "/a\nb"])
        laptop, _ = await asking(world, saying(message))
        agent = laptop.peerstore.agent(HOME)
        assert agent.isprintable()
        assert len(agent) <= 128
        assert laptop.peerstore.protocols(HOME) == {"/ok"}

    in_world(main)


# --- answers that are none ------------------------------------------------------------


async def flood(stream: MuxedStream) -> None:
    while True:
        await stream.write(join(identity(protocols=["/y"])) * 100)


async def one_byte_a_second(stream: MuxedStream) -> None:
    for byte in join(identity()):
        await stream.write(bytes((byte,)))
        await asyncio.sleep(1)


@pytest.mark.parametrize(
    "handler",
    [
        saying(),  # no message at all
        saying(b"\xff\xff\xff"),
        saying(*[identity()] * (wire.MAX_MESSAGES + 1)),
        saying(bytes(wire.MAX_MESSAGE + 1)),
        saying(identity(protocols=[f"/{n}" for n in range(1000)]), *[identity()] * 9, b"\x07"),
        flood,
        one_byte_a_second,
    ],
)
def test_an_answer_that_is_none_teaches_nothing_and_breaks_nothing(
    in_world: InWorld, caplog: pytest.LogCaptureFixture, handler: Handler
) -> None:
    async def main(world: World) -> None:
        laptop, conn = await asking(world, handler)
        assert laptop.peerstore.protocols(HOME) == frozenset()
        assert laptop.clock() - conn.opened_at <= TIMEOUT_S + 0.1
        assert not conn.is_closed

    in_world(main)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@given(data=st.binary(max_size=300))
def test_any_bytes_are_an_identity_or_nothing(in_world: InWorld, data: bytes) -> None:
    async def main(world: World) -> None:
        async def raw(stream: MuxedStream) -> None:
            await stream.write(data)

        laptop, conn = await asking(world, raw)
        assert await laptop.connect(HOME) is conn
        try:
            await pushed(world, conn, data)
        except StreamResetError:
            pass  # it was told that this is none
        assert await laptop.connect(HOME) is conn

    in_world(main)


def test_who_does_not_ask_answers_all_the_same(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        laptop = await world.host("laptop", identify=False)
        async with Identify(laptop, asks=False):
            await laptop.connect(home.peer, home.addrs)
            await asyncio.sleep(1.0)
            assert laptop.peerstore.protocols(home.peer) == frozenset()
            assert home.peerstore.agent(laptop.peer) == "test/laptop"

    in_world(main)
