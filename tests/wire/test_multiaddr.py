from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire import varint
from peerup.wire.multiaddr import (
    MAX_MULTIADDR_BYTES,
    MAX_TEXT_CHARS,
    Component,
    Multiaddr,
    decode_each,
    tcp_multiaddr,
)
from peerup.wire.multiaddr_protocols import BY_NAME, TABLE
from peerup.wire.peer_id import PeerId
from tests.wire.strategies import multiaddrs, peer_ids
from tests.wire.vectors import Vector, name_of, vectors

ALICE: Final = PeerId.parse("12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf")
BOB: Final = PeerId.parse("QmZyQWqFq9FGcjAw39ZW3rqdjwCn6VzpZN9cb9g8wQR18B")
TCP: Final = Multiaddr.parse("/ip4/1.2.3.4/tcp/4001")
UNIX: Final = Multiaddr.parse("/unix/srv/p2p.sock")
RELAY: Final = Multiaddr.parse(f"/ip4/1.2.3.4/tcp/4001/p2p/{BOB}")
CIRCUIT: Final = Multiaddr.parse(f"{RELAY}/p2p-circuit/p2p/{ALICE}")

VECTORS: Final = vectors("multiaddr")
CANONICAL: Final = [case for case in VECTORS if "components" in case.expect]
BAD_BYTES: Final = vectors("multiaddr_bad_bytes")
BAD_TEXT: Final = vectors("multiaddr_bad_text")


def named(text: str) -> bytes:
    """A dns4 component as a peer could send it."""
    return b"\x36" + varint.encode(len(text.encode())) + text.encode()


# What go reads and writes


@pytest.mark.parametrize("case", VECTORS, ids=name_of)
def test_go_reads_the_same_bytes_and_canonical_text(case: Vector) -> None:
    address = Multiaddr.parse(case.inputs["text"])
    assert address.to_bytes().hex() == case.expect["bytes"]
    assert str(address) == case.expect["text"]
    assert Multiaddr.from_bytes(address.to_bytes()) == address


@pytest.mark.parametrize("case", CANONICAL, ids=name_of)
def test_go_sees_the_same_components(case: Vector) -> None:
    address = Multiaddr.from_bytes(bytes.fromhex(case.expect["bytes"]))
    assert [
        {
            "code": component.protocol.code,
            "protocol": component.protocol.name,
            "raw_value": component.value.hex(),
            "value": component.text,
        }
        for component in address.components
    ] == case.expect["components"]


@pytest.mark.parametrize("case", CANONICAL, ids=name_of)
def test_go_classifies_the_same(case: Vector) -> None:
    address = Multiaddr.parse(case.inputs["text"])
    assert address.is_loopback == case.expect["is_loopback"]
    assert address.is_private == case.expect["is_private"]
    assert address.is_public == case.expect["is_public"]


@pytest.mark.parametrize("case", BAD_BYTES, ids=name_of)
def test_bytes_that_go_refuses_are_refused(case: Vector) -> None:
    with pytest.raises(RemoteProtocolError):
        Multiaddr.from_bytes(bytes.fromhex(case.inputs["bytes"]))


@pytest.mark.parametrize("case", BAD_TEXT, ids=name_of)
def test_text_that_go_refuses_is_refused(case: Vector) -> None:
    with pytest.raises(ValueError, match="invalid multiaddr"):
        Multiaddr.parse(case.inputs["text"])


# Properties


@given(multiaddrs())
def test_bytes_and_text_each_give_the_address_back(address: Multiaddr) -> None:
    assert Multiaddr.from_bytes(address.to_bytes()) == address
    assert Multiaddr.parse(str(address)) == address


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_an_address_or_a_remote_protocol_error(data: bytes) -> None:
    try:
        address = Multiaddr.from_bytes(data)
    except RemoteProtocolError:
        return
    assert address.to_bytes() == data


_snippets = st.tuples(st.sampled_from(TABLE), st.binary(max_size=40)).map(
    lambda parts: (
        varint.encode(parts[0].code)
        + (varint.encode(len(parts[1])) if parts[0].size < 0 else b"")
        + parts[1]
    )
)


@given(st.lists(_snippets, max_size=3).map(b"".join))
def test_bytes_with_known_codes_print_as_one_line_that_means_the_same(data: bytes) -> None:
    try:
        address = Multiaddr.from_bytes(data)
    except RemoteProtocolError:
        return
    assert address.to_bytes() == data
    assert str(address).isprintable()
    assert Multiaddr.parse(str(address)) == address


