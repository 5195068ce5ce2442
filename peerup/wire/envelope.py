"""Signed envelopes: a payload, who vouches for it, and in which domain.

Spec: libp2p specs, RFC 0002 "Signed Envelopes".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire import varint
from peerup.wire.keys import PrivateKey, PublicKey
from peerup.wire.protobuf import Tag, decode, encode

MAX_ENVELOPE_BYTES: Final = 8192


@dataclass(frozen=True, slots=True)
class _Envelope:
    """The message; ``public_key`` is the protobuf form of a key, field 4 was never used."""

    public_key: Annotated[bytes, Tag(1)] = b""
    payload_type: Annotated[bytes, Tag(2)] = b""
    payload: Annotated[bytes, Tag(3)] = b""
    signature: Annotated[bytes, Tag(5)] = b""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a verified envelope held, and the key that signed it."""

    public_key: PublicKey
    payload: bytes


def seal(key: PrivateKey, domain: str, payload_type: bytes, payload: bytes) -> bytes:
    """Return ``payload`` in an envelope signed by ``key``.

    Args:
        key: Whose word it is.
        domain: Keeps a signature from being used for something else; never empty.
        payload_type: Multicodec bytes of what the payload is.
        payload: The bytes to vouch for.
    """
    signature = key.sign(_signed_bytes(domain, payload_type, payload))
    return encode(_Envelope(key.public_key.to_protobuf(), payload_type, payload, signature))


def open_envelope(data: bytes, domain: str, payload_type: bytes) -> Opened:
    """Return payload and signer of the envelope ``data``, whose signature is right.

    Whether the signer may say what the payload says is for the caller to judge.

    Raises:
        RemoteProtocolError: Not an envelope, of another payload type, or wrongly signed.
        LimitError: ``data`` is longer than ``MAX_ENVELOPE_BYTES``.
    """
    if len(data) > MAX_ENVELOPE_BYTES:
        raise LimitError(f"envelope of {len(data)} bytes, {MAX_ENVELOPE_BYTES} are allowed")
    envelope = decode(_Envelope, data)
    if envelope.payload_type != payload_type:
        raise RemoteProtocolError(f"envelope of payload type {envelope.payload_type[:8].hex()}")
    public_key = PublicKey.from_protobuf(envelope.public_key)
    public_key.verify(envelope.signature, _signed_bytes(domain, payload_type, envelope.payload))
    return Opened(public_key, envelope.payload)


def _signed_bytes(domain: str, payload_type: bytes, payload: bytes) -> bytes:
    """Return what the signature is over: each part behind its length, so none can shift."""
    if not domain:
        raise ValueError("an envelope needs a domain")
    parts = (domain.encode(), payload_type, payload)
    return b"".join(varint.encode(len(part)) + part for part in parts)
