from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire.quic_packet import (
    MAX_ID,
    MAX_TOKEN_AGE_S,
    MAX_VERSIONS,
    MIN_INITIAL_SIZE,
    RESERVED_VERSION,
    LongHeader,
    LongType,
    Retry,
    RetryTokens,
    VersionNegotiation,
    destination_id,
    is_quic_packet,
    parse_long_header,
    parse_retry,
    parse_version_negotiation,
    read_integer,
    retry,
    version_negotiation,
    version_probe,
)
from tests.wire.vectors import captured

RFC = captured("rfc9001_quic")
CLIENT_INITIAL = bytes.fromhex(RFC["client_initial"])
SERVER_INITIAL = bytes.fromhex(RFC["server_initial"])
RETRY = bytes.fromhex(RFC["retry"])
SHORT = bytes.fromhex(RFC["short"])
CLIENT_CHOICE = bytes.fromhex(RFC["original_destination_connection_id"])
SERVER_CHOICE = bytes.fromhex(RFC["server_connection_id"])
TOKEN = bytes.fromhex(RFC["retry_token"])

VERSION_2 = 0x6B3343CF
HERE = ("192.0.2.1", 4001)
SECRET = bytes(range(32))

ids = st.binary(max_size=MAX_ID)
long_ids = st.binary(max_size=255)
other_versions = st.integers(2, 0xFFFFFFFF)


def integer(value: int) -> bytes:
    """The shortest form of a variable-length integer."""
    size = next(size for size in (1, 2, 4, 8) if value < 1 << (8 * size - 2))
    return (value | (size.bit_length() - 1) << (8 * size - 2)).to_bytes(size, "big")


def long_packet(first: int, version: int, destination: bytes, source: bytes, rest: bytes) -> bytes:
    head = bytes([first]) + version.to_bytes(4, "big")
    return head + bytes([len(destination)]) + destination + bytes([len(source)]) + source + rest


def initial(destination: bytes, source: bytes, token: bytes = b"", payload: int = 100) -> bytes:
    rest = integer(len(token)) + token + integer(payload) + bytes(payload)
    return long_packet(0xC3, 1, destination, source, rest)


# --- the packets of the RFC -----------------------------------------------------------


def test_the_client_initial_of_the_rfc_is_read() -> None:
    header = parse_long_header(CLIENT_INITIAL)
    assert header == LongHeader(1, CLIENT_CHOICE, b"", LongType.INITIAL)
    assert header.is_initial
    assert header.begins_connection
    assert destination_id(CLIENT_INITIAL, 8) == CLIENT_CHOICE
    assert len(CLIENT_INITIAL) == MIN_INITIAL_SIZE


def test_the_server_initial_of_the_rfc_is_read_and_begins_nothing() -> None:
    header = parse_long_header(SERVER_INITIAL)
    assert header == LongHeader(1, b"", SERVER_CHOICE, LongType.INITIAL)
    assert header.is_initial
    assert not header.begins_connection


def test_the_short_packet_of_the_rfc_is_for_an_empty_id() -> None:
    assert is_quic_packet(SHORT)
    assert destination_id(SHORT, 0) == b""
    assert destination_id(SHORT, 8) == SHORT[1:9]
    with pytest.raises(RemoteProtocolError, match="no long header"):
        parse_long_header(SHORT)


def test_our_retry_is_that_of_the_rfc() -> None:
    assert retry(parse_long_header(CLIENT_INITIAL), SERVER_CHOICE, TOKEN) == RETRY


def test_the_retry_of_the_rfc_is_read() -> None:
    assert parse_retry(RETRY, CLIENT_CHOICE) == Retry(b"", SERVER_CHOICE, TOKEN)
    assert parse_long_header(RETRY) == LongHeader(1, b"", SERVER_CHOICE, LongType.RETRY)


@pytest.mark.parametrize(("data", "value"), RFC["variable_length_integers"])
def test_the_integers_of_the_rfc_are_read(data: str, value: int) -> None:
    encoded = bytes.fromhex(data)
    assert read_integer(b"x" + encoded + b"y", 1) == (value, 1 + len(encoded))
    for size in range(len(encoded)):
        with pytest.raises(RemoteProtocolError, match="cut short"):
            read_integer(encoded[:size], 0)


# --- headers --------------------------------------------------------------------------


