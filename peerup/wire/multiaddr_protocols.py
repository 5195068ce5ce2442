"""The protocols a multiaddr is made of: one table row each, with how its value reads and prints.

A component is the varint ``code``, then the value: ``size`` bytes, or, when the size is
``VARIABLE``, a varint length and that many bytes. In text it is ``/name`` or ``/name/value``.

go-libp2p keeps any bytes in a name (dns, sni, ip6zone) and in a unix path, and prints them as
they are. We accept only printable UTF-8 there, so that no peer can put a line break, a terminal
escape or a change of writing direction into our logs, and text and bytes stay one to one. In
names we refuse blanks and ``/`` as well. ``http-path`` may hold any bytes: its text is escaped.

Spec: multiformats/multiaddr README, ``protocols.csv``; peer-ids/peer-ids.md, "String
representation"; for what go accepts, go-multiaddr ``transcoders.go``.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus, unquote_to_bytes

from peerup.errors import RemoteProtocolError
from peerup.wire import multibase, multihash
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VARIABLE: Final = -1  # size of values that carry their own length
MAX_HASH_BYTES: Final = 128  # certhash, garlic32; a SHA-512 multihash has 66

_ONION_HOST_BYTES: Final = 10
_ONION3_HOST_BYTES: Final = 35
_GARLIC64_MIN_BYTES: Final = 386
_GARLIC32_PLAIN_BYTES: Final = 32
_GARLIC32_ENCRYPTED_MIN_BYTES: Final = 35
_GARLIC_ALPHABET: Final = b"-~"  # what I2P writes for + and / of base64
_BAD_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")


def _accept(value: bytes) -> None:
    """Find nothing wrong: any value of the right size will do."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How one kind of value goes between text and bytes; all three raise ``ValueError``.

    ``check`` decides what is a value at all, whichever way it came in. ``render`` is only
    given values that passed it.
    """

    parse: Callable[[str], bytes]
    render: Callable[[bytes], str]
    check: Callable[[bytes], None] = _accept


def _parse_number(text: str, size: int) -> bytes:
    """Return decimal ``text`` as ``size`` big endian bytes."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError("not a decimal number")
    number = int(text)
    if number >> (8 * size):
        raise ValueError(f"above {(1 << (8 * size)) - 1}")
    return number.to_bytes(size, "big")


def _number(size: int) -> Codec:
    return Codec(
        lambda text: _parse_number(text, size), lambda value: str(int.from_bytes(value, "big"))
    )


def _parse_ip6(text: str) -> bytes:
    if "%" in text:
        raise ValueError("a zone goes in front, as /ip6zone/NAME")
    return ipaddress.IPv6Address(text).packed


def _render_ip6(value: bytes) -> str:
    address = ipaddress.IPv6Address(value)
    # Python prints these as hex groups before 3.13, go always as dotted quads.
    mapped = address.ipv4_mapped
    return f"::ffff:{mapped}" if mapped else str(address)


def _check_printable(value: bytes) -> str:
    text = value.decode()
    if not text.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return text


def _check_name(value: bytes) -> None:
    if not value:
        raise ValueError("empty")
    if not {"/", " "}.isdisjoint(_check_printable(value)):
        raise ValueError("a name holds neither slashes nor blanks")


def _check_unix(value: bytes) -> None:
    if len(value) < 2 or not value.startswith(b"/") or value.endswith(b"/"):
        raise ValueError("a path begins with a slash and ends in something else")
    _check_printable(value)


def _check_peer(value: bytes) -> None:
    try:
        PeerId.from_bytes(value)
    except RemoteProtocolError as error:
        raise ValueError(str(error)) from error


def _check_hash_size(value: bytes) -> None:
    if len(value) > MAX_HASH_BYTES:
        raise ValueError(f"above {MAX_HASH_BYTES} bytes")


def _check_certhash(value: bytes) -> None:
    _check_hash_size(value)
    try:
        multihash.decode(value)
    except RemoteProtocolError as error:
        raise ValueError(str(error)) from error


def _render_certhash(value: bytes) -> str:
    return "u" + base64.urlsafe_b64encode(value).decode().rstrip("=")


def _parse_http_path(text: str) -> bytes:
    if _BAD_ESCAPE.search(text):
        raise ValueError("a percent sign stands before two hex digits")
    return unquote_to_bytes(text.replace("+", " "))


def _check_http_path(value: bytes) -> None:
    if not value:
        raise ValueError("empty")


def _parse_base32(text: str) -> bytes:
    return multibase.decode("b" + text)


def _render_base32(value: bytes) -> str:
    return multibase.encode_base32(value)[1:]


def _onion(host_bytes: int) -> Codec:
    """Tor services: ``host_bytes`` bytes in base32, a colon and a port that is not 0."""

    def parse(text: str) -> bytes:
        host, colon, port = text.partition(":")
        if not colon:
            raise ValueError("the port is missing")
        if not host.isascii():  # some other letters become ASCII in lower case
            raise ValueError("not base32")
        return _parse_base32(host.lower()) + _parse_number(port, 2)

    def render(value: bytes) -> str:
        port = int.from_bytes(value[host_bytes:], "big")
        return f"{_render_base32(value[:host_bytes])}:{port}"

    def check(value: bytes) -> None:
        if value.endswith(b"\0\0"):
            raise ValueError("port 0")

    return Codec(parse, render, check)


