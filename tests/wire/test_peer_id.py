from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import RemoteProtocolError
from peerup.wire import multibase, multihash
from peerup.wire.keys import KeyType, PrivateKey, PublicKey
from peerup.wire.peer_id import MAX_PEER_ID_BYTES, PeerId
from tests.wire.vectors import Vector, captured, name_of, vectors

KEYS = [vector for vector in vectors("keys") if "public_pb" in vector.expect]
WITH_TEXTS = [vector for vector in KEYS if "peer_id_cid" in vector.expect]
A = PeerId.parse("12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf")
B = PeerId.parse("12D3KooWJFgXQJVGPW7kYeBA9XTpundbPmaHwX75KU1WSHDMGdSq")

peer_ids = st.one_of(
    st.binary(min_size=1, max_size=42).map(lambda key: multihash.encode(0, key)),
    st.binary(max_size=8).map(multihash.sha2_256),
).map(PeerId.from_bytes)


@pytest.mark.parametrize("vector", KEYS, ids=name_of)
def test_a_key_has_the_id_that_go_gives_it(vector: Vector) -> None:
    key = PublicKey.from_protobuf(bytes.fromhex(vector.expect["public_pb"]))
    assert str(PeerId.from_public_key(key)) == vector.expect["peer_id"]


@pytest.mark.parametrize("vector", WITH_TEXTS, ids=name_of)
def test_bytes_base58_and_cid_are_those_of_go(vector: Vector) -> None:
    peer = PeerId.from_bytes(bytes.fromhex(vector.expect["peer_id_bytes"]))
    assert str(peer) == vector.expect["peer_id"]
    assert peer.to_cid() == vector.expect["peer_id_cid"]
    assert PeerId.parse(vector.expect["peer_id"]) == peer
    assert PeerId.parse(vector.expect["peer_id_cid"]) == peer
    assert peer.to_bytes().hex() == vector.expect["peer_id_bytes"]


@pytest.mark.parametrize("vector", WITH_TEXTS, ids=name_of)
def test_only_ids_of_short_keys_contain_the_key(vector: Vector) -> None:
    key = PeerId.parse(vector.expect["peer_id"]).public_key()
    if vector.expect["public_key_inlined_in_id"]:
        assert key is not None
        assert key.to_protobuf().hex() == vector.expect["public_pb"]
    else:
        assert key is None


@pytest.mark.parametrize("file", ["go_libp2p_0_32", "js_libp2p_3_3"])
def test_ids_of_live_peers_belong_to_their_keys(file: str) -> None:
    capture = captured(file)
    key = PublicKey.from_protobuf(bytes.fromhex(capture["public_key_pb"]))
    assert PeerId.from_public_key(key) == PeerId.parse(capture["peer_id"])


@given(peer_ids)
def test_an_id_comes_back_from_its_bytes_and_all_its_texts(peer: PeerId) -> None:
    assert PeerId.from_bytes(peer.to_bytes()) == peer
    cid = bytes.fromhex("0172") + peer.to_bytes()
    for text in (
        peer.to_cid(),
        "f" + cid.hex(),
        "z" + multibase.encode_base58(cid),
    ):
        assert PeerId.parse(text) == peer
    if str(peer).startswith(("1", "Qm")):
        assert PeerId.parse(str(peer)) == peer


def test_base36_and_base64url_cids_are_read() -> None:
    assert PeerId.parse("uAXIAJAgBEiB5tVYuj-ZU-UB4sRLoqYunkB-FOuaVvtfg45ELrQSWZA") == A
    # A key name as IPNS prints it, from the multibase test texts of base36.
    number = int.from_bytes(bytes.fromhex("0172") + A.to_bytes(), "big")
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    assert digits.startswith("51")
    assert PeerId.parse("k" + digits) == A


def test_ids_compare_hash_and_order_by_their_bytes() -> None:
    again = PeerId.from_bytes(A.to_bytes())
    assert str(again) == str(A)  # with and without cached text
    assert PeerId.from_bytes(A.to_bytes()) == again
    assert {A: 1}[again] == 1
    assert A != B
    assert A.to_bytes() != A
    assert (A < B) == (A.to_bytes() < B.to_bytes())
    assert sorted([B, A]) == sorted([A, B])


def test_an_id_cannot_be_changed_and_survives_copying() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        A._data = b""  # type: ignore[misc]  # that it fails is the point
    assert copy.deepcopy(A) == A
    assert pickle.loads(pickle.dumps(A)) == A


