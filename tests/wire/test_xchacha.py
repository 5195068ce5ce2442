from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.wire.xchacha import KEY_SIZE, NONCE_SIZE, TAG_SIZE, hchacha20, open_sealed, seal

KEY = bytes(range(32))
keys = st.binary(min_size=KEY_SIZE, max_size=KEY_SIZE)
nonces = st.binary(min_size=NONCE_SIZE, max_size=NONCE_SIZE)


def test_the_derived_key_is_that_of_the_draft() -> None:
    # draft-irtf-cfrg-xchacha-03, section 2.2.1
    nonce = bytes.fromhex("000000090000004a0000000031415927")
    assert hchacha20(KEY, nonce).hex() == (
        "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
    )


@given(key=keys, nonce=nonces, plaintext=st.binary(max_size=200))
def test_what_is_sealed_can_be_opened(key: bytes, nonce: bytes, plaintext: bytes) -> None:
    sealed = seal(key, nonce, plaintext)
    assert len(sealed) == len(plaintext) + TAG_SIZE
    assert open_sealed(key, nonce, sealed) == plaintext


@given(at=st.integers(0, 8 * 20 - 1))
def test_one_bit_more_or_less_opens_nothing(at: int) -> None:
    sealed = bytearray(seal(KEY, bytes(NONCE_SIZE), b"home"))
    sealed[at // 8] ^= 1 << at % 8
    assert open_sealed(KEY, bytes(NONCE_SIZE), bytes(sealed)) is None


@pytest.mark.parametrize("other", [(bytes(32), bytes(24)), (KEY, b"\1" * 24), (KEY, b"\0" * 16)])
def test_another_key_or_nonce_opens_nothing(other: tuple[bytes, bytes]) -> None:
    key, nonce = other
    nonce = nonce.ljust(24, b"\1")
    assert open_sealed(key, nonce, seal(KEY, bytes(24), b"home")) is None


@pytest.mark.parametrize("size", [0, 12, 23, 25])
def test_a_nonce_has_24_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="24 bytes"):
        seal(KEY, bytes(size), b"")
