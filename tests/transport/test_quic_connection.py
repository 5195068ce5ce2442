"""What the suites of muxers do not show of aioquic's connection: key shares, reset tokens."""

from __future__ import annotations

import pytest
from aioquic import tls

from peerup.errors import ConnectionClosedError
from peerup.transport.quic_connection import CONNECTION_ID_SIZE, GROUPS
from peerup.wire.events import SessionTerminated
from peerup.wire.quic_reset import ResetTokens
from tests.transport.quic_wire import HOMES_TOKENS, LAPTOPS_TOKENS, QuicWire, drain


def ids_of(engine: object) -> list[bytes]:
    """The connection ids that an engine gave out."""
    return [entry.cid for entry in engine._quic._host_cids]  # type: ignore[attr-defined]


def test_a_hello_has_a_key_for_each_of_the_groups_and_for_no_other() -> None:
    hello = QuicWire(handshake=False).client._quic.tls
    assert GROUPS == (tls.Group.X25519, tls.Group.SECP256R1)
    assert hello._x25519_private_key is not None
    assert hello._x448_private_key is None
    assert [key.curve.name for key in hello._ec_private_keys] == ["secp256r1"]


@pytest.mark.parametrize("which", range(8))
def test_either_end_knows_the_token_of_every_id_that_the_other_gave_it(which: int) -> None:
    wire = QuicWire()
    given = ids_of(wire.server)
    assert len(set(given)) == 8
    assert {len(each) for each in given} == {CONNECTION_ID_SIZE}
    assert wire.client.take_reset(HOMES_TOKENS.of(given[which]))
    # A client's first id came before there was a place for a token.
    token = LAPTOPS_TOKENS.of(ids_of(wire.client)[which])
    assert wire.server.take_reset(token) is (which > 0)


def test_a_reset_ends_a_connection_once() -> None:
    wire = QuicWire()
    drain(wire.client)
    token = HOMES_TOKENS.of(ids_of(wire.server)[0])
    assert wire.client.take_reset(token)
    assert not wire.client.take_reset(token)
    assert wire.client.terminated
    assert wire.client.next_timer() is None
    assert isinstance(wire.client.failure, ConnectionClosedError)
    assert [type(event) for event in drain(wire.client)] == [SessionTerminated]


@pytest.mark.parametrize(
    "token", [b"", bytes(16), bytes(15), b"x" * 17, ResetTokens(b"else").of(b"12345678")]
)
def test_a_token_of_anybody_else_changes_nothing(token: bytes) -> None:
    wire = QuicWire()
    assert not wire.client.take_reset(token)
    assert not wire.server.take_reset(token)
    assert not wire.client.terminated
    stream = wire.client.open_stream()
    wire.client.send(stream, b"still there")
    assert len(wire.exchange()[1]) == 2


def test_ids_that_come_later_have_tokens_too() -> None:
    wire = QuicWire()
    wire.client._quic.change_connection_id()
    wire.exchange()
    (late,) = (entry for entry in wire.server._quic._host_cids if entry.sequence_number == 8)
    assert late.stateless_reset_token == HOMES_TOKENS.of(late.cid)
    assert wire.client.take_reset(HOMES_TOKENS.of(late.cid))
