"""Handshakes that succeed, whatever they carry and however they are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.wire.noise import MAX_HANDSHAKE_MESSAGE, MAX_MUXERS, Handshake, SecureSession
from peerup.wire.peer_id import PeerId
from tests.wire.noise_peer import (
    ALICE,
    ALICE_KEYS,
    BOB,
    BOB_KEYS,
    YAMUX,
    NoisePeer,
    extensions,
    field,
    framed,
    initiator,
    proof,
    record,
    responder,
    run,
    unframed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

ALICE_ID: Final = PeerId.from_public_key(ALICE.public_key)
BOB_ID: Final = PeerId.from_public_key(BOB.public_key)
FIXED: Final = run(initiator(muxers=[YAMUX]), responder(muxers=[YAMUX]))
MPLEX: Final = "/mplex/6.7.0"


def session_of(machine: Handshake) -> SecureSession:
    assert machine.session is not None
    return machine.session


def test_both_sides_learn_who_the_other_one_is() -> None:
    ours, theirs = initiator(fixed=False), responder(fixed=False)
    messages = run(ours, theirs)
    assert (session_of(ours).peer, session_of(ours).public_key) == (BOB_ID, BOB.public_key)
    assert (session_of(theirs).peer, session_of(theirs).public_key) == (ALICE_ID, ALICE.public_key)
    assert [len(message) for message in messages] == [34, 202, 170]


def test_what_one_side_seals_the_other_one_opens() -> None:
    ours, theirs = initiator(fixed=False), responder(fixed=False)
    run(ours, theirs)
    here, there = session_of(ours), session_of(theirs)
    for _ in range(3):
        assert there.opener.open(bytes(here.sealer.seal(b"up"))) == [b"up"]
        assert here.opener.open(bytes(there.sealer.seal(b"down"))) == [b"down"]


def test_each_handshake_has_keys_of_its_own() -> None:
    assert len({initiator(fixed=False).data_to_send() for _ in range(20)}) == 20
    statics = set()
    for _ in range(5):
        ours, peer = initiator(fixed=False), NoisePeer(BOB_KEYS)
        peer.read_1(unframed(ours.data_to_send()))
        ours.receive(framed(peer.write_2(proof(BOB, peer.s_public))))
        peer.read_3(unframed(ours.data_to_send()))
        statics.add(peer.rs)
    assert len(statics) == 5


@pytest.mark.parametrize("muxers", [(), (YAMUX,), (MPLEX, YAMUX)])
def test_an_initiator_does_as_the_specification_says(muxers: Sequence[str]) -> None:
    ours, peer = initiator(muxers=muxers, expected=BOB_ID), NoisePeer(BOB_KEYS)
    assert peer.read_1(unframed(ours.data_to_send())) == b""
    ours.receive(framed(peer.write_2(proof(BOB, peer.s_public, muxers))))
    assert peer.read_3(unframed(ours.data_to_send())) == proof(ALICE, peer.rs, muxers)
    up, down = peer.state.split()
    session = session_of(ours)
    assert session.sealer.seal(b"hello") == record(up, 0, b"hello")
    assert session.opener.open(record(down, 0, b"back")) == [b"back"]


@pytest.mark.parametrize("muxers", [(), (YAMUX,), (MPLEX, YAMUX)])
def test_a_responder_does_as_the_specification_says(muxers: Sequence[str]) -> None:
    theirs, peer = responder(muxers=muxers), NoisePeer(ALICE_KEYS)
    theirs.receive(framed(peer.write_1()))
    assert peer.read_2(unframed(theirs.data_to_send())) == proof(BOB, peer.rs, muxers)
    theirs.receive(framed(peer.write_3(proof(ALICE, peer.s_public, muxers))))
    up, down = peer.state.split()
    session = session_of(theirs)
    assert session.opener.open(record(up, 0, b"hello")) == [b"hello"]
    assert session.sealer.seal(b"back") == record(down, 0, b"back")


def test_what_comes_early_in_the_first_message_is_ignored() -> None:
    theirs, peer = responder(), NoisePeer(ALICE_KEYS)
    theirs.receive(framed(peer.write_1(proof(BOB, b"?" * 32) + b"early data")))
    peer.read_2(unframed(theirs.data_to_send()))
    theirs.receive(framed(peer.write_3(proof(ALICE, peer.s_public))))
    assert session_of(theirs).peer == ALICE_ID
    assert session_of(theirs).leftover == b""


def test_what_comes_behind_the_last_message_is_left_over() -> None:
    theirs, peer = responder(), NoisePeer(ALICE_KEYS)
    theirs.receive(framed(peer.write_1()))
    peer.read_2(unframed(theirs.data_to_send()))
    third = framed(peer.write_3(proof(ALICE, peer.s_public)))
    up, _ = peer.state.split()
    records = record(up, 0, b"first") + record(up, 1, b"second")
    theirs.receive(third + records[:-1])
    session = session_of(theirs)
    assert session.leftover == records[:-1]
    assert session.opener.open(session.leftover) == [b"first"]
    assert session.opener.open(records[-1:]) == [b"second"]


@given(st.data())
def test_how_the_network_cuts_a_handshake_never_changes_it(draw: st.DataObject) -> None:
    ours, theirs = initiator(muxers=[YAMUX]), responder(muxers=[YAMUX])
    for sender, reader in ((ours, theirs), (theirs, ours), (ours, theirs)):
        wire = sender.data_to_send()
        while wire:
            cut = draw.draw(st.integers(1, len(wire)), label="bytes in this read")
            assert reader.session is None
            assert reader.data_to_send() == b""
            reader.receive(wire[:cut])
            wire = wire[cut:]
    sealed = bytes(session_of(ours).sealer.seal(b"the same keys"))
    assert session_of(theirs).opener.open(sealed) == [b"the same keys"]


MUXERS: Final[dict[str, tuple[list[str], list[str], str | None]]] = {
    "one in common": ([YAMUX], [YAMUX], YAMUX),
    "the initiator's order counts": (["/a", "/b", "/c"], ["/c", "/b"], "/b"),
    "no list from the initiator": ([], [YAMUX], None),
    "no list from the responder": ([YAMUX], [], None),
    "no list at all": ([], [], None),
    "nothing in common": ([MPLEX], [YAMUX], None),
    "as many as count": ([f"/m/{i}" for i in range(MAX_MUXERS - 1)] + [YAMUX], [YAMUX], YAMUX),
    "more than count": ([f"/m/{i}" for i in range(MAX_MUXERS)] + [YAMUX], [YAMUX], None),
    "more than count, good ones first": ([YAMUX] * (MAX_MUXERS + 1), [YAMUX], None),
}


@pytest.mark.parametrize("name", MUXERS)
def test_a_responder_picks_the_muxer_from_the_initiators_list(name: str) -> None:
    proposed, known, agreed = MUXERS[name]
    theirs, peer = responder(muxers=known), NoisePeer(ALICE_KEYS)
    theirs.receive(framed(peer.write_1()))
    peer.read_2(unframed(theirs.data_to_send()))
    theirs.receive(framed(peer.write_3(proof(ALICE, peer.s_public, proposed))))
    assert session_of(theirs).muxer == agreed


@pytest.mark.parametrize("name", [name for name in MUXERS if "more than" not in name])
def test_an_initiator_picks_the_same_muxer(name: str) -> None:
    proposed, known, agreed = MUXERS[name]
    ours, theirs = initiator(muxers=proposed), responder(muxers=known)
    run(ours, theirs)
    assert session_of(ours).muxer == session_of(theirs).muxer == agreed


def test_a_responder_that_lists_too_many_muxers_lists_none() -> None:
    ours, peer = initiator(muxers=[YAMUX]), NoisePeer(BOB_KEYS)
    peer.read_1(unframed(ours.data_to_send()))
    ours.receive(framed(peer.write_2(proof(BOB, peer.s_public, [YAMUX] * (MAX_MUXERS + 1)))))
    assert session_of(ours).muxer is None


def accept(payload: bytes) -> SecureSession:
    """What an initiator makes of a responder with this payload."""
    ours, peer = initiator(muxers=[YAMUX]), NoisePeer(BOB_KEYS)
    peer.read_1(unframed(ours.data_to_send()))
    message = peer.write_2(payload)
    assert len(message) <= MAX_HANDSHAKE_MESSAGE
    ours.receive(framed(message))
    return session_of(ours)


BOB_STATIC: Final = NoisePeer(BOB_KEYS).s_public
HONEST: Final = proof(BOB, BOB_STATIC, [YAMUX])
FORGED: Final = field(1, ALICE.public_key.to_protobuf()) + field(2, b"forged")

OVERHEAD: Final = 32 + 48 + len(HONEST) + 3 + 16  # what else is in message 2

ODD_BUT_RIGHT: Final[dict[str, bytes]] = {
    "unknown fields": HONEST + field(9, b"new") + b"\x50\x01" + b"\x5d" + bytes(4),
    "unknown fields first": field(15, b"new") + HONEST,
    "the legacy data field": HONEST + field(3, b"data"),
    "fields twice, the last one counts": FORGED + HONEST,
    "unknown fields in the extensions": HONEST + field(4, field(7, b"new")),
    "hashes for webtransport": field(4, field(1, b"\x12\x20" + bytes(32))) + HONEST,
    "two muxers in two extensions": proof(BOB, BOB_STATIC, [MPLEX]) + extensions([YAMUX]),
    "extensions in two parts": proof(BOB, BOB_STATIC) + field(4, b"") + extensions([YAMUX]),
    "as long as can be": HONEST + field(3, bytes(MAX_HANDSHAKE_MESSAGE - OVERHEAD)),
}


@pytest.mark.parametrize("name", ODD_BUT_RIGHT)
def test_a_payload_is_read_as_protobuf_says(name: str) -> None:
    session = accept(ODD_BUT_RIGHT[name])
    assert (session.peer, session.muxer) == (BOB_ID, YAMUX)


def test_who_has_no_extensions_has_no_muxers() -> None:
    for payload in (proof(BOB, BOB_STATIC), proof(BOB, BOB_STATIC) + field(4, b"")):
        assert accept(payload).muxer is None
