from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from peerup.errors import (
    NotAuthorizedError,
    ResourceLimitError,
    ServiceError,
)
from peerup.host.handlers import Registration
from peerup.host.host import Host
from peerup.protocols.forward import LocalPort, protocol_of, serve_tcp
from peerup.tasks import Supervisor
from peerup.transport.muxed import MuxedStream
from peerup.wire.peer_id import PeerId
from tests.services import Serve, abort, echo, free_port, is_reset, tcp_service
from tests.sim.clock import RunReal
from tests.world import InWorld, World, never, peer_of, read_all, through

WEB = protocol_of("web")
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Tunnel:
    """A local port of the laptop that leads to a service of home."""

    world: World
    home: Host
    laptop: Host
    port: int
    failures: list[Exception]

    async def dial(self) -> Client:
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def tunnel(
    serve: Serve | int, *, relayed: bool = False, allowed: set[PeerId] | None = None
) -> AsyncIterator[Tunnel]:
    """Everything between an application and a service; ``serve`` may be a port instead."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World())
        if isinstance(serve, int):
            target = serve
        else:
            target = await stack.enter_async_context(tcp_service(serve))
        if relayed:
            await world.relay()
            home = await world.home()
        else:
            home = await world.device("home", at=2)
        home.handle(WEB, Registration(serve_tcp("127.0.0.1", target, allowed), 256))
        laptop = await world.device("laptop")
        addrs = [through(peer_of("relay"))] if relayed else list(home.addrs)
        failures: list[Exception] = []

        async def open_stream() -> MuxedStream:
            return await laptop.open_stream(home.peer, WEB, addrs=addrs)

        port = LocalPort(open_stream, failures.append)
        await port.listen("127.0.0.1", 0)
        stack.callback(port.close)
        tasks = await stack.enter_async_context(Supervisor())
        tasks.spawn(port.serve_forever)
        yield Tunnel(world, home, laptop, port.listen_address[1], failures)


def test_a_service_is_a_protocol_with_its_name() -> None:
    assert protocol_of("ssh") == "/peerup/ssh/1.0.0"


# --- data -----------------------------------------------------------------------------


@pytest.mark.real_clock
@pytest.mark.parametrize("relayed", [False, True])
def test_bytes_pass_both_ways_and_each_half_ends_by_itself(
    run_real: RunReal, relayed: bool
) -> None:
    async def last_word(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = await reader.read(-1)  # up to the end of the client's half
        writer.write(got[::-1])
        await writer.drain()

    async def main() -> None:
        async with tunnel(last_word, relayed=relayed) as way:
            reader, writer = await way.dial()
            data = bytes(range(256)) * 8192
            writer.write(data)
            writer.write_eof()
            assert await reader.read(-1) == data[::-1]
            writer.close()

    run_real(main())


@pytest.mark.real_clock
def test_a_service_may_speak_first(run_real: RunReal) -> None:
    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-test\r\n")
        await reader.read(1)

    async def main() -> None:
        async with tunnel(banner) as way:
            reader, writer = await way.dial()
            assert await reader.readline() == b"SSH-2.0-test\r\n"
            writer.close()

    run_real(main())


@pytest.mark.real_clock
def test_many_clients_have_a_stream_each(run_real: RunReal) -> None:
    async def main() -> None:
        async with tunnel(echo) as way:

            async def client(number: int) -> None:
                reader, writer = await way.dial()
                writer.write(b"%d" % number)
                writer.write_eof()
                assert await reader.read(-1) == b"%d" % number
                writer.close()

            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(client(number))
            assert len(way.home.connections.of(way.laptop.peer)) == 1

    run_real(main())


# --- W-36: what breaks, breaks at the other end ---------------------------------------


@pytest.mark.real_clock
@pytest.mark.parametrize("relayed", [False, True])
def test_w36_a_service_that_resets_is_a_reset_for_the_client(
    run_real: RunReal, relayed: bool
) -> None:
    async def crash(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(1000))
        await reader.read(1)
        abort(writer)

    async def main() -> None:
        async with tunnel(crash, relayed=relayed) as way:
            reader, writer = await way.dial()
            assert await reader.readexactly(1000)
            writer.write(b"x")
            assert await is_reset(reader)
            assert isinstance(way.failures[0], ServiceError)
            writer.close()

    run_real(main())


@pytest.mark.real_clock
@pytest.mark.parametrize("relayed", [False, True])
def test_w36_a_client_that_resets_is_a_reset_for_the_service(
    run_real: RunReal, relayed: bool
) -> None:
    ends: list[bool] = []
    over = asyncio.Event()

    async def witness(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        ends.append(await is_reset(reader))
        over.set()

    async def main() -> None:
        async with tunnel(witness, relayed=relayed) as way:
            reader, writer = await way.dial()
            assert await reader.readexactly(5) == b"hello"
            abort(writer)
            await over.wait()
            assert ends == [True]

    run_real(main())


async def half_a_file(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(100_000))
    await reader.read(1)


@pytest.mark.real_clock
@pytest.mark.parametrize("culprit", ["relay", "home", "laptop"])
def test_w36_who_dies_in_a_download_never_makes_it_look_complete(
    run_real: RunReal, culprit: str
) -> None:
    async def main() -> None:
        async with tunnel(half_a_file, relayed=True) as way:
            reader, writer = await way.dial()
            assert await reader.readexactly(50_000)
            (dying,) = (host for host in way.world.running if host.peer == peer_of(culprit))
            await way.world.stop(dying)
            assert await is_reset(reader)
            writer.close()

    run_real(main())


@pytest.mark.real_clock
def test_w36_a_proxy_that_stops_resets_what_is_open(run_real: RunReal) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            way = await stack.enter_async_context(tunnel(half_a_file))
            reader, writer = await way.dial()
            assert await reader.readexactly(100_000)
            await stack.aclose()
            assert await is_reset(reader)
            writer.close()

    run_real(main())


# --- what cannot be served ------------------------------------------------------------


@pytest.mark.real_clock
def test_a_service_that_does_not_run_is_a_reset_with_a_reason(
    run_real: RunReal, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with tunnel(free_port()) as way:
            reader, writer = await way.dial()
            assert await is_reset(reader)
            assert isinstance(way.failures[0], ServiceError)
            assert "service" in way.failures[0].hint
            writer.close()

    run_real(main())
    assert any("does not answer" in message for message in caplog.messages)


@pytest.mark.real_clock
def test_only_peers_on_the_list_of_a_service_may_use_it(
    run_real: RunReal, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with tunnel(echo, allowed={peer_of("friend")}) as way:
            reader, writer = await way.dial()
            assert await is_reset(reader)
            assert len(way.failures) == 1
            writer.close()
            friend = await way.world.host("friend")
            stream = await friend.open_stream(way.home.peer, WEB, addrs=way.home.addrs)
            await stream.write(b"hello")
            assert await stream.read() == b"hello"
            stream.reset()

    run_real(main())
    assert any("service refused" in record.getMessage() for record in caplog.records)


def test_a_refused_peer_learns_that_it_is_not_authorized(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        home.handle(WEB, serve_tcp("127.0.0.1", 1, allowed=set()))
        laptop = await world.host("laptop")
        with pytest.raises(NotAuthorizedError):
            await laptop.open_stream(home.peer, WEB, addrs=home.addrs)

    in_world(main)


def test_a_lazily_opened_stream_tells_of_its_refusal_too(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        home.handle(WEB, Registration(never, max_per_peer=1))
        laptop = await world.host("laptop")
        first = await laptop.open_stream(home.peer, WEB, addrs=home.addrs, lazy=True)
        second = await laptop.open_stream(home.peer, WEB, lazy=True)
        await asyncio.sleep(1)
        with pytest.raises(ResourceLimitError, match="no room"):
            await read_all(second)
        first.reset()

    in_world(main)


@pytest.mark.real_clock
def test_a_client_that_comes_and_goes_at_once_does_no_harm(
    run_real: RunReal, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with tunnel(echo) as way:
            for _ in range(20):
                _, writer = await way.dial()
                abort(writer)
            reader, writer = await way.dial()
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()

    run_real(main())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
