"""Peer records: a peer's own word on where it can be reached, in a signed envelope.

Spec: libp2p specs, RFC 0003 "Peer Routing Records".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from peerup.errors import RemoteProtocolError
from peerup.wire.envelope import open_envelope, seal
from peerup.wire.keys import PrivateKey
from peerup.wire.multiaddr import Multiaddr, decode_each
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import Tag, decode, encode

DOMAIN: Final = "libp2p-peer-record"
PAYLOAD_TYPE: Final = b"\x03\x01"  # two raw bytes, not a varint


@dataclass(frozen=True, slots=True)
class _AddressInfo:
    multiaddr: Annotated[bytes, Tag(1)] = b""


@dataclass(frozen=True, slots=True)
class _RecordMessage:
    peer_id: Annotated[bytes, Tag(1)] = b""
    seq: Annotated[int, Tag(2)] = 0
    addresses: Annotated[tuple[_AddressInfo, ...], Tag(3)] = ()


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """Where ``peer_id`` says it listens; of two records the one with the higher ``seq`` holds.

    ``seq`` is a 64-bit number in no particular unit: some count nanoseconds, some milliseconds.
    """

    peer_id: PeerId
    seq: int
    addrs: tuple[Multiaddr, ...]


def seal_peer_record(key: PrivateKey, addrs: Sequence[Multiaddr], seq: int) -> bytes:
    """Return the signed record that ``key``'s peer listens on ``addrs``.

    Raises:
        ValueError: ``seq`` is negative or needs more than 64 bits.
    """
    peer = PeerId.from_public_key(key.public_key)
    addresses = tuple(_AddressInfo(addr.to_bytes()) for addr in addrs)
    payload = encode(_RecordMessage(peer.to_bytes(), seq, addresses))
    return seal(key, DOMAIN, PAYLOAD_TYPE, payload)


def open_peer_record(data: bytes, peer: PeerId | None = None) -> PeerRecord:
    """Return the record in the signed envelope ``data``, which its own peer signed.

    Addresses of unknown kinds are left out. ``peer`` is whose record it has to be.

    Raises:
        RemoteProtocolError: Not a record, wrongly signed, signed by another than the peer it
            speaks of, or of another peer than ``peer``.
        LimitError: The envelope is too long, or has too many addresses.
    """
    opened = open_envelope(data, DOMAIN, PAYLOAD_TYPE)
    message = decode(_RecordMessage, opened.payload)
    peer_id = PeerId.from_bytes(message.peer_id)
    signer = PeerId.from_public_key(opened.public_key)
    if signer != peer_id:
        raise RemoteProtocolError(f"record of {peer_id} signed by {signer}")
    if peer is not None and peer != peer_id:
        raise RemoteProtocolError(f"record of {peer_id} instead of {peer}")
    addrs = decode_each([address.multiaddr for address in message.addresses])
    return PeerRecord(peer_id, message.seq, tuple(addrs))
