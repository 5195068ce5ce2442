from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import StreamResetError
from peerup.host.events import PeerIdentified
from peerup.host.handlers import Handler
from peerup.host.host import Host
from peerup.protocols.identify import PROTOCOL, PUSH_DELAY_S, PUSH_PROTOCOL, TIMEOUT_S, Identify
from peerup.transport.muxed import MuxedConnection, MuxedStream
from peerup.wire import identify as wire
from peerup.wire.delimited import decode_all, join
from peerup.wire.keys import PrivateKey
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_record import open_peer_record, seal_peer_record
from peerup.wire.protobuf import encode
from tests.internet import Internet
from tests.world import (
    InWorld,
    World,
    echo,
    key_of,
    memory,
    never,
    peer_of,
    read_all,
    through,
    until,
)

HOME = peer_of("home")
LAN = Multiaddr.parse("/ip4/192.168.1.5/tcp/4001")
PUBLIC = Multiaddr.parse("/ip4/203.0.113.5/tcp/4001")
LOOPBACK = Multiaddr.parse("/ip4/127.0.0.1/tcp/4001")


class FakeListener:
    def __init__(self, *addrs: Multiaddr) -> None:
        self.addrs = addrs

    async def close(self) -> None:
        pass


def saying(*messages: bytes) -> Handler:
    """A handler that answers identify with these messages."""

    async def handler(stream: MuxedStream) -> None:
        await stream.write(b"".join(map(join, messages)))

    return handler


def identity(
    *,
    key: PrivateKey | None = None,
    addrs: Sequence[Multiaddr] = (),
    protocols: Sequence[str] = ("/x",),
    agent: str = "fake",
    record: bytes | None = None,
) -> bytes:
    return encode(
        wire.Identify(
            public_key=key.public_key.to_protobuf() if key else None,
            listen_addrs=tuple(addr.to_bytes() for addr in addrs),
            protocols=tuple(protocols),
            agent_version=agent,
            signed_peer_record=record,
        )
    )


async def asking(world: World, handler: Handler | None) -> tuple[Host, MuxedConnection]:
    """A host that has identified a peer whose answer is up to ``handler``."""
    home = await world.host("home", at=2, identify=False)
    if handler is not None:
        home.handle(PROTOCOL, handler)
    laptop = await world.host("laptop")
    return laptop, await laptop.connect(home.peer, home.addrs)


async def pushed(world: World, conn: MuxedConnection, message: bytes) -> None:
    """Push ``message`` the other way along ``conn``; returns when it was taken."""
    (home,) = (host for host in world.running if host.peer == conn.peer)
    (back,) = home.connections
    stream = await home.open_stream_on(back, PUSH_PROTOCOL)
    await stream.write(join(message))
    stream.close_write()
    await read_all(stream)


async def answer_of(laptop: Host, conn: MuxedConnection) -> tuple[bytes, wire.Identify]:
    """What the peer answers: the bytes, and what they mean."""
    stream = await laptop.open_stream_on(conn, PROTOCOL)
    data = await read_all(stream)
    return data, wire.merge(decode_all(data, wire.MAX_MESSAGE))


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


# --- telling --------------------------------------------------------------------------


def test_the_answer_ends_so_that_the_reader_need_not_wait(in_world: InWorld) -> None:
    """go reads up to the end and holds back every stream for 5 s when there is none."""

    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        laptop = await world.host("laptop", identify=False)
        conn = await laptop.connect(home.peer, home.addrs)
        began = laptop.clock()
        data, told = await answer_of(laptop, conn)
        assert laptop.clock() == began
        assert len(decode_all(data, wire.MAX_MESSAGE)) == 1
        assert told.public_key == key_of("home").public_key.to_protobuf()
        assert told.listen_addrs == (memory(2).to_bytes(),)
        assert set(told.protocols) == {PROTOCOL, PUSH_PROTOCOL}
        assert told.observed_addr == memory(0).to_bytes()  # where the laptop comes from
        assert told.agent_version == "test/home"

    in_world(main)


