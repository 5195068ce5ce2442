"""Connected TCP sockets with small buffers."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final

from peerup.transport.socket_stream import SocketStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BUFFER: Final = 64 * 1024  # what the kernel is asked to hold; it takes a little more


def connected_sockets() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection with small buffers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        near = socket.socket()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        near.connect(listener.getsockname())
        far, _ = listener.accept()
    for sock in (near, far):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        sock.setblocking(False)
    return near, far


@contextlib.asynccontextmanager
async def socket_ends() -> AsyncIterator[tuple[SocketStream, SocketStream]]:
    one, two = map(SocketStream, connected_sockets())
    try:
        yield one, two
    finally:
        one.reset()
        two.reset()
