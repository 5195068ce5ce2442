from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

import pytest

from peerup.host.names import MAX_ADDRESSES, MAX_NAMES, RESOLVE_TIMEOUT_S, look_up, resolve
from peerup.wire.multiaddr import Multiaddr
from tests.world import peer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.sim.clock import RunReal, RunVirtual

BOTH: Final = ("2001:db8::1", "192.0.2.1")
RELAY: Final = peer_of("relay")


def parsed(*texts: str) -> list[Multiaddr]:
    return [Multiaddr.parse(text) for text in texts]


class Directory:
    """A DNS that knows one name, and remembers what it was asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[tuple[str, int]] = []

    async def look_up(self, name: str, family: int) -> Sequence[str]:
        self.asked.append((name, family))
        if name == "slow.example":
            await asyncio.sleep(RESOLVE_TIMEOUT_S + 1)
        if name == "\udcff":
            raise UnicodeError
        if name != "relay.example":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return self.addresses


@pytest.mark.parametrize(
    ("kind", "family"),
    [("dns", socket.AF_UNSPEC), ("dns4", socket.AF_INET), ("dns6", socket.AF_INET6)],
)
def test_a_name_becomes_all_that_it_stands_for(run: RunVirtual, kind: str, family: int) -> None:
    directory = Directory(*BOTH, "192.0.2.1", "fe80::1%eth0")
    addrs = parsed(f"/{kind}/relay.example/udp/7777/quic-v1/p2p/{RELAY}", "/ip4/10.0.0.1/tcp/1")
    found = run(resolve(addrs, directory.look_up))
    assert directory.asked == [("relay.example", family)]
    assert [str(addr) for addr in found] == [
        f"/ip6/2001:db8::1/udp/7777/quic-v1/p2p/{RELAY}",
        f"/ip4/192.0.2.1/udp/7777/quic-v1/p2p/{RELAY}",
        f"/ip6/fe80::1/udp/7777/quic-v1/p2p/{RELAY}",
        "/ip4/10.0.0.1/tcp/1",
    ]


@pytest.mark.parametrize("name", ["unknown.example", "slow.example"])
def test_a_name_that_leads_nowhere_stays_and_holds_nobody_up(run: RunVirtual, name: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        addrs = parsed(f"/dns/{name}/tcp/1", "/dns/relay.example/tcp/2")
        began = loop.time()
        found = await resolve(addrs, Directory("192.0.2.1").look_up)
        assert [str(addr) for addr in found] == [f"/dns/{name}/tcp/1", "/ip4/192.0.2.1/tcp/2"]
        assert loop.time() - began <= RESOLVE_TIMEOUT_S

    run(main())


def test_the_name_in_a_circuit_is_left_to_the_dial_of_its_relay(run: RunVirtual) -> None:
    directory = Directory(*BOTH)
    addrs = parsed(f"/dns/relay.example/tcp/1/p2p/{RELAY}/p2p-circuit")
    assert run(resolve(addrs, directory.look_up)) == addrs
    assert directory.asked == []


def test_a_name_stands_for_so_many_addresses_at_most(run: RunVirtual) -> None:
    directory = Directory(*(f"192.0.2.{number}" for number in range(100)))
    assert len(run(resolve(parsed("/dns/relay.example/tcp/1"), directory.look_up))) == MAX_ADDRESSES


def test_only_so_many_names_are_looked_up(run: RunVirtual) -> None:
    directory = Directory("192.0.2.1")
    addrs = parsed(*(f"/dns/relay.example/tcp/{port}" for port in range(1, 100)))
    found = run(resolve(addrs, directory.look_up))
    assert len(directory.asked) == MAX_NAMES
    assert found[MAX_NAMES:] == addrs[MAX_NAMES:]


def test_nothing_is_looked_up_for_addresses_without_names(run: RunVirtual) -> None:
    directory = Directory()
    addrs = parsed("/ip4/192.0.2.1/tcp/1", "/memory/7")
    assert run(resolve(addrs, directory.look_up)) == addrs
    assert directory.asked == []


@pytest.mark.real_clock
def test_the_system_is_asked_for_both_families(run_real: RunReal) -> None:
    assert "127.0.0.1" in run_real(look_up("localhost", socket.AF_INET))
    assert set(run_real(look_up("localhost", socket.AF_UNSPEC))) <= {"127.0.0.1", "::1"}


@pytest.mark.real_clock
def test_a_name_that_dns_cannot_know_stays(run_real: RunReal) -> None:
    addrs = parsed(f"/dns/{'x' * 64}.example/tcp/1")
    assert run_real(resolve(addrs)) == addrs
