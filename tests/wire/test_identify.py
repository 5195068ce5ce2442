from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire import protobuf
from peerup.wire.delimited import decode_all
from peerup.wire.identify import (
    MAX_MESSAGE,
    MAX_MESSAGES,
    MAX_SENT,
    Identify,
    encode_identify,
    merge,
)
from peerup.wire.keys import PrivateKey, PublicKey
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from peerup.wire.peer_record import open_peer_record, seal_peer_record
from tests.wire.vectors import Vector, captured, name_of, vectors

VECTORS = {vector.name: vector for vector in vectors("identify")}
STREAMS = [vector for vector in VECTORS.values() if "stream_bytes" in vector.expect]
DECODED = [vector for vector in STREAMS if "decoded" in vector.expect]

messages = st.builds(
    Identify,
    public_key=st.none() | st.binary(max_size=40),
    listen_addrs=st.lists(st.binary(max_size=20), max_size=4).map(tuple),
    protocols=st.lists(st.text(max_size=20), max_size=4).map(tuple),
    observed_addr=st.none() | st.binary(max_size=20),
    protocol_version=st.none() | st.text(max_size=10),
    agent_version=st.none() | st.text(max_size=10),
    signed_peer_record=st.none() | st.binary(max_size=300),
)


def text(addr: bytes) -> str:
    return str(Multiaddr.from_bytes(addr))


def messages_of(vector: Vector) -> list[bytes]:
    return decode_all(bytes.fromhex(vector.expect["stream_bytes"]), MAX_MESSAGE)


@pytest.mark.parametrize("vector", DECODED, ids=name_of)
def test_what_go_says_of_itself_is_understood(vector: Vector) -> None:
    found = merge(messages_of(vector))
    expected: dict[str, Any] = vector.expect["decoded"]
    assert found.public_key is not None
    assert found.observed_addr is not None
    assert found.signed_peer_record is not None
    assert found.public_key.hex() == expected["public_key_pb"]
    assert [text(addr) for addr in found.listen_addrs] == expected["listen_addrs"]
    assert list(found.protocols) == expected["protocols"]
    assert text(found.observed_addr) == expected["observed_addr"]
    assert found.protocol_version == expected["protocol_version"]
    assert found.agent_version == expected["agent_version"]
    assert found.signed_peer_record.hex() == expected["signed_peer_record"]
    record = open_peer_record(found.signed_peer_record, PeerId.parse(expected["peer_id"]))
    assert record.seq == int(expected["record_seq"])
    assert [str(addr) for addr in record.addrs] == expected["record_addrs"]


@pytest.mark.parametrize("vector", STREAMS, ids=name_of)
def test_we_send_the_messages_that_go_sends(vector: Vector) -> None:
    assert encode_identify(merge(messages_of(vector))) == messages_of(vector)


def test_a_host_without_addresses_sends_no_record() -> None:
    vector = VECTORS["response_rsa_no_addresses"]
    found = merge(messages_of(vector))
    assert found.signed_peer_record is None
    assert found.listen_addrs == ()
    assert list(found.protocols) == vector.expect["protocols"]
    key = PublicKey.from_protobuf(found.public_key or b"")
    assert str(PeerId.from_public_key(key)) == vector.expect["peer_id"]


def test_a_message_made_of_every_field_has_the_bytes_that_go_makes() -> None:
    vector = VECTORS["marshalled_fixed"]
    inputs = vector.inputs
    key = PrivateKey.from_protobuf(bytes.fromhex(inputs["private_pb"]))
    addrs = [Multiaddr.parse(addr) for addr in inputs["listen_addrs"]]
    identify = Identify(
        public_key=key.public_key.to_protobuf(),
        listen_addrs=tuple(addr.to_bytes() for addr in addrs),
        protocols=tuple(inputs["protocols"]),
        observed_addr=Multiaddr.parse(inputs["observed_addr"]).to_bytes(),
        protocol_version=inputs["protocol_version"],
        agent_version=inputs["agent_version"],
        signed_peer_record=seal_peer_record(key, addrs, inputs["record_seq"]),
    )
    (message,) = encode_identify(identify)
    assert message.hex() == vector.expect["message"]


