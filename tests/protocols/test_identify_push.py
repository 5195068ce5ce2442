"""What identify tells others, and when it tells them again."""

from __future__ import annotations

import asyncio

import pytest

from peerup.errors import StreamResetError
from peerup.host.events import PeerIdentified
from peerup.protocols.identify import PROTOCOL, PUSH_DELAY_S, PUSH_PROTOCOL, TIMEOUT_S, Identify
from peerup.transport.muxed import MuxedStream
from peerup.wire import identify as wire
from peerup.wire.delimited import decode_all
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_record import open_peer_record
from tests.internet import Internet
from tests.protocols.identities import (
    HOME,
    LAN,
    LOOPBACK,
    FakeListener,
    answer_of,
    asking,
    identity,
    pushed,
    saying,
)
from tests.world import InWorld, World, echo, key_of, memory, peer_of, through, until

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
