from __future__ import annotations

import pytest

from peerup.host.peerstore import (
    CONNECTED_TTL,
    FOREVER,
    MAX_ADDRS,
    MAX_PEERS,
    MAX_PROTOCOLS,
    TEMPORARY_TTL,
    Peerstore,
)
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.multihash import sha2_256
from peerup.wire.peer_id import PeerId
from tests.world import memory, peer_of, through

HOME = peer_of("home")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Peerstore:
    return Peerstore(clock)


def stranger(number: int) -> PeerId:
    return PeerId.from_bytes(sha2_256(number.to_bytes(4, "big")))


def test_of_an_unknown_peer_nothing_is_known(store: Peerstore) -> None:
    assert store.addrs(HOME) == ()
    assert store.protocols(HOME) == frozenset()
    assert store.agent(HOME) == ""
    assert len(store) == 0  # asking is no reason to remember


def test_addresses_are_good_for_as_long_as_was_said(store: Peerstore, clock: Clock) -> None:
    store.add_addrs(HOME, [memory(1)], TEMPORARY_TTL)
    store.add_addrs(HOME, [memory(2)], CONNECTED_TTL)
    clock.now += TEMPORARY_TTL - 1
    assert store.addrs(HOME) == (memory(1), memory(2))
    clock.now += 1
    assert store.addrs(HOME) == (memory(2),)
    clock.now += CONNECTED_TTL
    assert store.addrs(HOME) == ()


def test_a_longer_life_is_never_cut_short(store: Peerstore, clock: Clock) -> None:
    store.add_addrs(HOME, [memory(1)], FOREVER)
    store.add_addrs(HOME, [memory(1)], 1.0)
    clock.now += 1e9
    assert store.addrs(HOME) == (memory(1),)


def test_a_shorter_life_is_prolonged(store: Peerstore, clock: Clock) -> None:
    store.add_addrs(HOME, [memory(1)], 10.0)
    clock.now += 5
    store.add_addrs(HOME, [memory(1)], 10.0)
    clock.now += 9
    assert store.addrs(HOME) == (memory(1),)


def test_the_peers_own_id_at_the_end_says_nothing_new(store: Peerstore) -> None:
    store.add_addrs(HOME, [memory(1), memory(1).with_peer(HOME)], 10.0)
    circuit = through(peer_of("relay"))
    store.add_addrs(HOME, [circuit, circuit.with_peer(HOME)], 10.0)
    assert store.addrs(HOME) == (memory(1), circuit)


def test_an_address_that_leads_to_somebody_else_keeps_saying_so(store: Peerstore) -> None:
    other = memory(1).with_peer(peer_of("other"))
    store.add_addrs(HOME, [other], 10.0)
    assert store.addrs(HOME) == (other,)


def test_a_peer_has_so_many_addresses_and_the_lasting_ones_stay(store: Peerstore) -> None:
    configured = Multiaddr.parse("/ip4/203.0.113.5/tcp/7777")
    store.add_addrs(HOME, [configured], FOREVER)
    store.add_addrs(HOME, (memory(number) for number in range(10_000)), CONNECTED_TTL)
    assert len(store.addrs(HOME)) == MAX_ADDRS
    assert configured in store.addrs(HOME)


def test_what_a_peer_speaks_is_replaced_as_a_whole(store: Peerstore) -> None:
    store.set_identity(HOME, ["/a", "/b"], "one")
    store.set_identity(HOME, ["/c"], "two")
    assert store.protocols(HOME) == {"/c"}
    assert store.agent(HOME) == "two"


def test_a_peer_speaks_so_many_protocols(store: Peerstore) -> None:
    store.set_identity(HOME, (f"/{number}" for number in range(10_000)), "chatty")
    assert len(store.protocols(HOME)) == MAX_PROTOCOLS


def test_so_many_peers_are_known_and_the_longest_unheard_of_goes(store: Peerstore) -> None:
    for number in range(MAX_PEERS):
        store.set_identity(stranger(number), [], str(number))
    store.add_addrs(stranger(0), [memory(1)], 10.0)  # heard of again
    store.set_identity(HOME, [], "home")
    assert len(store) == MAX_PEERS
    assert store.agent(stranger(0)) == "0"
    assert store.agent(stranger(1)) == ""
    assert store.agent(HOME) == "home"


def test_peers_of_the_users_own_configuration_are_not_forgotten(store: Peerstore) -> None:
    store.add_addrs(HOME, [memory(1)], FOREVER)
    for number in range(MAX_PEERS + 10):
        store.add_addrs(stranger(number), [memory(2)], 10.0)
    assert len(store) == MAX_PEERS
    assert store.addrs(HOME) == (memory(1),)