@pytest.mark.parametrize("file", ["go_libp2p_0_32", "js_libp2p_3_3"])
def test_messages_of_live_peers_are_understood(file: str) -> None:
    capture = captured(file)
    found = merge([bytes.fromhex(capture["identify_msg"])])
    assert found.public_key == bytes.fromhex(capture["public_key_pb"])
    assert found.signed_peer_record == bytes.fromhex(capture["signed_peer_record"])
    assert "/ipfs/id/1.0.0" in found.protocols
    assert found.observed_addr is not None
    assert text(found.observed_addr).startswith("/ip4/127.0.0.1/tcp/")


@given(messages)
def test_what_is_sent_comes_back(identify: Identify) -> None:
    assert merge(encode_identify(identify)) == identify


def test_the_record_goes_into_a_message_of_its_own_above_2_kib() -> None:
    record = bytes(300)
    small = Identify(observed_addr=bytes(1700), signed_peer_record=record)
    large = Identify(observed_addr=bytes(1800), signed_peer_record=record)
    assert len(encode_identify(small)) == 1
    first, second = encode_identify(large)
    assert merge([first]).signed_peer_record is None
    assert merge([first]).observed_addr == large.observed_addr
    assert merge([second]) == Identify(signed_peer_record=record)
    assert merge([first, second]) == large


def test_without_a_record_there_is_nothing_to_split_off() -> None:
    assert len(encode_identify(Identify(observed_addr=bytes(3000)))) == 1


def test_more_than_others_read_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="at most 4096"):
        encode_identify(Identify(observed_addr=bytes(MAX_SENT)))
    with pytest.raises(ValueError, match="at most 4096"):
        encode_identify(Identify(observed_addr=bytes(2048), signed_peer_record=bytes(2048)))


def test_parts_add_to_lists_and_replace_the_rest() -> None:
    first = Identify(listen_addrs=(b"a",), protocols=("/a",), agent_version="a", public_key=b"k")
    second = Identify(listen_addrs=(b"b",), protocols=("/b",), agent_version="b")
    assert merge([protobuf.encode(first), protobuf.encode(second)]) == Identify(
        listen_addrs=(b"a", b"b"), protocols=("/a", "/b"), agent_version="b", public_key=b"k"
    )


def test_an_empty_message_says_nothing_and_is_allowed() -> None:
    assert merge([b""]) == Identify()


def test_no_message_at_all_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="without a message"):
        merge([])


def test_messages_are_bounded_in_number_and_size() -> None:
    assert merge([b""] * MAX_MESSAGES) == Identify()
    with pytest.raises(LimitError, match="10 messages"):
        merge([b""] * (MAX_MESSAGES + 1))
    padding = b"\x7a" + b"\xfd\x3f" + bytes(MAX_MESSAGE - 3)
    assert merge([padding]) == Identify()
    with pytest.raises(LimitError, match="8192 bytes"):
        merge([padding + b"\x00"])


def test_protocols_are_bounded_over_all_messages() -> None:
    many = b"\x1a\x00" * 1024
    assert len(merge([many]).protocols) == 1024
    with pytest.raises(LimitError):
        merge([many, b"\x1a\x00"])


@pytest.mark.parametrize("message", [b"\x1a\x02\xc3\x28", b"\x0a\x05a", b"\x0b", b"\xff"])
def test_a_malformed_message_is_refused(message: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        merge([b"", message])


@given(st.lists(st.binary(max_size=40), max_size=3))
def test_arbitrary_messages_are_understood_or_refused(parts: list[bytes]) -> None:
    try:
        found = merge(parts)
    except RemoteProtocolError:
        return
    assert merge(encode_identify(found)) == found
