"""Stateless resets: how who has lost a QUIC connection tells the other end.

After a restart there is no key left to write a packet with. But each connection id came with a
token, and whoever shows it can only be the one who gave it out. Tokens follow from a secret that
outlives the restart, so none has to be kept.

Spec: RFC 9000, "Stateless Reset".
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TOKEN_SIZE: Final = 16
MIN_SIZE: Final = 5 + TOKEN_SIZE  # bytes; what is smaller cannot be one
SIZE: Final = 42  # bytes of ours, unless the packet that it answers is hardly larger
SECRET_SIZE: Final = 32

_LABEL: Final = b"libp2p quic stateless reset key"  # as go-libp2p derives its own
_LONG: Final = 0x80
_FIXED: Final = 0x40
_FREE_BITS: Final = 0x3F


class ResetTokens:
    """Gives each connection id its token; the same one whenever the secret is the same."""

    __slots__ = ("_secret",)

    def __init__(self, identity: bytes) -> None:
        """Derive the secret from ``identity``, a private key in any fixed form."""
        self._secret = HKDF(SHA256(), SECRET_SIZE, None, _LABEL).derive(identity)

    def of(self, connection_id: bytes) -> bytes:
        """Return the ``TOKEN_SIZE`` bytes that belong to ``connection_id``."""
        return hmac.digest(self._secret, connection_id, hashlib.sha256)[:TOKEN_SIZE]


def stateless_reset(token: bytes, cause: int) -> bytes | None:
    """Return the answer to a packet of ``cause`` bytes for a connection that is gone.

    It looks like any packet, and is smaller than its cause, so that two who both know nothing
    do not go on for ever. None if the cause is too small for that.
    """
    size = min(SIZE, cause - 1)
    if size < MIN_SIZE:
        return None
    noise = bytearray(os.urandom(size - TOKEN_SIZE))
    noise[0] = _FIXED | noise[0] & _FREE_BITS
    return bytes(noise) + token


def token_in(data: bytes) -> bytes | None:
    """Return the token of a datagram if it may be a stateless reset."""
    if len(data) < MIN_SIZE or data[0] & (_LONG | _FIXED) != _FIXED:
        return None
    return data[-TOKEN_SIZE:]
