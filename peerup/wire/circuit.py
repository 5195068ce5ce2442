"""Circuit relay v2: the messages of the hop and stop protocols, and reservation vouchers.

The two messages look alike and number their fields differently: limit and status are 4 and 5 in
a hop message, 3 and 4 in a stop message.

Spec: relay/circuit-v2.md.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Final

from peerup.errors import RemoteProtocolError
from peerup.wire.envelope import open_envelope, seal
from peerup.wire.keys import PrivateKey
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import Tag, decode, encode

HOP_PROTOCOL: Final = "/libp2p/circuit/relay/0.2.0/hop"
STOP_PROTOCOL: Final = "/libp2p/circuit/relay/0.2.0/stop"

MAX_MESSAGE: Final = 4096  # bytes, without the length prefix

VOUCHER_DOMAIN: Final = "libp2p-relay-rsvp"
VOUCHER_PAYLOAD_TYPE: Final = b"\x03\x02"  # two raw bytes, not a varint


class HopType(enum.IntEnum):
    """What a hop message is: requests of a client, the answer of the relay."""

    RESERVE = 0
    CONNECT = 1
    STATUS = 2


class StopType(enum.IntEnum):
    """What a stop message is: the request of a relay, the answer of the reserved peer."""

    CONNECT = 0
    STATUS = 1


class Status(enum.IntEnum):
    """How a request went. Peers may know more codes, so messages hold plain integers."""

    UNUSED = 0
    OK = 100
    RESERVATION_REFUSED = 200
    RESOURCE_LIMIT_EXCEEDED = 201
    PERMISSION_DENIED = 202
    CONNECTION_FAILED = 203
    NO_RESERVATION = 204
    MALFORMED_MESSAGE = 400
    UNEXPECTED_MESSAGE = 401


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a circuit: its id and addresses in binary form."""

    id: Annotated[bytes, Tag(1)]
    addrs: Annotated[tuple[bytes, ...], Tag(2)] = ()


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a relay grants: until when, under which addresses, with which proof.

    ``expire`` is in seconds since 1970, UTC. ``addrs`` are the relay's own addresses in binary
    form with its ``/p2p``, and may be missing. ``voucher`` is a sealed ``Voucher``.
    """

    expire: Annotated[int, Tag(1)]
    addrs: Annotated[tuple[bytes, ...], Tag(2)] = ()
    voucher: Annotated[bytes | None, Tag(3)] = None


@dataclass(frozen=True, slots=True)
class Limit:
    """What a circuit may use in each direction; its presence alone makes it limited.

    ``duration`` is in seconds (js-libp2p puts milliseconds there), ``data`` in bytes; None and
    0 are no limit.
    """

    duration: Annotated[int | None, Tag(1)] = None
    data: Annotated[int | None, Tag(2)] = None


@dataclass(frozen=True, slots=True)
class HopMessage:
    """What clients and relays tell each other; without a type it is RESERVE."""

    type: Annotated[HopType, Tag(1, always=True)] = HopType.RESERVE
    peer: Annotated[Peer | None, Tag(2)] = None
    reservation: Annotated[Reservation | None, Tag(3)] = None
    limit: Annotated[Limit | None, Tag(4)] = None
    status: Annotated[int | None, Tag(5)] = None


@dataclass(frozen=True, slots=True)
class StopMessage:
    """What a relay and the reserved peer tell each other; without a type it is CONNECT."""

    type: Annotated[StopType, Tag(1, always=True)] = StopType.CONNECT
    peer: Annotated[Peer | None, Tag(2)] = None
    limit: Annotated[Limit | None, Tag(3)] = None
    status: Annotated[int | None, Tag(4)] = None


@dataclass(frozen=True, slots=True)
class _VoucherMessage:
    relay: Annotated[bytes, Tag(1)] = b""
    peer: Annotated[bytes, Tag(2)] = b""
    expiration: Annotated[int, Tag(3)] = 0


@dataclass(frozen=True, slots=True)
class Voucher:
    """``relay``'s word that ``peer`` holds a reservation.

    ``expires`` is in seconds since 1970, UTC; nothing here compares it with a clock.
    """

    relay: PeerId
    peer: PeerId
    expires: int


def seal_voucher(key: PrivateKey, relay: PeerId, peer: PeerId, expires: int) -> bytes:
    """Return the voucher that the relay with ``key`` signs for ``peer``.

    Raises:
        ValueError: ``key`` is not ``relay``'s, or ``expires`` does not fit into 64 bits.
    """
    if PeerId.from_public_key(key.public_key) != relay:
        raise ValueError(f"the key is not that of {relay}")
    payload = encode(_VoucherMessage(relay.to_bytes(), peer.to_bytes(), expires))
    return seal(key, VOUCHER_DOMAIN, VOUCHER_PAYLOAD_TYPE, payload)


def open_voucher(data: bytes, *, relay: PeerId, peer: PeerId) -> Voucher:
    """Return the voucher in ``data``, which ``relay`` signed for ``peer``.

    Raises:
        RemoteProtocolError: Not a voucher, wrongly signed, or of another relay or peer.
        LimitError: The envelope is too long.
    """
    opened = open_envelope(data, VOUCHER_DOMAIN, VOUCHER_PAYLOAD_TYPE)
    message = decode(_VoucherMessage, opened.payload)
    voucher = Voucher(
        PeerId.from_bytes(message.relay), PeerId.from_bytes(message.peer), message.expiration
    )
    if not relay == voucher.relay == PeerId.from_public_key(opened.public_key):
        raise RemoteProtocolError(f"voucher that {relay} did not sign for itself")
    if voucher.peer != peer:
        raise RemoteProtocolError(f"voucher for {voucher.peer} instead of {peer}")
    return voucher
