"""RSA, ECDSA and secp256k1: the keys that other peers may have and we do not.

``keys`` loads this module when it meets the first such key, as what it needs of `cryptography`
takes longer to load than all the rest of a short command. Each ``load_`` function returns the
public key's data in the one form that peer ids are made from, and what verifies a signature
over a message, or raises ``InvalidSignature``. Bad data raises ``RemoteProtocolError``, or
``ValueError``, ``TypeError`` or ``UnsupportedAlgorithm`` where `cryptography` finds it first.

Spec: peer-ids/peer-ids.md, "Key Types".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from peerup.errors import RemoteProtocolError

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
MIN_RSA_EXPONENT: Final = 3
MAX_RSA_EXPONENT: Final = (1 << 31) - 1  # verifying takes time in proportion to its bits

_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_SECP256K1_BYTES: Final = (33, 65)  # compressed, uncompressed

_Verify = Callable[[bytes, bytes], None]


def load_rsa(data: bytes) -> tuple[bytes, _Verify]:
    """Load a SubjectPublicKeyInfo in DER, of 2048 to 8192 bits."""
    key = _load_der(data)
    if not isinstance(key, rsa.RSAPublicKey):
        raise RemoteProtocolError("not an RSA key")
    numbers = key.public_numbers()
    if not MIN_RSA_BITS <= numbers.n.bit_length() <= MAX_RSA_BITS:
        raise RemoteProtocolError(f"RSA key of {numbers.n.bit_length()} bits")
    if not MIN_RSA_EXPONENT <= numbers.e <= MAX_RSA_EXPONENT or numbers.e % 2 == 0:
        raise RemoteProtocolError("RSA key with a bad exponent")
    return (
        data,
        lambda signature, message: key.verify(signature, message, padding.PKCS1v15(), SHA256()),
    )


def load_ecdsa(data: bytes) -> tuple[bytes, _Verify]:
    """Load a SubjectPublicKeyInfo in DER, on a NIST curve."""
    key = _load_der(data)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        raise RemoteProtocolError("not an ECDSA key on a NIST curve")
    return data, _ecdsa_verifier(key)


def load_secp256k1(data: bytes) -> tuple[bytes, _Verify]:
    """Load a point, compressed or not; its one form is the compressed one."""
    if len(data) not in _SECP256K1_BYTES:
        raise RemoteProtocolError(f"secp256k1 key of {len(data)} bytes")
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), data)
    compressed = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return compressed, _ecdsa_verifier(key)


def _load_der(data: bytes) -> object:
    """Return the key of a SubjectPublicKeyInfo that is written in the one way DER allows."""
    key = load_der_public_key(data)
    if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != data:
        raise RemoteProtocolError("public key in another form than SubjectPublicKeyInfo")
    return key


def _ecdsa_verifier(key: ec.EllipticCurvePublicKey) -> _Verify:
    return lambda signature, message: key.verify(signature, message, ec.ECDSA(SHA256()))
