from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import RemoteProtocolError
from peerup.wire import multihash


def test_sha2_256_is_code_length_digest() -> None:
    digest = hashlib.sha256(b"peerup").digest()
    assert multihash.sha2_256(b"peerup") == b"\x12\x20" + digest
    assert multihash.decode(b"\x12\x20" + digest) == (multihash.SHA2_256, digest)


@given(st.integers(0, (1 << 63) - 1), st.binary(max_size=200))
def test_a_multihash_comes_back(code: int, digest: bytes) -> None:
    assert multihash.decode(multihash.encode(code, digest)) == (code, digest)


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=3))
def test_nothing_may_be_missing_or_left_over(digest: bytes, more: bytes) -> None:
    whole = multihash.encode(multihash.IDENTITY, digest)
    for data in (whole[:-1], whole + more):
        with pytest.raises(RemoteProtocolError):
            multihash.decode(data)


@pytest.mark.parametrize("data", ["", "12", "1220", "1280", "128000", "ffffffffffffffffff7f00"])
def test_an_unfinished_or_malformed_head_is_refused(data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        multihash.decode(bytes.fromhex(data))


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_one_multihash_or_refused(data: bytes) -> None:
    try:
        code, digest = multihash.decode(data)
    except RemoteProtocolError:
        return
    assert multihash.encode(code, digest) == data
