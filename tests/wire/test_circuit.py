from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import RemoteProtocolError
from peerup.wire.circuit import (
    MAX_MESSAGE,
    VOUCHER_DOMAIN,
    VOUCHER_PAYLOAD_TYPE,
    HopMessage,
    HopType,
    Limit,
    Peer,
    Reservation,
    Status,
    StopMessage,
    StopType,
    Voucher,
    open_voucher,
    seal_voucher,
)
from peerup.wire.delimited import decode_all, join
from peerup.wire.envelope import seal
from peerup.wire.keys import PrivateKey
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import decode, encode
from tests.wire.vectors import Vector, captured, name_of, vectors

CIRCUIT = vectors("circuit")
VOUCHERS = [v for v in vectors("signed_envelopes") if v.name.startswith("relay_voucher")]
KEY = PrivateKey.from_seed(bytes(range(32)))
RELAY = PeerId.from_public_key(KEY.public_key)
PEER = PeerId.from_public_key(PrivateKey.from_seed(bytes(32)).public_key)
OTHER = PeerId.from_public_key(PrivateKey.from_seed(b"\x07" * 32).public_key)


def addresses(texts: list[str]) -> tuple[bytes, ...]:
    return tuple(Multiaddr.parse(text).to_bytes() for text in texts)


def limit_of(inputs: dict[str, Any]) -> Limit | None:
    if inputs.get("limit") == "empty message":
        return Limit()
    if "limit_data" not in inputs:
        return None
    return Limit(inputs["limit_duration"], inputs["limit_data"])


def peer_of(inputs: dict[str, Any]) -> Peer | None:
    if "peer" not in inputs:
        return None
    return Peer(PeerId.parse(inputs["peer"]).to_bytes(), addresses(inputs.get("peer_addrs", [])))


def reservation_of(inputs: dict[str, Any]) -> Reservation | None:
    if "expire" not in inputs:
        return None
    voucher = bytes.fromhex(inputs["voucher"])
    return Reservation(inputs["expire"], addresses(inputs.get("addrs", [])), voucher)


def described(vector: Vector) -> HopMessage | StopMessage:
    """The message that the inputs of a vector describe."""
    inputs = vector.inputs
    if vector.name.startswith("stop"):
        return StopMessage(
            StopType(inputs["type"]), peer_of(inputs), limit_of(inputs), inputs.get("status")
        )
    return HopMessage(
        HopType(inputs["type"]),
        peer_of(inputs),
        reservation_of(inputs),
        limit_of(inputs),
        inputs.get("status"),
    )


@pytest.mark.parametrize("vector", CIRCUIT, ids=name_of)
def test_messages_have_the_bytes_that_go_makes_and_come_back(vector: Vector) -> None:
    message = described(vector)
    data = bytes.fromhex(vector.expect["message"])
    assert encode(message) == data
    assert join(data).hex() == vector.expect["delimited"]
    assert decode_all(bytes.fromhex(vector.expect["delimited"]), MAX_MESSAGE) == [data]
    assert decode(type(message), data) == message


@pytest.mark.parametrize(
    "vector", [v for v in CIRCUIT if "_status_" in v.name and "status" in v.inputs], ids=name_of
)
def test_status_codes_have_the_names_of_the_spec(vector: Vector) -> None:
    assert vector.inputs["status"] in list(Status)


def test_the_answer_of_a_relay_to_reserve_is_understood() -> None:
    for file, duration in (("go_libp2p_0_32", 120), ("js_libp2p_3_3", 120_000)):
        capture = captured(file)
        message = decode(HopMessage, bytes.fromhex(capture["hop_reserve_response"]))
        assert message.type is HopType.STATUS
        assert message.status == Status.OK
        assert message.limit == Limit(duration, 131072)
        assert message.reservation is not None
        voucher = open_voucher(
            message.reservation.voucher or b"",
            relay=PeerId.parse(capture["peer_id"]),
            peer=PeerId.parse(capture["voucher_for_peer"]),
        )
        assert voucher.expires == message.reservation.expire


def test_a_missing_type_reads_as_zero_and_is_always_written() -> None:
    assert decode(HopMessage, b"") == HopMessage(HopType.RESERVE)
    assert decode(StopMessage, b"") == StopMessage(StopType.CONNECT)
    assert encode(HopMessage()) == encode(StopMessage()) == b"\x08\x00"


def test_an_unknown_status_is_kept_and_an_unknown_type_refused() -> None:
    assert decode(HopMessage, bytes.fromhex("080228e707")).status == 999
    for cls in (HopMessage, StopMessage):
        with pytest.raises(RemoteProtocolError, match="7 is not a"):
            decode(cls, b"\x08\x07")


