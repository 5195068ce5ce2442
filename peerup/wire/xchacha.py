"""XChaCha20-Poly1305: the usual AEAD, with nonces long enough to be chosen at random.

Spec: draft-irtf-cfrg-xchacha-03.
"""

from __future__ import annotations

import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 24
TAG_SIZE: Final = 16

_BLOCK: Final = struct.Struct("<16I")
_CONSTANTS: Final = b"expand 32-byte k"
_KEPT: Final = (*range(4), *range(12, 16))  # words of the state that make the derived key


def seal(key: bytes, nonce: bytes, plaintext: bytes) -> bytes:
    """Return the ciphertext of ``plaintext`` with its 16-byte tag; no nonce may serve twice."""
    inner, rest = _inner(key, nonce)
    return inner.encrypt(rest, plaintext, None)


def open_sealed(key: bytes, nonce: bytes, sealed: bytes) -> bytes | None:
    """Return the plaintext of ``sealed``, None if it was not sealed with this key and nonce."""
    inner, rest = _inner(key, nonce)
    try:
        return inner.decrypt(rest, sealed, None)
    except InvalidTag:
        return None


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """Return the 32-byte key for this key and the 16 bytes of ``nonce`` (draft, section 2.2).

    A block of ChaCha20 is the permuted state plus the state before; without that last addition
    it is what we want, so the addition is taken back.
    """
    start = _BLOCK.unpack(_CONSTANTS + key + nonce)
    block = Cipher(ChaCha20(key, nonce), mode=None).encryptor().update(bytes(_BLOCK.size))
    words = _BLOCK.unpack(block)
    return struct.pack("<8I", *((words[at] - start[at]) & 0xFFFFFFFF for at in _KEPT))


def _inner(key: bytes, nonce: bytes) -> tuple[ChaCha20Poly1305, bytes]:
    if len(nonce) != NONCE_SIZE:
        raise ValueError(f"a nonce has {NONCE_SIZE} bytes, not {len(nonce)}")
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])), bytes(4) + nonce[16:]
