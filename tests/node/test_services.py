from __future__ import annotations

import pytest

from peerup.config.schema import Service
from peerup.errors import ConfigError, NotAuthorizedError
from peerup.node.services import offer
from peerup.protocols.forward import MAX_STREAMS
from tests.services import echo as tcp_echo
from tests.services import tcp_service
from tests.sim.clock import RunReal
from tests.world import InWorld, World, peer_of, read_all


def service(name: str = "web", **settings: object) -> dict[str, Service]:
    standard: dict[str, object] = {"enabled": True, "local_address": "127.0.0.1:9"}
    return {name: Service(name, **{**standard, **settings})}  # type: ignore[arg-type]


def test_enabled_services_are_served_under_their_names(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", identify=False)
        offer(home, {**service("web"), **service("ssh"), **service("off", enabled=False)})
        assert home.handlers.protocols == ("/peerup/web/1.0.0", "/peerup/ssh/1.0.0")
        registration = home.handlers.find("/peerup/web/1.0.0")
        assert registration is not None
        assert registration.max_per_peer == MAX_STREAMS == 256
        assert registration.on_limited

    in_world(main)


def test_a_service_may_have_a_protocol_id_of_its_own(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", identify=False)
        offer(home, service(protocol="/my/web/2.0.0"))
        assert home.handlers.protocols == ("/my/web/2.0.0",)

    in_world(main)


@pytest.mark.parametrize("local_address", ["", "80", ":80", "localhost", "localhost:web"])
def test_a_service_without_a_usable_address_is_named(in_world: InWorld, local_address: str) -> None:
    async def main(world: World) -> None:
        home = await world.host("home", identify=False)
        with pytest.raises(ConfigError, match="service web") as caught:
            offer(home, service(local_address=local_address))
        assert "peerup service add web" in caught.value.hint

    in_world(main)


def test_w44_a_list_of_nobody_lets_in_nobody(in_world: InWorld) -> None:
    """A list that is empty or absent in the file is None by then: see tests/config."""

    async def main(world: World) -> None:
        home = await world.host("home", at=2)
        offer(home, service(allowed_peers=()))
        laptop = await world.host("laptop")
        with pytest.raises(NotAuthorizedError):
            await laptop.open_stream(home.peer, "/peerup/web/1.0.0", addrs=home.addrs)

    in_world(main)


@pytest.mark.real_clock
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_whoever_is_allowed_reaches_the_service(run_real: RunReal, host: str) -> None:
    async def main() -> None:
        async with World() as world, tcp_service(tcp_echo) as port:
            home = await world.host("home", at=2)
            offer(home, service(local_address=f"{host}:{port}", allowed_peers=(peer_of("laptop"),)))
            laptop = await world.host("laptop")
            stream = await laptop.open_stream(home.peer, "/peerup/web/1.0.0", addrs=home.addrs)
            await stream.write(b"hello")
            stream.close_write()
            assert await read_all(stream) == b"hello"
            other = await world.host("other")
            with pytest.raises(NotAuthorizedError):
                await other.open_stream(home.peer, "/peerup/web/1.0.0", addrs=home.addrs)

    run_real(main())