def test_one_bit_tells_quic_from_other_things() -> None:
    assert is_quic_packet(b"\x40")
    assert is_quic_packet(b"\xc0rest")
    assert not is_quic_packet(b"")
    assert not is_quic_packet(b"\x00\x01\x00\x00")  # STUN
    assert not is_quic_packet(b"\x16\xfe\xfd")  # DTLS
    assert not is_quic_packet(b"\x80\x00\x00\x00\x01")  # the bit of version 1 is missing


@given(st.integers(0, 255), ids, st.binary(max_size=64))
def test_a_short_header_holds_as_many_bytes_of_id_as_we_gave_out(
    first: int, own_id: bytes, rest: bytes
) -> None:
    packet = bytes([first & 0x7F]) + own_id + rest
    assert destination_id(packet, len(own_id)) == own_id
    assert destination_id(packet[: len(own_id)], len(own_id)) is None


@given(st.integers(0x80, 0xFF), other_versions, long_ids, long_ids, st.binary(max_size=64))
def test_of_unknown_versions_the_ids_are_read_up_to_255_bytes(
    first: int, version: int, destination: bytes, source: bytes, rest: bytes
) -> None:
    packet = long_packet(first, version, destination, source, rest)
    header = parse_long_header(packet)
    assert header == LongHeader(version, destination, source)
    assert not header.is_initial
    assert not header.begins_connection
    assert destination_id(packet, 8) == destination


@given(ids, ids, st.binary(max_size=100), st.integers(20, 2000), st.binary(max_size=40))
def test_an_initial_is_read_whatever_follows_it_in_the_datagram(
    destination: bytes, source: bytes, token: bytes, payload: int, behind: bytes
) -> None:
    packet = initial(destination, source, token, payload) + behind
    header = parse_long_header(packet)
    assert header == LongHeader(1, destination, source, LongType.INITIAL, token)
    assert header.begins_connection is (len(destination) >= 8)
    assert destination_id(packet, 8) == destination


@pytest.mark.parametrize(("first", "kind"), [(0xD0, LongType.ZERO_RTT), (0xE3, LongType.HANDSHAKE)])
def test_packets_later_in_a_handshake_have_no_token(first: int, kind: LongType) -> None:
    packet = long_packet(first, 1, b"12345678", b"me", integer(20) + bytes(20))
    header = parse_long_header(packet)
    assert header == LongHeader(1, b"12345678", b"me", kind)
    assert not header.is_initial


@pytest.mark.parametrize(
    "packet",
    [
        long_packet(0x80, 1, b"12345678", b"", integer(0) + integer(20) + bytes(20)),
        long_packet(0xC0, 1, bytes(21), b"", integer(0) + integer(20) + bytes(20)),
        long_packet(0xC0, 1, b"12345678", bytes(21), integer(0) + integer(20) + bytes(20)),
    ],
    ids=["without its fixed bit", "long destination id", "long source id"],
)
def test_headers_that_version_1_does_not_have_are_refused(packet: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="version 1 does not have"):
        parse_long_header(packet)


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        integer(0),
        integer(0) + integer(19) + bytes(19),
        integer(0) + integer(21) + bytes(20),
        integer(5) + b"toke",
        integer(5) + b"token",
        integer((1 << 62) - 1) + bytes(100),
        integer(0) + integer((1 << 62) - 1) + bytes(100),
        b"\xff",
    ],
)
def test_an_initial_whose_sizes_make_no_sense_is_refused(rest: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"cut short|a packet of \d+ bytes in \d+"):
        parse_long_header(long_packet(0xC0, 1, b"12345678", b"", rest))


def test_a_header_that_is_cut_short_is_refused() -> None:
    head = long_packet(0xC0, VERSION_2, CLIENT_CHOICE, SERVER_CHOICE, b"")
    for size in range(len(head)):
        with pytest.raises(RemoteProtocolError):
            parse_long_header(head[:size])
    assert destination_id(head[: 6 + len(CLIENT_CHOICE)], 8) is None
    assert destination_id(head[: 7 + len(CLIENT_CHOICE)], 8) == CLIENT_CHOICE
    for size in range(6 + len(CLIENT_CHOICE)):
        assert destination_id(head[:size], 8) is None


# --- Version Negotiation --------------------------------------------------------------