@pytest.mark.parametrize("data", ["080112021200", "08021a021a00", "08001200", "0801120208"])
def test_a_peer_without_id_and_a_reservation_without_end_are_refused(data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(HopMessage, bytes.fromhex(data))


peers = st.builds(
    Peer, st.binary(max_size=40), st.lists(st.binary(max_size=9), max_size=3).map(tuple)
)
uint64 = st.integers(0, (1 << 64) - 1)
limits = st.builds(Limit, st.none() | uint64, st.none() | uint64)
reservations = st.builds(
    Reservation,
    uint64,
    st.lists(st.binary(max_size=9), max_size=3).map(tuple),
    st.none() | st.binary(max_size=40),
)
hop_messages = st.builds(
    HopMessage,
    st.sampled_from(HopType),
    st.none() | peers,
    st.none() | reservations,
    st.none() | limits,
    st.none() | uint64,
)
stop_messages = st.builds(
    StopMessage,
    st.sampled_from(StopType),
    st.none() | peers,
    st.none() | limits,
    st.none() | uint64,
)


@given(hop_messages, stop_messages)
def test_messages_come_back(hop: HopMessage, stop: StopMessage) -> None:
    assert decode(HopMessage, encode(hop)) == hop
    assert decode(StopMessage, encode(stop)) == stop


@given(st.sampled_from([HopMessage, StopMessage]), st.binary(max_size=60))
def test_arbitrary_bytes_are_a_message_or_refused(
    cls: type[HopMessage | StopMessage], data: bytes
) -> None:
    try:
        message = decode(cls, data)
    except RemoteProtocolError:
        return
    assert decode(cls, encode(message)) == message


@pytest.mark.parametrize("vector", VOUCHERS, ids=name_of)
def test_vouchers_of_go_open(vector: Vector) -> None:
    relay, peer = (PeerId.parse(vector.inputs[name]) for name in ("relay", "peer"))
    voucher = open_voucher(bytes.fromhex(vector.expect["envelope"]), relay=relay, peer=peer)
    assert voucher == Voucher(relay, peer, vector.inputs["expiration"])


@pytest.mark.parametrize("vector", [v for v in VOUCHERS if "ed25519" in v.name], ids=name_of)
def test_we_seal_vouchers_as_go_does(vector: Vector) -> None:
    relay, peer = (PeerId.parse(vector.inputs[name]) for name in ("relay", "peer"))
    key = PrivateKey.from_protobuf(bytes.fromhex(vector.inputs["relay_private_pb"]))
    sealed = seal_voucher(key, relay, peer, vector.inputs["expiration"])
    assert sealed.hex() == vector.expect["envelope"]


@given(uint64)
def test_a_voucher_comes_back(expires: int) -> None:
    sealed = seal_voucher(KEY, RELAY, PEER, expires)
    assert open_voucher(sealed, relay=RELAY, peer=PEER) == Voucher(RELAY, PEER, expires)


def test_a_voucher_is_good_for_its_own_relay_and_peer_only() -> None:
    sealed = seal_voucher(KEY, RELAY, PEER, 1900000000)
    with pytest.raises(RemoteProtocolError, match="instead of"):
        open_voucher(sealed, relay=RELAY, peer=OTHER)
    with pytest.raises(RemoteProtocolError, match="did not sign"):
        open_voucher(sealed, relay=OTHER, peer=PEER)


def sealed_payload(payload: bytes) -> bytes:
    return seal(KEY, VOUCHER_DOMAIN, VOUCHER_PAYLOAD_TYPE, payload)


def test_nobody_vouches_in_the_name_of_another_relay() -> None:
    payload = b"\x0a\x26" + OTHER.to_bytes() + b"\x12\x26" + PEER.to_bytes() + b"\x18\x01"
    for relay in (RELAY, OTHER):
        with pytest.raises(RemoteProtocolError, match="did not sign"):
            open_voucher(sealed_payload(payload), relay=relay, peer=PEER)
    with pytest.raises(ValueError, match="not that of"):
        seal_voucher(KEY, OTHER, PEER, 1)


def test_a_peer_record_is_no_voucher() -> None:
    payload = b"\x0a\x26" + RELAY.to_bytes() + b"\x12\x26" + PEER.to_bytes()
    for domain, payload_type in (
        ("libp2p-peer-record", VOUCHER_PAYLOAD_TYPE),
        (VOUCHER_DOMAIN, b"\x03\x01"),
    ):
        with pytest.raises(RemoteProtocolError):
            open_voucher(seal(KEY, domain, payload_type, payload), relay=RELAY, peer=PEER)


@given(st.binary(max_size=90))
def test_an_arbitrary_signed_payload_is_a_voucher_or_refused(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        open_voucher(sealed_payload(payload), relay=RELAY, peer=PEER)
