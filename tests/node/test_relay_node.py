from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from peerup import __version__
from peerup.config.schema import RelaySecurity, Resources
from peerup.errors import ConfigError, DialError, NegotiationError, NotAuthorizedError, UsageError
from peerup.node.relay_node import OPEN_SESSION_DATA, OPEN_SESSION_S, RelayNode, limits_of
from peerup.protocols import identify, ping
from peerup.relay.client import reserve
from peerup.relay.quota import RelayLimits
from peerup.transport.endpoints import CircuitLimits
from peerup.wire import vouch
from peerup.wire.circuit import HOP_PROTOCOL
from peerup.wire.multiaddr import Multiaddr
from tests.node.town import InTown, Town, relay_config
from tests.services import echo as tcp_echo
from tests.services import tcp_service
from tests.sim.clock import RunReal, RunVirtual
from tests.world import memory, peer_of, through, until

HOME, RELAY = peer_of("home"), peer_of("relay")
QUIC = Multiaddr.parse("/ip4/127.0.0.1/udp/0/quic-v1/webtransport")
HOUR = 3600.0


# --- what it gives --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gating", "resources", "session"),
    [
        (True, Resources(), (None, None)),
        (False, Resources(), (OPEN_SESSION_S, OPEN_SESSION_DATA)),
        (True, Resources(session_duration=60.0), (60.0, None)),
        (True, Resources(session_data_limit=1024), (None, 1024)),
        (False, Resources(session_duration=60.0, session_data_limit=1024), (60.0, 1024)),
    ],
)
def test_sessions_are_limited_without_gating_and_where_it_is_written(
    tmp_path: Path,
    gating: bool,
    resources: Resources,
    session: tuple[float | None, int | None],
) -> None:
    limits = limits_of(relay_config(tmp_path, gating=gating, resources=resources))
    assert (limits.session_seconds, limits.session_data) == session


def test_the_limits_without_gating_are_those_of_go(tmp_path: Path) -> None:
    limits = limits_of(relay_config(tmp_path, gating=False))
    assert limits == RelayLimits(
        reservations=128,
        reservations_per_ip=8,
        circuits_per_peer=16,
        ttl=HOUR,
        session_seconds=600.0,
        session_data=64 * 1024 * 1024,
    )


def test_every_resource_of_the_file_counts(tmp_path: Path) -> None:
    resources = Resources(
        max_reservations=3, max_circuits=4, max_reservations_per_ip=2, reservation_ttl=60.0
    )
    assert limits_of(relay_config(tmp_path, resources=resources)) == RelayLimits(
        reservations=3,
        reservations_per_ip=2,
        circuits_per_peer=4,
        ttl=60.0,
        session_seconds=None,
        session_data=None,
    )


