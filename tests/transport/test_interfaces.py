from __future__ import annotations

import ipaddress

import pytest

from peerup.transport.interfaces import expand, local_hosts
from peerup.wire.multiaddr import Multiaddr

HOSTS = {"ip4": ["127.0.0.1", "192.0.2.7"], "ip6": ["::1", "2001:db8::7"]}
RELAY = "12D3KooWSy8NdBXA5ARmbRNabmKpwtyVWbBTvBUnyEHvBgCp5XSj"


@pytest.mark.parametrize(
    ("addr", "expected"),
    [
        ("/ip4/0.0.0.0/tcp/4001", ["/ip4/127.0.0.1/tcp/4001", "/ip4/192.0.2.7/tcp/4001"]),
        ("/ip6/::/tcp/4001", ["/ip6/::1/tcp/4001", "/ip6/2001:db8::7/tcp/4001"]),
        (
            "/ip4/0.0.0.0/udp/4001/quic-v1",
            ["/ip4/127.0.0.1/udp/4001/quic-v1", "/ip4/192.0.2.7/udp/4001/quic-v1"],
        ),
        ("/ip4/0.0.0.0/tcp/80/ws", ["/ip4/127.0.0.1/tcp/80/ws", "/ip4/192.0.2.7/tcp/80/ws"]),
    ],
)
def test_a_wildcard_stands_for_every_address_of_this_machine(
    addr: str, expected: list[str]
) -> None:
    assert [str(found) for found in expand(Multiaddr.parse(addr), HOSTS)] == expected


@pytest.mark.parametrize(
    "addr",
    [
        "/ip4/192.0.2.7/tcp/4001",
        "/ip6/::1/tcp/4001",
        "/dns4/example.org/tcp/4001",
        "/memory/7",
        f"/ip4/192.0.2.7/tcp/4001/p2p/{RELAY}/p2p-circuit",
    ],
)
def test_other_addresses_stay_as_they_are(addr: str) -> None:
    assert expand(Multiaddr.parse(addr), HOSTS) == [Multiaddr.parse(addr)]


def test_the_machine_knows_its_own_addresses() -> None:
    hosts = local_hosts()
    assert "127.0.0.1" in hosts["ip4"]
    assert all(ipaddress.ip_address(host).version == 4 for host in hosts["ip4"])
    assert all(ipaddress.ip_address(host).version == 6 for host in hosts["ip6"])
    assert not any(ipaddress.ip_address(host).is_link_local for host in hosts["ip6"])
    assert expand(Multiaddr.parse("/ip4/0.0.0.0/tcp/1"))
