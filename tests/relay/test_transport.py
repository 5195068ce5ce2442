from __future__ import annotations

import asyncio

import pytest

from peerup.errors import (
    DialError,
    LocalProtocolError,
    NegotiationError,
    NotAuthorizedError,
    PeerupError,
    RelayRefusedError,
    RemoteProtocolError,
    StreamResetError,
    WrongPeerError,
)
from peerup.host.dialer import DIAL_TIMEOUT_S
from peerup.host.gater import Answer, Verdict
from peerup.host.handlers import Handler
from peerup.host.host import Host
from peerup.protocols import ping
from peerup.relay.quota import RelayLimits, Terms
from peerup.relay.transport import CircuitTransport
from peerup.transport.endpoints import CircuitLimits, Role
from peerup.transport.messages import expect_message
from peerup.transport.muxed import MuxedConnection, MuxedStream
from peerup.wire.circuit import HOP_PROTOCOL, MAX_MESSAGE, HopMessage, HopType, Status
from peerup.wire.delimited import join
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import decode, encode
from tests.world import InWorld, World, echo, memory, never, peer_of, read_all, through, until

HOME, RELAY, LAPTOP = peer_of("home"), peer_of("relay"), peer_of("laptop")


def answering(answer: HopMessage | bytes) -> Handler:
    """A relay that answers every request with this."""

    async def handler(stream: MuxedStream) -> None:
        request = decode(HopMessage, await expect_message(stream, MAX_MESSAGE))
        assert request.type is HopType.CONNECT
        await stream.write(answer if isinstance(answer, bytes) else join(encode(answer)))

    return handler


async def dialling(world: World, handler: Handler) -> PeerupError | OSError:
    """Dial home through a relay that answers so; return how that ended."""
    relay = await world.host("relay", at=1)
    relay.handle(HOP_PROTOCOL, handler)
    laptop = await world.device("laptop")
    with pytest.raises(DialError) as caught:
        await laptop.connect(HOME, [through(relay)])
    (why,) = caught.value.causes.values()
    assert isinstance(why, (PeerupError, OSError))
    assert [conn.peer for conn in laptop.connections] == [RELAY]
    await until(lambda: len(laptop.connections.of(RELAY)[0]) == 0)  # no stream is left open
    return why


# --- what it dials --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("addr", "dials"),
    [
        (f"/memory/1/p2p/{RELAY}/p2p-circuit", True),
        (f"/memory/1/p2p/{RELAY}/p2p-circuit/p2p/{HOME}", True),
        (f"/ip4/203.0.113.5/tcp/7777/p2p/{RELAY}/p2p-circuit", True),
        ("/memory/1/p2p-circuit", False),  # through whom?
        (f"/p2p-circuit/p2p/{HOME}", False),
        (f"/memory/1/p2p/{RELAY}", False),
        ("/memory/1", False),
        (f"/memory/1/p2p/{RELAY}/p2p-circuit/p2p/{LAPTOP}/p2p-circuit", False),  # two relays
    ],
)
def test_an_address_names_one_relay(in_world: InWorld, addr: str, dials: bool) -> None:
    async def main(world: World) -> None:
        transport = CircuitTransport(await world.host("laptop"))
        assert transport.can_dial(Multiaddr.parse(addr)) is dials

    in_world(main)


