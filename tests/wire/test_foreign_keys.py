"""Keys of RSA, ECDSA and secp256k1, as peers send them; ``test_keys`` has what all types share."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import RemoteProtocolError
from peerup.wire.keys import KeyType, PublicKey
from tests.wire.vectors import vectors

BY_NAME = {vector.name: vector for vector in vectors("keys")}
RSA_DATA = bytes.fromhex(BY_NAME["rsa2048"].expect["public_raw"])


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    head = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + head + body


def der_integer(value: int) -> bytes:
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def rsa_key(n: int, e: int) -> bytes:
    """SubjectPublicKeyInfo of any modulus and exponent, however bad."""
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    return der(0x30, algorithm, der(0x03, b"\0", der(0x30, der_integer(n), der_integer(e))))


def received(kind: KeyType, data: bytes) -> PublicKey:
    """The key that a peer sent with this data, however bad."""
    return PublicKey.from_protobuf(PublicKey(kind, data).to_protobuf())


def test_an_uncompressed_secp256k1_key_becomes_the_compressed_one() -> None:
    vector = BY_NAME["secp256k1_public_uncompressed_input"]
    key = PublicKey.from_protobuf(bytes.fromhex(vector.inputs["public_pb"]))
    assert key.to_protobuf().hex() == vector.expect["public_pb"]


@pytest.mark.parametrize(
    ("bits", "exponent", "why"),
    [
        (512, 65537, "512 bits|usable"),
        (1024, 65537, "1024 bits|usable"),
        (2047, 65537, "2047 bits"),
        (8193, 65537, "8193 bits"),
        (16384, 65537, "public key of"),
        (2048, 1, "exponent|usable"),
        (2048, 65536, "exponent|usable"),
        (2048, 2**31 + 1, "exponent"),
        (2048, 2**2047 - 1, "exponent|usable"),
    ],
)
def test_rsa_keys_out_of_bounds_are_refused(bits: int, exponent: int, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        received(KeyType.RSA, rsa_key(2**bits - 1, exponent))


@pytest.mark.parametrize(("bits", "exponent"), [(2048, 3), (4096, 65537), (8192, 2**31 - 1)])
def test_rsa_keys_at_the_bounds_are_taken(bits: int, exponent: int) -> None:
    data = rsa_key(2**bits - 1, exponent)
    key = received(KeyType.RSA, data)
    assert key.data == data
    with pytest.raises(RemoteProtocolError, match="wrong RSA signature"):
        key.verify(b"\x01" * (bits // 8), b"peerup")


@pytest.mark.parametrize(
    "point",
    [
        "00",
        "02" + "00" * 31 + "05",  # no y belongs to this x
        "02" + "ff" * 32,  # x above the field
        "04" + "01" * 64,
        "05" + "01" * 32,
        "04" + "01" * 32,
        "06" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",  # hybrid form
    ],
)
def test_what_is_no_point_on_secp256k1_is_refused(point: str) -> None:
    with pytest.raises(RemoteProtocolError, match=r"(?i)secp256k1"):
        received(KeyType.SECP256K1, bytes.fromhex(point))


def spki(curve: ec.EllipticCurve) -> bytes:
    key = ec.derive_private_key(7, curve).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


P256 = spki(ec.SECP256R1())


def test_ecdsa_keys_on_the_nist_curves_are_taken() -> None:
    for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()):
        data = spki(curve)
        assert received(KeyType.ECDSA, data).data == data


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (KeyType.ECDSA, spki(ec.SECP256K1())),  # it has a type of its own
        (KeyType.ECDSA, RSA_DATA),
        (KeyType.ECDSA, P256 + b"\0"),
        (KeyType.ECDSA, P256[:-1]),
        (KeyType.ECDSA, P256[:-1] + bytes([P256[-1] ^ 1])),  # off the curve
        (KeyType.ECDSA, P256[-65:]),  # the point without its frame
        (KeyType.ECDSA, b""),
        (KeyType.RSA, P256),
        (KeyType.RSA, RSA_DATA + b"\0"),
        (KeyType.RSA, RSA_DATA[24:]),  # PKCS #1, without its frame
        (KeyType.RSA, b"\x30\x82\xff\xff"),
    ],
)
def test_other_contents_than_the_type_promises_are_refused(kind: KeyType, data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        received(kind, data)


@given(st.integers(0, len(RSA_DATA) - 1), st.integers(1, 255))
def test_a_damaged_rsa_key_is_a_key_or_refused(at: int, change: int) -> None:
    damaged = RSA_DATA[:at] + bytes([RSA_DATA[at] ^ change]) + RSA_DATA[at + 1 :]
    try:
        key = received(KeyType.RSA, damaged)
    except RemoteProtocolError:
        return
    assert key.data == damaged
