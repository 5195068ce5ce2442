"""One UDP socket that listens, dials and punches holes.

Datagrams are read in batches and handed on in batches, all of one sender together, because
with QUIC the cost is per packet and per wake-up, not per byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Address = tuple[Any, ...]
Batch = dict[Address, list[bytes]]

READ_SIZE: Final = 2048  # bytes; larger datagrams than any that QUIC sends are cut, and dropped
READS_PER_TURN: Final = 64
KERNEL_BUFFER: Final = 4 * 1024 * 1024  # bytes, asked for; the system may give less


class UdpSocket:
    """A bound UDP socket on the event loop.

    ``on_batch`` gets what arrived in one wake-up, by sender, and is called before the next.
    """

    def __init__(self, host: str, port: int, on_batch: Callable[[Batch], None]) -> None:
        """Bind ``host:port``; port 0 takes a free one.

        Raises:
            OSError: the address is not ours, or another program has the port.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self._sock.setsockopt(socket.SOL_SOCKET, option, KERNEL_BUFFER)
            self._sock.setblocking(False)
            self._sock.bind((host, port))
        except BaseException:
            self._sock.close()
            raise
        self._on_batch = on_batch
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock.fileno(), self._on_readable)
        self._closed = False
        self.family = family
        self.dropped = 0  # datagrams that the system had no room for

    @property
    def address(self) -> tuple[str, int]:
        name = self._sock.getsockname()
        return name[0], name[1]

    def send(self, datagrams: Iterable[tuple[bytes, Address]]) -> None:
        """Send each datagram to its address; what the system cannot take now is dropped."""
        if self._closed:
            return
        for data, address in datagrams:
            try:
                self._sock.sendto(data, address)
            except OSError as why:
                # UDP promises nothing: congestion control takes a loss as what it is.
                self.dropped += 1
                if why.errno not in _PASSING:
                    return

    def close(self) -> None:
        """Give the port back. Idempotent."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _on_readable(self) -> None:
        batch: Batch = {}
        # An ICMP error of an earlier datagram may come instead of data: it ends this turn.
        with contextlib.suppress(OSError):
            for _ in range(READS_PER_TURN):
                data, address = self._sock.recvfrom(READ_SIZE)
                batch.setdefault(address, []).append(data)
        if batch:
            self._on_batch(batch)


_PASSING: Final = frozenset(
    {errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED, errno.EPERM, errno.EMSGSIZE}
)
