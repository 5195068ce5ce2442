"""A host: our presence on the network.

``async with Host(key, listen=[...]) as host`` listens, dials, and serves the protocols that
were registered with ``handle``. Leaving the block closes every connection.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Self

from peerup.errors import (
    LocalProtocolError,
    NotAuthorizedError,
    PeerupError,
    ResourceLimitError,
)
from peerup.host import negotiate
from peerup.host.addresses import AdvertisedAddresses
from peerup.host.connections import ConnectionTable
from peerup.host.dialer import Dialer
from peerup.host.events import Bus, ConnectionClosed, ConnectionOpened, ProtocolsChanged
from peerup.host.gater import Answer, Gater, OpenGater, permits
from peerup.host.handlers import Handler, HandlerTable, Registration
from peerup.host.peerstore import TEMPORARY_TTL, Peerstore
from peerup.tasks import Supervisor
from peerup.transport.base import LocalPeer, Transport, TransportFactory
from peerup.transport.limits import ByteBudget, Limits
from peerup.transport.tcp import Tcp
from peerup.wire.error_codes import ConnectionCode, StreamCode
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from types import TracebackType

    from peerup.transport.base import Listener
    from peerup.transport.muxed import MuxedConnection, MuxedStream
    from peerup.wire.keys import PrivateKey
    from peerup.wire.multiaddr import Multiaddr

log = logging.getLogger(__name__)

GREETING_TIMEOUT_S: Final = 5.0  # for identify on a new connection, as go
CLOSE_TIMEOUT_S: Final = 2.5  # for connections to say good-bye when the host closes
DEFAULT_AGENT: Final = "peerup"


class Host:
    """A peer's network presence: one key, some transports, many connections."""

    def __init__(
        self,
        key: PrivateKey,
        *,
        transports: Sequence[TransportFactory] = (Tcp,),
        listen: Sequence[Multiaddr] = (),
        gater: Gater | None = None,
        agent: str = DEFAULT_AGENT,
        limits: Limits | None = None,
    ) -> None:
        """Prepare; nothing happens before the ``async with`` block is entered.

        Args:
            key: Who we are.
            transports: How to reach peers; the memory transport makes tests quick.
            listen: Addresses to bind when the block is entered.
            gater: Who may do what; without one everybody may do everything.
            agent: What identify calls us.
            limits: How much of everything may be held at once.
        """
        self.key = key
        self.peer = PeerId.from_public_key(key.public_key)
        self.agent = agent
        self.gater: Gater = gater or OpenGater()
        self.handlers = HandlerTable()
        limits = limits or Limits()
        self.connections = ConnectionTable(limits)
        self.bus = Bus()
        self.addresses = AdvertisedAddresses(self.bus)
        self.tasks = Supervisor()
        self.local = LocalPeer(
            key, self.peer, self.tasks, self._admit, limits, ByteBudget(limits.unread_bytes)
        )
        self._listen = tuple(listen)
        self._transports: list[Transport] = [make(self.local) for make in transports]
        self._listeners: list[Listener] = []
        self._greeters: list[Callable[[MuxedConnection], Awaitable[object]]] = []
        self._greeted: dict[MuxedConnection, asyncio.Event] = {}
        self._served: dict[MuxedStream, str] = {}
        self._closing = False

    async def __aenter__(self) -> Self:
        await self.tasks.__aenter__()
        self.clock = asyncio.get_running_loop().time
        self.peerstore = Peerstore(self.clock)
        self._dialer = Dialer(self._transports, self.tasks, self.clock, self.adopt)
        try:
            for addr in self._listen:
                await self.listen(addr)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closing = True
        for listener in self._listeners:
            await listener.close()
        open_ones = list(self.connections)
        for conn in open_ones:
            conn.close(ConnectionCode.SHUTDOWN)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                for conn in open_ones:
                    await conn.wait_closed()
        except TimeoutError:
            log.debug("%d connections did not close in time", len(self.connections))
        finally:
            await self.tasks.__aexit__(kind, exc, tb)
            for transport in self._transports:
                transport.close()

    # --- addresses and transports -----------------------------------------------------

    @property
    def addrs(self) -> tuple[Multiaddr, ...]:
        """What we advertise, without our peer id."""
        return self.addresses.all

    def add_transport(self, transport: Transport) -> None:
        """Add a transport that needs the host itself, such as circuits through a relay."""
        self._transports.append(transport)

    def can_listen(self, addr: Multiaddr) -> bool:
        """Say whether one of the transports understands ``addr``."""
        return any(transport.can_listen(addr) for transport in self._transports)

    async def listen(self, addr: Multiaddr) -> Listener:
        """Bind ``addr``.

        Raises:
            LocalProtocolError: no transport understands it.
            OSError: the system refuses, for example as the port is taken.
        """
        for transport in self._transports:
            if transport.can_listen(addr):
                listener = await transport.listen(addr, self.adopt)
                self._listeners.append(listener)
                self.addresses.add_listener(listener)
                return listener
        raise LocalProtocolError(f"no transport can listen on {addr}")

    # --- protocols --------------------------------------------------------------------

    def handle(self, protocol: str, registration: Registration | Handler) -> None:
        """Serve ``protocol``; a plain function is served with the default bounds.

        Raises:
            LocalProtocolError: it has a handler already.
        """
        if not isinstance(registration, Registration):
            registration = Registration(registration)
        self.handlers.add(protocol, registration)
        self.bus.publish(ProtocolsChanged(self.handlers.protocols))

    def stop_handling(self, protocol: str) -> None:
        """Serve ``protocol`` no longer; streams that are open go on."""
        self.handlers.remove(protocol)
        self.bus.publish(ProtocolsChanged(self.handlers.protocols))

    def greet(self, greeter: Callable[[MuxedConnection], Awaitable[object]]) -> None:
        """Run ``greeter`` on each new connection; ``connect`` waits for it, up to 5 s."""
        self._greeters.append(greeter)

    # --- connections ------------------------------------------------------------------

    async def connect(
        self, peer: PeerId, addrs: Iterable[Multiaddr] = (), *, direct: bool = False
    ) -> MuxedConnection:
        """Return a connection to ``peer``, open already or dialled now, and greeted.

        Args:
            peer: Who must be there.
            addrs: Where it may be, besides what the peerstore knows.
            direct: Whether a relayed connection will not do.

        Raises:
            NotAuthorizedError: the peer does not want us.
            DialError: it cannot be reached.
        """
        if peer == self.peer:
            raise LocalProtocolError("a host does not connect to itself")
        conn = self.connections.best(peer, direct_only=direct)
        if conn is not None:
            await self._greeted_of(conn)
            if conn.reason is None:
                return conn  # else it was about to end; what it said counts for itself alone
        conn = await self._dial(peer, tuple(addrs), direct=direct)
        await self._greeted_of(conn)
        if conn.reason is not None:
            raise conn.reason
        return conn

    async def _dial(
        self, peer: PeerId, given: tuple[Multiaddr, ...], *, direct: bool
    ) -> MuxedConnection:
        self.peerstore.add_addrs(peer, given, TEMPORARY_TTL)
        known = dict.fromkeys(given + self.peerstore.addrs(peer))
        usable = [addr for addr in known if not (direct and addr.is_circuit)]
        conn = await self._dialer.dial(peer, usable)
        while direct and conn.relayed:  # that was the dial of somebody less particular
            conn = await self._dialer.dial(peer, usable)
        return conn

    async def open_stream(
        self,
        peer: PeerId,
        protocols: str | Sequence[str],
        *,
        addrs: Iterable[Multiaddr] = (),
        allow_limited: bool = False,
        lazy: bool = False,
    ) -> MuxedStream:
        """Open a stream to ``peer`` on its best connection and agree on one of ``protocols``.

        Args:
            peer: Who must be there.
            protocols: What to speak, best first.
            addrs: Where the peer may be, besides what the peerstore knows.
            allow_limited: Whether a connection that its relay limits will do.
            lazy: Whether to write before the peer has agreed, where it says that it speaks
                the only one of ``protocols``; a refusal then shows at the first read.

        Raises:
            NegotiationError: the peer speaks none of them.
            NotAuthorizedError: the peer does not want us, or not for this.
            DialError: it cannot be reached.
        """
        conn = await self.connect(peer, addrs)
        return await self.open_stream_on(conn, protocols, allow_limited=allow_limited, lazy=lazy)

    async def open_stream_on(
        self,
        conn: MuxedConnection,
        protocols: str | Sequence[str],
        *,
        allow_limited: bool = False,
        lazy: bool = False,
    ) -> MuxedStream:
        """Open a stream on ``conn``; see ``open_stream``."""
        if conn.limited and not allow_limited:
            raise ResourceLimitError("the relay limits this connection; use allow_limited for it")
        names = [protocols] if isinstance(protocols, str) else list(protocols)
        async with asyncio.timeout(negotiate.NEGOTIATION_TIMEOUT_S):  # the peer may take none
            stream = await conn.open_stream()
        if lazy and len(names) == 1 and names[0] in self.peerstore.protocols(conn.peer):
            await negotiate.propose_lazily(stream, names[0])
        else:
            await negotiate.propose(stream, names)
        return stream

    async def adopt(self, conn: MuxedConnection) -> None:
        """Take over a connection that a transport made: serve it until it ends. Idempotent."""
        if conn in self._greeted or conn.is_closed:
            return
        if self._closing:
            conn.close(ConnectionCode.SHUTDOWN)
            return
        if not self.connections.has_room(conn.peer):
            log.info("connection closed: there are too many", extra=_fields(conn))
            conn.close(ConnectionCode.RESOURCE_LIMIT_EXCEEDED)
            return
        self.connections.add(conn)
        self._greeted[conn] = asyncio.Event()
        log.info("connection %s", "accepted" if conn.inbound else "opened", extra=_fields(conn))
        self.bus.publish(ConnectionOpened(conn))
        self.tasks.spawn(self._serve, conn)
        self.tasks.spawn(self._greet, conn)

    def recheck(self, removed: Iterable[PeerId] = ()) -> None:
        """Apply a change of the gater's mind to what is open.

        Connections of peers that may no longer have one are closed, as are all of ``removed``;
        streams that a peer may no longer have are reset.
        """
        gone = set(removed)
        for conn in self.connections:
            verdict = self.gater.verdict(conn.peer, inbound=conn.inbound)
            if conn.peer in gone or verdict is Answer.NO:
                log.info("closing a connection: no longer authorized", extra=_fields(conn))
                conn.close(ConnectionCode.GATED)
        for stream, protocol in list(self._served.items()):
            conn = stream.connection
            if not permits(self.gater.verdict(conn.peer, inbound=conn.inbound), protocol):
                stream.reset(StreamCode.GATED)

    def _admit(self, peer: PeerId, addr: Multiaddr) -> bool:
        if peer == self.peer:
            log.warning("connection refused: the peer uses our own key", extra={"addr": addr})
            return False
        admitted = self.gater.verdict(peer, inbound=True) is not Answer.NO
        if not admitted:
            log.warning("connection refused: not authorized", extra={"peer": peer, "addr": addr})
        return admitted

    async def _greeted_of(self, conn: MuxedConnection) -> None:
        event = self._greeted.get(conn)
        if event is not None:
            await event.wait()

    async def _greet(self, conn: MuxedConnection) -> None:
        try:
            async with asyncio.timeout(GREETING_TIMEOUT_S):
                for greeter in self._greeters:
                    await greeter(conn)
        finally:
            if (event := self._greeted.get(conn)) is not None:
                event.set()

    async def _serve(self, conn: MuxedConnection) -> None:
        """Answer the peer's streams until the connection ends."""
        try:
            async with Supervisor() as streams:
                while True:
                    stream = await conn.accept_stream()
                    streams.spawn(self._serve_stream, stream)
        except PeerupError as why:
            log.info("connection closed: %s", why, extra=_fields(conn))
        finally:
            conn.close()
            self.connections.discard(conn)
            if (event := self._greeted.pop(conn, None)) is not None:
                event.set()
            self.bus.publish(ConnectionClosed(conn))

    async def _serve_stream(self, stream: MuxedStream) -> None:
        conn = stream.connection

        def supports(protocol: str) -> bool:
            """Say what negotiation answers; a protocol that is not permitted is refused."""
            verdict = self.gater.verdict(conn.peer, inbound=conn.inbound)
            if not permits(verdict, protocol):
                raise NotAuthorizedError(f"{conn.peer} may not use {protocol}")
            found = self.handlers.find(protocol)
            return found is not None and (found.on_limited or not conn.limited)

        try:
            protocol = await negotiate.respond(stream, supports, lambda: self.handlers.protocols)
        except NotAuthorizedError as why:
            log.warning("stream refused: %s", why)
            raise
        registration = self.handlers.find(protocol)
        if registration is None:
            stream.reset(StreamCode.PROTOCOL_NEGOTIATION_FAILED)
            return
        if not permits(self.gater.verdict(conn.peer, inbound=conn.inbound), protocol):
            stream.reset(StreamCode.GATED)  # it has changed its mind while we answered
            return
        self._served[stream] = protocol
        try:
            with self.handlers.hold(conn.peer, protocol):
                await registration.handler(stream)
        except ResourceLimitError:
            stream.reset(StreamCode.RESOURCE_LIMIT_EXCEEDED)
            raise
        except NotAuthorizedError:
            stream.reset(StreamCode.GATED)
            raise
        except BaseException:
            stream.reset()
            raise
        finally:
            del self._served[stream]
        stream.close()


def _fields(conn: MuxedConnection) -> dict[str, object]:
    """Return what a log line says of a connection."""
    return {"peer": conn.peer, "path": conn.path, "addr": conn.remote_addr}
