"""Who may do what, asked of whole nodes with files of their own."""

from __future__ import annotations

import asyncio

import pytest

from peerup.errors import NotAuthorizedError
from peerup.protocols import ping
from peerup.wire.circuit import STOP_PROTOCOL
from tests.node.town import SERVICES, WEB, InTown, Town, serve_web
from tests.world import peer_of, until

HOME, LAPTOP, RELAY = peer_of("home"), peer_of("laptop"), peer_of("relay")


@pytest.mark.parametrize("protocol", [WEB, ping.PEERUP_PROTOCOL, STOP_PROTOCOL])
def test_w00_a_peer_that_home_dials_gets_nothing_of_home(in_town: InTown, protocol: str) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "stranger")
        home = await town.node("home", "laptop", services=SERVICES)
        stranger = await town.node("stranger", "home")
        await until(lambda: stranger.relays and stranger.relays.held)
        await home.connect(peer_of("stranger"))
        with pytest.raises(NotAuthorizedError):
            await stranger.host.open_stream(HOME, protocol)
        conn = await stranger.connect(HOME)
        assert await ping.ping(stranger.host, conn, [ping.PROTOCOL]) >= 0

    in_town(main)


@pytest.mark.parametrize("protocol", [WEB, ping.PEERUP_PROTOCOL])
def test_w00_the_relay_gets_no_service_and_no_pong(in_town: InTown, protocol: str) -> None:
    async def main(town: Town) -> None:
        relay = await town.relay("home", "laptop")
        home = await town.node("home", "laptop", services=SERVICES)
        await until(lambda: home.relays and home.relays.held)
        with pytest.raises(NotAuthorizedError):
            await relay.host.open_stream(HOME, protocol)
        laptop = await town.node("laptop", serving=False)
        assert await laptop.connect(HOME)  # which needs STOP, and STOP the relay may open

    in_town(main)


def test_a_stranger_is_refused_at_home_and_told_so(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        await town.node("home", "somebody-else")
        laptop = await town.node("laptop", serving=False)
        with pytest.raises(NotAuthorizedError) as caught:
            await laptop.connect(HOME)
        assert "peerup auth add" in caught.value.hint

    in_town(main)


def test_a_stranger_is_refused_at_the_relay_and_told_by_whom(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home")
        await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        with pytest.raises(NotAuthorizedError, match=f"relay {RELAY}") as caught:
            await laptop.connect(HOME)
        assert "peerup relay authorize" in caught.value.hint

    in_town(main)


def test_w06_whom_home_removes_is_gone_within_2_s(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop", "phone")
        home = await town.node("home", "laptop", "phone", services=SERVICES)
        serve_web(home)
        laptop = await town.node("laptop", serving=False)
        phone = await town.node("phone", serving=False)
        await laptop.connect(HOME)
        await phone.connect(HOME)
        gone = await laptop.host.open_stream(HOME, WEB)
        stays = await phone.host.open_stream(HOME, WEB)
        town.authorize("home", "phone")
        async with asyncio.timeout(2.0):
            with pytest.raises(NotAuthorizedError):
                await gone.read()
        assert home.host.connections.of(LAPTOP) == ()
        with pytest.raises(NotAuthorizedError):
            await laptop.connect(HOME)
        await stays.write(b"hello")
        assert await stays.read() == b"hello"

    in_town(main)


def test_w06_whom_home_adds_gets_in_within_2_s(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        await town.node("home", "somebody-else")
        laptop = await town.node("laptop", serving=False)
        with pytest.raises(NotAuthorizedError):
            await laptop.connect(HOME)
        town.authorize("home", "laptop")
        await asyncio.sleep(2.0)
        assert await laptop.connect(HOME)

    in_town(main)


def test_without_gating_everybody_gets_in_and_the_log_says_so(
    in_town: InTown, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(town: Town) -> None:
        await town.relay(gating=False)
        home = await town.node("home", gating=False, services=SERVICES)
        serve_web(home)
        await until(lambda: home.relays and home.relays.held)
        laptop = await town.node("laptop", serving=False, gating=False)
        await laptop.connect(HOME)
        stream = await laptop.host.open_stream(HOME, WEB, allow_limited=True)
        stream.reset()

    in_town(main)
    assert caplog.text.count("connection gating is off") == 3
