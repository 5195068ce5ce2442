from __future__ import annotations

import pytest

from peerup.host.addresses import MAX_ADVERTISED, AdvertisedAddresses
from peerup.host.events import AddressesChanged, Bus
from peerup.transport import interfaces
from peerup.wire.multiaddr import Multiaddr
from tests.world import peer_of, through

LOOPBACK = Multiaddr.parse("/ip4/127.0.0.1/tcp/4001")
LAN = Multiaddr.parse("/ip4/192.168.1.5/tcp/4001")
PUBLIC = Multiaddr.parse("/ip4/203.0.113.5/tcp/4001")
CIRCUIT = through(peer_of("relay"))


class FakeListener:
    def __init__(self, *addrs: Multiaddr) -> None:
        self.addrs = addrs

    async def close(self) -> None:
        pass


def advertising(*addrs: Multiaddr) -> AdvertisedAddresses:
    addresses = AdvertisedAddresses(Bus())
    addresses.add_listener(FakeListener(*addrs))
    return addresses


def test_where_we_listen_comes_before_where_relays_keep_a_place() -> None:
    addresses = advertising(LAN, LOOPBACK)
    addresses.set_relayed("relay", [CIRCUIT])
    assert addresses.listening == (LAN, LOOPBACK)
    assert addresses.relayed == (CIRCUIT,)
    assert addresses.all == (LAN, LOOPBACK, CIRCUIT)


def test_an_address_of_two_listeners_is_advertised_once() -> None:
    addresses = advertising(LAN)
    addresses.add_listener(FakeListener(LAN, LOOPBACK))
    assert addresses.all == (LAN, LOOPBACK)


def test_a_wildcard_becomes_the_addresses_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = {"ip4": ["127.0.0.1", "192.168.1.5"], "ip6": ["::1"]}
    monkeypatch.setattr(interfaces, "local_hosts", lambda: hosts)
    addresses = advertising(
        Multiaddr.parse("/ip4/0.0.0.0/tcp/4001"), Multiaddr.parse("/ip6/::/tcp/4002")
    )
    assert addresses.all == (LOOPBACK, LAN, Multiaddr.parse("/ip6/::1/tcp/4002"))


def test_the_addresses_of_a_relay_replace_those_it_gave_before() -> None:
    addresses = AdvertisedAddresses(Bus())
    addresses.set_relayed("one", [CIRCUIT])
    addresses.set_relayed("two", [through(peer_of("two"))])
    addresses.set_relayed("one", [])
    assert addresses.all == (through(peer_of("two")),)


def test_each_change_is_told_once() -> None:
    bus = Bus()
    addresses = AdvertisedAddresses(bus)
    with bus.subscribe(AddressesChanged) as changes:
        addresses.set_relayed("relay", [])  # as before: nothing
        assert changes.pending == 0
        addresses.add_listener(FakeListener(LAN))
        addresses.set_relayed("relay", [CIRCUIT])
        addresses.set_relayed("relay", [CIRCUIT])
        addresses.set_relayed("relay", [])
        assert changes.pending == 3


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        ("/ip4/127.0.0.1/tcp/9", (LOOPBACK, LAN, PUBLIC, CIRCUIT)),
        ("/ip4/192.168.1.9/tcp/9", (LAN, PUBLIC, CIRCUIT)),
        ("/ip4/198.51.100.9/tcp/9", (LAN, PUBLIC, CIRCUIT)),
        # The relay is on this machine, but who knows where the peer is.
        (f"/ip4/127.0.0.1/tcp/9/p2p/{peer_of('relay')}/p2p-circuit", (LAN, PUBLIC, CIRCUIT)),
    ],
)
def test_loopback_addresses_are_for_this_machine_alone(
    remote: str, told: tuple[Multiaddr, ...]
) -> None:
    addresses = advertising(LOOPBACK, LAN, PUBLIC)
    addresses.set_relayed("relay", [CIRCUIT])
    assert addresses.for_peer_at(Multiaddr.parse(remote)) == told


def test_a_circuit_through_a_relay_on_this_machine_is_still_told() -> None:
    local = Multiaddr.parse(f"/ip4/127.0.0.1/tcp/7777/p2p/{peer_of('relay')}/p2p-circuit")
    addresses = AdvertisedAddresses(Bus())
    addresses.set_relayed("relay", [local])
    assert addresses.for_peer_at(PUBLIC) == (local,)


def test_many_addresses_of_our_own_never_push_out_those_of_relays() -> None:
    many = [Multiaddr.parse(f"/ip4/10.0.{n}.1/tcp/4001") for n in range(100)]
    addresses = advertising(*many)
    assert addresses.all == tuple(many[:MAX_ADVERTISED])
    addresses.set_relayed("relay", [CIRCUIT])
    assert addresses.all == (*many[: MAX_ADVERTISED - 1], CIRCUIT)


def test_many_addresses_of_relays_are_cut_too() -> None:
    addresses = advertising(LAN)
    addresses.set_relayed("relay", [through(peer_of("relay"), at) for at in range(100)])
    assert len(addresses.all) == MAX_ADVERTISED
