"""Unsigned varints: integers below 2^63 in one to nine bytes, seven bits a byte, low bits first.

Protocol buffers have a varint of their own, which is longer and more forgiving; it lives in
``peerup.wire.protobuf``.

Spec: multiformats, unsigned-varint.
"""

from __future__ import annotations

from typing import Final

from peerup.errors import RemoteProtocolError

MAX_VARINT_BYTES: Final = 9
MAX_VALUE: Final = (1 << 7 * MAX_VARINT_BYTES) - 1


def encode(value: int) -> bytes:
    """Return ``value`` in its shortest form, 1 to 9 bytes.

    Raises:
        ValueError: ``value`` is negative or needs more than 63 bits.
    """
    if 0 <= value < 0x80:
        return bytes((value,))
    if not 0 <= value <= MAX_VALUE:
        raise ValueError(f"{value} does not fit into a varint of {MAX_VARINT_BYTES} bytes")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode(data: bytes | bytearray | memoryview, offset: int = 0) -> tuple[int, int]:
    """Return the value that starts at ``offset`` and the offset of the byte after it.

    Raises:
        RemoteProtocolError: The varint is cut short, longer than 9 bytes, or written with
            more bytes than it needs.
    """
    value = shift = 0
    for position in range(offset, min(len(data), offset + MAX_VARINT_BYTES)):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise RemoteProtocolError("varint is not in its shortest form")
            return value, position + 1
        shift += 7
    if shift == 7 * MAX_VARINT_BYTES:
        raise RemoteProtocolError(f"varint is longer than {MAX_VARINT_BYTES} bytes")
    raise RemoteProtocolError("varint is cut short")
