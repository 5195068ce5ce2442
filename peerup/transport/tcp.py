"""TCP: dial, listen, and the upgrade to a connection.

Spec: libp2p specs, connections/README.md; multiaddr forms ``/ip4|ip6|dns…/…/tcp/PORT``.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import socket
from typing import TYPE_CHECKING, Any, Final

from peerup.errors import PeerupError
from peerup.transport.admission import PendingHandshakes
from peerup.transport.base import Accept, LocalPeer
from peerup.transport.endpoints import Endpoints, Role
from peerup.transport.socket_stream import SocketStream
from peerup.transport.upgrade import upgrade
from peerup.wire.multiaddr import Multiaddr, tcp_multiaddr

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.peer_id import PeerId

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 5.0
BACKLOG: Final = 1024
ACCEPTS_PER_TURN: Final = 64
PAUSE_S: Final = 0.25  # when the system is out of descriptors, before accepting again
OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
KEEPALIVE_S: Final = 30
PORT_BUSY: Final = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})  # dial from another one
HOSTS: Final = frozenset({"ip4", "ip6", "dns", "dns4", "dns6"})
FAMILIES: Final = {
    "ip4": socket.AF_INET,
    "dns4": socket.AF_INET,
    "ip6": socket.AF_INET6,
    "dns6": socket.AF_INET6,
}


def prepare(sock: socket.socket) -> None:
    """Set what every connected socket of ours wants: no delays, and dead peers noticed."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)