def test_the_signed_record_says_the_same_as_the_list_and_its_number_rises(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        laptop = await world.host("laptop", identify=False)
        conn = await laptop.connect(home.peer, home.addrs)
        numbers = []
        for _ in range(3):
            _, told = await answer_of(laptop, conn)
            assert told.signed_peer_record is not None
            record = open_peer_record(told.signed_peer_record, home.peer)
            assert tuple(addr.to_bytes() for addr in record.addrs) == told.listen_addrs
            numbers.append(record.seq)
        assert numbers == sorted(set(numbers))

    in_world(main)


def test_loopback_addresses_are_not_told_to_others(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        net = Internet()
        listen = [LOOPBACK, LAN]
        await world.host("home", transports=[net.machine("192.168.1.5")], listen=listen)
        for where, told in [("127.0.0.1", (LOOPBACK, LAN)), ("192.168.1.9", (LAN,))]:
            machine = net.machine(where)
            other = await world.host(where, transports=[machine], identify=False)
            _, answer = await answer_of(other, await other.connect(HOME, [LAN]))
            assert answer.listen_addrs == tuple(addr.to_bytes() for addr in told)

    in_world(main)


def test_a_host_without_an_address_has_no_record_to_sign(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop = await world.host("laptop")
        home = await world.host("home", at=2, identify=False)
        await laptop.connect(home.peer, home.addrs)
        _, told = await answer_of(home, await home.connect(laptop.peer))
        assert told.listen_addrs == ()
        assert told.signed_peer_record is None

    in_world(main)


def long_address(number: int) -> Multiaddr:
    return Multiaddr.parse(f"/dns/{number}.{'long-' * 8}name.example.org/tcp/4001")


def test_too_many_addresses_are_cut_to_what_others_read_and_relays_stay(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        home.addresses.add_listener(FakeListener(*map(long_address, range(200))))
        home.addresses.set_relayed("relay", [through(peer_of("relay"))])
        laptop = await world.host("laptop", identify=False)
        data, told = await answer_of(laptop, await laptop.connect(home.peer, [memory(2)]))
        assert len(data) <= wire.MAX_SENT
        assert 10 < len(told.listen_addrs) < 64
        assert through(peer_of("relay")).to_bytes() in told.listen_addrs
        first = decode_all(data, wire.MAX_MESSAGE)[0]
        assert wire.merge([first]).protocols == told.protocols  # rust reads no further

    in_world(main)


def test_too_many_protocols_are_cut_and_identify_goes_on(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        for number in range(300):
            home.handle(f"/peerup/service-number-{number}/1.0.0", echo)
        laptop = await world.host("laptop")
        conn = await laptop.connect(home.peer, home.addrs)
        data, told = await answer_of(laptop, conn)
        assert len(data) <= wire.MAX_SENT
        assert len(told.protocols) > 20
        assert laptop.peerstore.agent(home.peer) == "test/home"
        await asyncio.sleep(5)  # pushing goes on too, see world.crashes
        assert await laptop.open_stream(home.peer, "/peerup/service-number-299/1.0.0")

    in_world(main)


# --- pushing --------------------------------------------------------------------------


def test_a_change_is_pushed_to_whoever_is_connected(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        laptop = await world.host("laptop")
        await laptop.connect(home.peer, home.addrs)
        home.handle("/new", echo)
        took = await until(lambda: "/new" in laptop.peerstore.protocols(home.peer))
        assert took == pytest.approx(PUSH_DELAY_S, abs=0.1)
        home.stop_handling("/new")  # a push is the whole truth: what it leaves out is gone
        await until(lambda: "/new" not in laptop.peerstore.protocols(home.peer))
        await home.listen(memory(3))
        await until(lambda: memory(3) in laptop.peerstore.addrs(home.peer))
        laptop.handle("/mine", echo)  # the other way round as well
        await until(lambda: "/mine" in home.peerstore.protocols(laptop.peer))

    in_world(main)


def test_many_changes_within_a_second_are_one_push(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        laptop = await world.host("laptop")
        await laptop.connect(home.peer, home.addrs)
        with laptop.bus.subscribe(PeerIdentified) as events:
            for number in range(50):
                home.handle(f"/{number}", echo)
                await asyncio.sleep(PUSH_DELAY_S / 60)
            await asyncio.sleep(10)
            assert events.pending == 1
            assert len((await events.next()).protocols) == 52

    in_world(main)


def test_without_a_change_nothing_is_pushed(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        home.handle("/early", echo)
        laptop = await world.host("laptop")
        await laptop.connect(home.peer, home.addrs)
        with laptop.bus.subscribe(PeerIdentified) as events:
            await asyncio.sleep(3600)
            assert events.pending <= 1  # that of "/early", which came just before

    in_world(main)


def test_a_peer_that_takes_no_pushes_gets_none(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        opened: list[MuxedStream] = []

        async def notice(stream: MuxedStream) -> None:
            opened.append(stream)

        laptop, conn = await asking(world, saying(identity(protocols=["/x"])))
        (home,) = (one for one in world.running if one is not laptop)
        home.handle(PUSH_PROTOCOL, notice)  # which it does not say
        laptop.handle("/new", echo)
        await asyncio.sleep(10)
        assert not opened
        assert not conn.is_closed

    in_world(main)


def test_a_peer_that_does_not_take_its_push_keeps_nobody_waiting(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        deaf = await world.host("deaf", identify=False)
        deaf.handle(PROTOCOL, saying(identity(protocols=[PUSH_PROTOCOL])))
        await deaf.connect(home.peer, home.addrs)
        laptop = await world.host("laptop")
        await laptop.connect(home.peer, home.addrs)
        for name in ("/one", "/two"):
            home.handle(name, echo)
            await until(lambda name=name: name in laptop.peerstore.protocols(home.peer))  # type: ignore[misc]

    in_world(main)


def test_a_push_of_nonsense_changes_nothing(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await asking(world, saying(identity(protocols=["/x"])))
        for nonsense in (identity(key=key_of("other"), protocols=["/evil"]), b"\xff" * 20):
            with pytest.raises(StreamResetError):
                await pushed(world, conn, nonsense)
        assert laptop.peerstore.protocols(HOME) == {"/x"}

    in_world(main)


def test_a_push_that_never_ends_is_dropped_after_5_s(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, _ = await asking(world, saying(identity()))
        (home,) = (one for one in world.running if one is not laptop)
        stream = await home.open_stream(laptop.peer, PUSH_PROTOCOL)
        began = home.clock()
        with pytest.raises(StreamResetError):
            await stream.read()
        assert home.clock() - began == pytest.approx(TIMEOUT_S)

    in_world(main)


def test_identify_may_be_left_while_the_host_goes_on(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2, identify=False)
        async with Identify(home):
            assert PROTOCOL in home.handlers.protocols
        assert home.handlers.protocols == ()
        laptop = await world.host("laptop")
        assert await laptop.connect(home.peer, home.addrs)

    in_world(main)
