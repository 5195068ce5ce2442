"""Bytes as text: base58btc for peer ids, and the multibase forms that CIDs come in.

A multibase text starts with a letter that names its alphabet. Decoding is strict: no white
space, no padding, no upper case in the lower-case alphabets, no stray bits at the end, so that
one value has one text in each base.

Spec: multiformats, multibase.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Container

MAX_TEXT: Final = 256  # characters; the time to read base 36 or 58 grows with their square

_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE36_DIGITS: Final = frozenset(_BASE36)
# Without 0, O, I and l, which are easily taken for one another.
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUES: Final = {digit: value for value, digit in enumerate(_BASE58)}
_BASE32_DIGITS: Final = frozenset("abcdefghijklmnopqrstuvwxyz234567")
_BASE64URL_DIGITS: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)
_HEX_DIGITS: Final = frozenset("0123456789abcdef")


def encode_base58(data: bytes) -> str:
    """Return ``data`` in base58btc, without a multibase prefix."""
    number = int.from_bytes(data, "big")
    digits = ""
    while number:
        number, value = divmod(number, 58)
        digits = _BASE58[value] + digits
    zeros = len(data) - len(data.lstrip(b"\0"))  # each leading zero byte is one leading digit
    return _BASE58[0] * zeros + digits


def decode_base58(text: str) -> bytes:
    """Return the bytes of base58btc ``text`` without a multibase prefix.

    Raises:
        ValueError: A character is not in the alphabet, or there are more than ``MAX_TEXT``.
    """
    _check(text, _BASE58_VALUES, "base58btc")
    digits = text.lstrip(_BASE58[0])
    number = 0
    for digit in digits:
        number = number * 58 + _BASE58_VALUES[digit]
    return bytes(len(text) - len(digits)) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_base32(data: bytes) -> str:
    """Return ``data`` as multibase base32: ``b`` and lower-case digits without padding."""
    return "b" + _base32_digits(data)


def decode(text: str) -> bytes:
    """Return the bytes of a multibase text.

    Known prefixes: ``z`` base58btc, ``b`` base32, ``k`` base36, ``f`` base16, ``u`` base64url.

    Raises:
        ValueError: The text is empty, has another prefix or more than ``MAX_TEXT`` digits, or
            is not what its prefix says.
    """
    if not text:
        raise ValueError("a multibase text has at least its prefix")
    decoder = _DECODERS.get(text[0])
    if decoder is None:
        raise ValueError(f"unknown multibase prefix {text[0]!r}")
    return decoder(text[1:])


def _check(text: str, digits: Container[str], base: str) -> None:
    if len(text) > MAX_TEXT:
        raise ValueError(f"{base} text of {len(text)} characters, at most {MAX_TEXT} are allowed")
    for character in text:
        if character not in digits:
            raise ValueError(f"{character!r} is not a {base} digit")


def _base32_digits(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").lower()


def _decode_base32(text: str) -> bytes:
    _check(text, _BASE32_DIGITS, "base32")
    try:
        data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except binascii.Error as error:
        raise ValueError(f"not base32: {error}") from None
    if _base32_digits(data) != text:
        raise ValueError("base32 text with stray bits at its end")
    return data


def _decode_base36(text: str) -> bytes:
    _check(text, _BASE36_DIGITS, "base36")
    digits = text.lstrip("0")
    number = int(digits, 36) if digits else 0
    # As in base58, every leading zero digit stands for one leading zero byte.
    return bytes(len(text) - len(digits)) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _decode_base16(text: str) -> bytes:
    _check(text, _HEX_DIGITS, "base16")
    return bytes.fromhex(text)


def _decode_base64url(text: str) -> bytes:
    _check(text, _BASE64URL_DIGITS, "base64url")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(f"not base64url: {error}") from None
    if base64.urlsafe_b64encode(data).decode("ascii").rstrip("=") != text:
        raise ValueError("base64url text with stray bits at its end")
    return data


_DECODERS: Final[dict[str, Callable[[str], bytes]]] = {
    "z": decode_base58,
    "b": _decode_base32,
    "k": _decode_base36,
    "f": _decode_base16,
    "u": _decode_base64url,
}
