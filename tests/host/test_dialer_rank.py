"""In which order the addresses of a peer are dialled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerup.host.dialer import MAX_ADDRS, rank
from tests.host.test_dialer import LAN, LOOPBACK, OTHER, PUBLIC, RELAYED, addresses, many
from tests.world import peer_of


def test_near_addresses_come_first_and_relays_last() -> None:
    given_order = addresses(RELAYED, PUBLIC, LAN, LOOPBACK, OTHER)
    assert rank(given_order) == addresses(LOOPBACK, LAN, PUBLIC, OTHER, RELAYED)


def test_a_relay_nearby_is_still_a_relay() -> None:
    nearby = f"{LOOPBACK}/p2p/{peer_of('relay')}/p2p-circuit"
    assert rank(addresses(nearby, PUBLIC)) == addresses(PUBLIC, nearby)


def test_so_many_addresses_of_one_peer_are_tried_and_no_more() -> None:
    assert rank(addresses(*many(100))) == addresses(*many(MAX_ADDRS))


@given(st.lists(st.sampled_from([LOOPBACK, LAN, PUBLIC, OTHER, RELAYED])))
def test_ranking_keeps_each_address_once(texts: list[str]) -> None:
    ranked = rank(addresses(*texts))
    assert len(ranked) == len(set(ranked))
    assert set(ranked) == set(addresses(*texts))


def test_tcp_comes_before_quic_and_the_families_take_turns() -> None:
    texts = [
        "/ip4/1.1.1.1/udp/1/quic-v1",
        "/ip4/1.1.1.1/tcp/1",
        "/ip4/1.1.1.2/tcp/1",
        "/ip6/2001:4860::1/tcp/1",
        "/ip6/2001:4860::1/udp/1/quic-v1",
    ]
    assert list(map(str, rank(addresses(*texts)))) == [
        "/ip6/2001:4860::1/tcp/1",
        "/ip4/1.1.1.1/tcp/1",
        "/ip4/1.1.1.2/tcp/1",
        "/ip6/2001:4860::1/udp/1/quic-v1",
        "/ip4/1.1.1.1/udp/1/quic-v1",
    ]
