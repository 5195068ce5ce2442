"""Service forwarding: a stream of ``/peerup/NAME/1.0.0`` is a TCP connection to a service.

No header, no framing: what is written on one side is read on the other, each half closes by
itself, and an aborted connection is aborted on the other side too, never ended in order.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING, Final

from peerup.errors import (
    NegotiationError,
    NotAuthorizedError,
    PeerupError,
    ServiceError,
    StreamResetError,
    UsageError,
)
from peerup.host.negotiate import explain_reset
from peerup.tasks import Supervisor
from peerup.transport.socket_stream import SocketStream
from peerup.transport.splice import splice
from peerup.transport.tcp import OUT_OF_RESOURCES, PAUSE_S, connect, prepare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from peerup.host.handlers import Handler
    from peerup.transport.muxed import MuxedStream
    from peerup.wire.peer_id import PeerId

log = logging.getLogger(__name__)

LOCAL_DIAL_TIMEOUT_S: Final = 10.0
MAX_STREAMS: Final = 256  # of one peer to one service
ACCEPTS_PER_TURN: Final = 64


def protocol_of(service: str) -> str:
    """Return the protocol id under which ``service`` is served."""
    return f"/peerup/{service}/1.0.0"


def serve_tcp(host: str, port: int, allowed: Collection[PeerId] | None = None) -> Handler:
    """Return a handler that joins each stream to a new connection to ``host:port``.

    Args:
        host: Where the service listens, as seen from here.
        port: Its TCP port.
        allowed: Who may use it, None for everybody whom the gater lets in.
    """

    async def serve(stream: MuxedStream) -> None:
        peer = stream.connection.peer
        if allowed is not None and peer not in allowed:
            log.warning("service refused", extra={"peer": peer, "protocol": stream.protocol})
            raise NotAuthorizedError(f"{peer} may not use {stream.protocol}")
        try:
            async with asyncio.timeout(LOCAL_DIAL_TIMEOUT_S):
                local = await connect(host, port)
        except (OSError, TimeoutError) as why:
            log.warning("service %s at %s:%d does not answer: %s", stream.protocol, host, port, why)
            raise ServiceError(f"{host}:{port} does not answer") from why
        moved = await splice(stream, local)
        log.debug("%s: %d bytes in, %d out", stream.protocol, moved.forth, moved.back)

    return serve


class LocalPort:
    """A listening TCP port whose every connection becomes a stream to a peer.

    ``open_stream`` is called for each connection; when it fails, that connection is reset and
    ``on_failure`` is told why.
    """

    def __init__(
        self,
        open_stream: Callable[[], Awaitable[MuxedStream]],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._open_stream = open_stream
        self._on_failure = on_failure
        self._tasks = Supervisor()
        self._sockets: list[socket.socket] = []
        self.listen_address = ("", 0)

    async def listen(self, host: str, port: int) -> None:
        """Bind ``host:port``; port 0 takes a free one, found in ``listen_address`` afterwards.

        Raises:
            UsageError: the port is taken, or not ours to take.
        """
        try:
            sock = socket.create_server((host, port), family=_family(host), backlog=256)
        except OSError as why:
            raise UsageError(
                f"cannot listen on {host}:{port}: {os.strerror(why.errno) if why.errno else why}",
                hint="Choose another local port, or stop the program that has this one.",
            ) from why
        sock.setblocking(False)
        self._sockets.append(sock)
        bound = sock.getsockname()
        self.listen_address = (bound[0], bound[1])

    async def serve_forever(self) -> None:
        """Accept until cancelled; the connections that are open then are reset."""
        loop = asyncio.get_running_loop()
        async with self._tasks:
            for sock in self._sockets:
                loop.add_reader(sock.fileno(), self._accept, sock)
            try:
                await loop.create_future()
            finally:
                for sock in self._sockets:
                    loop.remove_reader(sock.fileno())

    def close(self) -> None:
        """Give the port back; the connections that are open go on. Idempotent."""
        while self._sockets:
            sock = self._sockets.pop()
            # While we serve, the loop watches it, and would go on to watch whoever comes to have
            # its number.
            asyncio.get_running_loop().remove_reader(sock.fileno())
            sock.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, _ = listener.accept()
            except OSError as why:  # nobody left in the backlog, or no descriptors
                if why.errno in OUT_OF_RESOURCES:
                    self._pause(listener, why)
                return
            try:
                prepare(sock)
            except OSError:  # it was reset while it waited
                sock.close()
                continue
            self._tasks.spawn(self._join, SocketStream(sock))

    def _pause(self, listener: socket.socket, why: OSError) -> None:
        log.warning("cannot accept connections for now: %s", why)
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener.fileno())

        def resume() -> None:
            if listener in self._sockets:
                loop.add_reader(listener.fileno(), self._accept, listener)

        loop.call_later(PAUSE_S, resume)

    async def _join(self, local: SocketStream) -> None:
        try:
            stream = await self._open_stream()
        except (PeerupError, OSError, TimeoutError) as why:
            local.reset()
            self._on_failure(why)
            return
        except BaseException:
            local.reset()
            raise
        try:
            await splice(local, stream)
        except (NegotiationError, NotAuthorizedError) as why:  # a lazily opened stream says so now
            self._on_failure(why)
        except StreamResetError as why:
            if why.by_peer:
                self._on_failure(broken_off(why, stream.protocol))


def broken_off(why: StreamResetError, protocol: str) -> PeerupError:
    """Return the error for a user whose service was cut off by the other side."""
    explained = explain_reset(why, protocol)
    if explained is not why:
        return explained
    return ServiceError(
        "the other side broke off the connection",
        hint="Does the service run over there? `peerup daemon` logs what it sees.",
    )


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
