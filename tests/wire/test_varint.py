from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import RemoteProtocolError
from peerup.wire import varint


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (255, "ff01"),
        (300, "ac02"),
        (16384, "808001"),
        ((1 << 63) - 1, "ffffffffffffffff7f"),
    ],
)
def test_the_examples_of_the_spec_encode_and_decode(value: int, encoded: str) -> None:
    assert varint.encode(value).hex() == encoded
    assert varint.decode(bytes.fromhex(encoded)) == (value, len(encoded) // 2)


@given(st.integers(0, varint.MAX_VALUE), st.binary(max_size=4), st.binary(max_size=4))
def test_a_value_comes_back_from_anywhere(value: int, before: bytes, after: bytes) -> None:
    encoded = varint.encode(value)
    assert len(encoded) <= varint.MAX_VARINT_BYTES
    for data in (before + encoded + after, bytearray(before + encoded + after)):
        assert varint.decode(data, len(before)) == (value, len(before) + len(encoded))
        assert varint.decode(memoryview(data), len(before))[0] == value


@pytest.mark.parametrize("value", [-1, 1 << 63, 1 << 64])
def test_what_does_not_fit_into_63_bits_is_our_own_mistake(value: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        varint.encode(value)


@pytest.mark.parametrize("encoded", ["8000", "808000", "ff00", "ffffffffffffffff00"])
def test_more_bytes_than_needed_are_refused(encoded: str) -> None:
    with pytest.raises(RemoteProtocolError, match="shortest"):
        varint.decode(bytes.fromhex(encoded))


@pytest.mark.parametrize("encoded", ["ff" * 9 + "01", "80" * 9 + "01", "ff" * 9, "80" * 1000])
def test_a_tenth_byte_is_refused(encoded: str) -> None:
    with pytest.raises(RemoteProtocolError, match="longer"):
        varint.decode(bytes.fromhex(encoded))


@given(st.integers(0, varint.MAX_VALUE), st.data())
def test_a_prefix_of_a_varint_is_cut_short(value: int, data: st.DataObject) -> None:
    encoded = varint.encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(RemoteProtocolError, match="cut short"):
        varint.decode(encoded[:cut])


@given(st.binary(max_size=12), st.integers(0, 14))
def test_arbitrary_bytes_are_the_one_encoding_of_a_value_or_refused(
    data: bytes, offset: int
) -> None:
    try:
        value, end = varint.decode(data, offset)
    except RemoteProtocolError:
        return
    assert varint.encode(value) == data[offset:end]
