"""Vouching: how an inviter gets a joiner past a relay that has never heard of it.

One request and one answer a stream. The ticket proves to the relay that its holder has the
invite code, without telling the relay what is in it; the relay is given only its hash before.

Spec: peerup's own, docs/protocols/vouch.md.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from typing import Annotated, Final

from peerup.wire import varint
from peerup.wire.pairing import hkdf
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import Tag

PROTOCOL: Final = "/peerup/vouch/1.0.0"
MAX_MESSAGE: Final = 4096  # bytes, without the length prefix
TICKET_SIZE: Final = 32

_LABEL: Final = b"peerup vouch ticket v1"


class VouchType(enum.IntEnum):
    """What a message is: four requests of an inviter, one of a joiner, the relay's answer."""

    STATUS = 0
    OPEN = 1  # inviter: who shows the ticket with this hash may come to me
    CLOSE = 2  # inviter: not any more
    CONFIRM = 3  # inviter: this peer has joined
    PRESENT = 4  # joiner: here is the ticket for that inviter
    REVOKE = 5  # either side: the other one and I are no longer a pair
    LIST = 6  # either side: with whom am I a pair


class VouchStatus(enum.IntEnum):
    """How a request went. Later versions may know more codes, so messages hold integers."""

    OK = 100
    PAIRED = 101  # PRESENT: these two may reach each other already
    NOT_NEEDED = 102  # PRESENT: the relay serves this peer anyway
    UNKNOWN_TICKET = 200
    PERMISSION_DENIED = 201
    FULL = 202
    BUSY = 203
    UNAVAILABLE = 204
    MALFORMED_MESSAGE = 400


@dataclass(frozen=True, slots=True)
class VouchMessage:
    """A request or an answer; which fields it has depends on its type.

    ``ticket`` is the ticket in PRESENT and its hash in OPEN, CLOSE and CONFIRM. ``peer`` is the
    other end of the pair. ``seconds`` is how long an invite is open: what is asked for, then
    what is given. ``peers`` answers LIST.
    """

    type: Annotated[VouchType, Tag(1, always=True)] = VouchType.STATUS
    ticket: Annotated[bytes, Tag(2)] = b""
    peer: Annotated[bytes, Tag(3)] = b""
    seconds: Annotated[int, Tag(4)] = 0
    status: Annotated[int | None, Tag(5)] = None
    peers: Annotated[tuple[bytes, ...], Tag(6)] = ()


def ticket_of(token: bytes, relay: PeerId, inviter: PeerId) -> bytes:
    """Return the ticket for an invite code's token, 32 bytes.

    It is good at this relay and for this inviter alone, and does not lead back to the token.
    """
    parts = (_LABEL, relay.to_bytes(), inviter.to_bytes())
    return hkdf(token, b"".join(varint.encode(len(part)) + part for part in parts))


def hash_of(ticket: bytes) -> bytes:
    """Return what a relay is told of a ticket before it is shown, 32 bytes."""
    return hashlib.sha256(ticket).digest()
