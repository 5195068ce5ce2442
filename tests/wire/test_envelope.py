from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire.envelope import MAX_ENVELOPE_BYTES, open_envelope, seal
from peerup.wire.keys import PrivateKey
from peerup.wire.peer_id import PeerId
from tests.wire.vectors import Vector, captured, name_of, vectors

SEALED = [vector for vector in vectors("signed_envelopes") if "payload" in vector.expect]
KEY = PrivateKey.from_seed(bytes(range(32)))
OTHER_KEY = PrivateKey.from_seed(bytes(32))
DOMAIN, TYPE = "peerup-test", b"\x03\x09"


@pytest.mark.parametrize("vector", SEALED, ids=name_of)
def test_envelopes_of_go_open(vector: Vector) -> None:
    opened = open_envelope(
        bytes.fromhex(vector.expect["envelope"]),
        vector.inputs["domain"],
        bytes.fromhex(vector.inputs["payload_type"]),
    )
    assert opened.payload.hex() == vector.expect["payload"]
    signer = vector.expect.get("peer_id") or vector.inputs["relay"]
    assert str(PeerId.from_public_key(opened.public_key)) == signer


@pytest.mark.parametrize("vector", [v for v in SEALED if "ed25519" in v.name], ids=name_of)
def test_we_seal_as_go_does(vector: Vector) -> None:
    encoded = vector.inputs.get("private_pb") or vector.inputs["relay_private_pb"]
    sealed = seal(
        PrivateKey.from_protobuf(bytes.fromhex(encoded)),
        vector.inputs["domain"],
        bytes.fromhex(vector.inputs["payload_type"]),
        bytes.fromhex(vector.expect["payload"]),
    )
    assert sealed.hex() == vector.expect["envelope"]


def test_an_envelope_of_go_does_not_open_in_another_domain() -> None:
    (vector,) = (v for v in vectors("signed_envelopes") if "wrong_domain" in v.name)
    with pytest.raises(RemoteProtocolError, match="wrong ED25519 signature"):
        open_envelope(
            bytes.fromhex(vector.inputs["envelope"]), vector.inputs["domain"], b"\x03\x01"
        )


@pytest.mark.parametrize("file", ["go_libp2p_0_32", "js_libp2p_3_3"])
def test_envelopes_of_live_peers_open(file: str) -> None:
    capture = captured(file)
    data = bytes.fromhex(capture["signed_peer_record"])
    opened = open_envelope(data, "libp2p-peer-record", b"\x03\x01")
    assert opened.payload.hex() == capture["spr_payload"]
    assert str(PeerId.from_public_key(opened.public_key)) == capture["peer_id"]


@given(st.text(min_size=1, max_size=20), st.binary(max_size=4), st.binary(max_size=500))
def test_what_was_sealed_comes_out(domain: str, payload_type: bytes, payload: bytes) -> None:
    opened = open_envelope(seal(KEY, domain, payload_type, payload), domain, payload_type)
    assert opened.payload == payload
    assert opened.public_key == KEY.public_key


@given(st.binary(max_size=40), st.data())
def test_no_single_byte_of_an_envelope_may_change(payload: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(KEY, DOMAIN, TYPE, payload))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteProtocolError):
        open_envelope(bytes(sealed), DOMAIN, TYPE)


@given(st.binary(max_size=40), st.data())
def test_an_envelope_that_is_cut_short_does_not_open(payload: bytes, data: st.DataObject) -> None:
    sealed = seal(KEY, DOMAIN, TYPE, payload)
    cut = data.draw(st.integers(0, len(sealed) - 1))
    with pytest.raises(RemoteProtocolError):
        open_envelope(sealed[:cut], DOMAIN, TYPE)


def test_another_payload_type_or_domain_does_not_open() -> None:
    sealed = seal(KEY, DOMAIN, TYPE, b"payload")
    with pytest.raises(RemoteProtocolError, match="payload type 0309"):
        open_envelope(sealed, DOMAIN, b"\x03\x01")
    with pytest.raises(RemoteProtocolError, match="signature"):
        open_envelope(sealed, "peerup-tes", TYPE)


def test_bytes_cannot_move_between_domain_type_and_payload() -> None:
    sealed = seal(KEY, DOMAIN, b"\x03", b"\x09payload")
    forged = sealed.replace(b"\x12\x01\x03\x1a\x08\x09payload", b"\x12\x02\x03\x09\x1a\x07payload")
    assert forged != sealed
    with pytest.raises(RemoteProtocolError, match="signature"):
        open_envelope(forged, DOMAIN, TYPE)


def test_the_key_of_someone_else_does_not_fit_the_signature() -> None:
    sealed = seal(KEY, DOMAIN, TYPE, b"payload")
    forged = sealed.replace(KEY.public_key.data, OTHER_KEY.public_key.data)
    with pytest.raises(RemoteProtocolError, match="wrong ED25519 signature"):
        open_envelope(forged, DOMAIN, TYPE)


def test_unknown_fields_are_skipped() -> None:
    sealed = seal(KEY, DOMAIN, TYPE, b"payload")
    assert open_envelope(sealed + b"\x22\x01x", DOMAIN, TYPE).payload == b"payload"


def test_a_long_envelope_is_refused_unread() -> None:
    with pytest.raises(LimitError, match="8193 bytes"):
        open_envelope(bytes(MAX_ENVELOPE_BYTES + 1), DOMAIN, TYPE)
    largest = seal(KEY, DOMAIN, TYPE, bytes(MAX_ENVELOPE_BYTES - 111))
    assert len(largest) == MAX_ENVELOPE_BYTES
    assert open_envelope(largest, DOMAIN, TYPE).payload == bytes(MAX_ENVELOPE_BYTES - 111)


def test_an_envelope_without_a_domain_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="domain"):
        seal(KEY, "", TYPE, b"payload")


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_no_envelope(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        open_envelope(data, DOMAIN, TYPE)