def test_an_authorized_peer_gets_a_place_without_limits(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home")
        home = await town.node("home", "laptop")
        await until(lambda: home.relays and home.relays.held)
        assert home.relays is not None
        place = home.relays.held[RELAY]
        assert place.limits is None
        assert place.addrs == (through(RELAY),)

    in_town(main)


def test_without_gating_a_place_comes_with_the_limits_of_go(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay(gating=False)
        laptop = await town.node("laptop", serving=False)
        place = await reserve(laptop.host, await laptop.connect(RELAY))
        assert place.limits == CircuitLimits(600, 64 * 1024 * 1024)

    in_town(main)


# --- what it is -----------------------------------------------------------------------


def test_it_says_what_go_looks_for_and_serves_nothing_else(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        relay = await town.relay("laptop")
        assert relay.addresses == (memory(1).with_peer(RELAY),)
        laptop = await town.node("laptop", serving=False)
        conn = await laptop.connect(RELAY)
        assert laptop.host.peerstore.agent(RELAY) == f"relay-server/{__version__}"
        assert laptop.host.peerstore.protocols(RELAY) == {
            *(identify.PROTOCOL, identify.PUSH_PROTOCOL, ping.PROTOCOL, HOP_PROTOCOL),
            vouch.PROTOCOL,
        }
        assert await ping.ping(laptop.host, conn, [ping.PROTOCOL]) >= 0
        with pytest.raises(NegotiationError):
            await laptop.host.open_stream(RELAY, "/peerup/web/1.0.0")

    in_town(main)


def test_a_stranger_does_not_get_as_far_as_asking(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        relay = await town.relay("home")
        laptop = await town.node("laptop", serving=False)
        with pytest.raises(NotAuthorizedError):
            await laptop.connect(RELAY)
        assert len(relay.host.connections) == 0

    in_town(main)


@pytest.mark.parametrize("removed", ["home", "laptop"])
def test_w06_whom_the_relay_removes_loses_its_circuits_within_2_s(
    in_town: InTown, removed: str
) -> None:
    async def main(town: Town) -> None:
        relay = await town.relay("home", "laptop")
        home = await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        conn = await laptop.connect(HOME)
        town.authorize("relay", *({"home", "laptop"} - {removed}))
        async with asyncio.timeout(2.0):
            await conn.wait_closed()
            await until(lambda: peer_of(removed) not in relay.host.connections.peers)
        await asyncio.sleep(60)
        with pytest.raises((NotAuthorizedError, DialError)):
            await laptop.connect(HOME)
        assert home.relays is not None
        assert bool(home.relays.held) is (removed == "laptop")
        town.authorize("relay", "home", "laptop")
        await asyncio.sleep(35)  # what a relay has refused is asked for again within 30 s
        assert await laptop.connect(HOME)

    in_town(main)


def test_a_relay_that_was_restarted_is_the_same_one(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        relay = await town.relay("home")
        before = relay.addresses
        await town.stop(relay)
        assert (await town.relay("home")).addresses == before

    in_town(main)


# --- configurations that cannot be used -----------------------------------------------


def test_w18_gating_without_a_list_does_not_start(tmp_path: Path) -> None:
    config = replace(relay_config(tmp_path), security=RelaySecurity())
    with pytest.raises(ConfigError, match="authorized_keys_file is required"):
        RelayNode(config)


def test_w18_a_missing_list_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    config = replace(relay_config(tmp_path), security=RelaySecurity(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="nowhere") as caught:
        RelayNode(config)
    assert "peerup relay authorize" in caught.value.hint


@pytest.mark.parametrize("listen", [(), (QUIC,)])
def test_a_relay_that_listens_nowhere_does_not_start(
    run: RunVirtual, tmp_path: Path, listen: tuple[Multiaddr, ...]
) -> None:
    async def main() -> None:
        async with Town(tmp_path) as town:
            with pytest.raises(ConfigError, match="listens nowhere") as caught:
                await town._start(RelayNode(relay_config(tmp_path, "home", listen=listen)))
            assert "network.listen_addresses" in caught.value.hint

    run(main())


@pytest.mark.real_clock
def test_a_port_that_is_taken_is_named(run_real: RunReal, tmp_path: Path) -> None:
    async def main() -> None:
        async with tcp_service(tcp_echo) as port:
            taken = Multiaddr.parse(f"/ip4/127.0.0.1/tcp/{port}")
            with pytest.raises(UsageError, match=f"cannot listen on {taken}"):
                async with RelayNode(relay_config(tmp_path, "home", listen=(taken,))):
                    pass

    run_real(main())


@pytest.mark.real_clock
def test_two_relays_do_not_share_a_port(run_real: RunReal, tmp_path: Path) -> None:
    """With SO_REUSEPORT they would, and each would lose half of its peers."""

    async def main() -> None:
        anywhere = (Multiaddr.parse("/ip4/127.0.0.1/tcp/0"),)
        async with RelayNode(relay_config(tmp_path, "home", listen=anywhere)) as relay:
            same = (relay.addresses[0].without_peer(),)
            with pytest.raises(UsageError, match="cannot listen"):
                async with RelayNode(relay_config(tmp_path, "home", listen=same)):
                    pass

    run_real(main())
