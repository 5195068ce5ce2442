from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire.envelope import seal
from peerup.wire.keys import PrivateKey
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from peerup.wire.peer_record import (
    DOMAIN,
    PAYLOAD_TYPE,
    PeerRecord,
    open_peer_record,
    seal_peer_record,
)
from tests.wire.vectors import Vector, captured, name_of, vectors

RECORDS = [
    vector
    for vector in vectors("signed_envelopes")
    if vector.name.startswith("peer_record") and "payload" in vector.expect
]
KEY = PrivateKey.from_seed(bytes(range(32)))
PEER = PeerId.from_public_key(KEY.public_key)
OTHER = PeerId.from_public_key(PrivateKey.from_seed(bytes(32)).public_key)
TCP = Multiaddr.parse("/ip4/1.2.3.4/tcp/4001")

ports = st.integers(0, 65535).map(lambda port: Multiaddr.parse(f"/ip4/1.2.3.4/tcp/{port}"))


@pytest.mark.parametrize("vector", RECORDS, ids=name_of)
def test_records_of_go_open(vector: Vector) -> None:
    record = open_peer_record(bytes.fromhex(vector.expect["envelope"]))
    assert str(record.peer_id) == vector.expect["peer_id"]
    assert record.seq == int(vector.inputs["seq"])
    assert [str(addr) for addr in record.addrs] == vector.inputs["addresses"]


@pytest.mark.parametrize("vector", [v for v in RECORDS if "ed25519" in v.name], ids=name_of)
def test_we_seal_records_as_go_does(vector: Vector) -> None:
    sealed = seal_peer_record(
        PrivateKey.from_protobuf(bytes.fromhex(vector.inputs["private_pb"])),
        [Multiaddr.parse(text) for text in vector.inputs["addresses"]],
        int(vector.inputs["seq"]),
    )
    assert sealed.hex() == vector.expect["envelope"]


@pytest.mark.parametrize("file", ["go_libp2p_0_32", "js_libp2p_3_3"])
def test_records_of_live_peers_open(file: str) -> None:
    capture = captured(file)
    peer = PeerId.parse(capture["peer_id"])
    record = open_peer_record(bytes.fromhex(capture["signed_peer_record"]), peer)
    assert record.peer_id == peer
    assert record.seq > 0
    assert len(record.addrs) == 2


def test_a_record_that_another_peer_signed_is_refused() -> None:
    (vector,) = (v for v in vectors("signed_envelopes") if "another_key" in v.name)
    with pytest.raises(RemoteProtocolError, match="signed by") as caught:
        open_peer_record(bytes.fromhex(vector.inputs["envelope"]))
    assert vector.expect["signer"] in str(caught.value)
    assert vector.expect["record_peer_id"] in str(caught.value)


@given(st.lists(ports, max_size=5), st.integers(0, (1 << 64) - 1))
def test_a_record_comes_back(addrs: list[Multiaddr], seq: int) -> None:
    sealed = seal_peer_record(KEY, addrs, seq)
    assert open_peer_record(sealed) == PeerRecord(PEER, seq, tuple(addrs))
    assert open_peer_record(sealed, PEER) == open_peer_record(sealed)


def test_a_record_of_another_peer_than_expected_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="instead of"):
        open_peer_record(seal_peer_record(KEY, [TCP], 1), OTHER)


@pytest.mark.parametrize("seq", [-1, 1 << 64])
def test_a_sequence_number_that_does_not_fit_is_our_own_mistake(seq: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        seal_peer_record(KEY, [TCP], seq)


def sealed_payload(payload: bytes) -> bytes:
    return seal(KEY, DOMAIN, PAYLOAD_TYPE, payload)


def test_addresses_of_unknown_kinds_are_left_out() -> None:
    identity = b"\x0a\x26" + PEER.to_bytes()
    unknown = b"\x1a\x06\x0a\x04\xfe\xff\xff\x01"
    no_address = b"\x1a\x00"
    known = b"\x1a\x0a\x0a\x08" + TCP.to_bytes()
    record = open_peer_record(sealed_payload(identity + unknown + no_address + known))
    assert record == PeerRecord(PEER, 0, (TCP,))


def test_too_many_addresses_are_refused() -> None:
    with pytest.raises(LimitError):
        open_peer_record(sealed_payload(b"\x0a\x26" + PEER.to_bytes() + b"\x1a\x00" * 1025))


@pytest.mark.parametrize(
    "payload", [b"", b"\x0a\x00", b"\x0a\x02\x12\x20", b"\x1a\x01\x0a", b"\xff"]
)
def test_a_payload_that_is_no_record_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        open_peer_record(sealed_payload(payload))


@given(st.binary(max_size=60))
def test_an_arbitrary_signed_payload_is_a_record_of_its_signer_or_refused(payload: bytes) -> None:
    try:
        record = open_peer_record(sealed_payload(payload))
    except RemoteProtocolError:
        return
    assert record.peer_id == PEER


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        open_peer_record(data)
