"""What can be read and answered of QUIC packets without a connection: where they belong.

The invariant header, which all versions of QUIC share, says for which connection id a packet is.
A server can answer two kinds of packet and remember nothing: an unknown version, with the
versions that it speaks, and an Initial of a stranger, with a token that proves his address when
he comes back with it (Retry). Everything behind the headers is encrypted and not for here.

Spec: RFC 8999; RFC 9000, "Version Negotiation Packet", "Initial Packet", "Retry Packet" and
"Address Validation Using Retry Packets"; RFC 9001, "Retry Packet Integrity".
"""

from __future__ import annotations

import enum
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from peerup.errors import LimitError, RemoteProtocolError

VERSION_1: Final = 1
RESERVED_VERSION: Final = 0x1A2A3A4A  # of the pattern that no server may ever speak
NEGOTIATION: Final = 0  # stands where a version would, in a Version Negotiation packet

MIN_INITIAL_SIZE: Final = 1200  # bytes of a datagram with an Initial; smaller ones get no answer
MIN_FIRST_ID: Final = 8  # bytes of the connection id that a client makes up for a server
MAX_ID: Final = 20  # bytes of a connection id in version 1; the invariants allow 255
MAX_VERSIONS: Final = 64  # that one Version Negotiation packet may offer us

MAX_TOKEN_AGE_S: Final = 10.0  # a client comes back at once, and repeats itself for a while
TOKEN_SECRET_SIZE: Final = 32

# Bits of the first byte, and where the first connection id begins in a long header.
_LONG: Final = 0x80
_FIXED: Final = 0x40
_TYPE_SHIFT: Final = 4
_UNUSED: Final = 0x0F  # bits of a Retry, of which nobody reads anything
_ID_AT: Final = 6

_INVARIANT: Final = struct.Struct(">BI")  # first byte, version
_VERSION: Final = struct.Struct(">I")

# A packet number and what hides it: the least that "Length" counts in a packet with a payload.
_MIN_PROTECTED: Final = 4 + 16

_TAG_SIZE: Final = 16
_RETRY_AEAD: Final = AESGCM(bytes.fromhex("be0c690b9f66575a1d766b54e368c84e"))
_RETRY_NONCE: Final = bytes.fromhex("461599d35d632bf2239825bb")

_TOKEN_NONCE_SIZE: Final = 12
_TOKEN_TIME: Final = struct.Struct(">d")  # seconds; the client's first connection id follows
_MIN_TOKEN: Final = _TOKEN_NONCE_SIZE + _TAG_SIZE + _TOKEN_TIME.size
_MAX_TOKEN: Final = _MIN_TOKEN + MAX_ID


class LongType(enum.IntEnum):
    """What a packet with a long header is for, in version 1; bits 4 and 5 of its first byte."""

    INITIAL = 0
    ZERO_RTT = 1
    HANDSHAKE = 2
    RETRY = 3


@dataclass(frozen=True, slots=True)
class LongHeader:
    """A packet of a handshake. Of a version that we do not know, only the ids are known."""

    version: int
    destination_id: bytes
    source_id: bytes
    type: LongType | None = None  # None: another version than 1
    token: bytes = b""  # of an Initial

    @property
    def is_initial(self) -> bool:
        """Whether it is an Initial of version 1, whose sizes make sense."""
        return self.type is LongType.INITIAL

    @property
    def begins_connection(self) -> bool:
        """Whether a client may begin with it: an Initial with a long enough id of his choice."""
        return self.is_initial and len(self.destination_id) >= MIN_FIRST_ID


@dataclass(frozen=True, slots=True)
class VersionNegotiation:
    """What a server speaks that does not speak our version."""

    destination_id: bytes
    source_id: bytes
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Retry:
    """What a server wants to see again before it begins; the next Initial goes to ``source_id``."""

    destination_id: bytes
    source_id: bytes
    token: bytes


def is_quic_packet(data: bytes) -> bool:
    """Tell QUIC version 1 from other things that share its socket, by one bit.

    Every second datagram of random bytes, as they are sent to open a NAT, passes too.
    """
    return bool(data) and bool(data[0] & _FIXED)


def destination_id(data: bytes, size: int) -> bytes | None:
    """Return for which connection id the first packet in a datagram is, or None if cut short.

    Made for the busiest place of all: it reads nothing else, and raises nothing.

    Args:
        data: A datagram, of any version of QUIC.
        size: Bytes of the ids that we give out; a short header does not say how long they are.
    """
    if not data:
        return None
    if data[0] & _LONG:
        end = _ID_AT + data[_ID_AT - 1] if len(data) >= _ID_AT else _ID_AT
        return data[_ID_AT:end] if end < len(data) else None
    return data[1 : 1 + size] if len(data) > size else None


