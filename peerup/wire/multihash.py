"""Hashes that say which function made them: code, digest length, digest.

Spec: multiformats, multihash; codes in the multicodec table.
"""

from __future__ import annotations

import importlib
from typing import Final

from peerup.errors import RemoteProtocolError
from peerup.wire import varint

IDENTITY: Final = 0x00  # the "digest" is the input itself
SHA2_256: Final = 0x12


def encode(code: int, digest: bytes) -> bytes:
    """Return the multihash of a digest that was made by hash function ``code``."""
    return varint.encode(code) + varint.encode(len(digest)) + digest


def decode(data: bytes) -> tuple[int, bytes]:
    """Return code and digest of the one multihash that ``data`` is.

    The code may be any; whether the digest has the right size for it is the caller's to say.

    Raises:
        RemoteProtocolError: ``data`` is cut short, or something follows the digest.
    """
    code, offset = varint.decode(data)
    size, offset = varint.decode(data, offset)
    digest = bytes(data[offset:])
    if len(digest) != size:
        raise RemoteProtocolError(f"multihash says {size} bytes of digest and has {len(digest)}")
    return code, digest


def sha2_256(data: bytes) -> bytes:
    """Return the SHA-256 multihash of ``data``, 34 bytes."""
    # Loaded here as it takes 3 ms, and the id of an Ed25519 key holds the key and no hash.
    hashlib = importlib.import_module("hashlib")
    return encode(SHA2_256, hashlib.sha256(data).digest())
