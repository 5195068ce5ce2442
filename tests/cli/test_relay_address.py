from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.cli import relay_address
from peerup.errors import UsageError
from tests.cli.fake_node import HOME, RELAY, RELAY_ADDRESS


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.5", "/ip4/203.0.113.5/tcp/7777"),
        ("203.0.113.5:9", "/ip4/203.0.113.5/tcp/9"),
        ("203.0.113.5:65535", "/ip4/203.0.113.5/tcp/65535"),
        ("[2001:db8::7]:9000", "/ip6/2001:db8::7/tcp/9000"),
        ("[2001:db8::7]", "/ip6/2001:db8::7/tcp/7777"),
        ("2001:DB8:0::7", "/ip6/2001:db8::7/tcp/7777"),
        ("::1", "/ip6/::1/tcp/7777"),
    ],
)
def test_a_short_form_becomes_a_whole_address(text: str, address: str) -> None:
    assert relay_address.is_short(text)
    assert str(relay_address.without_peer(text)) == address
    assert str(relay_address.parse(text, RELAY)) == f"{address}/p2p/{RELAY}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "relay.example",
        "relay.example:7777",
        "203.0.113.5:",
        "203.0.113.5:0",
        "203.0.113.5:65536",
        "203.0.113.5:-1",
        "203.0.113.5:7777:7777",
        "203.0.113.256",
        "203.0.113",
        "[2001:db8::7",
        "[2001:db8::7]7777",
        "[2001:db8::7]:",
        "[relay]:1",
        "2001:db8::7:99999",
        "fe80::1%eth0",
        "12345",
        " 203.0.113.5",
        "203.0.113.5\n",
        "\x1b[2J",
    ],
)
def test_what_is_no_short_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="found") as caught:
        relay_address.parse(text, RELAY)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    ["/", "/ip4/203.0.113.5/tcp/7777", f"{RELAY_ADDRESS}/p2p-circuit/p2p/{HOME}", "/nonsense"],
)
def test_a_multiaddr_has_to_name_the_relay_itself(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        relay_address.parse(text, RELAY)


def test_a_multiaddr_is_taken_as_it_is_whatever_peer_id_stands_beside_it() -> None:
    assert str(relay_address.parse(RELAY_ADDRESS, HOME)) == RELAY_ADDRESS


def test_several_addresses_share_one_peer_id() -> None:
    found = relay_address.parse_all(["203.0.113.5", RELAY_ADDRESS, "203.0.113.6"], str(RELAY))
    assert [str(addr) for addr in found] == [
        RELAY_ADDRESS,
        f"/ip4/203.0.113.6/tcp/7777/p2p/{RELAY}",
    ]


def test_a_short_form_without_a_peer_id_names_the_flag() -> None:
    with pytest.raises(UsageError, match="short address format requires --peer-id flag"):
        relay_address.parse_all(["203.0.113.5"], None)
    with pytest.raises(UsageError, match="invalid peer ID"):
        relay_address.parse_all(["203.0.113.5"], "nonsense")
    with pytest.raises(UsageError, match="invalid relay address: found"):
        relay_address.parse_all(["relay.example"], str(RELAY))


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = relay_address.parse(text, RELAY)
    except ValueError:
        return
    assert address.peer_id is not None


@given(st.ip_addresses(), st.integers(1, 65535))
def test_any_ip_address_and_port_are_one(ip: object, port: int) -> None:
    host = f"[{ip}]" if ":" in str(ip) else str(ip)
    assert relay_address.without_peer(f"{host}:{port}").port == port
