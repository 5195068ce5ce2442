from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import (
    NegotiationError,
    NotAuthorizedError,
    PeerupError,
    RemoteProtocolError,
    ResourceLimitError,
    StreamResetError,
)
from peerup.host.handlers import Registration
from peerup.host.host import Host
from peerup.host.negotiate import NEGOTIATION_TIMEOUT_S, explain_reset
from peerup.transport.muxed import MuxedConnection, MuxedStream
from peerup.wire.error_codes import StreamCode
from peerup.wire.multistream import HEADER, frame
from tests.world import InWorld, World, echo, memory, never, read_all


async def pair(world: World) -> tuple[Host, Host, MuxedConnection]:
    """A host that echoes, one that asks, and the connection between them."""
    home = await world.host("home", at=2, identify=False)
    home.handle("/echo", echo)
    laptop = await world.host("laptop", identify=False)
    return home, laptop, await laptop.connect(home.peer, home.addrs)


async def unanswered(world: World) -> tuple[Host, MuxedConnection]:
    """A host and its connection to a peer that takes streams and never says a word."""
    mute = await world.host("mute", identify=False)
    held = []

    async def accept(conn: MuxedConnection) -> None:
        held.append(conn)

    await world.network.transport(mute.local).listen(memory(9), accept)
    laptop = await world.host("laptop", identify=False)
    return laptop, await laptop.connect(mute.peer, [memory(9)])


async def ended(stream: MuxedStream) -> StreamResetError:
    """Wait for the stream to be reset; return how."""
    with pytest.raises(StreamResetError) as caught:
        await read_all(stream)
    return caught.value


# --- agreeing -------------------------------------------------------------------------


