from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import RemoteProtocolError
from peerup.wire.keys import KeyType, PrivateKey, PublicKey
from tests.wire.vectors import Vector, captured, name_of, vectors

KEYS = [vector for vector in vectors("keys") if "public_raw" in vector.expect]
BY_NAME = {vector.name: vector for vector in vectors("keys")}
OURS = [vector for vector in KEYS if vector.expect["key_type"] == KeyType.ED25519]
SEED = bytes.fromhex(BY_NAME["ed25519_a"].inputs["seed"])

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
SMALL_ORDER = [
    # The eight points of small order, and the other ways to write them.
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


def message(kind: int, data: bytes) -> bytes:
    size = len(data)
    prefix = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return bytes([0x08, kind, 0x12]) + prefix + data


def public(vector: Vector) -> PublicKey:
    return PublicKey.from_protobuf(bytes.fromhex(vector.expect["public_pb"]))


@pytest.mark.parametrize("vector", KEYS, ids=name_of)
def test_public_keys_of_go_are_read_and_written_as_go_does(vector: Vector) -> None:
    key = public(vector)
    assert key.type is KeyType(vector.expect["key_type"])
    assert key.data.hex() == vector.expect["public_raw"]
    assert key.to_protobuf().hex() == vector.expect["public_pb"]


@pytest.mark.parametrize("vector", KEYS, ids=name_of)
def test_signatures_of_go_hold_for_their_message_and_no_other(vector: Vector) -> None:
    key = public(vector)
    signature = bytes.fromhex(vector.expect["signature"])
    text = bytes.fromhex(vector.inputs["message"])
    key.verify(signature, text)
    for other_signature, other_text in ((signature, text + b"!"), (signature[:-1], text)):
        with pytest.raises(RemoteProtocolError, match="signature"):
            key.verify(other_signature, other_text)


@pytest.mark.parametrize("vector", KEYS, ids=name_of)
@given(data=st.data())
def test_a_signature_with_one_changed_byte_is_refused(vector: Vector, data: st.DataObject) -> None:
    signature = bytearray.fromhex(vector.expect["signature"])
    at = data.draw(st.integers(0, len(signature) - 1))
    signature[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteProtocolError, match="signature"):
        public(vector).verify(bytes(signature), bytes.fromhex(vector.inputs["message"]))


def test_the_bad_signature_of_the_vectors_is_refused() -> None:
    inputs = BY_NAME["ed25519_bad_signature"].inputs
    key = PublicKey.from_protobuf(bytes.fromhex(inputs["public_pb"]))
    with pytest.raises(RemoteProtocolError, match="wrong ED25519 signature"):
        key.verify(bytes.fromhex(inputs["signature"]), bytes.fromhex(inputs["message"]))


@pytest.mark.parametrize("vector", KEYS, ids=name_of)
@given(signature=st.binary(max_size=300))
def test_garbage_is_no_signature(vector: Vector, signature: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="signature"):
        public(vector).verify(signature, b"peerup")


def test_a_huge_signature_is_refused_unread() -> None:
    with pytest.raises(RemoteProtocolError, match="of 1000000 bytes"):
        public(BY_NAME["rsa2048"]).verify(bytes(1_000_000), b"peerup")


@pytest.mark.parametrize("file", ["go_libp2p_0_32", "js_libp2p_3_3"])
def test_keys_of_live_peers_come_back(file: str) -> None:
    data = bytes.fromhex(captured(file)["public_key_pb"])
    assert PublicKey.from_protobuf(data).to_protobuf() == data


@pytest.mark.parametrize("vector", OURS, ids=name_of)
def test_our_key_is_the_key_of_go_with_the_same_seed(vector: Vector) -> None:
    key = PrivateKey.from_seed(bytes.fromhex(vector.inputs["seed"]))
    assert key.to_protobuf().hex() == vector.expect["private_pb"]
    assert key.public_key.to_protobuf().hex() == vector.expect["public_pb"]
    assert key.sign(bytes.fromhex(vector.inputs["message"])).hex() == vector.expect["signature"]
    assert PrivateKey.from_protobuf(bytes.fromhex(vector.expect["private_pb"])) == key


def test_the_old_form_with_the_public_key_twice_is_read() -> None:
    vector = BY_NAME["ed25519_private_96_byte_form"]
    key = PrivateKey.from_protobuf(bytes.fromhex(vector.inputs["private_pb"]))
    assert key.to_protobuf().hex() == vector.expect["same_as_private_pb"]


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_what_we_sign_verifies_and_our_key_comes_back(seed: bytes, text: bytes) -> None:
    key = PrivateKey.from_seed(seed)
    PublicKey.from_protobuf(key.public_key.to_protobuf()).verify(key.sign(text), text)
    again = PrivateKey.from_protobuf(key.to_protobuf())
    assert again == key
    assert hash(again) == hash(key)
    assert len(key.to_protobuf()) == 68
    assert key.to_protobuf().startswith(bytes.fromhex("08011240"))


def test_generated_keys_differ() -> None:
    assert PrivateKey.generate() != PrivateKey.generate()
    assert PrivateKey.generate() != "a key"


def test_no_text_form_of_a_private_key_shows_the_secret() -> None:
    key = PrivateKey.from_seed(SEED)
    for text in (repr(key), str(key), f"{[key]}"):
        for secret in (SEED, key.to_protobuf()):
            assert secret.hex() not in text
            assert base64.b64encode(secret).decode() not in text
            assert repr(secret) not in text


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_another_length_is_our_own_mistake(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        PrivateKey.from_seed(bytes(size))


@pytest.mark.parametrize("vector", [v for v in KEYS if v not in OURS], ids=name_of)
def test_private_keys_of_other_types_are_refused(vector: Vector) -> None:
    with pytest.raises(ValueError, match="only ED25519"):
        PrivateKey.from_protobuf(bytes.fromhex(vector.inputs["private_pb"]))


@pytest.mark.parametrize(
    "publics",
    [
        b"",
        bytes(32),
        PrivateKey.from_seed(SEED).public_key.data[:31],
        PrivateKey.from_seed(SEED).public_key.data + bytes(32),
        PrivateKey.from_seed(SEED).public_key.data * 3,
    ],
)
def test_a_key_file_whose_halves_do_not_belong_together_is_refused(publics: bytes) -> None:
    with pytest.raises(ValueError, match="belong together"):
        PrivateKey.from_protobuf(message(KeyType.ED25519, SEED + publics))


@given(st.binary(max_size=80))
def test_an_arbitrary_key_file_is_read_or_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        PrivateKey.from_protobuf(data)


@pytest.mark.parametrize("data", SMALL_ORDER)
def test_ed25519_points_of_small_order_are_refused(data: str) -> None:
    with pytest.raises(RemoteProtocolError, match="small order"):
        PublicKey.from_protobuf(message(KeyType.ED25519, bytes.fromhex(data)))
    with pytest.raises(RemoteProtocolError, match="small order"):
        PublicKey(KeyType.ED25519, bytes.fromhex(data)).verify(bytes(64), b"peerup")


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_ed25519_keys_of_another_length_are_refused(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"{size} bytes"):
        PublicKey.from_protobuf(message(KeyType.ED25519, b"\x02" * size))


def test_an_ed25519_signature_that_is_not_reduced_is_refused() -> None:
    key = PrivateKey.from_seed(SEED)
    signature = key.sign(b"peerup")
    s = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    with pytest.raises(RemoteProtocolError, match="wrong"):
        key.public_key.verify(signature[:32] + s.to_bytes(32, "little"), b"peerup")


def test_a_huge_key_of_any_type_is_refused_unread() -> None:
    for kind in KeyType:
        with pytest.raises(RemoteProtocolError, match="key of"):
            PublicKey.from_protobuf(message(kind, bytes(10_000)))
        with pytest.raises(RemoteProtocolError, match="key of 10000 bytes"):
            PublicKey(kind, bytes(10_000)).verify(bytes(64), b"peerup")


@pytest.mark.parametrize("data", ["", "0801", "1200", "08041200", "12200801", "ff"])
def test_a_message_that_is_no_key_is_refused(data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        PublicKey.from_protobuf(bytes.fromhex(data))


def test_a_key_message_with_more_to_it_gets_the_canonical_form() -> None:
    plain = PrivateKey.from_seed(SEED).public_key.to_protobuf()
    assert PublicKey.from_protobuf(plain + b"\x1a\x01x").to_protobuf() == plain
    assert PublicKey.from_protobuf(plain[2:] + plain[:2]).to_protobuf() == plain


@given(st.sampled_from(KeyType), st.binary(max_size=120))
def test_arbitrary_key_data_is_a_key_or_refused(kind: KeyType, data: bytes) -> None:
    try:
        key = PublicKey.from_protobuf(message(kind, data))
    except RemoteProtocolError:
        return
    assert PublicKey.from_protobuf(key.to_protobuf()) == key
