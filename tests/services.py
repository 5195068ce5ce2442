"""Local TCP services for tests on the real clock, and clients of them.

Nothing of peerup is in here: plain asyncio streams, and sockets where a reset matters.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


@asynccontextmanager
async def tcp_service(serve: Serve) -> AsyncIterator[int]:
    """Run ``serve`` for each connection to a free port of 127.0.0.1, and give the port."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, EOFError):
            pass  # the other end gave up, which tests do on purpose
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, and end when the client has ended."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def abort(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset, as a program that crashes may."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()


async def is_reset(reader: asyncio.StreamReader) -> bool:
    """Read to the end; say whether that was a reset and not an orderly end."""
    try:
        while await reader.read(65536):
            pass
    except ConnectionResetError:
        return True
    return False


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port
