"""A UDP socket shared by QUIC connections: routes datagrams by connection id.

What comes for a known id goes to its connection. An Initial for an unknown one may begin a
connection; under load its sender has to show first that it really is where it claims to be
(Retry). Everything else is counted and forgotten: nothing a stranger sends makes us keep state
or answer more than he sent.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from peerup.errors import NotAuthorizedError, PeerupError, RemoteProtocolError
from peerup.transport.admission import PendingHandshakes
from peerup.transport.endpoints import Endpoints
from peerup.transport.quic_connection import CONNECTION_ID_SIZE
from peerup.transport.quic_engine import QuicEngine
from peerup.transport.quic_link import QuicLink
from peerup.transport.tls_certificate import make_certificate
from peerup.transport.udp import UdpSocket
from peerup.wire import quic_packet, quic_reset
from peerup.wire.error_codes import ConnectionCode
from peerup.wire.multiaddr import Multiaddr

if TYPE_CHECKING:
    from peerup.transport.base import Accept, LocalPeer
    from peerup.transport.muxed import MuxedConnection
    from peerup.transport.udp import Address, Batch
    from peerup.wire.peer_id import PeerId

log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT_S: Final = 10.0
MAX_RESETS: Final = 100  # stateless ones that we send, of each second
RETRY_ABOVE: Final = 64  # handshakes under way from which a stranger has to prove his address
CLOCK: Final = time.monotonic  # not the event loop's: uvloop's counts whole milliseconds


@dataclass(slots=True)
class Counters:
    """What arrived and was not for any connection."""

    strays: int = 0  # no QUIC, or for a connection that is gone
    other_versions: int = 0
    retries: int = 0
    bad_tokens: int = 0
    failed_handshakes: int = 0
    resets_sent: int = 0  # stateless ones, to peers of connections that are gone
    resets_received: int = 0


class QuicEndpoint:
    """One socket and the connections that share it; ``addr`` is what it is bound to."""

    def __init__(self, local: LocalPeer, size: int, bind: tuple[str, int]) -> None:
        """Bind ``bind``, to send datagrams of ``size`` bytes; ``accept`` lets peers in.

        Raises:
            OSError: the address is not ours, or another program has the port.
        """
        self._local = local
        self._certificate = make_certificate(local.key)
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._socket = UdpSocket(bind[0], bind[1], self._on_batch)
        self.addr: Final = quic_multiaddr(self._socket.address)
        self._links: dict[bytes, QuicLink] = {}
        self._dialled: dict[Address, list[QuicLink]] = {}
        self._reset_tokens = quic_reset.ResetTokens(local.key.to_protobuf())
        self._reset_second = 0  # of the clock, and what was sent in it
        self._resets = 0
        self._tokens = quic_packet.RetryTokens(secrets.token_bytes(32))
        limits = local.limits
        self._pending = PendingHandshakes(limits.handshakes, limits.handshakes_per_source)
        self.accept: Accept | None = None
        self.counters = Counters()

    def addr_of(self, address: Address) -> Multiaddr:
        """Return the multiaddr of a socket address that the endpoint talks to."""
        return quic_multiaddr(address)

    def reaches(self, host: str) -> bool:
        """Say whether the socket can send to ``host``: same kind, and both or no loopback."""
        mine = ipaddress.ip_address(self._socket.address[0])
        target = ipaddress.ip_address(host.partition("%")[0])
        if mine.version != target.version:
            return False
        return mine.is_unspecified or mine.is_loopback == target.is_loopback

    def dial(self, address: Address, peer: PeerId) -> QuicLink:
        """Begin a connection; ``link.handshake`` says how it goes."""
        engine = QuicEngine.dial(
            self._certificate, peer, address, CLOCK(), self._size, tokens=self._reset_tokens
        )
        own = self._dialled.setdefault(address, [])

        def forget(link: QuicLink) -> None:
            self._forget(link)
            own.remove(link)
            if not own:
                self._dialled.pop(address, None)

        link = QuicLink(engine, self._socket.send, self._update_ids, forget, CLOCK)
        own.append(link)
        self._update_ids(link)
        link.flush()
        return link

    def send_raw(self, datagrams: list[bytes], address: Address) -> None:
        """Send datagrams of any content, such as those that open a NAT for a peer."""
        self._socket.send((data, address) for data in datagrams)

    def close(self) -> None:
        """Give the port back; connections that are still open end without a word."""
        self._socket.close()

    # --- routing ----------------------------------------------------------------------

    def _on_batch(self, batch: Batch) -> None:
        for address, datagrams in batch.items():
            known: dict[QuicLink, list[bytes]] = {}
            for data in datagrams:
                connection_id = quic_packet.destination_id(data, CONNECTION_ID_SIZE)
                link = self._links.get(connection_id) if connection_id is not None else None
                if link is None:
                    link = self._on_stranger(data, address)
                if link is not None:
                    known.setdefault(link, []).append(data)
            for link, own in known.items():
                link.receive(own, address)

    def _update_ids(self, link: QuicLink) -> None:
        engine = link.engine
        for connection_id in engine.new_ids:
            self._links[connection_id] = link
            link.ids.add(connection_id)
        for connection_id in engine.old_ids:
            self._links.pop(connection_id, None)
            link.ids.discard(connection_id)
        engine.new_ids.clear()
        engine.old_ids.clear()

    def _forget(self, link: QuicLink) -> None:
        for connection_id in link.ids:
            self._links.pop(connection_id, None)

    # --- strangers --------------------------------------------------------------------

    def _on_stranger(self, data: bytes, address: Address) -> QuicLink | None:
        """Return the connection that ``data`` begins, None when it begins none."""
        try:
            header = quic_packet.parse_long_header(data)
        except RemoteProtocolError:
            self._on_stray(data, address)
            return None
        if self.accept is None or len(data) < quic_packet.MIN_INITIAL_SIZE:
            self.counters.strays += 1
            return None
        if header.version != quic_packet.VERSION_1:
            self.counters.other_versions += 1
            answer = quic_packet.version_negotiation(header, [quic_packet.VERSION_1])
            self._socket.send([(answer, address)])
            return None
        if not header.begins_connection:
            self.counters.strays += 1
            return None
        return self._on_initial(header, address)

    def _on_initial(self, header: quic_packet.LongHeader, address: Address) -> QuicLink | None:
        original = self._open_token(header, address)
        if original is None and len(self._pending) >= RETRY_ABOVE:
            self.counters.retries += 1
            self._socket.send([(self._retry(header, address), address)])
            return None
        engine = QuicEngine.accept(
            self._certificate,
            header.destination_id,
            CLOCK(),
            self._size,
            retried_from=original,
            tokens=self._reset_tokens,
        )
        link = QuicLink(engine, self._socket.send, self._update_ids, self._forget, CLOCK)
        engine.new_ids.append(header.destination_id)
        self._update_ids(link)
        ticket = self._pending.enter(address[0], lambda: link.abort(0))
        if self._local.tasks.spawn(self._welcome, link, address, ticket) is None:
            self._pending.leave(ticket)
            link.abort(ConnectionCode.SHUTDOWN)
        return link

    def _on_stray(self, data: bytes, address: Address) -> None:
        """Take a stateless reset, or send one to who talks about a connection that is gone."""
        token = quic_reset.token_in(data)
        connection_id = quic_packet.destination_id(data, CONNECTION_ID_SIZE)
        if token is None or connection_id is None:
            self.counters.strays += 1
        elif any(link.take_reset(token) for link in self._dialled.get(address, ())):
            self.counters.resets_received += 1
        else:
            self.counters.strays += 1
            answer = quic_reset.stateless_reset(self._reset_tokens.of(connection_id), len(data))
            if answer is not None and self.accept is not None and self._may_reset():
                self.counters.resets_sent += 1
                self._socket.send([(answer, address)])

    def _may_reset(self) -> bool:
        second = int(CLOCK())
        if second != self._reset_second:
            self._reset_second, self._resets = second, 0
        self._resets += 1
        return self._resets <= MAX_RESETS

    def _open_token(self, header: quic_packet.LongHeader, address: Address) -> bytes | None:
        """Return the id that a client chose before our Retry, None when it brings no such token.

        A token that is not ours counts as none: it may be one of another server at our address
        (RFC 9000, section 8.1.3).
        """
        if not header.token:
            return None
        try:
            return self._tokens.open(header.token, address[:2], self._loop.time())
        except RemoteProtocolError:
            self.counters.bad_tokens += 1
            return None

    def _retry(self, header: quic_packet.LongHeader, address: Address) -> bytes:
        chosen = secrets.token_bytes(CONNECTION_ID_SIZE)
        token = self._tokens.make(address[:2], header.destination_id, self._loop.time())
        return quic_packet.retry(header, chosen, token)

    async def _welcome(self, link: QuicLink, address: Address, ticket: int) -> None:
        """See a handshake through and hand the connection on, or refuse it."""
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await link.handshake
            conn = self._admit(link, address)
        except (PeerupError, TimeoutError) as why:
            self.counters.failed_handshakes += 1
            log.debug("quic: inbound connection from %s ended: %s", address[0], why)
            link.abort(ConnectionCode.GATED if isinstance(why, NotAuthorizedError) else 0)
            return
        finally:
            self._pending.leave(ticket)
        if self.accept is None:
            conn.close(ConnectionCode.SHUTDOWN)
        else:
            await self.accept(conn)

    def _admit(self, link: QuicLink, address: Address) -> MuxedConnection:
        ends = Endpoints(quic_multiaddr(address), self.addr, inbound=True)
        peer = link.engine.peer.peer
        if not self._local.admit(peer, ends.remote):
            raise NotAuthorizedError(f"{peer} is not authorized here")
        return link.connect(ends, self._local.budget)


def quic_multiaddr(address: tuple[Any, ...]) -> Multiaddr:
    """Return a socket address as ``/ip…/udp/…/quic-v1``; an IPv6 zone is dropped."""
    host = str(address[0]).partition("%")[0]
    kind = "ip6" if ":" in host else "ip4"
    return Multiaddr.parse(f"/{kind}/{host}/udp/{address[1]}/quic-v1")