async def connect(
    host: str,
    port: int,
    family: int = socket.AF_UNSPEC,
    source: Callable[[tuple[Any, ...]], tuple[str, int] | None] = lambda _: None,
) -> SocketStream:
    """Connect to ``host:port`` and return the stream.

    Args:
        host: Name or address.
        port: TCP port.
        family: Which kind of address will do.
        source: Returns the local address to dial from for a socket address, None for any.

    Raises:
        OSError: no address of ``host`` answers.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for kind, _, _, _, address in found:
        try:
            return await _connect_from(kind, address, source(address))
        except OSError as why:
            failure = why
    raise failure or OSError(f"{host} has no address")


async def _connect_from(
    kind: int, address: tuple[Any, ...], source: tuple[str, int] | None
) -> SocketStream:
    sock = socket.socket(kind, socket.SOCK_STREAM)
    try:
        prepare(sock)
        if source is not None:
            _share_port(sock)
            sock.bind(source)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except OSError as why:
        sock.close()
        if source is not None and why.errno in PORT_BUSY:
            return await _connect_from(kind, address, None)
        if why.errno is None:
            raise
        # The event loops put words of their own in place of the system's.
        raise OSError(why.errno, os.strerror(why.errno)) from why
    except BaseException:
        sock.close()
        raise
    return SocketStream(sock)


def _share_port(sock: socket.socket) -> None:
    """Let connections leave from the port that we listen on, so that a NAT sees one port."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _bind(family: int, host: str, port: int) -> socket.socket:
    """Return a listening socket that connections may share the port of.

    Sharing would also let a second listener in without an error, so whether the port is free
    is found out with a socket that does not share.
    """
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _only_ipv6(probe)
        probe.bind((host, port))
        probe.listen(1)
        port = probe.getsockname()[1]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        _share_port(sock)
        _only_ipv6(sock)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _only_ipv6(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


class Tcp:
    """The TCP transport of one host."""

    def __init__(self, local: LocalPeer) -> None:
        self._local = local
        limits = local.limits
        self.pending = PendingHandshakes(limits.handshakes, limits.handshakes_per_source)
        self._bound: list[tuple[str, int]] = []  # what we listen on

    def can_dial(self, addr: Multiaddr) -> bool:
        names = [part.protocol.name for part in addr.without_peer().components]
        return len(names) == 2 and names[0] in HOSTS and names[1] == "tcp"

    def can_listen(self, addr: Multiaddr) -> bool:
        return self.can_dial(addr) and addr.components[0].protocol.name in {"ip4", "ip6"}

    async def dial(
        self, addr: Multiaddr, peer: PeerId, *, role: Role = Role.CLIENT
    ) -> MuxedConnection:
        """See ``Transport.dial``; connecting may take 5 s, the upgrade 10 s."""
        host, port = addr.host, addr.port
        if host is None or port is None:
            raise OSError(f"{addr} is not a TCP address")
        family = FAMILIES.get(addr.components[0].protocol.name, socket.AF_UNSPEC)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            stream = await connect(host, port, family, self._source_for)
        try:
            ends = _ends_of(stream.socket, inbound=False)
        except OSError:  # reset already
            stream.reset()
            raise
        return await upgrade(stream, self._local, ends, role=role, expected=peer)

    async def listen(self, addr: Multiaddr, accept: Accept) -> TcpListener:
        """See ``Transport.listen``.

        Raises:
            OSError: the address is not ours, or another program has the port.
        """
        host, port = addr.host, addr.port
        if host is None or port is None:
            raise OSError(f"{addr} is not a TCP address")
        family = FAMILIES[addr.components[0].protocol.name]
        sock = _bind(family, host, port)
        bound = sock.getsockname()
        self._bound.append((bound[0], bound[1]))
        return TcpListener(sock, self._local, self.pending, accept)

    def close(self) -> None:
        """See ``Transport.close``; nothing is shared here."""

    def _source_for(self, address: tuple[Any, ...]) -> tuple[str, int] | None:
        """Return the listening address to dial ``address`` from: the same kind and reach."""
        target = ipaddress.ip_address(address[0].partition("%")[0])
        for host, port in self._bound:
            source = ipaddress.ip_address(host)
            if source.version == target.version and (
                source.is_unspecified or source.is_loopback == target.is_loopback
            ):
                return host, port
        return None


class TcpListener:
    """One listening socket; each accepted one is upgraded in a task of its own."""

    def __init__(
        self,
        sock: socket.socket,
        local: LocalPeer,
        pending: PendingHandshakes,
        accept: Accept,
    ) -> None:
        self._sock = sock
        self._local = local
        self._pending = pending
        self._accept = accept
        self._loop = asyncio.get_running_loop()
        self._resume: asyncio.TimerHandle | None = None
        self._addr = _address_of(sock.getsockname())
        self._loop.add_reader(sock.fileno(), self._on_acceptable)

    @property
    def addrs(self) -> tuple[Multiaddr, ...]:
        return (self._addr,)

    async def close(self) -> None:
        if self._sock.fileno() < 0:
            return  # closed before
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _on_acceptable(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, source = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as why:
                if why.errno in OUT_OF_RESOURCES:
                    self._pause(why)
                    return
                continue  # that one peer gave up between SYN and accept
            self._enter(sock, source)

    def _pause(self, why: OSError) -> None:
        log.warning("cannot accept connections for now: %s", why)
        self._loop.remove_reader(self._sock.fileno())
        self._resume = self._loop.call_later(
            PAUSE_S, self._loop.add_reader, self._sock.fileno(), self._on_acceptable
        )

    def _enter(self, sock: socket.socket, source: tuple[str, int]) -> None:
        try:
            prepare(sock)
            ends = _ends_of(sock, inbound=True)
        except OSError:  # reset while it waited in the backlog
            sock.close()
            return
        stream = SocketStream(sock)
        ticket = self._pending.enter(source[0], stream.reset)
        if self._local.tasks.spawn(self._upgrade, stream, ends, source[0], ticket) is None:
            self._pending.leave(ticket)
            stream.reset()

    async def _upgrade(
        self, stream: SocketStream, ends: Endpoints, source: str, ticket: int
    ) -> None:
        try:
            conn = await upgrade(stream, self._local, ends, role=Role.SERVER)
        except (PeerupError, OSError) as why:
            log.debug("inbound connection from %s ended: %s", source, why)
            return
        finally:
            self._pending.leave(ticket)
        await self._accept(conn)


def _address_of(sockaddr: tuple[str, int] | tuple[str, int, int, int]) -> Multiaddr:
    return tcp_multiaddr(sockaddr[0], sockaddr[1])


def _ends_of(sock: socket.socket, *, inbound: bool) -> Endpoints:
    remote, local = _address_of(sock.getpeername()), _address_of(sock.getsockname())
    return Endpoints(remote, local, inbound=inbound)
