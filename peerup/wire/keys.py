"""Identity keys: the protobuf form, signatures, and which keys we refuse.

Our own key is Ed25519. Of other peers we verify all four types. What a peer sends is checked
cheapest first, so that a hostile key costs little: size, then form, then numbers, and only then
the signature. ``foreign_keys`` knows the three types that are not ours.

Spec: peer-ids/peer-ids.md, "Keys" and "Key Types".
"""

from __future__ import annotations

import enum
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from peerup.errors import RemoteProtocolError
from peerup.wire.protobuf import Tag, decode, encode

ED25519_BYTES: Final = 32  # of a seed and of a public key
MAX_PUBLIC_KEY_BYTES: Final = 2048  # an RSA key of 8192 bits has some 1060
MAX_SIGNATURE_BYTES: Final = 1024  # those of such a key have as many

_ED25519_PRIME: Final = (1 << 255) - 19
# The y coordinates of the eight points of small order. A key among them has signatures that
# hold for almost any message, so it proves nothing.
_ED25519_SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _ED25519_PRIME - 1,
        int.from_bytes(
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
            "little",
        ),
        int.from_bytes(
            bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
            "little",
        ),
    }
)

_Verify = Callable[[bytes, bytes], None]
"""Takes signature and message; raises InvalidSignature."""


class KeyType(enum.IntEnum):
    """Kind of a key; the comment says what its public ``data`` holds."""

    RSA = 0  # SubjectPublicKeyInfo in DER, 2048 to 8192 bits
    ED25519 = 1  # 32 raw bytes
    SECP256K1 = 2  # compressed point, 33 bytes
    ECDSA = 3  # SubjectPublicKeyInfo in DER, a NIST curve


@dataclass(frozen=True, slots=True)
class _KeyMessage:
    """``PublicKey`` and ``PrivateKey`` of the spec have the same shape."""

    type: Annotated[KeyType, Tag(1)]
    data: Annotated[bytes, Tag(2)]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a peer's signatures are verified with.

    Keys from the network come from ``from_protobuf``, which refuses bad ones and brings
    ``data`` into the one form that peer ids are made from.
    """

    type: KeyType
    data: bytes

    @classmethod
    def from_protobuf(cls, data: bytes) -> Self:
        """Return the key that a peer sent.

        Raises:
            RemoteProtocolError: Not a key, of unknown type, not a point on its curve, an RSA
                modulus or exponent out of bounds, or an Ed25519 point of small order.
        """
        if len(data) > MAX_PUBLIC_KEY_BYTES:
            raise RemoteProtocolError(f"public key of {len(data)} bytes")
        message = decode(_KeyMessage, data)
        canonical, _ = _load(message.type, message.data)
        return cls(message.type, canonical)

    def to_protobuf(self) -> bytes:
        """Return the canonical encoding, which peer ids hash: 36 bytes for Ed25519."""
        return encode(_KeyMessage(self.type, self.data))

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if ``signature`` over ``message`` was made with this key.

        Raises:
            RemoteProtocolError: It was not, or the key itself is bad.
        """
        if len(signature) > MAX_SIGNATURE_BYTES:
            raise RemoteProtocolError(f"signature of {len(signature)} bytes")
        _, verify = _load(self.type, self.data)
        try:
            verify(signature, message)
        except InvalidSignature:
            raise RemoteProtocolError(f"wrong {self.type.name} signature") from None


class PrivateKey:
    """Our own Ed25519 key. Its text form never shows the secret."""

    __slots__ = ("_key", "_public_key", "_seed")

    def __init__(self, seed: bytes) -> None:
        """Use ``from_seed``, ``from_protobuf`` or ``generate``."""
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public_key = PublicKey(KeyType.ED25519, self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Self:
        """Return a new key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Return the key of a 32-byte Ed25519 seed.

        Raises:
            ValueError: ``seed`` has another length.
        """
        if len(seed) != ED25519_BYTES:
            raise ValueError(f"an Ed25519 seed has {ED25519_BYTES} bytes, not {len(seed)}")
        return cls(seed)

    @classmethod
    def from_protobuf(cls, data: bytes) -> Self:
        """Return the key in ``data``, the contents of a libp2p key file.

        The key is seed and public key, 64 bytes, or the old form with the public key twice.

        Raises:
            ValueError: ``data`` is damaged, holds a key that is not Ed25519, or a public key
                that does not belong to its seed.
        """
        try:
            message = decode(_KeyMessage, data)
        except RemoteProtocolError as error:
            raise ValueError(f"not a private key: {error}") from None
        if message.type is not KeyType.ED25519:
            raise ValueError(f"private key of type {message.type.name}, only ED25519 is supported")
        seed, publics = message.data[:ED25519_BYTES], message.data[ED25519_BYTES:]
        key = cls.from_seed(seed)
        if publics not in (key.public_key.data, key.public_key.data * 2):
            raise ValueError("the private key and its public key do not belong together")
        return key

    def to_protobuf(self) -> bytes:
        """Return the contents of a libp2p key file, 68 bytes."""
        return encode(_KeyMessage(KeyType.ED25519, self._seed + self._public_key.data))

    @property
    def public_key(self) -> PublicKey:
        """What others verify our signatures with."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``, 64 bytes, the same each time."""
        return self._key.sign(message)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PrivateKey):
            return NotImplemented
        return self._public_key == other._public_key

    def __hash__(self) -> int:
        return hash(self._public_key)

    def __repr__(self) -> str:
        return f"PrivateKey(public={self._public_key.data.hex()})"


def _load(kind: KeyType, data: bytes) -> tuple[bytes, _Verify]:
    """Check a key; return its data in the one form, and what verifies its signatures."""
    # Not cached: loading costs at most a fifth of the verification that follows.
    if len(data) > MAX_PUBLIC_KEY_BYTES:
        raise RemoteProtocolError(f"{kind.name} key of {len(data)} bytes")
    load = _load_ed25519 if kind is KeyType.ED25519 else _foreign_loader(kind)
    try:
        return load(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise RemoteProtocolError(f"no usable {kind.name} key") from None


def _load_ed25519(data: bytes) -> tuple[bytes, _Verify]:
    if len(data) != ED25519_BYTES:
        raise RemoteProtocolError(f"Ed25519 key of {len(data)} bytes")
    y = int.from_bytes(data, "little") & ((1 << 255) - 1)
    if y >= _ED25519_PRIME or y in _ED25519_SMALL_ORDER_Y:
        raise RemoteProtocolError("Ed25519 key of small order, or not in its one form")
    return data, Ed25519PublicKey.from_public_bytes(data).verify


# Functions of `foreign_keys`. They are named, not imported, as importing them takes longer than
# all else in this layer, and most peers have Ed25519 keys.
_FOREIGN: Final = {
    KeyType.RSA: "load_rsa",
    KeyType.SECP256K1: "load_secp256k1",
    KeyType.ECDSA: "load_ecdsa",
}


def _foreign_loader(kind: KeyType) -> Callable[[bytes], tuple[bytes, _Verify]]:
    loader: Callable[[bytes], tuple[bytes, _Verify]]
    loader = getattr(importlib.import_module("peerup.wire.foreign_keys"), _FOREIGN[kind])
    return loader