@given(other_versions, long_ids, long_ids, st.lists(other_versions, min_size=1, max_size=5))
def test_a_version_negotiation_swaps_the_ids_and_names_our_versions(
    unknown: int, destination: bytes, source: bytes, ours: list[int]
) -> None:
    asked = parse_long_header(long_packet(0xC0, unknown, destination, source, bytes(1200)))
    answer = version_negotiation(asked, ours)
    assert is_quic_packet(answer)
    assert destination_id(answer, 8) == source
    assert parse_version_negotiation(answer) == VersionNegotiation(source, destination, tuple(ours))


def test_a_version_probe_asks_for_a_version_that_nobody_speaks() -> None:
    probe = version_probe(CLIENT_CHOICE)
    assert len(probe) == MIN_INITIAL_SIZE
    assert parse_long_header(probe) == LongHeader(RESERVED_VERSION, CLIENT_CHOICE, CLIENT_CHOICE)


def test_a_version_negotiation_is_never_answered() -> None:
    packet = long_packet(0xC0, 0, CLIENT_CHOICE, SERVER_CHOICE, bytes(1200))
    with pytest.raises(RemoteProtocolError, match="nobody asked for"):
        parse_long_header(packet)


def test_the_first_byte_of_a_version_negotiation_may_be_anything_long() -> None:
    packet = long_packet(0x80, 0, b"to", b"from", bytes.fromhex("6b3343cf"))
    assert parse_version_negotiation(packet) == VersionNegotiation(b"to", b"from", (VERSION_2,))


@pytest.mark.parametrize("offer", [b"", b"\0\0\0", b"\0\0\0\1\0", b"\0\0\0\1\0\0\0"])
def test_a_version_negotiation_without_whole_versions_is_refused(offer: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="not a Version Negotiation"):
        parse_version_negotiation(long_packet(0xC0, 0, b"", b"", offer))


def test_other_packets_are_no_version_negotiation() -> None:
    for packet in (CLIENT_INITIAL, RETRY, SHORT, b""):
        with pytest.raises(RemoteProtocolError):
            parse_version_negotiation(packet)


def test_a_long_list_of_versions_is_refused() -> None:
    most = long_packet(0xC0, 0, b"", b"", bytes(4 * MAX_VERSIONS))
    assert len(parse_version_negotiation(most).versions) == MAX_VERSIONS
    with pytest.raises(LimitError, match=f"{MAX_VERSIONS + 1} versions"):
        parse_version_negotiation(most + bytes(4))


# --- Retry ----------------------------------------------------------------------------


@given(ids, ids, ids, st.binary(min_size=1, max_size=100))
def test_a_retry_comes_out_as_it_went_in(
    destination: bytes, source: bytes, chosen: bytes, token: bytes
) -> None:
    asked = parse_long_header(initial(destination, source))
    if chosen == destination:
        with pytest.raises(ValueError, match="of its own"):
            retry(asked, chosen, token)
        return
    packet = retry(asked, chosen, token)
    assert destination_id(packet, 8) == source
    assert parse_retry(packet, destination) == Retry(source, chosen, token)


@given(st.integers(0, len(RETRY) - 1), st.integers(1, 255))
def test_no_byte_of_a_retry_may_change(at: int, mask: int) -> None:
    changed = bytearray(RETRY)
    changed[at] ^= mask
    with pytest.raises(RemoteProtocolError):
        parse_retry(bytes(changed), CLIENT_CHOICE)


def test_a_retry_that_is_cut_short_or_for_another_initial_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="integrity tag"):
        parse_retry(RETRY, CLIENT_CHOICE[::-1])
    for size in range(len(RETRY)):
        with pytest.raises(RemoteProtocolError):
            parse_retry(RETRY[:size], CLIENT_CHOICE)


def test_a_retry_without_a_token_or_with_the_clients_own_id_is_refused() -> None:
    without_token = long_packet(0xFF, 1, b"", SERVER_CHOICE, bytes(16))
    same_id = long_packet(0xFF, 1, b"", CLIENT_CHOICE, TOKEN + bytes(16))
    for packet in (without_token, same_id, CLIENT_INITIAL, b"\xff" + bytes(30)):
        with pytest.raises(RemoteProtocolError, match=r"not a Retry|nobody asked for"):
            parse_retry(packet, CLIENT_CHOICE)