def _render_garlic64(value: bytes) -> str:
    return base64.b64encode(value, _GARLIC_ALPHABET).decode()


def _parse_garlic64(text: str) -> bytes:
    data = base64.b64decode(text, _GARLIC_ALPHABET, validate=True)
    if _render_garlic64(data) != text:
        raise ValueError("not canonical base64")
    return data


def _check_garlic64(value: bytes) -> None:
    if len(value) < _GARLIC64_MIN_BYTES:
        raise ValueError(f"an I2P destination has at least {_GARLIC64_MIN_BYTES} bytes")


def _check_garlic32(value: bytes) -> None:
    _check_hash_size(value)
    if len(value) != _GARLIC32_PLAIN_BYTES and len(value) < _GARLIC32_ENCRYPTED_MIN_BYTES:
        raise ValueError("an I2P hash has 32 bytes, or 35 and more")


_IP4: Final = Codec(
    lambda text: ipaddress.IPv4Address(text).packed, lambda value: str(ipaddress.IPv4Address(value))
)
_IP6: Final = Codec(_parse_ip6, _render_ip6)
_PORT: Final = _number(2)
_NAME: Final = Codec(str.encode, bytes.decode, _check_name)
_UNIX: Final = Codec(str.encode, bytes.decode, _check_unix)
_PEER: Final = Codec(
    lambda text: PeerId.parse(text).to_bytes(), multibase.encode_base58, _check_peer
)
_CERTHASH: Final = Codec(multibase.decode, _render_certhash, _check_certhash)
_HTTP_PATH: Final = Codec(_parse_http_path, quote_plus, _check_http_path)
_GARLIC64: Final = Codec(_parse_garlic64, _render_garlic64, _check_garlic64)
_GARLIC32: Final = Codec(_parse_base32, _render_base32, _check_garlic32)


@dataclass(frozen=True, slots=True)
class Protocol:
    """One row: ``size`` is the value's in bytes, 0 when there is none, or ``VARIABLE``.

    ``codec`` is None when there is no value. A path takes the rest of the text, slashes and
    all, so nothing can follow it.
    """

    name: str
    code: int
    size: int = 0
    codec: Codec | None = None
    is_path: bool = False

    def parse(self, text: str) -> bytes:
        """Return the value that ``text`` stands for, or raise ``ValueError``."""
        value = self.codec.parse(text) if self.codec else b""
        self.check(value)
        return value

    def render(self, value: bytes) -> str:
        """Return the canonical text of a value that ``check`` accepts."""
        return self.codec.render(value) if self.codec else ""

    def check(self, value: bytes) -> None:
        """Raise ``ValueError`` unless ``value`` is one that this protocol can have."""
        if self.size != VARIABLE and len(value) != self.size:
            raise ValueError(f"takes {self.size} bytes, not {len(value)}")
        if self.codec:
            self.codec.check(value)


TABLE: Final = (
    Protocol("ip4", 4, 4, _IP4),
    Protocol("tcp", 6, 2, _PORT),
    Protocol("dccp", 33, 2, _PORT),
    Protocol("ip6", 41, 16, _IP6),
    Protocol("ip6zone", 42, VARIABLE, _NAME),  # comes before the ip6 it belongs to
    Protocol("ipcidr", 43, 1, _number(1)),
    Protocol("dns", 53, VARIABLE, _NAME),
    Protocol("dns4", 54, VARIABLE, _NAME),
    Protocol("dns6", 55, VARIABLE, _NAME),
    Protocol("dnsaddr", 56, VARIABLE, _NAME),
    Protocol("sctp", 132, 2, _PORT),
    Protocol("udp", 273, 2, _PORT),
    Protocol("p2p-webrtc-direct", 276),  # old name of webrtc-direct, other code
    Protocol("webrtc-direct", 280),
    Protocol("webrtc", 281),
    Protocol("p2p-circuit", 290),
    Protocol("udt", 301),
    Protocol("utp", 302),
    Protocol("unix", 400, VARIABLE, _UNIX, is_path=True),
    Protocol("p2p", 421, VARIABLE, _PEER),
    Protocol("https", 443),  # old way to say /tls/http
    Protocol("onion", 444, 12, _onion(_ONION_HOST_BYTES)),
    Protocol("onion3", 445, 37, _onion(_ONION3_HOST_BYTES)),
    Protocol("garlic64", 446, VARIABLE, _GARLIC64),
    Protocol("garlic32", 447, VARIABLE, _GARLIC32),
    Protocol("tls", 448),
    Protocol("sni", 449, VARIABLE, _NAME),
    Protocol("noise", 454),
    Protocol("quic", 460),  # draft 29, which nobody answers any more
    Protocol("quic-v1", 461),
    Protocol("webtransport", 465),
    Protocol("certhash", 466, VARIABLE, _CERTHASH),
    Protocol("ws", 477),
    Protocol("wss", 478),  # old way to say /tls/ws
    Protocol("http", 480),
    Protocol("http-path", 481, VARIABLE, _HTTP_PATH),
    Protocol("memory", 777, 8, _number(8)),
    Protocol("plaintextv2", 7367777),
)

BY_CODE: Final[Mapping[int, Protocol]] = {protocol.code: protocol for protocol in TABLE}
BY_NAME: Final[Mapping[str, Protocol]] = {
    **{protocol.name: protocol for protocol in TABLE},
    "ipfs": BY_CODE[421],  # read, never printed
}
