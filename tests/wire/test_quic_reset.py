from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.wire import quic_packet
from peerup.wire.quic_reset import (
    MIN_SIZE,
    SIZE,
    TOKEN_SIZE,
    ResetTokens,
    stateless_reset,
    token_in,
)

TOKENS = ResetTokens(b"an identity key")


@given(st.binary(min_size=1, max_size=20))
def test_a_token_follows_from_the_identity_and_the_id(connection_id: bytes) -> None:
    token = TOKENS.of(connection_id)
    assert len(token) == TOKEN_SIZE
    assert ResetTokens(b"an identity key").of(connection_id) == token
    assert ResetTokens(b"another").of(connection_id) != token
    assert TOKENS.of(connection_id + b"x") != token


@given(st.integers(0, 2000))
def test_a_reset_is_smaller_than_its_cause_and_looks_like_any_packet(cause: int) -> None:
    data = stateless_reset(bytes(range(TOKEN_SIZE)), cause)
    if cause <= MIN_SIZE:
        assert data is None
        return
    assert data is not None
    assert MIN_SIZE <= len(data) < cause
    assert len(data) <= SIZE
    assert data[0] & 0xC0 == 0x40  # a short header: RFC 9000, figure "Stateless Reset"
    assert quic_packet.destination_id(data, 8) == data[1:9]
    assert token_in(data) == bytes(range(TOKEN_SIZE))


def test_two_resets_of_one_connection_do_not_look_alike() -> None:
    made = {stateless_reset(bytes(TOKEN_SIZE), 100) for _ in range(10)}
    assert len(made) == 10


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"\x40" + bytes(MIN_SIZE - 2), "too short"),
        (b"\xc0" + bytes(100), "a long header"),
        (b"\x00" + bytes(100), "not QUIC"),
    ],
)
def test_what_cannot_be_a_reset_has_no_token(data: bytes, why: str) -> None:
    assert token_in(data) is None, why


@given(st.binary(max_size=100))
def test_a_token_is_found_in_anything_that_could_be_one(data: bytes) -> None:
    token = token_in(data)
    assert token is None or data.endswith(token)