def test_a_retry_that_no_client_would_take_is_our_own_mistake() -> None:
    asked = parse_long_header(CLIENT_INITIAL)
    with pytest.raises(ValueError, match="token"):
        retry(asked, SERVER_CHOICE, b"")
    with pytest.raises(ValueError, match="answers an Initial"):
        retry(LongHeader(VERSION_2, CLIENT_CHOICE, b""), SERVER_CHOICE, TOKEN)
    with pytest.raises(ValueError, match="20 bytes at most"):
        retry(asked, bytes(21), TOKEN)


# --- tokens ---------------------------------------------------------------------------


@given(ids, st.floats(0, 1e9), st.floats(0, MAX_TOKEN_AGE_S - 0.01))
def test_a_token_brings_back_the_first_connection_id(
    original: bytes, now: float, later: float
) -> None:
    tokens = RetryTokens(SECRET)
    token = tokens.make(HERE, original, now)
    assert len(token) == 36 + len(original)
    assert tokens.open(token, HERE, now + later) == original


def test_a_token_is_good_for_its_address_alone() -> None:
    tokens = RetryTokens(SECRET)
    token = tokens.make(HERE, CLIENT_CHOICE, 0.0)
    for elsewhere in (("192.0.2.2", 4001), ("192.0.2.1", 4002), ("192.0.2.1 4", 1)):
        with pytest.raises(RemoteProtocolError, match="somebody else's"):
            tokens.open(token, elsewhere, 0.0)


def test_a_token_gets_too_old() -> None:
    tokens = RetryTokens(SECRET)
    token = tokens.make(HERE, CLIENT_CHOICE, 100.0)
    assert tokens.open(token, HERE, 100.0 + MAX_TOKEN_AGE_S) == CLIENT_CHOICE
    for moment in (100.1 + MAX_TOKEN_AGE_S, 99.9):
        with pytest.raises(RemoteProtocolError, match="too old"):
            tokens.open(token, HERE, moment)


def test_a_token_is_good_for_whoever_has_its_secret() -> None:
    token = RetryTokens(SECRET).make(HERE, CLIENT_CHOICE, 0.0)
    assert RetryTokens(SECRET).open(token, HERE, 0.0) == CLIENT_CHOICE
    with pytest.raises(RemoteProtocolError, match="somebody else's"):
        RetryTokens(bytes(32)).open(token, HERE, 0.0)


@given(st.data())
def test_no_byte_of_a_token_may_change(data: st.DataObject) -> None:
    tokens = RetryTokens(SECRET)
    token = bytearray(tokens.make(HERE, CLIENT_CHOICE, 0.0))
    at = data.draw(st.integers(0, len(token) - 1))
    token[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteProtocolError):
        tokens.open(bytes(token), HERE, 0.0)


@given(st.binary(max_size=100))
@example(bytes(35))
@example(bytes(36))
@example(bytes(56))
@example(bytes(57))
def test_arbitrary_bytes_are_no_token(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        RetryTokens(SECRET).open(data, HERE, 0.0)


def test_a_token_shows_neither_the_time_nor_the_id_and_no_two_are_alike() -> None:
    tokens = RetryTokens(SECRET)
    one, two = (tokens.make(HERE, CLIENT_CHOICE, 1.0) for _ in range(2))
    assert one != two
    assert CLIENT_CHOICE not in one
    assert SECRET.hex() not in repr(tokens)


def test_bad_secrets_and_ids_are_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        RetryTokens(bytes(16))
    with pytest.raises(ValueError, match="21 bytes"):
        RetryTokens(SECRET).make(HERE, bytes(21), 0.0)


# --- whatever arrives -----------------------------------------------------------------

heads = st.tuples(
    st.integers(0, 255), st.sampled_from([0, 1, 2, VERSION_2]), ids, ids, st.binary(max_size=80)
).map(lambda parts: long_packet(*parts))


@given(st.one_of(st.binary(max_size=100), heads), st.integers(0, MAX_ID))
def test_any_datagram_is_read_or_refused(data: bytes, size: int) -> None:
    found = destination_id(data, size)
    assert found is None or found in data
    is_quic_packet(data)
    try:
        header = parse_long_header(data)
        assert header.destination_id == found
    except RemoteProtocolError:
        pass
    for parse in (parse_version_negotiation, lambda data: parse_retry(data, CLIENT_CHOICE)):
        try:
            parse(data)
        except RemoteProtocolError:
            pass