def parse_long_header(data: bytes) -> LongHeader:
    """Read how a stranger's datagram begins.

    Raises:
        RemoteProtocolError: Not a long header, cut short, in version 1 with ids that are too long
            or sizes that the datagram does not have, or a Version Negotiation packet, which
            must never be answered.
    """
    version, destination, source, offset = _parse_invariant(data)
    if version == NEGOTIATION:
        raise RemoteProtocolError("quic: a Version Negotiation packet that nobody asked for")
    if version != VERSION_1:
        return LongHeader(version, destination, source)
    if not data[0] & _FIXED or max(len(destination), len(source)) > MAX_ID:
        raise RemoteProtocolError("quic: a header that version 1 does not have")
    kind = _LONG_TYPES[data[0] >> _TYPE_SHIFT & 3]
    token = b""
    if kind is LongType.INITIAL:
        size, offset = read_integer(data, offset)
        token = data[offset : offset + size]
        offset += size
    if kind is not LongType.RETRY:
        size, offset = read_integer(data, offset)
        if not _MIN_PROTECTED <= size <= len(data) - offset:
            raise RemoteProtocolError(f"quic: a packet of {size} bytes in {len(data) - offset}")
    return LongHeader(version, destination, source, kind, token)


def read_integer(data: bytes, offset: int) -> tuple[int, int]:
    """Return a variable-length integer, of 62 bits at most, and the offset behind it.

    Raises:
        RemoteProtocolError: ``data`` ends before it does.

    Spec: RFC 9000, "Variable-Length Integer Encoding".
    """
    if offset >= len(data):
        raise RemoteProtocolError("quic: packet cut short")
    size = 1 << (data[offset] >> 6)
    end = offset + size
    if end > len(data):
        raise RemoteProtocolError("quic: packet cut short")
    value = int.from_bytes(data[offset:end], "big")
    return value & ((1 << (8 * size - 2)) - 1), end


def version_negotiation(header: LongHeader, versions: Sequence[int]) -> bytes:
    """Return the answer to a packet of a version that we do not speak.

    Only a datagram of ``MIN_INITIAL_SIZE`` bytes or more may get one, so that nobody has us
    send more than he did.

    Args:
        header: Of the packet to answer.
        versions: Those that we speak.
    """
    head = _INVARIANT.pack(_LONG | _FIXED, NEGOTIATION)
    offer = b"".join(map(_VERSION.pack, versions))
    return head + _prefixed(header.source_id) + _prefixed(header.destination_id) + offer


def version_probe(connection_id: bytes) -> bytes:
    """Return a datagram that every QUIC server answers with the versions it speaks.

    It asks for a version that is reserved for this (RFC 9000, "Versions").

    Args:
        connection_id: 8 bytes of the sender's choice; the answer repeats them.
    """
    head = _INVARIANT.pack(_LONG | _FIXED, RESERVED_VERSION)
    packet = head + _prefixed(connection_id) + _prefixed(connection_id)
    return packet.ljust(MIN_INITIAL_SIZE, b"\0")


def parse_version_negotiation(data: bytes) -> VersionNegotiation:
    """Read which versions a server speaks; whether it saw our packet, the ids tell.

    Raises:
        LimitError: More than ``MAX_VERSIONS``.
        RemoteProtocolError: Another packet, or cut short.
    """
    version, destination, source, offset = _parse_invariant(data)
    offer = data[offset:]
    if version != NEGOTIATION or not offer or len(offer) % _VERSION.size:
        raise RemoteProtocolError("quic: not a Version Negotiation packet")
    if len(offer) > MAX_VERSIONS * _VERSION.size:
        raise LimitError(f"quic: {len(offer) // _VERSION.size} versions, {MAX_VERSIONS} allowed")
    versions = tuple(version for (version,) in _VERSION.iter_unpack(offer))
    return VersionNegotiation(destination, source, versions)


def retry(header: LongHeader, source_id: bytes, token: bytes) -> bytes:
    """Return the packet that asks a client to come back with ``token``.

    Args:
        header: Of the client's Initial.
        source_id: A connection id of our choice, at most ``MAX_ID`` bytes, which the client
            uses from now on; not the one that he chose.
        token: What shows us later that he was there; not empty.

    Raises:
        ValueError: An argument is not as it has to be.
    """
    if not header.is_initial or not token:
        raise ValueError("a Retry answers an Initial, and carries a token")
    if len(source_id) > MAX_ID or source_id == header.destination_id:
        raise ValueError("a Retry needs a connection id of its own, of 20 bytes at most")
    first = _LONG | _FIXED | LongType.RETRY << _TYPE_SHIFT | _UNUSED
    head = _INVARIANT.pack(first, VERSION_1)
    packet = head + _prefixed(header.source_id) + _prefixed(source_id) + token
    checked = _prefixed(header.destination_id) + packet
    return packet + _RETRY_AEAD.encrypt(_RETRY_NONCE, b"", checked)


