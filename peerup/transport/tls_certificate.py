"""libp2p TLS certificates: make our own, and find out who made another.

The key of such a certificate lives as long as the process and proves nothing by itself. One
extension says whose it is: an identity key, and its signature over the certificate's key. So
nobody needs an authority, and the certificate signs itself.

Spec: libp2p specs, tls/tls.md, "Peer Authentication" and "libp2p Public Key Extension".
"""

from __future__ import annotations

import datetime
import secrets
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from peerup.errors import LimitError, RemoteProtocolError, WrongPeerError
from peerup.wire.foreign_keys import (
    MAX_RSA_BITS,
    MAX_RSA_EXPONENT,
    MIN_RSA_BITS,
    MIN_RSA_EXPONENT,
)
from peerup.wire.keys import PublicKey
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from peerup.wire.keys import PrivateKey

EXTENSION_OID: Final = x509.ObjectIdentifier("1.3.6.1.4.1.53594.1.1")
SIGNATURE_PREFIX: Final = b"libp2p-tls-handshake:"
MAX_CERTIFICATE: Final = 8192  # bytes; two RSA keys of 8192 bits and their signatures take 4500

# As go makes them. Old enough for a peer whose clock is behind, and good for ever.
BACKDATED: Final = datetime.timedelta(hours=1)
VALIDITY: Final = datetime.timedelta(days=100 * 365)
_SERIAL_BITS: Final = 62

_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_HASHES: Final = (SHA256, SHA384, SHA512)  # so neither MD5 nor SHA-1

_SEQUENCE: Final = 0x30
_OCTET_STRING: Final = 0x04
_LONG_FORM: Final = 0x80  # of a DER length; the other bits count the bytes that follow

# What cryptography raises about certificates that are broken or odd.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Our own certificate and its short-lived P-256 key, which is not the identity key."""

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class VerifiedPeer:
    """Who a certificate was made by."""

    peer: PeerId
    public_key: PublicKey


def make_certificate(key: PrivateKey, *, now: datetime.datetime | None = None) -> Certificate:
    """Return a new certificate, some 440 bytes, that says its holder is ``key``'s.

    Args:
        key: Our identity.
        now: Aware time; the certificate is valid from an hour before and for 100 years.
            None takes the clock's.
    """
    now = datetime.datetime.now(datetime.UTC) if now is None else _aware(now)
    own = ec.generate_private_key(ec.SECP256R1())
    signed = SIGNATURE_PREFIX + _subject_public_key_info(own.public_key())
    signed_key = _signed_key(key.public_key.to_protobuf(), key.sign(signed))
    name = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, str(_random_serial()))])
    certificate = (
        x509.CertificateBuilder()
        .serial_number(_random_serial())
        .issuer_name(name)
        .subject_name(name)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + VALIDITY)
        .public_key(own.public_key())
        .add_extension(x509.UnrecognizedExtension(EXTENSION_OID, signed_key), critical=False)
        .sign(own, SHA256())
    )
    return Certificate(certificate, own)


def verify_certificate(
    chain: Sequence[x509.Certificate | bytes],
    *,
    now: datetime.datetime,
    expected: PeerId | None = None,
) -> VerifiedPeer:
    """Return who presented ``chain``, given that TLS proves that he holds its key.

    Args:
        chain: What the peer sent, parsed or in DER; exactly one certificate is allowed.
        now: Aware time, for the certificate's dates.
        expected: Whom we dialled; None takes anyone.

    Raises:
        WrongPeerError: All is well, but it is not ``expected``.
        LimitError: A certificate of more than ``MAX_CERTIFICATE`` bytes.
        RemoteProtocolError: More or less than one certificate, unreadable, at another time than
            its own, signed weakly or not by itself, with a critical extension that we do not
            know, or without the identity key's valid signature.
    """
    certificate, key, extensions = _read(_only_one(chain))
    _check_dates(certificate, _aware(now))
    _check_algorithms(certificate, key)
    identity, signature = _identity_in(extensions)
    try:
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, *_UNREADABLE):
        raise RemoteProtocolError("TLS certificate that is not signed by itself") from None
    identity.verify(signature, SIGNATURE_PREFIX + _subject_public_key_info(key))
    peer = PeerId.from_public_key(identity)
    if expected is not None and peer != expected:
        raise WrongPeerError(str(expected), str(peer))
    return VerifiedPeer(peer, identity)


def _aware(now: datetime.datetime) -> datetime.datetime:
    if now.tzinfo is None:
        raise ValueError("a time for certificates needs its time zone")
    return now


def _random_serial() -> int:
    return 1 + secrets.randbelow((1 << _SERIAL_BITS) - 1)


