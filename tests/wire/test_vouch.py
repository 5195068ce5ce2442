from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import RemoteProtocolError
from peerup.wire.pairing import derive_key
from peerup.wire.protobuf import decode, encode
from peerup.wire.vouch import (
    TICKET_SIZE,
    VouchMessage,
    VouchStatus,
    VouchType,
    hash_of,
    ticket_of,
)
from tests.world import peer_of

TOKEN = bytes.fromhex("0102030405060708")
RELAY, HOME = peer_of("relay"), peer_of("home")


def test_a_ticket_is_hkdf_with_a_label_and_both_ids() -> None:
    info = b"\x16peerup vouch ticket v1" + b"\x26" + RELAY.to_bytes() + b"\x26" + HOME.to_bytes()
    extracted = hmac.digest(bytes(32), TOKEN, "sha256")
    expected = hmac.digest(extracted, info + b"\x01", "sha256")
    assert ticket_of(TOKEN, RELAY, HOME) == expected
    assert len(expected) == TICKET_SIZE
    assert hash_of(expected) == hashlib.sha256(expected).digest()


def test_a_ticket_is_good_at_one_relay_and_for_one_inviter() -> None:
    tickets = {
        ticket_of(TOKEN, RELAY, HOME),
        ticket_of(TOKEN, HOME, RELAY),
        ticket_of(TOKEN, RELAY, RELAY),
        ticket_of(bytes(8), RELAY, HOME),
        derive_key(b"", TOKEN),
    }
    assert len(tickets) == 5


def test_messages_look_like_this_on_the_wire() -> None:
    asked = VouchMessage(VouchType.OPEN, ticket=b"\xaa" * 2, seconds=600)
    assert encode(asked).hex() == "08011202aaaa20d804"
    answered = VouchMessage(status=VouchStatus.OK, seconds=600)
    assert encode(answered).hex() == "080020d8042864"
    listed = VouchMessage(status=VouchStatus.OK, peers=(b"\x01", b"\x02"))
    assert encode(listed).hex() == "08002864320101320102"


messages = st.builds(
    VouchMessage,
    type=st.sampled_from(VouchType),
    ticket=st.binary(max_size=40),
    peer=st.binary(max_size=40),
    seconds=st.integers(0, 2**64 - 1),
    status=st.none() | st.integers(0, 2**64 - 1),
    peers=st.lists(st.binary(max_size=40), max_size=5).map(tuple),
)


@given(message=messages)
def test_encode_and_decode_are_inverse(message: VouchMessage) -> None:
    assert decode(VouchMessage, encode(message)) == message


@given(data=st.binary(max_size=100))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        decode(VouchMessage, data)
    except RemoteProtocolError:
        return


def test_a_request_that_nobody_knows_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        decode(VouchMessage, b"\x08\x63")
