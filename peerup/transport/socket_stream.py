"""A connected socket as a ``ByteStream``, straight on the event loop's reader and writer calls.

asyncio's own streams copy every byte twice and cannot say "give me half a megabyte at once",
which is what a secure channel and a proxy want. Nothing is read unless somebody waits for it,
so the kernel's window is the backpressure, and an idle connection holds no buffer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Final

from peerup.errors import ConnectionClosedError, LocalProtocolError

SMALL_READ: Final = 8192  # below this (handshakes) reading at once cannot starve other tasks
MAX_READ: Final = 512 * 1024  # bytes that one read returns at the most
LINGER_RESET: Final = struct.pack("ii", 1, 0)


# Where every read lands first. Asking for half a megabyte of fresh memory each time, to find 78
# bytes in it, costs a page fault or two; copying what arrived out of here costs next to nothing.
_arrivals: Final = memoryview(bytearray(MAX_READ))


class SocketStream:
    """Owns ``sock``, which is connected and non-blocking. See ``transport.base.ByteStream``."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.Future[bytes] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._want = 0
        self._watching = False
        self._stash = b""  # read for a task that was cancelled before it could have it
        self._closed = False
        self._wrote_fin = False
        self.written = 0
        self._broken: OSError | None = None

    @property
    def socket(self) -> socket.socket:
        return self._sock

    async def read(self, max_bytes: int = 65536) -> bytes:
        if self._stash:
            data, self._stash = self._stash[:max_bytes], self._stash[max_bytes:]
            return data
        self._check_open()
        if self._reader is not None:
            raise LocalProtocolError("two tasks read one socket")
        if max_bytes <= SMALL_READ:
            with contextlib.suppress(BlockingIOError):
                return self._recv(max_bytes)
        self._want = max_bytes
        waiter: asyncio.Future[bytes] = self._loop.create_future()
        self._reader = waiter
        if not self._watching:
            self._watching = True
            self._loop.add_reader(self._fd, self._on_readable)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._stash = waiter.result()
            raise
        finally:
            self._reader = None

    def _on_readable(self) -> None:
        waiter = self._reader
        if waiter is None or waiter.done():
            # Nobody reads: stop looking, so that the kernel's window can fill.
            self._watching = False
            self._loop.remove_reader(self._fd)
            return
        try:
            waiter.set_result(self._recv(self._want))
        except BlockingIOError:
            return
        except OSError as why:
            waiter.set_exception(why)

    def _recv(self, most: int) -> bytes:
        """Receive now. The kernel says once that a connection broke, then calls it an end."""
        try:
            size = self._sock.recv_into(_arrivals[:most])
            data = bytes(_arrivals[:size])
        except BlockingIOError:
            raise
        except OSError as why:
            self._broken = why
            raise
        if not data and self._broken is not None:
            raise self._broken
        return data

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._writer is not None:
            raise LocalProtocolError("two tasks write to one socket")
        view = memoryview(data)
        while True:
            self._check_open()
            if self._wrote_fin:
                raise LocalProtocolError("write after close_write")
            try:
                sent = self._sock.send(view)
                self.written += sent
                view = view[sent:]
            except BlockingIOError:
                pass
            except OSError as why:
                self._broken = why
                raise
            if not view:
                return
            await self._writable()

    async def _writable(self) -> None:
        self._writer = self._loop.create_future()
        self._loop.add_writer(self._fd, self._on_writable)
        try:
            await self._writer
        finally:
            self._writer = None
            if not self._closed:
                self._loop.remove_writer(self._fd)

    def _on_writable(self) -> None:
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def close_write(self) -> None:
        if not self._closed and not self._wrote_fin:
            self._wrote_fin = True
            with contextlib.suppress(OSError):  # the peer may be gone already
                self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._shut(ConnectionClosedError("we closed the socket"))

    def reset(self, code: int = 0) -> None:
        if not self._closed:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            self._shut(ConnectionClosedError("we reset the socket"))

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionClosedError("the socket is closed")

    def _shut(self, reason: ConnectionClosedError) -> None:
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._sock.close()
        for waiter in (self._reader, self._writer):
            if waiter is not None and not waiter.done():
                waiter.set_exception(reason)