def test_nobody_listens_on_a_circuit_but_by_a_reservation(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop = await world.device("laptop")
        addr = through(RELAY)
        assert not CircuitTransport(laptop).can_listen(addr)
        with pytest.raises(LocalProtocolError):
            await laptop.listen(addr)

        async def accept(conn: MuxedConnection) -> None:
            pass

        with pytest.raises(LocalProtocolError, match="reserve a place"):
            await CircuitTransport(laptop).listen(addr, accept)

    in_world(main)


# --- through a relay ------------------------------------------------------------------


async def joined(world: World, limits: RelayLimits | None = None) -> tuple[Host, MuxedConnection]:
    """A laptop and its connection to home, which only a relay can reach."""
    relay, _ = await (world.relay(limits) if limits else world.relay())
    home = await world.home()
    home.handle("/echo", echo)
    laptop = await world.device("laptop")
    return laptop, await laptop.connect(home.peer, [through(relay)])


def test_a_connection_through_a_relay_is_one_like_any_other(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await joined(world)
        assert conn.peer == HOME
        assert (conn.relayed, conn.limited, conn.path) == (True, False, "RELAYED")
        assert conn.remote_addr == through(RELAY)
        assert "/echo" in laptop.peerstore.protocols(HOME)  # identify runs on it
        data = bytes(range(256)) * 4096
        stream = await laptop.open_stream_on(conn, "/echo")
        async with asyncio.TaskGroup() as group:
            group.create_task(stream.write(data)).add_done_callback(lambda _: stream.close_write())
            assert await read_all(stream) == data

    in_world(main)


def test_a_relay_that_limits_says_so(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await joined(world, RelayLimits(session_seconds=60, session_data=1 << 20))
        assert conn.limited
        assert conn.info.ends.limits == CircuitLimits(60, 1 << 20)
        (home,) = (host for host in world.running if host.peer == HOME)
        assert home.connections.of(LAPTOP)[0].info.ends.limits == CircuitLimits(60, 1 << 20)
        home.handle(ping.PROTOCOL, ping.serve)
        with pytest.raises(NegotiationError):  # it must say that it suits limited connections
            await ping.ping(laptop, conn, [ping.PROTOCOL])

    in_world(main)


def test_what_the_inner_connection_says_is_unreadable_for_the_relay(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await joined(world)
        (relay,) = (host for host in world.running if host.peer == RELAY)
        seen = bytearray()
        for outer in relay.connections:
            channel = outer.link._channel  # type: ignore[attr-defined]

            class Tap:
                """Keeps what passes."""

                def __init__(self, inner: object) -> None:
                    self._inner = inner

                def open(self, data: bytes) -> list[bytes]:
                    pieces: list[bytes] = self._inner.open(data)  # type: ignore[attr-defined]
                    seen.extend(b"".join(pieces))
                    return pieces

                @property
                def midway(self) -> bool:
                    return bool(self._inner.midway)  # type: ignore[attr-defined]

            channel._opener = Tap(channel._opener)
        stream = await laptop.open_stream_on(conn, "/echo")
        await stream.write(b"the secret of the house")
        assert await stream.read() == b"the secret of the house"
        assert len(seen) > 40
        assert b"secret" not in seen
        stream.reset()

    in_world(main)


def test_an_address_may_name_the_peer_at_its_end(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        relay, _ = await world.relay()
        home = await world.home()
        laptop = await world.device("laptop")
        assert await laptop.connect(home.peer, [through(relay).with_peer(home.peer)])

    in_world(main)


def test_the_connection_to_the_relay_is_shared_by_all_circuits(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        relay, _ = await world.relay()
        homes = [await world.home(f"home{number}") for number in range(5)]
        laptop = await world.device("laptop")
        async with asyncio.TaskGroup() as group:
            for home in homes:
                group.create_task(laptop.connect(home.peer, [through(relay)]))
        assert len(relay.connections.of(LAPTOP)) == 1

    in_world(main)


# --- when it does not work ------------------------------------------------------------


@pytest.mark.parametrize("status", [*(code for code in Status if code != Status.OK), 999])
def test_a_relay_that_says_no_is_quoted(in_world: InWorld, status: int) -> None:
    async def main(world: World) -> None:
        why = await dialling(world, answering(HopMessage(HopType.STATUS, status=status)))
        assert isinstance(why, RelayRefusedError)
        assert why.status == status

    in_world(main)


def test_a_home_that_holds_no_place_is_named_with_what_mends_it(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        relay, _ = await world.relay()
        laptop = await world.device("laptop")
        with pytest.raises(DialError, match="NO_RESERVATION") as caught:
            await laptop.connect(HOME, [through(relay)])
        assert "peerup daemon" in caught.value.hint
        assert caught.value.exit_code == 3

    in_world(main)


@pytest.mark.parametrize(
    "answer",
    [
        HopMessage(HopType.RESERVE),
        HopMessage(HopType.CONNECT, status=Status.OK),
        b"\xff" * 20,
        b"",
        join(bytes(MAX_MESSAGE + 1)),
    ],
)
def test_an_answer_that_makes_no_sense_is_the_relays_fault(
    in_world: InWorld, answer: HopMessage | bytes
) -> None:
    async def main(world: World) -> None:
        assert isinstance(await dialling(world, answering(answer)), RemoteProtocolError)

    in_world(main)


def test_a_relay_that_resets_is_quoted(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        async def reset(stream: MuxedStream) -> None:
            stream.reset(7)

        assert isinstance(await dialling(world, reset), StreamResetError)

    in_world(main)


def test_a_relay_that_says_nothing_is_given_up(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        began = asyncio.get_running_loop().time()
        assert isinstance(await dialling(world, never), TimeoutError)
        assert asyncio.get_running_loop().time() - began <= DIAL_TIMEOUT_S + 1

    in_world(main)


def test_whoever_answers_behind_the_relay_must_be_the_peer_that_was_dialled(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        relay, service = await world.relay()
        await world.home("other")
        laptop = await world.device("laptop")
        stop = service._stop

        async def misled(source: PeerId, target: PeerId, terms: Terms) -> MuxedStream:
            return await stop(source, peer_of("other"), terms)

        service._stop = misled  # type: ignore[method-assign]
        service.quota.reserve(HOME, "somewhere", relay.clock())
        with pytest.raises(DialError) as caught:
            await laptop.connect(HOME, [through(relay)])
        (why,) = caught.value.causes.values()
        assert isinstance(why, WrongPeerError)
        assert why.actual == str(peer_of("other"))

    in_world(main)


def test_a_relay_that_is_not_there_is_named(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop = await world.device("laptop")
        with pytest.raises(DialError) as caught:
            await laptop.connect(HOME, [through(RELAY)])
        (why,) = caught.value.causes.values()
        assert isinstance(why, DialError)
        assert why.peer == str(RELAY)
        assert "nobody listens" in str(caught.value)

    in_world(main)


class Nobody:
    """A gater that lets nobody in."""

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        return Answer.NO


def test_a_relay_that_does_not_have_us_is_a_matter_of_authorization(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        relay, _ = await world.relay(gater=Nobody())
        laptop = await world.device("laptop")
        with pytest.raises(NotAuthorizedError, match=f"relay {RELAY}") as caught:
            await laptop.connect(HOME, [through(relay)])
        assert "peerup relay authorize" in caught.value.hint
        assert caught.value.exit_code == 4

    in_world(main)


def test_a_relay_is_not_reached_through_itself(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay()
        laptop = await world.device("laptop")
        began = laptop.clock()
        with pytest.raises(DialError, match="through itself"):
            await laptop.connect(RELAY, [through(RELAY)])
        assert laptop.clock() == began

    in_world(main)


def test_a_second_relay_helps_when_the_first_has_gone(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        gone = through(peer_of("gone"), 77)
        relay, _ = await world.relay()
        home = await world.home()
        laptop = await world.device("laptop")
        conn = await laptop.connect(home.peer, [gone, through(relay)])
        assert conn.remote_addr == through(relay)

    in_world(main)


def test_dialling_may_take_the_part_of_the_server(in_world: InWorld) -> None:
    """As hole punching needs it: who dials is then not the client of the handshakes."""

    async def main(world: World) -> None:
        relay = await world.host("relay", at=1)
        roles = []

        async def hop(stream: MuxedStream) -> None:
            await expect_message(stream, MAX_MESSAGE)
            ok = HopMessage(HopType.STATUS, status=Status.OK)
            await stream.write(join(encode(ok)) + b"\x13/multistream/1.0.0\n\x07/noise\n")
            roles.append(await stream.read(20))
            stream.reset()

        relay.handle(HOP_PROTOCOL, hop)
        laptop = await world.device("laptop")
        transport = CircuitTransport(laptop)
        with pytest.raises(PeerupError):
            await transport.dial(through(relay), HOME, role=Role.SERVER)
        assert roles == [b"\x13/multistream/1.0.0\n"]  # what came with the STATUS was not lost

    in_world(main)


def test_hop_is_spoken_with_the_relay_itself_only(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        """A relay that is known only through another relay is not used."""
        laptop, _ = await joined(world)
        inner = through(HOME, 5)
        with pytest.raises(DialError):
            await laptop.connect(peer_of("third"), [inner])
        assert memory(5) not in [conn.remote_addr for conn in laptop.connections]

    in_world(main)
