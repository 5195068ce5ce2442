"""QUIC: dial and listen on one UDP socket per address family.

Addresses are ``/ip4|ip6|dns…/…/udp/PORT/quic-v1``. Security and streams are QUIC's own, so
there is no upgrade: a connection is ready when the handshake is.

Spec: libp2p specs, quic/README.md; RFC 9000 sections 5.2 (demultiplexing), 6 and 8.1.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
from typing import TYPE_CHECKING, Any, Final

from peerup.errors import LocalProtocolError
from peerup.transport.endpoints import Endpoints, Role

if TYPE_CHECKING:
    from peerup.transport.base import Accept, LocalPeer
    from peerup.transport.muxed import MuxedConnection
    from peerup.transport.quic_endpoint import QuicEndpoint
    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId

HANDSHAKE_TIMEOUT_S: Final = 5.0  # as go and quinn; nothing says that nobody is there
DEFAULT_DATAGRAM: Final = 1200  # bytes; every path carries it
MAX_DATAGRAM: Final = 1452  # what quic-go takes; beyond it packets vanish without a word
HOSTS: Final = frozenset({"ip4", "ip6", "dns", "dns4", "dns6"})
WILDCARD: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104
FAMILIES: Final = {"dns4": socket.AF_INET, "dns6": socket.AF_INET6}


class Quic:
    """The QUIC transport of one host."""

    def __init__(self, local: LocalPeer, *, datagram_size: int = DEFAULT_DATAGRAM) -> None:
        """Prepare; sockets are opened when something is dialled or listened on.

        Args:
            local: Our identity, whom we admit, and who owns what runs.
            datagram_size: Bytes of the datagrams we send, 1,200 to 1,452; more than 1,200
                only where every path is known to carry it.

        Raises:
            ValueError: ``datagram_size`` is out of bounds.
        """
        if not DEFAULT_DATAGRAM <= datagram_size <= MAX_DATAGRAM:
            raise ValueError(f"datagrams have {DEFAULT_DATAGRAM} to {MAX_DATAGRAM} bytes")
        self._local = local
        self._size = datagram_size
        self._endpoints: list[QuicEndpoint] = []

    def can_dial(self, addr: Multiaddr) -> bool:
        names = [part.protocol.name for part in addr.without_peer().components]
        return len(names) == 3 and names[0] in HOSTS and names[1:] == ["udp", "quic-v1"]

    def can_listen(self, addr: Multiaddr) -> bool:
        return self.can_dial(addr) and addr.components[0].protocol.name in {"ip4", "ip6"}

    async def dial(
        self, addr: Multiaddr, peer: PeerId, *, role: Role = Role.CLIENT
    ) -> MuxedConnection:
        """See ``Transport.dial``; the handshake may take 5 s."""
        if role is not Role.CLIENT:
            raise LocalProtocolError("quic: the side that does not dial sends no handshake")
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            address = await _resolve(addr)
            endpoint = self._endpoint_for(address)
            link = endpoint.dial(address, peer)
            try:
                await link.handshake
            except BaseException:
                link.abort(0)
                raise
        remote = addr.without_peer() if addr.host == address[0] else endpoint.addr_of(address)
        return link.connect(Endpoints(remote, endpoint.addr), self._local.budget)

    async def listen(self, addr: Multiaddr, accept: Accept) -> QuicListener:
        """See ``Transport.listen``.

        Raises:
            OSError: the address is not ours, or another program has the port.
        """
        host, port = addr.host, addr.port
        assert host is not None  # can_listen said so
        assert port is not None
        endpoint = self._open(host, port)
        endpoint.accept = accept
        return QuicListener(endpoint)

    def close(self) -> None:
        """See ``Transport.close``."""
        while self._endpoints:
            self._endpoints.pop().close()

    def _endpoint_for(self, address: tuple[Any, ...]) -> QuicEndpoint:
        """Return the socket to dial ``address`` from: the listening one wherever it can reach."""
        for endpoint in self._endpoints:
            if endpoint.reaches(address[0]):
                return endpoint
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        return self._open(WILDCARD[family], 0)

    def _open(self, host: str, port: int) -> QuicEndpoint:
        """Bind a socket. The first one loads aioquic, 150 ms that users of TCP never wait for."""
        module = importlib.import_module("peerup.transport.quic_endpoint")
        endpoint: QuicEndpoint = module.QuicEndpoint(self._local, self._size, (host, port))
        self._endpoints.append(endpoint)
        return endpoint


class QuicListener:
    """A socket that accepts; closing it leaves its connections alone."""

    def __init__(self, endpoint: QuicEndpoint) -> None:
        self._endpoint = endpoint

    @property
    def addrs(self) -> tuple[Multiaddr, ...]:
        return (self._endpoint.addr,)

    async def close(self) -> None:
        self._endpoint.accept = None


async def _resolve(addr: Multiaddr) -> tuple[Any, ...]:
    """Return the socket address of ``addr``, looked up if it is a name.

    Raises:
        OSError: the name has no address.
    """
    kind = addr.components[0].protocol.name
    if kind == "ip4":
        return addr.host, addr.port
    if kind == "ip6":
        return addr.host, addr.port, 0, 0
    family = FAMILIES.get(kind, socket.AF_UNSPEC)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(addr.host, addr.port, family=family, type=socket.SOCK_DGRAM)
    return found[0][4]