@given(st.text(alphabet=st.sampled_from("/:.%+-12aQu \n\0\udc80é") | st.characters(), max_size=40))
def test_arbitrary_text_is_an_address_or_a_value_error(text: str) -> None:
    for name in ("", *BY_NAME):
        try:
            Multiaddr.parse(f"/{name}/{text}")
        except ValueError as error:
            assert str(error).isprintable()  # noqa: PT017 - the message must be safe to show


@given(multiaddrs(), st.data())
def test_an_address_cut_short_is_refused_or_ends_between_components(
    address: Multiaddr, data: st.DataObject
) -> None:
    encoded = address.to_bytes()
    ends = {
        len(Multiaddr(address.components[:count]).to_bytes())
        for count in range(1, len(address.components) + 1)
    }
    cut = data.draw(st.integers(0, len(encoded)))
    if cut in ends:
        assert Multiaddr.from_bytes(encoded[:cut]).to_bytes() == encoded[:cut]
    else:
        with pytest.raises(RemoteProtocolError):
            Multiaddr.from_bytes(encoded[:cut])


@given(multiaddrs(paths=False), peer_ids())
def test_with_peer_leads_to_that_peer_and_without_peer_takes_it_off(
    address: Multiaddr, peer: PeerId
) -> None:
    to_peer = address.with_peer(peer)
    assert to_peer.peer_id == peer
    assert to_peer.without_peer() == address.without_peer()
    assert to_peer.with_peer(peer) is to_peer


@given(multiaddrs())
def test_a_circuit_is_its_two_parts_around_p2p_circuit(address: Multiaddr) -> None:
    relay, rest = address.split_circuit()
    assert not relay.is_circuit
    if address.is_circuit:
        assert relay / Multiaddr.parse("/p2p-circuit") / (rest or Multiaddr()) == address
    else:
        assert (relay, rest) == (address, None)


@given(multiaddrs())
def test_no_address_is_both_public_and_private(address: Multiaddr) -> None:
    assert not (address.is_public and address.is_private)
    assert address.is_private or not address.is_loopback


