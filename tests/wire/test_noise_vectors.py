"""Handshakes of other implementations, replayed with the same keys."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import pytest

from peerup.wire.keys import KeyType, PrivateKey
from peerup.wire.noise import Handshake, SecureSession
from peerup.wire.peer_id import PeerId
from tests.wire.noise_peer import ALICE, BOB, YAMUX, framed
from tests.wire.vectors import Vector, captured, vectors

NOISE: Final = {vector.name: vector for vector in vectors("noise")}
WHOLE: Final = [name for name in NOISE if name.startswith("xx_")]
ANSWERED_BY_GO: Final = [name for name in NOISE if name.startswith("live_responder_")]
ASKED_BY_GO: Final = [name for name in NOISE if name.startswith("live_initiator_")]

MUXERS: Final[dict[str, tuple[list[str], list[str]]]] = {
    "xx_no_extensions": ([], []),
    "xx_stream_muxers": ([YAMUX], [YAMUX]),
    "xx_stream_muxers_two_offered": (["/mplex/6.7.0", YAMUX], [YAMUX]),
    "xx_rsa_responder": ([YAMUX], [YAMUX]),
    "xx_secp256k1_initiator": ([YAMUX], [YAMUX]),
    "xx_ecdsa_initiator": ([], []),
    "xx_webtransport_certhashes": ([], []),
    "xx_empty_extensions": ([], []),
    "live_responder_with_muxers": ([YAMUX], [YAMUX]),
    "live_responder_without_extension_from_us": ([], [YAMUX]),
    "live_responder_no_muxers_configured": ([YAMUX], []),
    "live_initiator_with_muxers": ([YAMUX], [YAMUX]),
}
"""The muxers that initiator and responder list in their payloads."""

NOT_OUR_BYTES: Final = {
    ("xx_rsa_responder", "responder"): "our own identity is Ed25519",
    ("xx_secp256k1_initiator", "initiator"): "our own identity is Ed25519",
    ("xx_ecdsa_initiator", "initiator"): "our own identity is Ed25519",
    ("xx_webtransport_certhashes", "responder"): "we have no certificates of webtransport",
    ("xx_empty_extensions", "responder"): "without muxers we leave the extensions out",
    ("xx_empty_extensions", "initiator"): "without muxers we leave the extensions out",
}
"""Sides of a handshake whose message we would write otherwise, so that we only read it."""


def unhex(values: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(values[name]) for name in names]


def identity(vector: Vector, side: str) -> PrivateKey:
    """The side's own key; any Ed25519 key where only another type is known."""
    if (vector.name, side) in NOT_OUR_BYTES and vector.name != "xx_empty_extensions":
        return ALICE if side == "initiator" else BOB
    return PrivateKey.from_protobuf(bytes.fromhex(vector.inputs[f"{side}_identity_private_pb"]))


def machine(vector: Vector, side: str) -> Handshake:
    is_initiator = side == "initiator"
    static, ephemeral = unhex(vector.inputs, f"{side}_static_private", f"{side}_ephemeral_private")
    other = vector.expect.get(f"{'responder' if is_initiator else 'initiator'}_peer_id")
    return Handshake(
        identity(vector, side),
        initiator=is_initiator,
        expected=PeerId.parse(other) if other else None,
        muxers=MUXERS[vector.name][not is_initiator],
        fixed_keys=(static, ephemeral),
    )


def session_of(handshake: Handshake) -> SecureSession:
    assert handshake.session is not None
    return handshake.session


def agreed(name: str) -> str | None:
    ours, theirs = MUXERS[name]
    return YAMUX if YAMUX in ours and YAMUX in theirs else None


def initiate(vector: Vector) -> Handshake:
    """Our initiator, after message 2 of the vector."""
    first, second = unhex(vector.expect, "message_1", "message_2")
    ours = machine(vector, "initiator")
    assert ours.data_to_send() == first
    ours.receive(second)
    return ours


def respond(vector: Vector) -> tuple[Handshake, bytes]:
    """Our responder after message 3 of the vector, and its message 2."""
    theirs = machine(vector, "responder")
    theirs.receive(bytes.fromhex(vector.expect["message_1"]))
    return theirs, theirs.data_to_send()


@pytest.mark.parametrize("name", [*WHOLE, *ANSWERED_BY_GO])
def test_our_initiator_writes_what_the_vector_says_and_learns_who_answered(name: str) -> None:
    vector = NOISE[name]
    ours = initiate(vector)
    third = ours.data_to_send()
    if (name, "initiator") not in NOT_OUR_BYTES:
        assert third.hex() == vector.expect["message_3"]
    session = session_of(ours)
    assert str(session.peer) == vector.expect["responder_peer_id"]
    assert session.muxer == agreed(name)
    if "handshake_hash" in vector.expect and (name, "initiator") not in NOT_OUR_BYTES:
        assert ours._noise.get_handshake_hash().hex() == vector.expect["handshake_hash"]


