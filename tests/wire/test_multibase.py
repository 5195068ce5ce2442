from __future__ import annotations

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.wire import multibase

YES_MANI = b"yes mani !"


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("f796573206d616e692021", YES_MANI),
        ("bpfsxgidnmfxgsibb", YES_MANI),
        ("k2lcpzo5yikidynfl", YES_MANI),
        ("z7paNL19xttacUY", YES_MANI),
        ("ueWVzIG1hbmkgIQ", YES_MANI),
        ("f00796573206d616e692021", b"\0" + YES_MANI),
        ("bab4wk4zanvqw42jaee", b"\0" + YES_MANI),
        ("k02lcpzo5yikidynfl", b"\0" + YES_MANI),
        ("z17paNL19xttacUY", b"\0" + YES_MANI),
        ("uAHllcyBtYW5pICE", b"\0" + YES_MANI),
        ("f", b""),
        ("b", b""),
        ("k", b""),
        ("z", b""),
        ("u", b""),
    ],
)
def test_the_test_texts_of_the_spec_decode(text: str, data: bytes) -> None:
    assert multibase.decode(text) == data


@given(st.binary(max_size=120))
def test_base32_text_comes_back(data: bytes) -> None:
    text = multibase.encode_base32(data)
    assert text.startswith("b")
    assert multibase.decode(text) == data


@given(st.binary(max_size=120))
def test_base58_text_comes_back_with_its_leading_zeros(data: bytes) -> None:
    text = multibase.encode_base58(b"\0\0" + data)
    assert text.startswith("11")
    assert multibase.decode_base58(text) == b"\0\0" + data
    assert multibase.decode("z" + text) == b"\0\0" + data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x796573",  # unknown prefix
        "Bpfsxgidnmfxgsibb",  # upper case base32
        "bPFSX",
        "bpfsxgidnmfxgsibb=",  # padding
        "b1",  # no base32 digit
        "ba",  # one digit is no byte
        "bab",  # stray bits
        "f7",
        "f7 96",
        "fzz",
        "k2LC",
        "k-1",
        "k1_0",
        "k+1",
        "z0",
        "zl",
        "z7pa\n",
        "z 7pa",
        "ueWVzIG1hbmkgI=",
        "ueWVzIG1hbmkgIR",  # stray bits
        "ue",
        "u+/+/",
        "k\N{ARABIC-INDIC DIGIT ONE}",
        "\N{SNOWMAN}",
    ],
)
def test_a_text_that_is_not_what_its_prefix_says_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        multibase.decode(text)


@pytest.mark.parametrize("text", [" 1", "1 ", "1\n", "0", "O", "I", "l", "é", "\ud800"])
def test_base58_takes_its_own_digits_only(text: str) -> None:
    with pytest.raises(ValueError, match="not a base58btc digit"):
        multibase.decode_base58(text)


@pytest.mark.parametrize("prefix", "zbkfu")
def test_a_long_text_is_refused_at_once(prefix: str) -> None:
    with pytest.raises(ValueError, match="at most 256"):
        multibase.decode(prefix + "a" * 1_000_000)
    with pytest.raises(ValueError, match="at most 256"):
        multibase.decode_base58("a" * (multibase.MAX_TEXT + 1))


@given(
    st.sampled_from("zbkfu"),
    st.one_of(st.text(max_size=20), st.text("0123456789abcdefghijkmnopqrstuvwxyz", max_size=20)),
)
def test_arbitrary_text_decodes_or_is_a_value_error(prefix: str, text: str) -> None:
    try:
        data = multibase.decode(prefix + text)
    except ValueError:
        return
    if prefix == "f":
        assert data.hex() == text
    elif prefix == "b":
        assert multibase.encode_base32(data) == prefix + text
    elif prefix == "z":
        assert multibase.encode_base58(data) == text


@given(st.binary(max_size=64))
def test_base58_agrees_with_the_package_of_that_name(data: bytes) -> None:
    text = multibase.encode_base58(data)
    assert text == base58.b58encode(data).decode()
    assert multibase.decode_base58(text) == base58.b58decode(text)
