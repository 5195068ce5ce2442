"""The local end of a tunnel: a port, and what its clients see when there is no way on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from peerup.errors import (
    NegotiationError,
    NotAuthorizedError,
    StreamResetError,
    UsageError,
)
from peerup.protocols.forward import LocalPort, protocol_of, serve_tcp
from peerup.tasks import Supervisor
from peerup.transport.muxed import MuxedStream
from tests.services import is_reset
from tests.sim.clock import RunReal
from tests.world import World

WEB = protocol_of("web")


def failing(why: Exception) -> Callable[[], Awaitable[MuxedStream]]:
    async def open_stream() -> MuxedStream:
        raise why

    return open_stream


@pytest.mark.real_clock
@pytest.mark.parametrize(
    "why", [NegotiationError("no such service"), OSError("no way"), TimeoutError()]
)
def test_a_stream_that_cannot_be_opened_is_a_reset_with_a_reason(
    run_real: RunReal, why: Exception
) -> None:
    async def main() -> None:
        failures: list[Exception] = []
        port = LocalPort(failing(why), failures.append)
        await port.listen("127.0.0.1", 0)
        async with Supervisor() as tasks:
            tasks.spawn(port.serve_forever)
            reader, writer = await asyncio.open_connection(*port.listen_address)
            assert await is_reset(reader)
            assert failures == [why]
            writer.close()
        port.close()

    run_real(main())


class Opening:
    """A stream that is being opened for ever."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self) -> MuxedStream:
        self.begun.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError


@pytest.mark.real_clock
def test_who_waits_for_a_stream_when_the_port_closes_is_reset(run_real: RunReal) -> None:
    async def main() -> None:
        opening, failures = Opening(), list[Exception]()
        port = LocalPort(opening, failures.append)
        await port.listen("127.0.0.1", 0)
        async with Supervisor() as tasks:
            tasks.spawn(port.serve_forever)
            reader, writer = await asyncio.open_connection(*port.listen_address)
            await opening.begun.wait()
        assert await is_reset(reader)
        assert failures == []
        writer.close()
        port.close()

    run_real(main())


@pytest.mark.real_clock
@pytest.mark.parametrize("gated", [True, False])
def test_a_stream_that_was_opened_lazily_tells_its_refusal_later(
    run_real: RunReal, gated: bool
) -> None:
    async def main() -> None:
        async with World() as world:
            home = await world.host("home", at=2)
            if gated:
                home.handle(WEB, serve_tcp("127.0.0.1", 1, allowed=set()))
            laptop = await world.host("laptop")
            await laptop.connect(home.peer, home.addrs)
            laptop.peerstore.set_identity(home.peer, [WEB], "")
            failures: list[Exception] = []

            async def open_stream() -> MuxedStream:
                return await laptop.open_stream(home.peer, WEB, lazy=True)

            port = LocalPort(open_stream, failures.append)
            await port.listen("127.0.0.1", 0)
            async with Supervisor() as tasks:
                tasks.spawn(port.serve_forever)
                reader, writer = await asyncio.open_connection(*port.listen_address)
                writer.write(b"hello")
                assert await is_reset(reader)
                kind = NotAuthorizedError if gated else NegotiationError
                assert [type(why) for why in failures] == [kind]
                writer.close()
            port.close()

    run_real(main())


async def no_stream() -> MuxedStream:
    raise StreamResetError(by_peer=True)


@pytest.mark.real_clock
def test_a_port_that_is_taken_is_named_with_what_mends_it(run_real: RunReal) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            port = LocalPort(no_stream, lambda _: None)
            with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{taken}") as caught:
                await port.listen("127.0.0.1", taken)
            assert "another local port" in caught.value.hint
            assert caught.value.exit_code == 2

    run_real(main())


@pytest.mark.real_clock
def test_a_port_may_be_one_of_ipv6(run_real: RunReal) -> None:
    async def main() -> None:
        port = LocalPort(no_stream, lambda _: None)
        await port.listen("::1", 0)
        assert port.listen_address[0] == "::1"
        port.close()

    run_real(main())


@pytest.mark.real_clock
def test_a_closed_port_is_free_again(run_real: RunReal) -> None:
    async def main() -> None:
        port = LocalPort(no_stream, lambda _: None)
        await port.listen("127.0.0.1", 0)
        number = port.listen_address[1]
        port.close()
        port.close()  # twice is no harm
        again = LocalPort(no_stream, lambda _: None)
        await again.listen("127.0.0.1", number)
        again.close()

    run_real(main())


@pytest.mark.real_clock
def test_a_port_that_is_closed_while_it_serves_leaves_its_number_to_others(
    run_real: RunReal,
) -> None:
    async def main() -> None:
        closed, other = LocalPort(no_stream, lambda _: None), LocalPort(no_stream, lambda _: None)
        async with Supervisor() as tasks:
            for port in (closed, other):
                await port.listen("127.0.0.1", 0)
                tasks.spawn(port.serve_forever)
            await asyncio.sleep(0)
            closed.close()
            # The connection that comes next is given the number of the socket that was closed.
            reader, writer = await asyncio.open_connection(*other.listen_address)
            assert await is_reset(reader)
            writer.close()
        other.close()

    run_real(main())
