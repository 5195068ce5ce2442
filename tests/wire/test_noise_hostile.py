"""Handshakes that must fail, and what must not leave when they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, RemoteProtocolError, WrongPeerError
from peerup.wire.keys import PrivateKey
from peerup.wire.noise import MAX_HANDSHAKE_MESSAGE, Handshake
from peerup.wire.peer_id import PeerId
from tests.wire.noise_peer import (
    ALICE,
    ALICE_KEYS,
    BOB,
    BOB_KEYS,
    SIGNED,
    YAMUX,
    NoisePeer,
    extensions,
    field,
    framed,
    initiator,
    proof,
    responder,
    run,
    unframed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FIXED: Final = run(initiator(muxers=[YAMUX]), responder(muxers=[YAMUX]))
MALLORY: Final = PrivateKey.from_seed(b"m" * 32)
BOB_ID: Final = PeerId.from_public_key(BOB.public_key)
ALICE_STATIC: Final = NoisePeer(ALICE_KEYS).s_public
BOB_STATIC: Final = NoisePeer(BOB_KEYS).s_public


def waiting_for_second() -> Handshake:
    """An initiator whose first message left."""
    machine = initiator(muxers=[YAMUX])
    assert machine.data_to_send() == FIXED.first
    return machine


def waiting_for_third() -> Handshake:
    """A responder that answered the first message."""
    machine = responder(muxers=[YAMUX])
    machine.receive(FIXED.first)
    assert machine.data_to_send() == FIXED.second
    return machine


def refuses(machine: Handshake, wire: bytes) -> bool:
    """Whether ``wire`` is an error, after which nothing of us leaves."""
    with pytest.raises(RemoteProtocolError):
        machine.receive(wire)
    return machine.session is None and machine.data_to_send() == b""


def waits(machine: Handshake, wire: bytes) -> bool:
    """Whether ``machine`` takes ``wire`` for a part of a message."""
    machine.receive(wire)
    return machine.session is None and machine.data_to_send() == b""


def flipped(wire: bytes, at: int, bit: int) -> bytes:
    return wire[:at] + bytes([wire[at] ^ 1 << bit]) + wire[at + 1 :]


STAGES: Final[dict[str, tuple[Callable[[], Handshake], bytes]]] = {
    "message 2": (waiting_for_second, FIXED.second),
    "message 3": (waiting_for_third, FIXED.third),
}
stages = pytest.mark.parametrize("stage", STAGES)


@stages
def test_a_flipped_bit_anywhere_in_a_message_ends_the_handshake(stage: str) -> None:
    begin, wire = STAGES[stage]
    for at in range(len(wire)):
        changed = flipped(wire, at, at % 8)
        longer = int.from_bytes(changed[:2], "big") > len(wire) - 2
        assert waits(begin(), changed) if longer else refuses(begin(), changed), f"byte {at}"


@pytest.mark.parametrize("at", range(len(FIXED.first)))
def test_a_flipped_bit_in_message_1_is_noticed_by_the_initiator(at: int) -> None:
    """Nothing authenticates message 1 by itself, but both hash it."""
    theirs = responder()
    try:
        theirs.receive(flipped(FIXED.first, at, at % 8))
    except RemoteProtocolError:
        return
    answer = theirs.data_to_send()
    assert bool(answer) == (at >= 2)  # with a wrong length it waits, or takes too little
    if answer:
        assert refuses(waiting_for_second(), answer)


def test_the_top_bit_that_x25519_ignores_is_noticed_too() -> None:
    theirs = responder()
    theirs.receive(flipped(FIXED.first, 33, 7))
    assert refuses(waiting_for_second(), theirs.data_to_send())


@stages
def test_a_message_that_was_cut_short_ends_the_handshake(stage: str) -> None:
    begin, wire = STAGES[stage]
    for size in range(len(wire) - 2):
        with pytest.raises(RemoteProtocolError):
            begin().receive(framed(unframed(wire)[:size]))


@pytest.mark.parametrize("size", range(32))
def test_a_first_message_without_a_whole_key_refuses(size: int) -> None:
    with pytest.raises(RemoteProtocolError):
        responder().receive(framed(bytes(range(1, size + 1))))


@stages
def test_a_message_with_more_behind_its_payload_refuses(stage: str) -> None:
    begin, wire = STAGES[stage]
    with pytest.raises(RemoteProtocolError, match="not valid"):
        begin().receive(framed(unframed(wire) + b"\0"))


@stages
def test_messages_of_another_handshake_are_of_no_use(stage: str) -> None:
    """Replayed, reflected or out of order: each handshake has its own keys and hash."""
    begin, _ = STAGES[stage]
    other = run(initiator(fixed=False), responder(fixed=False))
    for wire in (FIXED.first, *other, FIXED.third if stage == "message 2" else FIXED.second):
        assert refuses(begin(), wire)


def test_a_replayed_first_message_proves_nothing() -> None:
    theirs = responder(fixed=False)
    theirs.receive(FIXED.first)
    theirs.data_to_send()
    assert refuses(theirs, FIXED.third)


def test_a_message_is_refused_before_it_arrives_when_it_is_too_large() -> None:
    for size in (MAX_HANDSHAKE_MESSAGE + 1, 60 * 1024, 65535):
        for machine in (waiting_for_second(), responder(), waiting_for_third()):
            with pytest.raises(LimitError, match=f"{size} bytes"):
                machine.receive(size.to_bytes(2, "big"))


@pytest.mark.parametrize("wire", [b"GET / HTTP/1.1\r\n", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_other_protocols_are_refused_at_their_first_bytes(wire: bytes) -> None:
    for machine in (waiting_for_second(), responder()):
        assert refuses(machine, wire)


# The points of small order. X25519 ignores the top bit, so each has two ways to be written.
LOW_ORDER: Final = [
    bytes.fromhex(text + end)
    for text, last in [
        ("00000000000000000000000000000000000000000000000000000000000000", 0x00),
        ("01000000000000000000000000000000000000000000000000000000000000", 0x00),
        ("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b8", 0x00),
        ("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11", 0x57),
        ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", 0x7F),
        ("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", 0x7F),
        ("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", 0x7F),
    ]
    for end in (f"{last:02x}", f"{last | 0x80:02x}")
]
weak_points = pytest.mark.parametrize("point", LOW_ORDER, ids=lambda point: point.hex()[::9])


@weak_points
def test_a_weak_ephemeral_key_of_the_initiator_refuses(point: bytes) -> None:
    theirs = responder()
    with pytest.raises(RemoteProtocolError):
        theirs.receive(framed(point))
    assert theirs.data_to_send() == b""


@weak_points
def test_a_weak_ephemeral_key_of_the_responder_refuses(point: bytes) -> None:
    ours, peer = initiator(), NoisePeer(BOB_KEYS, ephemeral_public=point)
    peer.read_1(unframed(ours.data_to_send()))
    assert refuses(ours, framed(peer.write_2(proof(BOB, peer.s_public))))


@weak_points
def test_a_weak_static_key_of_the_responder_refuses(point: bytes) -> None:
    ours, peer = initiator(), NoisePeer(BOB_KEYS, static_public=point)
    peer.read_1(unframed(ours.data_to_send()))
    assert refuses(ours, framed(peer.write_2(proof(BOB, point))))


@weak_points
def test_a_weak_static_key_of_the_initiator_refuses(point: bytes) -> None:
    theirs, peer = responder(), NoisePeer(ALICE_KEYS, static_public=point)
    theirs.receive(framed(peer.write_1()))
    peer.read_2(unframed(theirs.data_to_send()))
    assert refuses(theirs, framed(peer.write_3(proof(ALICE, point))))


def second(machine: Handshake, payload: bytes) -> bytes:
    """Message 2 of a peer that does all right but for this payload."""
    peer = NoisePeer(BOB_KEYS)
    peer.read_1(unframed(machine.data_to_send()))
    return framed(peer.write_2(payload))


def third(machine: Handshake, payload: bytes) -> bytes:
    """Message 3 of a peer that does all right but for this payload."""
    peer = NoisePeer(ALICE_KEYS)
    machine.receive(framed(peer.write_1()))
    peer.read_2(unframed(machine.data_to_send()))
    return framed(peer.write_3(payload))


def test_a_wrong_peer_is_named_and_learns_nothing_of_us() -> None:
    ours = initiator(expected=BOB_ID)
    wire = second(ours, proof(MALLORY, BOB_STATIC))
    with pytest.raises(WrongPeerError) as failed:
        ours.receive(wire)
    mallory = PeerId.from_public_key(MALLORY.public_key)
    assert (failed.value.expected, failed.value.actual) == (str(BOB_ID), str(mallory))
    assert ours.data_to_send() == b""  # message 3 would say who we are
    assert ours.session is None


def test_a_responder_may_expect_somebody_as_well() -> None:
    theirs = responder(expected=BOB_ID)
    wire = third(theirs, proof(ALICE, ALICE_STATIC))
    with pytest.raises(WrongPeerError):
        theirs.receive(wire)
    assert theirs.session is None


def test_who_is_expected_gets_in() -> None:
    ours = initiator(expected=BOB_ID)
    ours.receive(second(ours, proof(BOB, BOB_STATIC)))
    assert ours.session is not None
    assert ours.session.peer == BOB_ID


def bad_payloads(key: PrivateKey, static: bytes) -> dict[str, bytes]:
    """Payloads that prove nothing about ``static``."""
    identity = field(1, key.public_key.to_protobuf())
    signed = field(2, key.sign(SIGNED + static))
    good = identity + signed
    small_order = field(1, bytes.fromhex("08011220" + "01" + "00" * 31))
    return {
        "nothing": b"",
        "no key": signed,
        "no signature": identity,
        "empty signature": identity + field(2, b""),
        "empty key": field(1, b"") + signed,
        "signature of another key": identity + field(2, MALLORY.sign(SIGNED + static)),
        "signature of another static key": proof(key, bytes(range(32))),
        "signature without the prefix": identity + field(2, key.sign(static)),
        "signature twice as long": identity + field(2, 2 * key.sign(SIGNED + static)),
        "enormous signature": identity + field(2, bytes(4000)),
        "enormous key": field(1, b"\x08\x01\x12" + b"\xa0\x1f" + bytes(4000)) + signed,
        "key of another type": field(1, b"\x08\x02\x12\x20" + key.public_key.data) + signed,
        "key of a type that nobody knows": field(1, b"\x08\x04\x12\x00") + signed,
        "key of small order": small_order + signed,
        "short key": field(1, b"\x08\x01\x12\x1f" + key.public_key.data[:31]) + signed,
        "a good proof and then a bad signature": good + field(2, b"bad"),
        "a good proof and then another key": good + field(1, MALLORY.public_key.to_protobuf()),
        "field of wrong type": b"\x08\x01" + signed,
        "cut in a field": good[:-1],
        "group": good + b"\x1b\x1c",
        "length past the end": good + b"\x1a\xff\x7f",
        "muxer that is not text": good + field(4, field(2, b"\xff\xfe")),
        "more muxers than protobuf may repeat": good + extensions([""] * 1025),
    }


NAMES: Final = list(bad_payloads(BOB, BOB_STATIC))


@pytest.mark.parametrize("name", NAMES)
def test_an_initiator_refuses_a_payload_that_proves_nothing(name: str) -> None:
    ours = initiator()
    assert refuses(ours, second(ours, bad_payloads(BOB, BOB_STATIC)[name]))


@pytest.mark.parametrize("name", NAMES)
def test_a_responder_refuses_a_payload_that_proves_nothing(name: str) -> None:
    theirs = responder()
    assert refuses(theirs, third(theirs, bad_payloads(ALICE, ALICE_STATIC)[name]))


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda b: field(4, b))))
def test_any_payload_with_a_proof_before_it_is_read_or_refused(tail: bytes) -> None:
    ours = initiator()
    wire = second(ours, proof(BOB, BOB_STATIC) + tail)
    try:
        ours.receive(wire)
    except RemoteProtocolError:
        assert ours.session is None
    else:
        assert ours.session is not None
        assert ours.session.peer == BOB_ID


@given(st.binary(max_size=300), st.booleans(), st.sampled_from([0, 1, 2]))
def test_arbitrary_bytes_are_refused_or_waited_for(wire: bytes, whole: bool, stage: int) -> None:
    machine = [_fresh_responder, waiting_for_second, waiting_for_third][stage]()
    try:
        machine.receive(framed(wire) if whole else wire)
    except RemoteProtocolError:
        pass
    assert machine.session is None


def _fresh_responder() -> Handshake:
    return responder()
