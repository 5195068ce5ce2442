"""A second, minimal Noise XX for tests: written from the specification, and free to misbehave.

``noiseprotocol`` is not used here, so that what the code under test computes is checked against
something else. Spec: noiseprotocol.org, revision 34, sections 4, 5 and 12.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from peerup.wire import varint
from peerup.wire.keys import PrivateKey
from peerup.wire.noise import Handshake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerup.wire.peer_id import PeerId

NAME: Final = b"Noise_XX_25519_ChaChaPoly_SHA256"
SIGNED: Final = b"noise-libp2p-static-key:"
YAMUX: Final = "/yamux/1.0.0"

ALICE: Final = PrivateKey.from_seed(b"a" * 32)
BOB: Final = PrivateKey.from_seed(b"b" * 32)
# Static and ephemeral X25519 private keys, so that a handshake is the same each time.
ALICE_KEYS: Final = (b"1" * 32, b"2" * 32)
BOB_KEYS: Final = (b"3" * 32, b"4" * 32)


class Symmetric:
    """SymmetricState and its CipherState (sections 5.1 and 5.2)."""

    def __init__(self) -> None:
        self.hash = self.chain = NAME  # 32 bytes, so it needs no hashing
        self.key: bytes | None = None
        self.nonce = 0
        self.mix_hash(b"")  # the prologue

    def mix_hash(self, data: bytes) -> None:
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, secret: bytes) -> None:
        self.chain, self.key = _hkdf(self.chain, secret)
        self.nonce = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        sealed = plaintext
        if self.key is not None:
            sealed = ChaCha20Poly1305(self.key).encrypt(self._next(), plaintext, self.hash)
        self.mix_hash(sealed)
        return sealed

    def decrypt(self, sealed: bytes) -> bytes:
        plaintext = sealed
        if self.key is not None:
            plaintext = ChaCha20Poly1305(self.key).decrypt(self._next(), sealed, self.hash)
        self.mix_hash(sealed)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """Return the keys from initiator to responder and back."""
        return _hkdf(self.chain, b"")

    def _next(self) -> bytes:
        self.nonce += 1
        return bytes(4) + (self.nonce - 1).to_bytes(8, "little")


def _hkdf(chain: bytes, secret: bytes) -> tuple[bytes, bytes]:
    temporary = hmac.digest(chain, secret, "sha256")
    first = hmac.digest(temporary, b"\x01", "sha256")
    return first, hmac.digest(temporary, first + b"\x02", "sha256")


class NoisePeer:
    """Either side of XX, one method a message, each without the two bytes of length.

    Args:
        static_public: Announced in place of the public key that belongs to ``keys``; whoever
            computes with it gets zeros, and so does this side.
    """

    def __init__(
        self,
        keys: tuple[bytes, bytes] = ALICE_KEYS,
        *,
        static_public: bytes | None = None,
        ephemeral_public: bytes | None = None,
    ) -> None:
        self.state = Symmetric()
        self.s, self.e = map(X25519PrivateKey.from_private_bytes, keys)
        self.s_public = static_public or self.s.public_key().public_bytes_raw()
        self.e_public = ephemeral_public or self.e.public_key().public_bytes_raw()
        self.weak_s, self.weak_e = static_public is not None, ephemeral_public is not None
        self.rs = self.re = b""

    def _dh(self, private: X25519PrivateKey, public: bytes, *, weak: bool) -> None:
        zeros = bytes(32)
        secret = zeros if weak else private.exchange(X25519PublicKey.from_public_bytes(public))
        self.state.mix_key(secret)

    def write_1(self, payload: bytes = b"") -> bytes:
        self.state.mix_hash(self.e_public)
        return self.e_public + self.state.encrypt(payload)

    def read_1(self, message: bytes) -> bytes:
        self.re = message[:32]
        self.state.mix_hash(self.re)
        return self.state.decrypt(message[32:])

    def write_2(self, payload: bytes) -> bytes:
        self.state.mix_hash(self.e_public)
        self._dh(self.e, self.re, weak=self.weak_e)
        static = self.state.encrypt(self.s_public)
        self._dh(self.s, self.re, weak=self.weak_s)
        return self.e_public + static + self.state.encrypt(payload)

    def read_2(self, message: bytes) -> bytes:
        self.re = message[:32]
        self.state.mix_hash(self.re)
        self._dh(self.e, self.re, weak=self.weak_e)
        self.rs = self.state.decrypt(message[32:80])
        self._dh(self.e, self.rs, weak=self.weak_e)
        return self.state.decrypt(message[80:])

    def write_3(self, payload: bytes) -> bytes:
        static = self.state.encrypt(self.s_public)
        self._dh(self.s, self.re, weak=self.weak_s)
        return static + self.state.encrypt(payload)

    def read_3(self, message: bytes) -> bytes:
        self.rs = self.state.decrypt(message[:48])
        self._dh(self.e, self.rs, weak=self.weak_e)
        return self.state.decrypt(message[48:])


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def unframed(wire: bytes) -> bytes:
    """The one message in ``wire``."""
    assert len(wire) == 2 + int.from_bytes(wire[:2], "big")
    return wire[2:]


def record(key: bytes, nonce: int, plaintext: bytes) -> bytes:
    """One transport message with its length."""
    number = bytes(4) + nonce.to_bytes(8, "little")
    return framed(ChaCha20Poly1305(key).encrypt(number, plaintext, None))


def field(number: int, value: bytes) -> bytes:
    """A protobuf field with a length before its value."""
    return varint.encode(number << 3 | 2) + varint.encode(len(value)) + value


def extensions(muxers: Sequence[str]) -> bytes:
    return field(4, b"".join(field(2, name.encode()) for name in muxers))


def proof(key: PrivateKey, static_public: bytes, muxers: Sequence[str] = ()) -> bytes:
    """The payload of an honest peer."""
    signature = key.sign(SIGNED + static_public)
    return (
        field(1, key.public_key.to_protobuf())
        + field(2, signature)
        + (extensions(muxers) if muxers else b"")
    )


def initiator(
    *, expected: PeerId | None = None, muxers: Sequence[str] = (), fixed: bool = True
) -> Handshake:
    """Alice, who dials."""
    return Handshake(
        ALICE,
        initiator=True,
        expected=expected,
        muxers=muxers,
        fixed_keys=ALICE_KEYS if fixed else None,
    )


def responder(
    *, expected: PeerId | None = None, muxers: Sequence[str] = (), fixed: bool = True
) -> Handshake:
    """Bob, who listens."""
    return Handshake(
        BOB,
        initiator=False,
        expected=expected,
        muxers=muxers,
        fixed_keys=BOB_KEYS if fixed else None,
    )


class Messages(NamedTuple):
    """A whole handshake on the wire, lengths included."""

    first: bytes
    second: bytes
    third: bytes


def run(ours: Handshake, theirs: Handshake) -> Messages:
    """Let two machines finish their handshake."""
    first = ours.data_to_send()
    theirs.receive(first)
    second = theirs.data_to_send()
    ours.receive(second)
    third = ours.data_to_send()
    theirs.receive(third)
    return Messages(first, second, third)
