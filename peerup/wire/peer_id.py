"""Peer ids: who a peer is, as the multihash of its public key.

Short keys (Ed25519, secp256k1) are the id themselves, behind an identity multihash; longer ones
(RSA, ECDSA) are hashed. Ids are equal when their bytes are.

Spec: peer-ids/peer-ids.md, "Peer Ids" and "String representation".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self

from peerup.errors import RemoteProtocolError
from peerup.wire import multibase, multihash, varint
from peerup.wire.keys import PublicKey

MAX_PEER_ID_BYTES: Final = 128  # an Ed25519 id has 38, a hashed one 34
MAX_INLINE_KEY_BYTES: Final = 42  # longer public keys are hashed
SHA2_256_BYTES: Final = 32

CID_V1: Final = 1
LIBP2P_KEY: Final = 0x72  # multicodec of what a peer id CID refers to

_SHORT_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True, order=True, repr=False)
class PeerId:
    """The name of one peer. Made by ``from_bytes``, ``from_public_key`` or ``parse``."""

    _data: bytes
    _text: str = field(default="", init=False, compare=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the id that a peer sent in binary form.

        Raises:
            RemoteProtocolError: ``data`` is not exactly one multihash of a kind that peer ids
                use, or longer than ``MAX_PEER_ID_BYTES``.
        """
        if len(data) > MAX_PEER_ID_BYTES:
            raise RemoteProtocolError(f"peer id of {len(data)} bytes")
        code, digest = multihash.decode(data)
        if code == multihash.SHA2_256:
            valid = len(digest) == SHA2_256_BYTES
        else:
            valid = code == multihash.IDENTITY and bool(digest)
        if not valid:
            raise RemoteProtocolError(f"no peer id: hash {code:#x} of {len(digest)} bytes")
        return cls(bytes(data))

    @classmethod
    def from_public_key(cls, key: PublicKey) -> Self:
        """Return the id of whoever holds ``key``."""
        encoded = key.to_protobuf()
        if len(encoded) <= MAX_INLINE_KEY_BYTES:
            return cls(multihash.encode(multihash.IDENTITY, encoded))
        return cls(multihash.sha2_256(encoded))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the id that a person wrote: base58 (``12D3KooW...``, ``Qm...``) or a CID.

        Raises:
            ValueError: ``text`` is neither.
        """
        try:
            if text.startswith(("1", "Qm")):
                return cls.from_bytes(multibase.decode_base58(text))
            return cls.from_bytes(_multihash_of_cid(multibase.decode(text)))
        except (ValueError, RemoteProtocolError) as error:
            shown = text if len(text) <= multibase.MAX_TEXT else text[:_SHORT_CHARACTERS] + "..."
            raise ValueError(f"{shown!r} is not a peer id: {error}") from None

    def to_bytes(self) -> bytes:
        """Return the multihash, 38 bytes for an Ed25519 key."""
        return self._data

    def to_cid(self) -> str:
        """Return the id as a CIDv1 in base32, ``bafz...``."""
        head = varint.encode(CID_V1) + varint.encode(LIBP2P_KEY)
        return multibase.encode_base32(head + self._data)

    @property
    def short(self) -> str:
        """The first 16 characters and an ellipsis, for people to read."""
        return str(self)[:_SHORT_CHARACTERS] + "..."

    def public_key(self) -> PublicKey | None:
        """Return the key that the id contains, None if it is hashed.

        Raises:
            RemoteProtocolError: What the id contains is not the public key that it names.
        """
        code, digest = multihash.decode(self._data)
        if code != multihash.IDENTITY:
            return None
        key = PublicKey.from_protobuf(digest)
        if key.to_protobuf() != digest:
            raise RemoteProtocolError("peer id with a public key in another than its one form")
        return key

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PeerId):
            return NotImplemented
        return self._data == other._data

    def __hash__(self) -> int:
        return hash(self._data)

    def __str__(self) -> str:
        if not self._text:  # base 58 takes a division per digit, and ids are shown often
            object.__setattr__(self, "_text", multibase.encode_base58(self._data))
        return self._text

    def __repr__(self) -> str:
        return f"PeerId({self})"


def _multihash_of_cid(data: bytes) -> bytes:
    version, offset = varint.decode(data)
    codec, offset = varint.decode(data, offset)
    if (version, codec) != (CID_V1, LIBP2P_KEY):
        raise RemoteProtocolError(f"CID of version {version} and codec {codec:#x}")
    return data[offset:]
