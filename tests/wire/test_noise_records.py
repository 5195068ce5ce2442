"""Records: what is sealed opens, in order, once, and whole."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire.noise import (
    MAX_NONCE,
    MAX_PLAINTEXT,
    MAX_RECORD,
    TAG_SIZE,
    Opener,
    Sealer,
    sealed_size,
)
from tests.wire.noise_peer import record
from tests.wire.pieces import pieces

KEY: Final = bytes(range(32))
MIB: Final = 1024 * 1024
PLAIN: Final = bytes(number * 7 % 256 for number in range(256)) * (MIB // 256 + 1)
THREE: Final = [b"first", b"second record", b"3"]
WIRE: Final = b"".join(record(KEY, nonce, text) for nonce, text in enumerate(THREE))


def sizes(wire: bytes) -> list[int]:
    """The sizes of the records, tags included."""
    found, at = [], 0
    while at < len(wire):
        found.append(int.from_bytes(wire[at : at + 2], "big"))
        at += 2 + found[-1]
    assert at == len(wire)
    return found


@pytest.mark.parametrize(
    ("size", "records"),
    [
        (0, []),
        (1, [17]),
        (65519, [MAX_RECORD]),
        (65520, [MAX_RECORD, 17]),
        (2 * 65519, [MAX_RECORD, MAX_RECORD]),
        (MIB, [MAX_RECORD] * 16 + [MIB - 16 * 65519 + TAG_SIZE]),
    ],
)
def test_plaintext_of_any_size_becomes_records_as_full_as_can_be(
    size: int, records: list[int]
) -> None:
    wire = bytes(Sealer(KEY).seal(PLAIN[:size]))
    assert sizes(wire) == records
    assert len(wire) == sealed_size(size)
    assert b"".join(Opener(KEY).open(wire)) == PLAIN[:size]


def test_records_are_chacha20_poly1305_with_a_nonce_that_counts_up() -> None:
    sealer = Sealer(KEY)
    assert b"".join(bytes(sealer.seal(text)) for text in THREE) == WIRE


def test_the_nonce_counts_on_within_a_large_plaintext() -> None:
    wire = Sealer(KEY).seal(PLAIN[: MAX_PLAINTEXT + 5])
    first, second = PLAIN[:MAX_PLAINTEXT], PLAIN[MAX_PLAINTEXT : MAX_PLAINTEXT + 5]
    assert wire == record(KEY, 0, first) + record(KEY, 1, second)


@given(st.lists(st.one_of(st.binary(max_size=20), st.integers(0, 200_000)), max_size=8))
def test_parts_are_sealed_as_if_they_were_one(parts: list[bytes | int]) -> None:
    plain = [PLAIN[:part] if isinstance(part, int) else part for part in parts]
    together = b"".join(plain)
    out = bytearray(sealed_size(len(together)) + 10)
    views = [memoryview(part) if len(part) % 2 else part for part in plain]
    size = Sealer(KEY).seal_into(views, memoryview(out))
    assert out[:size] == Sealer(KEY).seal(together)
    assert out[size:] == bytes(10)


@pytest.mark.parametrize("first", range(MAX_PLAINTEXT - 2, MAX_PLAINTEXT + 2))
def test_parts_that_nearly_fill_a_record_fill_it(first: int) -> None:
    parts = [PLAIN[:first], b"ab", b"", b"cd"]
    out = bytearray(sealed_size(first + 4))
    assert Sealer(KEY).seal_into(parts, memoryview(out)) == len(out)
    assert sizes(bytes(out)) == [MAX_RECORD, first + 4 - MAX_PLAINTEXT + TAG_SIZE]
    assert b"".join(Opener(KEY).open(bytes(out))) == b"".join(parts)


def test_sealing_leaves_the_plaintext_as_it_is() -> None:
    plain = bytearray(PLAIN[: MAX_PLAINTEXT + 5])
    Sealer(KEY).seal(memoryview(plain))
    assert plain == PLAIN[: MAX_PLAINTEXT + 5]


@pytest.mark.parametrize("cut", range(len(WIRE) + 1))
def test_a_cut_anywhere_changes_nothing(cut: int) -> None:
    opener = Opener(KEY)
    plain = opener.open(WIRE[:cut])
    ends = [len(WIRE) - len(b"".join(_records()[at:])) for at in range(4)]
    assert opener.midway == (cut not in ends)
    assert len(plain) == sum(cut >= end for end in ends[1:])
    assert plain + opener.open(WIRE[cut:]) == THREE
    assert not opener.midway


def _records() -> list[bytes]:
    return [record(KEY, nonce, text) for nonce, text in enumerate(THREE)]


def test_single_bytes_are_enough() -> None:
    opener = Opener(KEY)
    assert [plain for byte in WIRE for plain in opener.open(bytes([byte]))] == THREE


def test_nothing_arriving_is_nothing_read() -> None:
    opener = Opener(KEY)
    assert (opener.open(b""), opener.midway) == ([], False)


@given(
    st.lists(st.one_of(st.integers(0, 300), st.integers(0, 150_000)), max_size=4),
    st.lists(st.one_of(st.integers(0, 40), st.integers(0, 150_000)), max_size=20),
)
def test_how_the_network_cuts_records_never_changes_them(
    lengths: list[int], cuts: list[int]
) -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    wire = b"".join(bytes(sealer.seal(PLAIN[:length])) for length in lengths)
    opened = b"".join(plain for piece in pieces(wire, cuts) for plain in opener.open(piece))
    assert opened == b"".join(PLAIN[:length] for length in lengths)
    assert not opener.midway


def test_empty_records_are_legal_and_skipped() -> None:
    wire = record(KEY, 0, b"") + record(KEY, 1, b"x") + record(KEY, 2, b"")
    assert Opener(KEY).open(wire) == [b"x"]
    assert Opener(KEY).open(wire[:17]) == []


def refused(opener: Opener, wire: bytes) -> bool:
    """Whether it is refused, and everything after it too."""
    with pytest.raises(RemoteProtocolError):
        opener.open(wire)
    for later in (record(KEY, nonce, b"later") for nonce in range(4)):
        with pytest.raises(RemoteProtocolError):
            opener.open(later)
    return True


@pytest.mark.parametrize("at", range(2, len(record(KEY, 0, THREE[0]))))
def test_a_flipped_bit_anywhere_ends_it(at: int) -> None:
    wire = WIRE[:at] + bytes([WIRE[at] ^ 1 << at % 8]) + WIRE[at + 1 :]
    assert refused(Opener(KEY), wire)


@pytest.mark.parametrize("size", [*range(len(THREE[0]) + TAG_SIZE), 22, 40])
def test_a_record_with_another_length_ends_it(size: int) -> None:
    wire = size.to_bytes(2, "big") + WIRE[2:]
    assert refused(Opener(KEY), wire)


@pytest.mark.parametrize("size", range(TAG_SIZE))
def test_a_record_without_room_for_its_tag_is_refused_however_it_is_cut(size: int) -> None:
    wire = size.to_bytes(2, "big") + bytes(size)
    for cut in range(len(wire)):
        opener = Opener(KEY)
        assert opener.open(wire[:cut]) == []
        with pytest.raises(RemoteProtocolError, match=f"{size} bytes has no room"):
            opener.open(wire[cut:])


def test_a_record_that_ends_too_soon_is_seen_at_the_end_of_the_connection() -> None:
    opener = Opener(KEY)
    assert opener.open(WIRE[:-1]) == THREE[:2]
    assert opener.midway


@pytest.mark.parametrize(
    "order",
    [(0, 0), (1,), (0, 2), (2, 1, 0), (0, 1, 0), (0, 1, 1)],
    ids=["replayed", "first lost", "second lost", "backwards", "replayed later", "twice"],
)
def test_records_open_in_their_order_and_once(order: tuple[int, ...]) -> None:
    records = _records()
    assert refused(Opener(KEY), b"".join(records[at] for at in order))


def test_a_record_under_another_key_ends_it() -> None:
    assert refused(Opener(bytes(32)), WIRE)


@given(st.binary(min_size=2, max_size=400))
def test_arbitrary_bytes_open_nothing(wire: bytes) -> None:
    opener = Opener(KEY)
    try:
        assert opener.open(wire) == []
    except RemoteProtocolError:
        return
    assert opener.midway


def test_the_last_nonce_is_never_used_for_sealing() -> None:
    sealer = Sealer(KEY)
    sealer._nonce = MAX_NONCE - 1
    assert sealer.seal(b"last") == record(KEY, MAX_NONCE - 1, b"last")
    for _ in range(2):
        with pytest.raises(LimitError, match="used up"):
            sealer.seal(b"one more")


def test_a_plaintext_that_needs_more_nonces_than_are_left_is_not_sent() -> None:
    sealer = Sealer(KEY)
    sealer._nonce = MAX_NONCE - 1
    with pytest.raises(LimitError, match="used up"):
        sealer.seal(PLAIN[: MAX_PLAINTEXT + 1])
    assert sealer._nonce == MAX_NONCE


def test_the_last_nonce_is_never_used_for_opening() -> None:
    opener = Opener(KEY)
    opener._nonce = MAX_NONCE - 1
    assert opener.open(record(KEY, MAX_NONCE - 1, b"last")) == [b"last"]
    with pytest.raises(LimitError, match="used up"):
        opener.open(record(KEY, MAX_NONCE, b"one more"))
