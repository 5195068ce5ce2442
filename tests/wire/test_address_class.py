from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.wire.address_class import AddressClass, classify
from peerup.wire.multiaddr import Multiaddr, tcp_multiaddr

RELAY = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("172.15.255.255", "public"),
        ("172.16.0.0", "private"),
        ("172.31.255.255", "private"),
        ("172.32.0.0", "public"),
        ("100.63.255.255", "public"),
        ("100.64.0.0", "cgnat"),
        ("100.127.255.255", "cgnat"),
        ("100.128.0.0", "public"),
        ("10.0.0.1", "private"),
        ("192.168.1.20", "private"),
        ("169.254.7.7", "link-local"),
        ("127.0.0.1", "loopback"),
        ("0.0.0.0", "any"),
        ("203.0.113.5", "reserved"),
        ("224.0.0.1", "reserved"),
        ("8.8.8.8", "public"),
        ("::", "any"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("fd00::1", "private"),
        ("2001:db8::1", "reserved"),
        ("2606:4700::1", "public"),
        ("::ffff:100.64.0.1", "cgnat"),
        ("::ffff:172.16.0.1", "private"),
    ],
)
def test_w34_each_range_has_its_class(host: str, kind: str) -> None:
    assert classify(tcp_multiaddr(host, 4001)) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("/dns4/relay.example.org/tcp/7777", "name"),
        ("/memory/7", "unknown"),
        (f"/ip4/8.8.8.8/tcp/7777/p2p/{RELAY}/p2p-circuit", "public"),
        ("/ip6zone/eth0/ip6/fe80::1/tcp/1", "link-local"),
        ("/ip4/100.64.1.1/udp/4001/quic-v1", "cgnat"),
    ],
)
def test_the_first_address_counts(text: str, kind: str) -> None:
    assert classify(Multiaddr.parse(text)) == kind


@given(st.ip_addresses())
def test_the_class_says_what_the_address_says_of_itself(ip: object) -> None:
    addr = tcp_multiaddr(str(ip), 1)
    kind = classify(addr)
    assert (kind is AddressClass.PUBLIC) == addr.is_public
    near = {
        AddressClass.LOOPBACK,
        AddressClass.LINK_LOCAL,
        AddressClass.CGNAT,
        AddressClass.PRIVATE,
    }
    assert not addr.is_private or kind in near
