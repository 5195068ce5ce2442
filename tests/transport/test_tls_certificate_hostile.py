"""What a hostile peer may send instead of a certificate, byte by byte."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA224
from cryptography.x509.oid import ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import RemoteProtocolError
from peerup.transport.tls_certificate import SIGNATURE_PREFIX
from tests.transport.certificates import (
    IDENTITY,
    OWN,
    PEER,
    Forge,
    element,
    octets,
    public_info,
    rsa_key,
    signed_by_itself,
    verify,
)
from tests.wire.vectors import vectors

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

(VECTOR,) = (vector for vector in vectors("tls") if vector.name == "certificate_ed25519_a")
OF_GO = bytes.fromhex(VECTOR.expect["certificate_der"])
OF_GO_SIGNATURE = b"\0" + x509.load_der_x509_certificate(OF_GO).signature  # with unused bits
MAKER_OF_GO = VECTOR.expect["peer_id"]

KEY = IDENTITY.public_key.to_protobuf()
SIGNATURE = IDENTITY.sign(SIGNATURE_PREFIX + public_info(OWN))
PAIR = octets(KEY) + octets(SIGNATURE)


@pytest.mark.parametrize(
    "signed_key",
    [
        b"",
        b"\x30",
        b"\x30\x00",
        b"\x30\x80" + PAIR + b"\0\0",
        element(0x30, PAIR) + b"\0",
        element(0x30, PAIR)[:-1],
        element(0x31, PAIR),
        element(0x30, PAIR, octets(b"")),
        element(0x30, octets(KEY)),
        element(0x30, element(0x24, octets(KEY)), octets(SIGNATURE)),
        element(0x30, element(0x03, KEY), octets(SIGNATURE)),
        b"\x30\x81" + element(0x30, PAIR)[1:],
        element(0x30, b"\x04\x81\x24" + KEY, octets(SIGNATURE)),
        element(0x30, b"\x04\x82\x00\x24" + KEY, octets(SIGNATURE)),
        b"\x30\xff" + b"\xff" * 127 + PAIR,
        element(0x30, b"\x04\xff" + KEY),
    ],
)
def test_anything_but_key_and_signature_in_strict_der_is_refused(signed_key: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="something else than key and signature"):
        verify(Forge(signed_key=signed_key).der())


@pytest.mark.parametrize(
    "signed_key",
    [
        element(0x30, octets(b""), octets(SIGNATURE)),
        element(0x30, octets(KEY), octets(b"")),
        element(0x30, octets(KEY[:-1]), octets(SIGNATURE)),
        element(0x30, octets(b"\x08\x09" + KEY[2:]), octets(SIGNATURE)),
        element(0x30, octets(KEY), octets(SIGNATURE[:-1])),
        element(0x30, octets(KEY), octets(bytes(2000))),
        element(0x30, octets(KEY + bytes(3000)), octets(SIGNATURE)),
    ],
)
def test_bad_keys_and_signatures_are_refused(signed_key: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        verify(Forge(signed_key=signed_key).der())


def test_a_second_extension_of_libp2p_is_refused() -> None:
    # The builder makes no such certificate: an unknown extension gets libp2p's OID afterwards.
    twin = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.53594.1.2"), Forge().right_signed_key()
    )
    unsigned = Forge(extensions=((twin, False),)).certificate().tbs_certificate_bytes
    doubled = unsigned.replace(bytes.fromhex("83a25a0102"), bytes.fromhex("83a25a0101"))
    assert doubled != unsigned
    with pytest.raises(RemoteProtocolError, match="cannot be read"):
        verify(signed_by_itself(doubled))


def test_a_certificate_of_version_1_is_refused() -> None:
    unsigned = Forge().certificate().tbs_certificate_bytes
    version_3 = bytes.fromhex("a003020102")
    _, _, rest = unsigned.partition(version_3)
    changed = element(0x30, rest)
    with pytest.raises(RemoteProtocolError, match="old version"):
        verify(signed_by_itself(changed))


@pytest.mark.parametrize("serial", ["00", "ff"], ids=["zero", "negative"])
def test_a_serial_number_that_is_not_positive_is_refused_without_a_word_on_the_terminal(
    serial: str,
) -> None:
    unsigned = Forge().certificate().tbs_certificate_bytes
    right = bytes.fromhex("02084000000000000000")
    assert unsigned.count(right) == 1
    body = unsigned[4:].replace(right, bytes.fromhex("0201" + serial))
    forged = signed_by_itself(element(0x30, body))
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with pytest.raises(RemoteProtocolError, match="serial number"):
            verify(forged)
    assert shown == []


@pytest.mark.parametrize(("number", "weak"), [(4, MD5()), (5, SHA1()), (14, SHA224())])
def test_weak_hashes_are_refused(number: int, weak: HashAlgorithm) -> None:
    key = rsa_key()
    unsigned = Forge(own=key).certificate().tbs_certificate_bytes
    with_sha256 = bytes.fromhex("300d06092a864886f70d01010b0500")
    with_weak = bytes.fromhex(f"300d06092a864886f70d0101{number:02x}0500")
    unsigned = unsigned.replace(with_sha256, with_weak)
    signature = key.sign(unsigned, padding.PKCS1v15(), weak)
    forged = element(0x30, unsigned, with_weak, element(0x03, b"\0", signature))
    with pytest.raises(RemoteProtocolError, match="signature algorithm"):
        verify(forged)


# --- whatever a peer may send ---------------------------------------------------------


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
def test_no_single_byte_of_a_certificate_may_change(mask: int) -> None:
    # One bit changes nothing: the signature may say that its last bit is not part of it, if 0.
    unused_bits = len(OF_GO) - len(OF_GO_SIGNATURE)
    for at in range(len(OF_GO)):
        changed = bytearray(OF_GO)
        changed[at] ^= mask
        if (at, mask) == (unused_bits, 1):
            assert str(verify(bytes(changed))) == MAKER_OF_GO
        else:
            with pytest.raises(RemoteProtocolError):
                verify(bytes(changed))


def test_a_certificate_that_is_cut_short_or_has_more_behind_it_is_refused() -> None:
    right = Forge().der()
    for size in range(len(right)):
        with pytest.raises(RemoteProtocolError):
            verify(right[:size])
    with pytest.raises(RemoteProtocolError):
        verify(right + b"\0")


@given(st.binary(max_size=1000))
def test_arbitrary_bytes_are_no_certificate(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        verify(data)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_in_the_extension_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        verify(Forge(signed_key=data).der())


@given(st.data())
def test_a_mutated_certificate_is_refused_or_still_names_its_maker(data: st.DataObject) -> None:
    changed = bytearray(OF_GO)
    for _ in range(data.draw(st.integers(1, 4), label="changes")):
        at = data.draw(st.integers(0, len(changed) - 1), label="at")
        match data.draw(st.sampled_from(["set", "insert", "remove", "repeat"]), label="how"):
            case "set":
                changed[at] = data.draw(st.integers(0, 255), label="value")
            case "insert":
                changed.insert(at, data.draw(st.integers(0, 255), label="value"))
            case "remove":
                del changed[at]
            case _:
                changed[at:at] = changed[at : at + 8]
    try:
        assert str(verify(bytes(changed))) == MAKER_OF_GO
    except RemoteProtocolError:
        pass


OIDS = sorted(
    (oid for oid in vars(ExtensionOID).values() if isinstance(oid, x509.ObjectIdentifier)),
    key=lambda oid: oid.dotted_string,
)


@given(st.sampled_from(OIDS), st.binary(max_size=60), st.booleans())
def test_garbage_in_the_extensions_of_x509_does_no_harm(
    oid: x509.ObjectIdentifier, content: bytes, critical: bool
) -> None:
    extension = x509.UnrecognizedExtension(oid, content)
    try:
        assert verify(Forge(extensions=((extension, critical),)).der()) == PEER
    except RemoteProtocolError:
        pass
