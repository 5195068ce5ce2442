from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from peerup.config.schema import Service
from peerup.errors import DialError, NegotiationError, NotAuthorizedError, ServiceError, UsageError
from peerup.node.node import Node
from peerup.node.proxies import FIRST_RETRY_S, RETRIES, open_proxy, open_service
from peerup.tasks import Supervisor
from tests.node.town import InTown, Town, node_config
from tests.services import echo as tcp_echo
from tests.services import tcp_service
from tests.sim.clock import RunReal, RunVirtual
from tests.world import echo, memory, peer_of, read_all

HOME = peer_of("home")
WEB = "/peerup/web/1.0.0"
ALL_RETRIES_S = sum(FIRST_RETRY_S * 2**attempt for attempt in range(RETRIES))


async def home_and_laptop(town: Town, *, listed: str = "laptop") -> tuple[Node, Node]:
    home = await town.node("home", listed)
    home.host.handle(WEB, echo)
    return home, await town.node("laptop", serving=False)


def test_a_service_is_a_stream(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await home_and_laptop(town)
        stream = await open_service(laptop, HOME, "web")
        await stream.write(b"hello")
        stream.close_write()
        assert await read_all(stream) == b"hello"

    in_town(main)


def test_a_service_that_is_not_there_is_named_with_what_shows_them(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await home_and_laptop(town)
        with pytest.raises(ServiceError, match="no service 'nothing'") as caught:
            await open_service(laptop, HOME, "nothing")
        assert "peerup service list" in caught.value.hint
        assert isinstance(caught.value.__cause__, NegotiationError)

    in_town(main)


def test_whoever_is_not_wanted_does_not_try_again(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        _, laptop = await home_and_laptop(town, listed="somebody-else")
        began = laptop.host.clock()
        with pytest.raises(NotAuthorizedError):
            await open_service(laptop, HOME, "web")
        assert laptop.host.clock() - began < FIRST_RETRY_S

    in_town(main)


def test_w39_a_peer_that_is_away_is_tried_four_times(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        began = laptop.host.clock()
        with pytest.raises(DialError, match="NO_RESERVATION"):
            await open_service(laptop, HOME, "web")
        assert laptop.host.clock() - began == pytest.approx(ALL_RETRIES_S)

    in_town(main)


def test_w39_a_peer_that_comes_back_meanwhile_is_reached(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        async with asyncio.TaskGroup() as group:
            opening = group.create_task(open_service(laptop, HOME, "web"))
            await asyncio.sleep(FIRST_RETRY_S)
            home = await town.node("home", "laptop")
            home.host.handle(WEB, echo)
        assert opening.result().connection.peer == HOME

    in_town(main)


@pytest.mark.real_clock
def test_a_port_that_is_taken_is_named(run_real: RunReal, tmp_path: Path) -> None:
    async def main() -> None:
        laptop = Node(node_config(tmp_path, "laptop"), listen=False)
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            with pytest.raises(UsageError, match=str(taken)):
                async with open_proxy(laptop, HOME, "web", "127.0.0.1", taken):
                    pass

    run_real(main())


@pytest.mark.real_clock
def test_an_application_reaches_the_service_through_a_local_port(
    run_real: RunReal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Town(tmp_path) as town, tcp_service(tcp_echo) as port:
            await town.relay("home", "laptop")
            web = Service("web", enabled=True, local_address=f"127.0.0.1:{port}")
            home = await town.node("home", "laptop", at=2, services={"web": web})
            laptop = await town.node("laptop", serving=False)
            laptop.host.peerstore.add_addrs(HOME, home.host.addrs, 60.0)
            async with (
                open_proxy(laptop, HOME, "web", "127.0.0.1", 0) as local,
                Supervisor() as tasks,
            ):
                tasks.spawn(local.serve_forever)
                reader, writer = await asyncio.open_connection(*local.listen_address)
                writer.write(b"hello")
                writer.write_eof()
                assert await reader.read(-1) == b"hello"
                writer.close()

    run_real(main())
    assert "cannot reach" not in caplog.text


@pytest.mark.real_clock
def test_what_an_application_cannot_see_stands_in_the_log(
    run_real: RunReal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Town(tmp_path) as town:
            await town.relay("home", "laptop")
            home = await town.node("home", "laptop", at=2)
            laptop = await town.node("laptop", serving=False)
            laptop.host.peerstore.add_addrs(HOME, home.host.addrs, 60.0)
            async with (
                open_proxy(laptop, HOME, "web", "127.0.0.1", 0) as local,
                Supervisor() as tasks,
            ):
                tasks.spawn(local.serve_forever)
                reader, writer = await asyncio.open_connection(*local.listen_address)
                with pytest.raises(ConnectionResetError):
                    await reader.read(-1)
                writer.close()

    run_real(main())
    assert "no service 'web'" in caplog.text
    assert "peerup service list" in caplog.text


def test_opening_a_service_is_given_up_with_its_caller(run: RunVirtual, tmp_path: Path) -> None:
    async def main() -> None:
        async with Town(tmp_path) as town:
            laptop = await town.node("laptop", serving=False)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await open_service(laptop, HOME, "web")
            assert memory(1) not in [conn.remote_addr for conn in laptop.host.connections]

    run(main())