def test_people_see_the_short_form_and_developers_the_whole() -> None:
    assert A.short == "12D3KooWJ1TsijH7..."
    assert repr(A) == "PeerId(12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf)"
    assert f"{A}" == str(A)


def test_the_hash_of_an_ed25519_key_is_another_peer() -> None:
    key = PrivateKey.from_seed(bytes(32)).public_key
    assert PeerId.from_bytes(multihash.sha2_256(key.to_protobuf())) != PeerId.from_public_key(key)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "00",
        "0000",
        "1220" + "11" * 31,
        "1220" + "11" * 33,
        "1214" + "11" * 20,  # a SHA-256 digest cut to 20 bytes
        "1114" + "11" * 20,  # SHA-1
        "1340" + "11" * 64,  # SHA-512
        "0172002408011220" + "11" * 32,  # a CID is no id in bytes
        "800024" + "11" * 36,
        "007f" + "11" * 127,
        "00" + "ffffffffffffffff7f" + "11",
    ],
)
def test_bytes_that_are_not_one_multihash_of_a_key_are_refused(data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        PeerId.from_bytes(bytes.fromhex(data))


def test_the_longest_id_is_taken_and_a_longer_one_refused() -> None:
    largest = multihash.encode(multihash.IDENTITY, bytes(MAX_PEER_ID_BYTES - 2))
    assert PeerId.from_bytes(largest).to_bytes() == largest
    for size in (MAX_PEER_ID_BYTES - 1, 1 << 20):
        with pytest.raises(RemoteProtocolError, match="peer id of"):
            PeerId.from_bytes(multihash.encode(multihash.IDENTITY, bytes(size)))


@pytest.mark.parametrize(
    "content",
    [
        b"\x08\x01\x12\x20" + bytes(32),  # small order
        b"\x08\x01\x12\x1f" + b"\x02" * 31,
        A.to_bytes()[2:] + b"\x18\x01",  # a key, and an unknown field
        A.to_bytes()[4:] + A.to_bytes()[2:4],  # fields in another order
        b"peerup",
    ],
)
def test_an_id_that_holds_no_key_of_its_own_is_refused_when_the_key_is_asked_for(
    content: bytes,
) -> None:
    peer = PeerId.from_bytes(multihash.encode(multihash.IDENTITY, content))
    with pytest.raises(RemoteProtocolError):
        peer.public_key()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1",
        "Qm",
        "home",
        str(A)[:-1],
        str(A) + "1",
        str(A) + " ",
        " " + str(A),
        str(A).replace("K", "0", 1),
        str(A).lower(),
        "QmZyQWqFq9FGcjAw39ZW3rqdjwCn6VzpZN9cb9g8wQR18",
        A.to_cid()[:-1],
        A.to_cid().upper(),
        "f01551220" + "11" * 32,  # a CID of raw bytes
        "f00721220" + "11" * 32,  # CID version 0 does not look like this
        "f0172",
        "/p2p/" + str(A),
        "z" + str(A),
        "\x1b[31m",
        "é",
    ],
)
def test_a_text_that_is_no_peer_id_is_a_value_error_that_shows_it(text: str) -> None:
    with pytest.raises(ValueError, match="is not a peer id") as caught:
        PeerId.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("start", ["1", "Qm", "b", "k", "f", "x"])
def test_a_huge_text_is_refused_at_once_and_not_repeated(start: str) -> None:
    with pytest.raises(ValueError, match="is not a peer id") as caught:
        PeerId.parse(start + "1" * (1 << 20))
    assert len(str(caught.value)) < 200


@given(st.text(max_size=60))
def test_arbitrary_text_is_an_id_or_a_value_error(text: str) -> None:
    try:
        peer = PeerId.parse(text)
    except ValueError:
        return
    assert PeerId.parse(str(peer)) == peer


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_an_id_or_refused(data: bytes) -> None:
    try:
        peer = PeerId.from_bytes(data)
    except RemoteProtocolError:
        return
    assert peer.to_bytes() == data


def test_only_the_length_of_a_key_decides_whether_it_is_hashed() -> None:
    ed25519 = PeerId.from_public_key(PrivateKey.from_seed(bytes(32)).public_key)
    assert ed25519.to_bytes().startswith(b"\x00\x24\x08\x01\x12\x20")
    longest_inline = PublicKey(KeyType.ECDSA, bytes(38))
    hashed = PublicKey(KeyType.ECDSA, bytes(39))
    assert PeerId.from_public_key(longest_inline).to_bytes().startswith(b"\x00\x2a")
    assert PeerId.from_public_key(hashed).to_bytes().startswith(b"\x12\x20")