@pytest.mark.parametrize(
    "name",  # message 3 continues message 2, so without the one there is no other
    [name for name in (*WHOLE, *ASKED_BY_GO) if (name, "responder") not in NOT_OUR_BYTES],
)
def test_our_responder_writes_what_the_vector_says_and_learns_who_asked(name: str) -> None:
    vector = NOISE[name]
    theirs, second = respond(vector)
    assert second.hex() == vector.expect["message_2"]
    theirs.receive(bytes.fromhex(vector.expect["message_3"]))
    session = session_of(theirs)
    assert str(session.peer) == vector.expect["initiator_peer_id"]
    assert session.muxer == agreed(name)
    if "handshake_hash" in vector.expect:
        assert theirs._noise.get_handshake_hash().hex() == vector.expect["handshake_hash"]


@pytest.mark.parametrize(
    ("name", "side", "kind"),
    [
        ("xx_rsa_responder", "initiator", KeyType.RSA),
        ("xx_secp256k1_initiator", "responder", KeyType.SECP256K1),
        ("xx_ecdsa_initiator", "responder", KeyType.ECDSA),
    ],
)
def test_identities_of_every_type_are_verified(name: str, side: str, kind: KeyType) -> None:
    vector = NOISE[name]
    if side == "initiator":
        session = session_of(initiate(vector))
    else:
        theirs, _ = respond(vector)
        theirs.receive(bytes.fromhex(vector.expect["message_3"]))
        session = session_of(theirs)
    assert session.public_key.type is kind


@pytest.mark.parametrize("name", WHOLE)
def test_records_under_the_keys_of_the_vector_are_the_same(name: str) -> None:
    vector = NOISE[name]
    both: dict[str, SecureSession] = {}
    if (name, "initiator") not in NOT_OUR_BYTES:
        both["initiator"] = session_of(initiate(vector))
    if (name, "responder") not in NOT_OUR_BYTES:
        theirs, _ = respond(vector)
        theirs.receive(bytes.fromhex(vector.expect["message_3"]))
        both["responder"] = session_of(theirs)
    for item in vector.expect["records"]:
        source, target = item["direction"].split("_to_")
        if "plaintext_rule" in item:
            plain = bytes(i * 7 % 256 for i in range(65519))
        else:
            plain = bytes.fromhex(item["plaintext"])
        wire = bytes.fromhex(item["wire"]) if "wire" in item else b""
        if source in both:
            sealer = both[source].sealer
            if plain:
                sealed = bytes(sealer.seal(plain))
                wire = wire or sealed
                assert sealed == wire
            else:
                sealer._nonce += 1  # an empty plaintext is no record of ours
        if "wire_sha256" in item and wire:
            assert len(wire) == item["wire_length"]
            assert hashlib.sha256(wire).hexdigest() == item["wire_sha256"]
        if target in both and wire:
            assert both[target].opener.open(wire) == ([plain] if plain else [])


@pytest.mark.parametrize("name", ANSWERED_BY_GO)
def test_records_are_exchanged_with_go_that_answered(name: str) -> None:
    vector = NOISE[name]
    session = session_of(initiate(vector))
    plain, down, up = unhex(vector.expect, "plaintext", "record_from_go", "record_to_go")
    assert session.sealer.seal(plain) == up
    assert session.opener.open(down) == [plain]
    assert vector.expect["early_negotiation_used"] == (session.muxer is not None)
    assert vector.expect["muxer"] == (session.muxer or "")


@pytest.mark.parametrize("name", ASKED_BY_GO)
def test_records_are_read_from_go_that_asked(name: str) -> None:
    vector = NOISE[name]
    theirs, _ = respond(vector)
    third, record, plain = unhex(vector.expect, "message_3", "record_from_go", "plaintext")
    theirs.receive(third + record)  # in one segment
    session = session_of(theirs)
    assert session.muxer == vector.expect["muxer"]
    assert session.opener.open(session.leftover) == [plain]


@pytest.mark.parametrize("file", ["go_libp2p_0_32", "js_libp2p_3_3"])
def test_other_versions_prove_who_they_are(file: str) -> None:
    """Only message 2 was kept, made for these keys of the initiator."""
    capture = captured(file)
    static, ephemeral, second, static_public = unhex(
        capture["noise"],
        "initiator_static_priv",
        "initiator_ephemeral_priv",
        "m2",
        "responder_static_pub",
    )
    ours = Handshake(
        ALICE,
        initiator=True,
        expected=PeerId.parse(capture["peer_id"]),
        muxers=[YAMUX],
        fixed_keys=(static, ephemeral),
    )
    ours.data_to_send()
    ours.receive(framed(second))
    session = session_of(ours)
    assert session.public_key.to_protobuf().hex() == capture["public_key_pb"]
    assert session.muxer == YAMUX
    assert ours._state.rs.public_bytes == static_public
    assert ours.data_to_send()


def test_the_tables_name_vectors_that_exist() -> None:
    assert set(MUXERS) == set(NOISE) == {*WHOLE, *ANSWERED_BY_GO, *ASKED_BY_GO}
    assert {name for name, _ in NOT_OUR_BYTES} <= set(WHOLE)