# Reading


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ip4/1.2.3.4", "must begin with /"),
        ("/////", "it is empty"),
        ("/ip4/1.2.3.4/tpc/1", "unknown protocol 'tpc'"),
        ("/ip4/1.2.3.4/tcp/http", "tcp: not a decimal number"),
        ("/ip4/1.2.3.4/tcp/70000", "tcp: above 65535"),
        ("/ip4/1.2.3.4/tcp", "tcp needs a value"),
        ("/ip6/fe80::1%eth0", "ip6: a zone goes in front"),
        ("/p2p/hello", "p2p: "),
    ],
)
def test_the_message_says_what_is_wrong_with_a_text(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Multiaddr.parse(text)


def test_addresses_above_1024_bytes_are_refused() -> None:
    component = named("a" * 126)
    assert len(component) * 8 == MAX_MULTIADDR_BYTES
    longest = Multiaddr.from_bytes(component * 8)
    assert Multiaddr.parse(str(longest)) == longest
    with pytest.raises(LimitError):
        Multiaddr.from_bytes(component * 8 + b"\xcd\x03")
    with pytest.raises(ValueError, match="above 1024 bytes"):
        Multiaddr.parse(f"{longest}/quic-v1")
    with pytest.raises(ValueError, match="above 16384 characters"):
        Multiaddr.parse("/" * (MAX_TEXT_CHARS + 1))


def test_the_address_with_the_longest_text_can_be_read_back() -> None:
    longest = Multiaddr.from_bytes(b"\x94\x02" * (MAX_MULTIADDR_BYTES // 2))
    assert len(str(longest)) == 9216
    assert Multiaddr.parse(str(longest)) == longest


def test_a_length_beyond_the_end_is_refused_however_large() -> None:
    with pytest.raises(RemoteProtocolError, match="dns4 is cut short"):
        Multiaddr.from_bytes(b"\x36" + varint.encode(varint.MAX_VALUE) + b"a")


# Values


def test_addresses_are_equal_hashed_and_shown_by_what_they_are() -> None:
    same = Multiaddr.parse("/ip4/1.2.3.4/tcp/4001/")
    assert {TCP: "found"}[same] == "found"
    assert TCP not in {RELAY, CIRCUIT}
    assert repr(TCP) == "Multiaddr('/ip4/1.2.3.4/tcp/4001')"
    assert f"{TCP}" == "/ip4/1.2.3.4/tcp/4001"
    assert TCP.__eq__(str(TCP)) is NotImplemented


def test_joined_addresses_are_written_one_after_the_other() -> None:
    joined = TCP / Multiaddr.parse("/ws") / Multiaddr.parse(f"/p2p/{ALICE}")
    assert str(joined) == f"/ip4/1.2.3.4/tcp/4001/ws/p2p/{ALICE}"
    assert str(TCP) == "/ip4/1.2.3.4/tcp/4001"


def test_nothing_can_follow_a_path() -> None:
    with pytest.raises(ValueError, match="nothing can follow a path"):
        UNIX / TCP
    with pytest.raises(ValueError, match="nothing can follow a path"):
        UNIX.with_peer(ALICE)
    assert TCP / UNIX


def test_an_address_without_components_is_false_and_has_no_text() -> None:
    nothing = Multiaddr.parse(f"/p2p/{ALICE}").without_peer()
    assert not nothing
    assert (str(nothing), nothing.to_bytes()) == ("", b"")
    assert nothing / TCP == TCP
    assert (nothing.peer_id, nothing.host, nothing.port) == (None, None, None)
    assert [nothing.is_loopback, nothing.is_private, nothing.is_public] == [False] * 3


def test_a_component_with_a_value_its_protocol_cannot_have_is_refused() -> None:
    for name, value in {"tcp": b"\0", "quic-v1": b"\0", "dns4": b"", "unix": b"relative"}.items():
        with pytest.raises(ValueError):  # noqa: PT011 - each says something else
            Component(BY_NAME[name], value)


def test_get_tells_a_missing_protocol_from_one_without_value() -> None:
    assert CIRCUIT.get("p2p") == str(BOB)
    assert CIRCUIT.get("p2p-circuit") == ""
    assert CIRCUIT.get("quic-v1") is None
    assert CIRCUIT.has("p2p-circuit")
    assert not CIRCUIT.has("quic-v1")


def test_the_peer_is_the_last_one() -> None:
    assert CIRCUIT.peer_id == ALICE
    assert RELAY.peer_id == BOB
    assert Multiaddr.parse(f"{RELAY}/p2p-circuit").peer_id is None


def test_with_peer_replaces_another_peer_at_the_end() -> None:
    assert RELAY.with_peer(ALICE) == TCP.with_peer(ALICE)
    assert str(TCP.with_peer(ALICE)) == f"{TCP}/p2p/{ALICE}"
    assert CIRCUIT.without_peer() == Multiaddr.parse(f"{RELAY}/p2p-circuit")


def test_a_circuit_splits_into_relay_and_destination() -> None:
    assert CIRCUIT.is_circuit
    assert CIRCUIT.split_circuit() == (RELAY, Multiaddr.parse(f"/p2p/{ALICE}"))
    assert CIRCUIT.without_peer().split_circuit() == (RELAY, None)
    assert Multiaddr.parse("/p2p-circuit").split_circuit() == (Multiaddr(), None)
    twice = CIRCUIT / Multiaddr.parse("/p2p-circuit")
    assert twice.split_circuit() == (RELAY, Multiaddr.parse(f"/p2p/{ALICE}/p2p-circuit"))
    assert not RELAY.is_circuit
    assert RELAY.split_circuit() == (RELAY, None)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("/ip4/1.2.3.4/udp/53/quic-v1", "1.2.3.4", 53),
        ("/ip6zone/eth0/ip6/fe80::1/tcp/22", "fe80::1", 22),
        ("/dns4/example.com/tcp/443/tls/sni/example.org/ws", "example.com", 443),
        ("/dnsaddr/example.com", "example.com", None),
        ("/memory/1", None, None),
        ("/p2p-circuit/ip4/10.0.0.1/tcp/1", "10.0.0.1", 1),
    ],
)
def test_host_and_port_are_the_first_ones(text: str, host: str | None, port: int | None) -> None:
    address = Multiaddr.parse(text)
    assert (address.host, address.port) == (host, port)


# Classes


@pytest.mark.parametrize(
    ("kind", "hosts"),
    {
        "loopback": [
            *("/ip4/127.0.0.1", "/ip4/127.255.255.255", "/ip6/::1", "/ip6/::ffff:127.0.0.1"),
            "/ip6zone/lo/ip6/::1",
        ],
        "private": [
            *("/ip4/10.1.2.3", "/ip4/100.64.0.1", "/ip4/100.127.255.255", "/ip4/172.16.0.0"),
            *("/ip4/172.31.255.255", "/ip4/192.168.1.1", "/ip4/169.254.169.254", "/ip6/fd00::1"),
            *("/ip6/fe80::1", "/ip6zone/eth0/ip6/fe80::1", "/ip6/::ffff:10.0.0.1"),
            *("/dns/localhost", "/dns4/a.LOCALHOST", "/dnsaddr/localhost."),
        ],
        "public": [
            *("/ip4/1.1.1.1", "/ip4/100.63.255.255", "/ip4/100.128.0.0", "/ip4/172.32.0.0"),
            *("/ip4/192.0.0.64", "/ip4/223.255.255.255", "/ip6/2600::1", "/ip6/3fff:ffff::"),
            *("/ip6/64:ff9b::a00:1", "/ip6/64:ff9b:1::1", "/ip6zone/eth0/ip6/2600::1"),
            *("/dns/example.com", "/dns6/notlocalhost", "/dnsaddr/local.example", "/dns4/xlocal"),
        ],
        "neither": [
            *("/ip4/0.0.0.0", "/ip4/192.0.0.63", "/ip4/192.0.2.1", "/ip4/192.88.99.1"),
            *("/ip4/198.19.0.1", "/ip4/198.51.100.1", "/ip4/203.0.113.1", "/ip4/224.0.0.1"),
            *("/ip4/240.0.0.1", "/ip4/255.255.255.255", "/ip6/::", "/ip6/ff02::1"),
            *("/ip6/2001:db8::1", "/ip6/::ffff:1.1.1.1", "/ip6/4000::1", "/ip6zone/eth0"),
            *("/dns/router.local", "/dns/Router.Local.", "/dns/test", "/dns/a.home.arpa"),
            *("/dns/1.in-addr.arpa", "/dns/x.ip6.arpa", "/dns/x.invalid", "/memory/1"),
            *("/p2p-circuit/ip4/1.1.1.1", "/tcp/1/ip4/10.0.0.1", "/unix/a"),
        ],
    }.items(),
)
def test_the_beginning_decides_how_far_an_address_reaches(kind: str, hosts: list[str]) -> None:
    expected = {
        "loopback": (True, True, False),
        "private": (False, True, False),
        "public": (False, False, True),
        "neither": (False, False, False),
    }[kind]
    tail = Multiaddr.parse("/tcp/1/ip4/127.0.0.1/ip4/1.1.1.1")
    for text in hosts:
        address = Multiaddr.parse(text)
        longer = address if address.has("unix") else address / tail
        for one in (address, longer):
            assert (one.is_loopback, one.is_private, one.is_public) == expected, str(one)


# Lists of addresses, socket addresses


def test_decode_each_drops_what_cannot_be_used_and_keeps_the_order() -> None:
    unknown = TCP.to_bytes() + b"\xff\x7f"
    encoded = [CIRCUIT.to_bytes(), b"", unknown, named("a\nb"), UNIX.to_bytes(), TCP.to_bytes()]
    assert decode_each(encoded) == [CIRCUIT, TCP]
    assert decode_each([]) == []


@given(st.lists(multiaddrs().map(Multiaddr.to_bytes) | st.binary(max_size=30), max_size=5))
def test_whatever_decode_each_returns_can_be_extended(encoded: list[bytes]) -> None:
    for address in decode_each(encoded):
        assert address.with_peer(ALICE).peer_id == ALICE


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("192.0.2.7", "/ip4/192.0.2.7/tcp/22"),
        ("2001:DB8::1", "/ip6/2001:db8::1/tcp/22"),
        ("fe80::1%eth0", "/ip6/fe80::1/tcp/22"),
        ("::ffff:192.0.2.7", "/ip4/192.0.2.7/tcp/22"),
        ("::", "/ip6/::/tcp/22"),
    ],
)
def test_a_socket_address_becomes_a_multiaddr(host: str, text: str) -> None:
    assert str(tcp_multiaddr(host, 22)) == text


@pytest.mark.parametrize(
    ("host", "port"), [("localhost", 1), ("", 1), ("1.2.3.4", -1), ("1.2.3.4", 65536)]
)
def test_names_and_impossible_ports_are_no_socket_address(host: str, port: int) -> None:
    with pytest.raises(ValueError, match=r"not appear|is not in"):
        tcp_multiaddr(host, port)
