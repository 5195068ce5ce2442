from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from peerup.config.schema import Identity, PingPong, Protocols, Security, Service
from peerup.errors import ConfigError, DialError, PeerupError, UsageError
from peerup.host.events import AddressesChanged, HostEvent
from peerup.host.host import Host
from peerup.node.node import Node, keys_file_of, relays_of
from peerup.node.relay_node import RelayNode
from peerup.protocols import identify, ping
from peerup.relay.client import CIRCUIT
from peerup.transport.tcp import Tcp
from peerup.wire.circuit import STOP_PROTOCOL
from peerup.wire.multiaddr import Multiaddr
from tests.node.town import SERVICES, WEB, InTown, Town, node_config, relay_config, serve_web
from tests.services import echo as tcp_echo
from tests.services import free_port, tcp_service
from tests.sim.clock import RunReal, RunVirtual
from tests.world import key_of, memory, peer_of, read_all, through, until

HOME, LAPTOP, RELAY = peer_of("home"), peer_of("laptop"), peer_of("relay")
TCP = Multiaddr.parse("/ip4/127.0.0.1/tcp/0")
QUIC = Multiaddr.parse("/ip4/127.0.0.1/udp/0/quic-v1/webtransport")


# --- the main job ---------------------------------------------------------------------


def test_a_service_on_a_machine_that_nobody_can_dial_is_reached(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        home = await town.node("home", "laptop", services=SERVICES)
        serve_web(home)
        assert home.host.addresses.listening == ()
        laptop = await town.node("laptop", serving=False)
        conn = await laptop.connect(laptop.resolve("home"))
        assert conn.path == "RELAYED"
        stream = await laptop.host.open_stream(HOME, WEB)
        await stream.write(b"hello")
        stream.close_write()
        assert await read_all(stream) == b"hello"
        assert home.addresses == (through(RELAY).with_peer(HOME),)
        assert home.relays is not None
        assert set(home.relays.held) == {RELAY}

    in_town(main)


def test_a_direct_way_is_preferred_to_the_relay(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        await town.node("home", "laptop", at=2)
        laptop = await town.node("laptop", serving=False)
        laptop.host.peerstore.add_addrs(HOME, [memory(2)], 60.0)
        conn = await laptop.connect(HOME)
        assert conn.path == "DIRECT"

    in_town(main)


def test_the_relay_itself_is_dialled_directly(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        conn = await laptop.connect(RELAY)
        assert conn.path == "DIRECT"
        assert await ping.ping(laptop.host, conn, [ping.PROTOCOL]) >= 0

    in_town(main)


def test_a_node_says_what_it_serves(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        off = Service("off", enabled=False, local_address="127.0.0.1:9")
        node = await town.node("home", services={**SERVICES, "off": off})
        assert set(node.host.handlers.protocols) == {
            *(identify.PROTOCOL, identify.PUSH_PROTOCOL, ping.PROTOCOL),
            *(ping.PEERUP_PROTOCOL, STOP_PROTOCOL, WEB),
        }

    in_town(main)


def test_a_node_that_only_dials_serves_next_to_nothing(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        await town.relay("laptop")
        node = await town.node("laptop", at=5, serving=False, services=SERVICES)
        assert node.addresses == ()
        assert node.relays is None
        assert set(node.host.handlers.protocols) == {
            *(identify.PROTOCOL, identify.PUSH_PROTOCOL, ping.PROTOCOL),
        }

    in_town(main)


def test_the_ping_of_peerup_has_the_id_of_the_configuration_or_is_off(tmp_path: Path) -> None:
    config = node_config(tmp_path, "home")
    for settings, served in [
        (PingPong(enabled=True, id="/other/1.0.0"), True),
        (PingPong(enabled=False, id="/other/1.0.0"), False),
    ]:
        node = Node(replace(config, protocols=Protocols(settings)))
        node._prepare()
        assert ("/other/1.0.0" in node.host.handlers.protocols) is served
        assert ping.PEERUP_PROTOCOL not in node.host.handlers.protocols


# --- W-42: nobody comes too early -----------------------------------------------------


class Probe:
    """Looks at what is served in the moment in which the first address is bound."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.seen: tuple[str, ...] | None = None

    def offer(self, event: HostEvent) -> None:
        if isinstance(event, AddressesChanged) and self.seen is None:
            self.seen = self._host.handlers.protocols


def test_w42_everything_is_served_before_the_first_connection_can_come(
    run: RunVirtual, tmp_path: Path
) -> None:
    async def main() -> None:
        async with Town(tmp_path) as town:
            config = node_config(tmp_path, "home", "laptop", listen=(memory(2),), services=SERVICES)
            node = Node(config)
            probe = Probe(node.host)
            node.host.bus._subscriptions.append(probe)  # type: ignore[arg-type]
            await town._start(node)
            assert probe.seen is not None
            assert set(probe.seen) == set(node.host.handlers.protocols)
            assert WEB in probe.seen

    run(main())


def test_w42_a_relay_serves_everything_before_the_first_connection_can_come(
    run: RunVirtual, tmp_path: Path
) -> None:
    async def main() -> None:
        async with Town(tmp_path) as town:
            relay = RelayNode(relay_config(tmp_path, "home"))
            probe = Probe(relay.host)
            relay.host.bus._subscriptions.append(probe)  # type: ignore[arg-type]
            await town._start(relay)
            assert probe.seen is not None
            assert set(probe.seen) == set(relay.host.handlers.protocols)

    run(main())


# --- W-39: from below -----------------------------------------------------------------


def test_w39_home_is_back_within_5_s_after_its_relay(in_town: InTown) -> None:
    async def main(town: Town) -> None:
        relay = await town.relay("home", "laptop")
        home = await town.node("home", "laptop")
        laptop = await town.node("laptop", serving=False)
        await laptop.connect(HOME)
        await town.stop(relay)
        await asyncio.sleep(120)
        with pytest.raises(DialError):
            await laptop.connect(HOME)
        await town.relay("home", "laptop")
        began = laptop.host.clock()
        while laptop.host.clock() - began < 5.0:
            try:
                await laptop.connect(HOME)
            except PeerupError:
                await asyncio.sleep(0.1)
            else:
                break
        assert laptop.host.connections.best(HOME) is not None
        assert home.addresses != ()

    in_town(main)


# --- names ----------------------------------------------------------------------------


def test_a_target_is_a_name_or_a_peer_id(tmp_path: Path) -> None:
    node = Node(node_config(tmp_path, "laptop", names={"home": HOME}))
    assert node.resolve("home") == HOME
    assert node.resolve(str(HOME)) == HOME
    assert node.resolve(HOME.to_cid()) == HOME
    with pytest.raises(UsageError, match="name not found: hom") as caught:
        node.resolve("hom")
    assert "home" in caught.value.hint
    assert caught.value.exit_code == 2


def test_this_machine_is_no_target(tmp_path: Path) -> None:
    node = Node(node_config(tmp_path, "laptop", names={"me": LAPTOP}))
    for target in ("me", str(LAPTOP)):
        with pytest.raises(UsageError, match="this machine itself"):
            node.resolve(target)


# --- configurations that cannot be used -----------------------------------------------


def test_w18_gating_without_a_list_does_not_start(tmp_path: Path) -> None:
    config = replace(node_config(tmp_path, "home"), security=Security())
    with pytest.raises(ConfigError, match="authorized_keys_file is required") as caught:
        Node(config)
    assert caught.value.exit_code == 2


def test_w18_a_list_that_is_missing_does_not_start(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    config = replace(node_config(tmp_path, "home"), security=Security(missing))
    with pytest.raises(ConfigError, match="nowhere"):
        Node(config)


def test_w18_gating_is_off_only_when_switched_off(tmp_path: Path) -> None:
    assert keys_file_of(Security(tmp_path), tmp_path) == tmp_path
    assert keys_file_of(Security(tmp_path, enable_connection_gating=False), tmp_path) is None
    assert Security().enable_connection_gating


def test_a_missing_key_does_not_start(tmp_path: Path) -> None:
    config = replace(node_config(tmp_path, "home"), identity=Identity(tmp_path / "no.key"))
    with pytest.raises(ConfigError, match="identity key not found"):
        Node(config)


def test_an_address_without_a_transport_costs_a_warning_and_is_not_advertised(
    run: RunVirtual, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Town(tmp_path) as town:
            node = Node(node_config(tmp_path, "home", "laptop", listen=(QUIC, memory(2))))
            await town._start(node)
            assert node.addresses == (memory(2).with_peer(HOME),)

    run(main())
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert str(QUIC) in warnings[0].getMessage()


def test_relay_addresses_are_grouped_by_relay() -> None:
    one, two = memory(1).with_peer(RELAY), memory(2).with_peer(RELAY)
    other = memory(3).with_peer(HOME)
    assert relays_of([one, other, two, memory(4)]) == {
        RELAY: [memory(1), memory(2)],
        HOME: [memory(3)],
    }


# --- on real sockets ------------------------------------------------------------------


@pytest.mark.real_clock
def test_a_port_that_is_taken_is_named_and_nothing_is_left_behind(
    run_real: RunReal, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tcp_service(tcp_echo) as port:
            taken = Multiaddr.parse(f"/ip4/127.0.0.1/tcp/{port}")
            free = Multiaddr.parse(f"/ip4/127.0.0.1/tcp/{free_port()}")
            with pytest.raises(UsageError, match=f"cannot listen on {taken}") as caught:
                async with Node(node_config(tmp_path, "home", "laptop", listen=(free, taken))):
                    pass
            assert "Choose a free one" in caught.value.hint
            async with Node(node_config(tmp_path, "home", "laptop", listen=(free,))) as node:
                assert node.addresses == (free.with_peer(HOME),)

    run_real(main())


@pytest.mark.real_clock
def test_the_main_job_on_real_sockets(run_real: RunReal, tmp_path: Path) -> None:
    async def main() -> None:
        async with tcp_service(tcp_echo) as port:
            web = Service("web", enabled=True, local_address=f"localhost:{port}")
            relay_file = relay_config(tmp_path, "home", "laptop", listen=(TCP,))
            async with RelayNode(relay_file) as relay:
                at_home = node_config(
                    tmp_path, "home", "laptop", relays=relay.addresses, services={"web": web}
                )
                on_the_road = node_config(tmp_path, "laptop", relays=relay.addresses)
                async with Node(at_home) as home, Node(on_the_road, listen=False) as laptop:
                    await until(lambda: home.relays and home.relays.held)
                    conn = await laptop.connect(HOME)
                    assert conn.path == "RELAYED"
                    assert conn.remote_addr == relay.addresses[0] / CIRCUIT
                    stream = await laptop.host.open_stream(HOME, WEB)
                    await stream.write(b"hello")
                    stream.close_write()
                    assert await read_all(stream) == b"hello"

    run_real(main())


@pytest.mark.real_clock
def test_a_plain_host_can_use_what_a_node_serves(run_real: RunReal, tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            Node(node_config(tmp_path, "home", "laptop", listen=(TCP,))) as node,
            Host(key_of("laptop"), transports=[Tcp]) as host,
        ):
            conn = await host.connect(HOME, [addr.without_peer() for addr in node.addresses])
            assert await ping.ping(host, conn, [ping.PEERUP_PROTOCOL]) < 5.0

    run_real(main())
