"""TCP services of this process for end-to-end tests: sockets and threads, nothing of peerup."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import socketserver
import struct
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that nobody can mistake for others, the same in every run."""
    return random.Random(seed).randbytes(size)


@contextlib.contextmanager
def tcp_service(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run ``serve`` in a thread for each connection to a free port of 127.0.0.1; give the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                serve(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

        def shutdown_request(self, request: object) -> None:
            """Close without a shutdown before it, which would turn a reset into an end."""
            assert isinstance(request, socket.socket)
            request.close()

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def read_all(sock: socket.socket) -> bytes:
    """Everything up to the end of the other side's half."""
    parts = []
    while piece := sock.recv(65536):
        parts.append(piece)
    return b"".join(parts)


def echo(sock: socket.socket) -> None:
    """Send back what comes, and end when the client has ended."""
    while piece := sock.recv(65536):
        sock.sendall(piece)


def digest(sock: socket.socket) -> None:
    """Read to the end, then answer with the SHA-256 of it."""
    sock.sendall(hashlib.sha256(read_all(sock)).hexdigest().encode())


def source(size: int) -> Callable[[socket.socket], None]:
    """Send ``size`` bytes, end, and read nothing."""

    def serve(sock: socket.socket) -> None:
        sock.sendall(noise(size))

    return serve


def crash(sock: socket.socket) -> None:
    """Say something, wait for the first byte, and break the connection."""
    sock.sendall(b"half of an answer")
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    sock.close()


class Listener:
    """Ends its own half at once, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.done = threading.Event()

    def __call__(self, sock: socket.socket) -> None:
        sock.sendall(b"go on")
        sock.shutdown(socket.SHUT_WR)
        self.heard = read_all(sock)
        self.done.set()
