"""Plain TCP on loopback: the service behind every tunnel, and the rival without a tunnel.

    python -m bench.rivals.raw_tcp PORT

The first byte of a connection says what it is for: ``u`` and u64 n, the server reads n bytes and
answers one; ``d`` and u64 n, it sends n bytes; ``e``, it sends back what comes. Blocking sockets,
a thread each: nothing is simpler, and little is quicker.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = "raw loopback TCP"
HOST: Final = "127.0.0.1"
PIECE: Final = 256 * 1024
PING: Final = 32  # bytes
TIMEOUT_S: Final = 60.0  # for any one step


async def up(port: int, size: int) -> float:
    """Send ``size`` bytes on a new connection, until the server has them; return MB/s."""
    return await asyncio.to_thread(_rate, _up, port, size)


async def down(port: int, size: int) -> float:
    """Fetch ``size`` bytes on a new connection; return MB/s."""
    return await asyncio.to_thread(_rate, _down, port, size)


async def round_trip(port: int, count: int) -> float:
    """Return the median of ``count`` round trips of 32 bytes on one connection, in ms."""
    return await asyncio.to_thread(_round_trip, port, count)


async def first_byte(port: int, count: int) -> float:
    """Return the median time from connecting to the first byte back, in ms."""
    return await asyncio.to_thread(_first_byte, port, count)


async def connects(port: int, count: int) -> float:
    """Connect and close ``count`` times in a row; return how many a second."""
    return await asyncio.to_thread(_connects, port, count)


def _connect(port: int) -> socket.socket:
    sock = socket.create_connection((HOST, port), TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _rate(transfer: Callable[[socket.socket, int], None], port: int, size: int) -> float:
    began = time.perf_counter()
    with _connect(port) as sock:
        transfer(sock, size)
        return size / 1e6 / (time.perf_counter() - began)


def _up(sock: socket.socket, size: int) -> None:
    sock.sendall(b"u" + size.to_bytes(8, "big"))
    _send(sock, size)
    if sock.recv(1) != b"k":
        raise OSError("the server did not get everything")


def _down(sock: socket.socket, size: int) -> None:
    sock.sendall(b"d" + size.to_bytes(8, "big"))
    _receive(sock, size)


def _round_trip(port: int, count: int) -> float:
    took = []
    with _connect(port) as sock:
        sock.sendall(b"e")
        for _ in range(count):
            began = time.perf_counter()
            sock.sendall(bytes(PING))
            _receive(sock, PING)
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e3


def _first_byte(port: int, count: int) -> float:
    took = []
    for _ in range(count):
        began = time.perf_counter()
        with _connect(port) as sock:
            sock.sendall(b"e?")
            _receive(sock, 1)
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e3


def _connects(port: int, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        _connect(port).close()
    return count / (time.perf_counter() - began)


def _send(sock: socket.socket, size: int) -> None:
    piece = memoryview(bytes(PIECE))
    for left in range(size, 0, -PIECE):
        sock.sendall(piece[:left])


def _receive(sock: socket.socket, size: int) -> None:
    buffer = memoryview(bytearray(PIECE))
    while size:
        got = sock.recv_into(buffer[:size])
        if not got:
            raise OSError("the connection ended early")
        size -= got


def _serve(sock: socket.socket) -> None:
    with sock, contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kind = sock.recv(1)
        if kind == b"e":
            while data := sock.recv(PIECE):
                sock.sendall(data)
        elif kind:
            size = int.from_bytes(sock.recv(8, socket.MSG_WAITALL), "big")
            if kind == b"d":
                _send(sock, size)
                sock.recv(1)  # closing with nothing unread: the last bytes are not cut off
            else:
                _receive(sock, size)
                sock.sendall(b"k")


def main(port: int) -> None:
    """Serve until killed."""
    with socket.create_server((HOST, port), backlog=1024) as listener:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=_serve, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