def _subject_public_key_info(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _only_one(chain: Sequence[x509.Certificate | bytes]) -> x509.Certificate | bytes:
    if len(chain) != 1:
        raise RemoteProtocolError(f"{len(chain)} TLS certificates, 1 is allowed")
    (entry,) = chain
    size = len(entry) if isinstance(entry, bytes) else len(entry.public_bytes(Encoding.DER))
    if size > MAX_CERTIFICATE:
        raise LimitError(f"TLS certificate of {size} bytes, {MAX_CERTIFICATE} are allowed")
    return entry


def _read(
    entry: x509.Certificate | bytes,
) -> tuple[x509.Certificate, CertificatePublicKeyTypes, x509.Extensions]:
    """Parse all that cryptography would parse when asked for it, so that it raises here only.

    What it tolerates with a warning must not show on our user's terminal.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = x509.load_der_x509_certificate(entry) if isinstance(entry, bytes) else entry
            key, extensions, serial = parsed.public_key(), parsed.extensions, parsed.serial_number
    except _UNREADABLE:
        raise RemoteProtocolError("TLS certificate that cannot be read") from None
    if parsed.version is not x509.Version.v3 or serial <= 0:
        raise RemoteProtocolError("TLS certificate of an old version or without serial number")
    return parsed, key, extensions


def _check_dates(certificate: x509.Certificate, now: datetime.datetime) -> None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= now <= end:
        raise RemoteProtocolError(
            f"TLS certificate valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}, "
            f"while it is {now:%Y-%m-%d %H:%M} here"
        )


def _check_algorithms(certificate: x509.Certificate, key: CertificatePublicKeyTypes) -> None:
    """Refuse weak hashes, and keys that are weak or that take long to verify with."""
    match key:
        case ec.EllipticCurvePublicKey():
            good = isinstance(key.curve, _CURVES)
        case rsa.RSAPublicKey():
            n, e = key.public_numbers().n, key.public_numbers().e
            good = MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS
            good &= MIN_RSA_EXPONENT <= e <= MAX_RSA_EXPONENT and e % 2 == 1
        case _:
            good = isinstance(key, Ed25519PublicKey)
    if not good:
        raise RemoteProtocolError("TLS certificate with a key that we do not take")
    if certificate.signature_algorithm_oid == SignatureAlgorithmOID.ED25519:
        return
    try:
        good = isinstance(certificate.signature_hash_algorithm, _HASHES)
    except _UNREADABLE:
        good = False
    if not good:
        raise RemoteProtocolError("TLS certificate with a signature algorithm that we do not take")


def _identity_in(extensions: x509.Extensions) -> tuple[PublicKey, bytes]:
    """Return the identity key that a certificate names, and its signature, not verified yet."""
    signed_key: bytes | None = None
    for extension in extensions:
        value = extension.value
        if extension.oid == EXTENSION_OID and isinstance(value, x509.UnrecognizedExtension):
            signed_key = value.value
        elif extension.critical and not _understood(value):
            raise RemoteProtocolError(
                f"TLS certificate with the critical extension {extension.oid.dotted_string}"
            )
    if signed_key is None:
        raise RemoteProtocolError("TLS certificate without libp2p's extension")
    public_key, signature = _open_signed_key(signed_key)
    return PublicKey.from_protobuf(public_key), signature


def _understood(value: x509.ExtensionType) -> bool:
    """Tell whether a critical extension of X.509 itself lets the key do what libp2p needs."""
    if isinstance(value, x509.KeyUsage):
        return value.digital_signature
    return isinstance(value, x509.BasicConstraints)  # about certificates that others sign


# SignedKey ::= SEQUENCE { publicKey OCTET STRING, signature OCTET STRING }
#
# By hand, since cryptography calls its ASN.1 module unstable.


def _signed_key(public_key: bytes, signature: bytes) -> bytes:
    return _der(_SEQUENCE, _der(_OCTET_STRING, public_key) + _der(_OCTET_STRING, signature))


def _open_signed_key(data: bytes) -> tuple[bytes, bytes]:
    """Return public key and signature of a SignedKey."""
    body = _first_value(data)
    public_key = _first_value(body)
    signature = _first_value(body[len(_der(_OCTET_STRING, public_key)) :])
    # DER has one form of everything, so whatever is wrong in ``data`` shows here.
    if _signed_key(public_key, signature) != data:
        raise RemoteProtocolError("libp2p's extension holds something else than key and signature")
    return public_key, signature


def _first_value(data: bytes) -> bytes:
    """Return the value of the first element of ``data``, or some other bytes if it is broken."""
    if len(data) < 2:
        return b""
    start, size = 2, data[1]
    if size >= _LONG_FORM:
        start += size - _LONG_FORM
        size = int.from_bytes(data[2:start], "big")
    return data[start : start + size]


def _der(tag: int, value: bytes) -> bytes:
    size = len(value)
    if size < _LONG_FORM:
        return bytes([tag, size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM | len(length)]) + length + value