def test_the_first_protocol_that_both_speak_is_taken(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop, _ = await pair(world)
        home.handle("/echo/2", echo)
        for names, taken in [
            (["/echo/3", "/echo/2", "/echo"], "/echo/2"),
            (["/echo", "/echo/2"], "/echo"),
        ]:
            stream = await laptop.open_stream(home.peer, names)
            assert stream.protocol == taken
            await stream.write(b"hello")
            stream.close_write()
            assert await read_all(stream) == b"hello"

    in_world(main)


def test_a_peer_that_speaks_none_of_them_says_so(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop, conn = await pair(world)
        with pytest.raises(NegotiationError, match="/a, /b"):
            await laptop.open_stream(home.peer, ["/a", "/b"])
        assert len(conn) == 0  # the stream is not left open
        assert await laptop.open_stream(home.peer, "/echo")  # and the connection goes on

    in_world(main)


@pytest.mark.parametrize(
    ("why", "kind"),
    [
        (StreamResetError(StreamCode.GATED, by_peer=True), NotAuthorizedError),
        (StreamResetError(StreamCode.RESOURCE_LIMIT_EXCEEDED, by_peer=True), ResourceLimitError),
        (StreamResetError(StreamCode.NONE, by_peer=True), StreamResetError),
        (StreamResetError(0xFFFF_FFFF, by_peer=True), StreamResetError),
        (StreamResetError(StreamCode.GATED, by_peer=False), StreamResetError),
        (StreamResetError(StreamCode.RESOURCE_LIMIT_EXCEEDED, by_peer=False), StreamResetError),
    ],
)
def test_the_code_of_a_reset_becomes_an_error_of_its_own(
    why: StreamResetError, kind: type[PeerupError]
) -> None:
    assert type(explain_reset(why, "/x")) is kind


# --- a peer that does not answer, or asks badly ---------------------------------------


def test_a_peer_that_does_not_answer_is_given_up_after_10_s(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await unanswered(world)
        began = laptop.clock()
        with pytest.raises(TimeoutError):
            await laptop.open_stream_on(conn, "/echo")
        assert laptop.clock() - began == pytest.approx(NEGOTIATION_TIMEOUT_S)
        assert len(conn) == 0

    in_world(main)


@pytest.mark.parametrize("every", [None, 5.0, 0.5])
def test_a_peer_that_asks_byte_by_byte_gets_10_s_in_all(
    in_world: InWorld, every: float | None
) -> None:
    async def main(world: World) -> None:
        _, laptop, conn = await pair(world)
        stream = await conn.open_stream()
        began = laptop.clock()

        async def trickle() -> None:
            for byte in frame(HEADER) + frame("/echo" * 50):
                if every is None:
                    return
                await stream.write(bytes((byte,)))
                await asyncio.sleep(every)

        async with asyncio.TaskGroup() as group:
            trickling = group.create_task(trickle())
            why = await ended(stream)
            trickling.cancel()
        assert laptop.clock() - began == pytest.approx(NEGOTIATION_TIMEOUT_S)
        assert (why.by_peer, why.code) == (True, StreamCode.PROTOCOL_NEGOTIATION_FAILED)

    in_world(main)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: home\r\n\r\n",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        frame("/multistream/9.9.9"),
        frame(HEADER) + b"\x00",
        frame(HEADER) + b"\x05\xff\xff\xff\xff\n",
        frame(HEADER) + frame("/nothing") * 1000,
        frame(HEADER) + frame("ls") * 1000,
    ],
)
def test_nonsense_resets_the_stream_and_nothing_else(in_world: InWorld, data: bytes) -> None:
    async def main(world: World) -> None:
        home, laptop, conn = await pair(world)
        stream = await conn.open_stream()
        await stream.write(data)
        assert (await ended(stream)).code == StreamCode.PROTOCOL_NEGOTIATION_FAILED
        assert laptop.connections.best(home.peer) is conn
        assert await laptop.open_stream_on(conn, "/echo")

    in_world(main)


@given(data=st.binary(max_size=200))
def test_whatever_a_peer_asks_with_the_connection_goes_on(in_world: InWorld, data: bytes) -> None:
    async def main(world: World) -> None:
        _, laptop, conn = await pair(world)
        stream = await conn.open_stream()
        await stream.write(frame(HEADER) + data)
        stream.close_write()
        with pytest.raises(StreamResetError):
            await read_all(stream)
        assert await laptop.open_stream_on(conn, "/echo")

    in_world(main)


def test_the_name_of_a_protocol_never_reaches_the_log_raw(
    in_world: InWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(world: World) -> None:
        _, _, conn = await pair(world)
        for name in (b"/\x1b[2J\n", b"/x\rforged line\n", b"/x\x00\n"):
            stream = await conn.open_stream()
            await stream.write(frame(HEADER) + bytes((len(name),)) + name)
            stream.close_write()
            await ended(stream)

    caplog.set_level(logging.DEBUG)
    in_world(main)
    assert caplog.messages
    assert all(message.isprintable() for message in caplog.messages)


# --- going on before the answer -------------------------------------------------------


def test_a_lazy_stream_may_be_written_to_at_once(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        laptop, conn = await unanswered(world)
        laptop.peerstore.set_identity(conn.peer, ["/echo"], "")
        began = laptop.clock()
        stream = await laptop.open_stream_on(conn, "/echo", lazy=True)
        await stream.write(b"early")
        assert laptop.clock() == began
        with pytest.raises(TimeoutError):
            await stream.read()
        assert laptop.clock() - began == pytest.approx(NEGOTIATION_TIMEOUT_S)
        assert len(conn) == 0

    in_world(main)


def test_what_was_written_early_is_served(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop, conn = await pair(world)
        laptop.peerstore.set_identity(home.peer, ["/echo"], "")
        stream = await laptop.open_stream_on(conn, "/echo", lazy=True)
        assert stream.protocol == "/echo"
        await stream.write(b"early")
        stream.close_write()
        assert await read_all(stream) == b"early"

    in_world(main)


@pytest.mark.parametrize(("lazy", "known"), [(True, False), (False, True)])
def test_only_what_the_peer_is_known_to_speak_is_opened_lazily_and_only_on_demand(
    in_world: InWorld, lazy: bool, known: bool
) -> None:
    async def main(world: World) -> None:
        home, laptop, conn = await pair(world)
        laptop.peerstore.set_identity(home.peer, ["/nothing"] if known else [], "")
        with pytest.raises(NegotiationError):
            await laptop.open_stream_on(conn, "/nothing", lazy=lazy)

    in_world(main)


def test_the_first_read_of_a_lazy_stream_says_that_the_peer_does_not_speak_it(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        home, laptop, conn = await pair(world)
        laptop.peerstore.set_identity(home.peer, ["/nothing"], "")
        stream = await laptop.open_stream_on(conn, "/nothing", lazy=True)
        with pytest.raises(NegotiationError):
            await stream.read()
        with pytest.raises(StreamResetError):
            await stream.read()

    in_world(main)


def test_the_first_read_of_a_lazy_stream_says_that_we_hold_too_many(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop, conn = await pair(world)
        home.handle("/one", Registration(never, max_per_peer=1))
        laptop.peerstore.set_identity(home.peer, ["/one"], "")
        first = await laptop.open_stream_on(conn, "/one")
        second = await laptop.open_stream_on(conn, "/one", lazy=True)
        with pytest.raises(ResourceLimitError):
            await second.read()
        first.reset()

    in_world(main)


def test_a_first_read_that_is_cancelled_loses_nothing(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, laptop, conn = await pair(world)

        async def slow(stream: MuxedStream) -> None:
            await asyncio.sleep(3)
            await echo(stream)

        home.handle("/slow", slow)
        laptop.peerstore.set_identity(home.peer, ["/slow"], "")
        stream = await laptop.open_stream_on(conn, "/slow", lazy=True)
        await stream.write(b"hello")
        stream.close_write()
        got = b""
        while not got:
            try:
                async with asyncio.timeout(1.0):
                    got = await stream.read(2)
            except TimeoutError:
                continue
        assert got + await read_all(stream) == b"hello"

    in_world(main)


def test_a_peer_that_hangs_up_while_negotiating_broke_the_spec(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        mute = await world.host("mute", identify=False)

        async def accept(conn: MuxedConnection) -> None:
            (await conn.accept_stream()).close()

        await world.network.transport(mute.local).listen(memory(9), accept)
        laptop = await world.host("laptop", identify=False)
        with pytest.raises(RemoteProtocolError, match="hung up"):
            await laptop.open_stream(mute.peer, "/echo", addrs=[memory(9)])

    in_world(main)
