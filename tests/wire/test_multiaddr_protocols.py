from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import RemoteProtocolError
from peerup.wire import varint
from peerup.wire.multiaddr import Component, Multiaddr
from peerup.wire.multiaddr_protocols import BY_CODE, BY_NAME, TABLE, VARIABLE, Protocol
from tests.wire.strategies import components

NAMES: Final = ["dns", "dns4", "dns6", "dnsaddr", "sni", "ip6zone"]


def encoded(name: str, value: bytes) -> bytes:
    """A component of variable size as a peer could send it."""
    return varint.encode(BY_NAME[name].code) + varint.encode(len(value)) + value


# The table


def test_every_code_and_name_stands_in_the_table_once() -> None:
    assert len(BY_CODE) == len(TABLE)
    assert len(BY_NAME) == len(TABLE) + 1
    assert BY_NAME["ipfs"] is BY_NAME["p2p"]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_protocol_has_a_codec_exactly_when_it_has_a_value(row: Protocol) -> None:
    assert (row.codec is None) == (row.size == 0)
    assert not row.is_path or row.size == VARIABLE


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
@given(data=st.data())
def test_text_of_a_value_is_one_printable_line_that_reads_as_that_value(
    row: Protocol, data: st.DataObject
) -> None:
    component = data.draw(components(row))
    assert component.text.isprintable()
    assert row.parse(component.text) == component.value
    assert row.is_path or "/" not in component.text


# Text that others print


@pytest.mark.parametrize(
    "text",
    ["a\nb", "a\rb", "a\tb", "\x1b[31mred", "a\x00b", "a\u202eb", "a\u200bb", "a\u2028b", "\udcff"],
    ids=ascii,
)
@pytest.mark.parametrize("name", [*NAMES, "unix"])
def test_text_that_cannot_be_printed_is_refused_in_bytes_and_text(name: str, text: str) -> None:
    slash = "/" if name == "unix" else ""
    with pytest.raises(RemoteProtocolError):
        Multiaddr.from_bytes(encoded(name, (slash + text).encode(errors="surrogateescape")))
    with pytest.raises(ValueError, match="invalid multiaddr") as caught:
        Multiaddr.parse(f"/{name}/{text}")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", NAMES)
def test_names_hold_neither_slashes_nor_blanks_but_unix_paths_do(name: str) -> None:
    for value in (b"a/p2p-circuit", b"a (trusted)"):
        with pytest.raises(RemoteProtocolError):
            Multiaddr.from_bytes(encoded(name, value))
    path = Multiaddr.from_bytes(encoded("unix", b"/tmp/my sock//p2p-circuit"))
    assert str(path) == "/unix/tmp/my sock//p2p-circuit"
    assert not path.is_circuit
    assert Multiaddr.parse(str(path)) == path


def test_a_http_path_may_hold_any_bytes_as_its_text_is_escaped() -> None:
    path = Multiaddr.from_bytes(encoded("http-path", b"/\n\xff+ %~"))
    assert str(path) == "/http-path/%2F%0A%FF%2B+%25~"
    assert Multiaddr.parse(str(path)) == path


# Values


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/::ffff:1.2.3.4",  # go reads it; whoever writes that means something else
        "/ip6/1.2.3.4",  # here too
        "/ip4/01.2.3.4",
        "/ip4/1.2.3.4/tcp/+1",
        "/ip4/1.2.3.4/tcp/1_0",
        "/ip4/1.2.3.4/tcp/\u0661",  # a digit, but not ours
        "/ip4/1.2.3.4/tcp/" + "9" * 5000,
        "/tls/http/http-path/%zz",
        "/onion/timaq4ygg2iegci7",
        "/onion/timaq4ygg2iegc\u0131i:1",
        "/onion3/timaq4ygg2iegci7:1",
        "/garlic64/" + "A" * 515 + "+",
        "/garlic64/" + "A" * 512,
        "/garlic32/" + "a" * 54,
        "/garlic32/" + "a" * 300,
        "/ip4/1.2.3.4\n",
        " /ip4/1.2.3.4",
    ],
)
def test_other_ways_to_write_a_value_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid multiaddr"):
        Multiaddr.parse(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("/ip4/1.2.3.4/tcp/0080", "/ip4/1.2.3.4/tcp/80"),
        ("/unix/a/b///", "/unix/a/b"),
        ("/onion/TIMAQ4YGG2IEGCI7:80", "/onion/timaq4ygg2iegci7:80"),
        ("/http-path/%2fa b", "/http-path/%2Fa+b"),
        ("/ip6/::FFFF:102:304", "/ip6/::ffff:1.2.3.4"),
    ],
)
def test_text_is_printed_canonically(text: str, canonical: str) -> None:
    assert str(Multiaddr.parse(text)) == canonical


def test_garlic32_hashes_have_32_bytes_or_35_and_more() -> None:
    for size in (32, 35, 36, 128):
        address = Multiaddr((Component(BY_NAME["garlic32"], bytes(size)),))
        assert Multiaddr.parse(str(address)) == address
    for size in (0, 31, 33, 34, 129):
        with pytest.raises(ValueError):  # noqa: PT011 - an empty one reads otherwise
            Component(BY_NAME["garlic32"], bytes(size))


@pytest.mark.parametrize("name", [row.name for row in TABLE if row.size == VARIABLE])
def test_no_value_that_says_its_length_is_empty(name: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"multiaddr: {name}: "):
        Multiaddr.from_bytes(encoded(name, b""))


def test_a_peer_id_in_an_address_is_an_identity_or_sha256_multihash() -> None:
    for value in (b"\x13\x01\x00", b"\x12\x14" + bytes(20), b"\x00\x81\x01" + bytes(129), b"\x12"):
        with pytest.raises(RemoteProtocolError):
            Multiaddr.from_bytes(encoded("p2p", value))


def test_a_certhash_has_at_most_128_bytes() -> None:
    def certhash(size: int) -> bytes:
        return encoded("certhash", b"\x00" + varint.encode(size) + bytes(size))

    address = Multiaddr.from_bytes(certhash(126))
    assert Multiaddr.parse(str(address)) == address
    with pytest.raises(RemoteProtocolError):
        Multiaddr.from_bytes(certhash(127))
