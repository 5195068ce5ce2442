"""Certificates for tests: right ones, and wrong ones in every way that somebody may think of."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from peerup.transport.tls_certificate import EXTENSION_OID, SIGNATURE_PREFIX, verify_certificate
from peerup.wire.keys import PrivateKey
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

NOW: Final = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
DAY: Final = datetime.timedelta(days=1)

IDENTITY: Final = PrivateKey.from_seed(bytes(range(32)))
OTHER: Final = PrivateKey.from_seed(bytes(32))
PEER: Final = PeerId.from_public_key(IDENTITY.public_key)
OWN: Final = ec.derive_private_key(12345, ec.SECP256R1())

NAME: Final = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "1")])
ECDSA_WITH_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def element(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    head = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + head + body


def octets(data: bytes) -> bytes:
    return element(0x04, data)


def public_info(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return data


@dataclasses.dataclass(frozen=True)
class Forge:
    """A certificate that is right, but for what a test changes."""

    own: Any = OWN
    signer: Any = None  # instead of ``own``
    hash: type[HashAlgorithm] | None = SHA256
    start: datetime.datetime = NOW - DAY
    end: datetime.datetime = NOW + DAY
    issuer: x509.Name = NAME
    identity: PrivateKey = IDENTITY
    signed_key: bytes | None = None  # what libp2p's extension holds instead of the right thing
    critical: bool = False
    without: bool = False  # libp2p's extension
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    rsa_padding: padding.PSS | None = None

    def right_signed_key(self) -> bytes:
        signature = self.identity.sign(SIGNATURE_PREFIX + public_info(self.own))
        return element(0x30, octets(self.identity.public_key.to_protobuf()), octets(signature))

    def certificate(self) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .serial_number(1 << 62)
            .issuer_name(self.issuer)
            .subject_name(NAME)
            .not_valid_before(self.start)
            .not_valid_after(self.end)
            .public_key(self.own.public_key())
        )
        if not self.without:
            content = self.right_signed_key() if self.signed_key is None else self.signed_key
            libp2p = x509.UnrecognizedExtension(EXTENSION_OID, content)
            builder = builder.add_extension(libp2p, critical=self.critical)
        for extension, critical in self.extensions:
            builder = builder.add_extension(extension, critical=critical)
        signer = self.signer or self.own
        hashing: Any = self.hash and self.hash()
        return builder.sign(signer, hashing, rsa_padding=self.rsa_padding)

    def der(self) -> bytes:
        return der(self.certificate())


def signed_by_itself(unsigned: bytes) -> bytes:
    """A certificate of what is to be signed with ``OWN`` and SHA-256, however odd it is."""
    signature = OWN.sign(unsigned, ec.ECDSA(SHA256()))
    return element(0x30, unsigned, ECDSA_WITH_SHA256, element(0x03, b"\0", signature))


def verify(certificate: bytes | x509.Certificate, now: datetime.datetime = NOW) -> PeerId:
    return verify_certificate([certificate], now=now).peer


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key; making one takes long enough to do it once."""
    return rsa.generate_private_key(65537, bits)
