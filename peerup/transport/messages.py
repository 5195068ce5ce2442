"""Varint-delimited messages on a stream, without reading a byte too much.

What follows a message may belong to somebody else (behind a relay's STATUS the inner
connection begins), so the prefix is read byte by byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire import delimited, varint

if TYPE_CHECKING:
    from peerup.transport.base import ByteStream


async def read_exactly(stream: ByteStream, size: int) -> bytes:
    """Return ``size`` bytes.

    Raises:
        RemoteProtocolError: the stream ended before.
    """
    parts = bytearray()
    while len(parts) < size:
        piece = await stream.read(size - len(parts))
        if not piece:
            raise RemoteProtocolError(f"the stream ended after {len(parts)} of {size} bytes")
        parts += piece
    return bytes(parts)


async def read_message(stream: ByteStream, max_size: int) -> bytes | None:
    """Return the next message of at most ``max_size`` bytes, None at an orderly end.

    Raises:
        LimitError: the message is longer.
        RemoteProtocolError: the prefix is not a varint, or the stream ended inside.
    """
    prefix = await stream.read(1)
    if not prefix:
        return None
    while prefix[-1] & 0x80 and len(prefix) < varint.MAX_VARINT_BYTES:
        prefix += await read_exactly(stream, 1)
    size, _ = varint.decode(prefix)
    if size > max_size:
        raise LimitError(f"message of {size} bytes, at most {max_size} are allowed")
    return await read_exactly(stream, size)


async def expect_message(stream: ByteStream, max_size: int) -> bytes:
    """Return the next message; unlike ``read_message`` an end instead of it is an error."""
    message = await read_message(stream, max_size)
    if message is None:
        raise RemoteProtocolError("the stream ended where a message was due")
    return message


async def write_message(stream: ByteStream, message: bytes) -> None:
    """Send ``message`` with its length before it."""
    await stream.write(delimited.join(message))