def parse_retry(data: bytes, original_id: bytes) -> Retry:
    """Read a Retry that answers our Initial to ``original_id``.

    Raises:
        RemoteProtocolError: Another packet, cut short, or from somebody who did not see the
            Initial, as its integrity tag shows.
    """
    header = parse_long_header(data)
    packet, tag = data[:-_TAG_SIZE], data[-_TAG_SIZE:]
    token = packet[_ID_AT + 1 + len(header.destination_id) + len(header.source_id) :]
    if header.type is not LongType.RETRY or not token or header.source_id == original_id:
        raise RemoteProtocolError("quic: not a Retry")
    try:
        _RETRY_AEAD.decrypt(_RETRY_NONCE, tag, _prefixed(original_id) + packet)
    except InvalidTag:
        raise RemoteProtocolError("quic: a Retry with a wrong integrity tag") from None
    return Retry(header.destination_id, header.source_id, token)


class RetryTokens:
    """Makes the tokens of our Retries, and knows them again without having kept any.

    A token is sealed, so that a client can neither make nor read one, and good for the address
    that it was sent to.
    """

    __slots__ = ("_aead",)

    def __init__(self, secret: bytes) -> None:
        """Use ``secret``, random bytes that nobody else has.

        Raises:
            ValueError: It has another size than ``TOKEN_SECRET_SIZE``.
        """
        if len(secret) != TOKEN_SECRET_SIZE:
            raise ValueError(f"tokens need a secret of {TOKEN_SECRET_SIZE} bytes")
        self._aead = AESGCM(secret)

    def make(self, address: tuple[str, int], original_id: bytes, now: float) -> bytes:
        """Return a token, 36 bytes longer than ``original_id``.

        Args:
            address: Host and port that the client's Initial came from.
            original_id: The connection id that it was sent to, at most ``MAX_ID`` bytes.
            now: The time in seconds, of any clock that ``open`` has too.
        """
        if len(original_id) > MAX_ID:
            raise ValueError(f"a connection id of {len(original_id)} bytes")
        nonce = os.urandom(_TOKEN_NONCE_SIZE)
        content = _TOKEN_TIME.pack(now) + original_id
        return nonce + self._aead.encrypt(nonce, content, _named(address))

    def open(self, token: bytes, address: tuple[str, int], now: float) -> bytes:
        """Return the connection id that ``token``, which came from ``address``, was made for.

        Raises:
            RemoteProtocolError: Not of our making, made for another address, or more than
                ``MAX_TOKEN_AGE_S`` old.
        """
        if not _MIN_TOKEN <= len(token) <= _MAX_TOKEN:
            raise RemoteProtocolError(f"quic: a token of {len(token)} bytes")
        nonce, sealed = token[:_TOKEN_NONCE_SIZE], token[_TOKEN_NONCE_SIZE:]
        try:
            content = self._aead.decrypt(nonce, sealed, _named(address))
        except InvalidTag:
            raise RemoteProtocolError("quic: a token of somebody else's making") from None
        (made,) = _TOKEN_TIME.unpack_from(content)
        if not 0 <= now - made <= MAX_TOKEN_AGE_S:
            raise RemoteProtocolError("quic: a token that is too old")
        return content[_TOKEN_TIME.size :]


def _parse_invariant(data: bytes) -> tuple[int, bytes, bytes, int]:
    """Return version, destination id, source id, and where the version's own fields begin."""
    if len(data) < _ID_AT or not data[0] & _LONG:
        raise RemoteProtocolError("quic: no long header")
    _, version = _INVARIANT.unpack_from(data)
    source_at = _ID_AT + data[_ID_AT - 1] + 1
    if source_at > len(data):
        raise RemoteProtocolError("quic: packet cut short")
    end = source_at + data[source_at - 1]
    if end > len(data):
        raise RemoteProtocolError("quic: packet cut short")
    return version, data[_ID_AT : source_at - 1], data[source_at:end], end


def _prefixed(connection_id: bytes) -> bytes:
    return bytes([len(connection_id)]) + connection_id


def _named(address: tuple[str, int]) -> bytes:
    return f"{address[0]} {address[1]}".encode()


_LONG_TYPES: Final = tuple(LongType)  # a tuple look-up is 10 times quicker than an enum call
