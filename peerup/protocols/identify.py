"""Identify and identify push: say who we are, learn who the others are.

Spec: libp2p specs, identify/README.md; signed records: RFC 0002 and 0003.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from peerup.errors import NegotiationError, PeerupError, RemoteProtocolError
from peerup.host.events import AddressesChanged, PeerIdentified, ProtocolsChanged
from peerup.host.handlers import Registration
from peerup.host.peerstore import CONNECTED_TTL
from peerup.transport.messages import read_message
from peerup.wire import identify as wire
from peerup.wire.delimited import join
from peerup.wire.multiaddr import decode_each
from peerup.wire.peer_record import open_peer_record, seal_peer_record
from peerup.wire.printable import printable

if TYPE_CHECKING:
    from types import TracebackType

    from peerup.host.host import Host
    from peerup.transport.muxed import MuxedConnection, MuxedStream
    from peerup.wire.multiaddr import Multiaddr

log = logging.getLogger(__name__)

PROTOCOL: Final = wire.IDENTIFY_PROTOCOL
PUSH_PROTOCOL: Final = wire.PUSH_PROTOCOL
TIMEOUT_S: Final = 5.0
PUSH_DELAY_S: Final = 1.0  # changes within it leave as one push
PUSHES_AT_ONCE: Final = 32


class Identify:
    """Answers identify, asks it on each new connection, and pushes our changes."""

    def __init__(self, host: Host, *, asks: bool = True) -> None:
        """Serve ``host``; ``asks`` is whether to learn who the others are, too."""
        self._host, self._asks = host, asks
        self._sequence = time.time_ns()  # rises across restarts, as records need it

    async def __aenter__(self) -> Self:
        host = self._host
        host.handle(PROTOCOL, Registration(self._serve, max_per_peer=8, on_limited=True))
        host.handle(PUSH_PROTOCOL, Registration(self._take_push, max_per_peer=4, on_limited=True))
        if self._asks:
            host.greet(self.ask)
        self._pushing = host.tasks.spawn(self._push_changes)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._pushing is not None:
            self._pushing.cancel()
        self._host.stop_handling(PROTOCOL)
        self._host.stop_handling(PUSH_PROTOCOL)

    async def ask(self, conn: MuxedConnection) -> None:
        """Learn who is at the other end of ``conn`` and remember it.

        A peer that does not speak identify is left alone; one that says it is somebody else
        raises ``RemoteProtocolError``.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S):
                stream = await self._host.open_stream_on(conn, PROTOCOL, allow_limited=True)
                async with stream:
                    self._learn(conn, await _read_all(stream))
        except NegotiationError:
            log.debug("%s does not speak identify", conn.peer)

    async def _serve(self, stream: MuxedStream) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await stream.write(self._messages(stream.connection))
            stream.close_write()  # the reader waits for this end

    async def _take_push(self, stream: MuxedStream) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            self._learn(stream.connection, await _read_all(stream))

    def _learn(self, conn: MuxedConnection, identity: wire.Identify) -> None:
        host, peer = self._host, conn.peer
        if identity.public_key and identity.public_key != conn.info.public_key.to_protobuf():
            raise RemoteProtocolError(f"{peer} identifies itself with another key")
        addrs = decode_each(identity.listen_addrs)
        if identity.signed_peer_record:
            with suppress(RemoteProtocolError):  # a bad record is worth nothing, not fatal
                addrs = list(open_peer_record(identity.signed_peer_record, peer).addrs)
        host.peerstore.add_addrs(peer, _believable(conn, addrs), CONNECTED_TTL)
        host.peerstore.set_identity(
            peer,
            [name for name in identity.protocols if name.isprintable()],
            printable(identity.agent_version or "", limit=128),
        )
        host.bus.publish(PeerIdentified(peer, tuple(host.peerstore.protocols(peer))))

    def _messages(self, conn: MuxedConnection) -> bytes:
        """Return everything that identify writes on one stream, prefixes and all."""
        self._sequence = max(self._sequence + 1, time.time_ns())
        addrs = self._host.addresses.for_peer_at(conn.remote_addr)
        protocols = self._host.handlers.protocols
        while True:
            try:
                messages = wire.encode_identify(self._identity(conn, addrs, protocols))
            except ValueError:
                if not addrs and not protocols:
                    raise
                addrs, protocols = _less_of(addrs, protocols)
            else:
                return b"".join(join(message) for message in messages)

    def _identity(
        self, conn: MuxedConnection, addrs: tuple[Multiaddr, ...], protocols: tuple[str, ...]
    ) -> wire.Identify:
        host = self._host
        return wire.Identify(
            public_key=host.key.public_key.to_protobuf(),
            listen_addrs=tuple(addr.to_bytes() for addr in addrs),
            protocols=protocols,
            observed_addr=conn.remote_addr.to_bytes(),
            protocol_version="",
            agent_version=host.agent,
            signed_peer_record=seal_peer_record(host.key, addrs, self._sequence) if addrs else None,
        )

    async def _push_changes(self) -> None:
        with self._host.bus.subscribe(AddressesChanged, ProtocolsChanged) as changes:
            while True:
                await changes.next()
                await asyncio.sleep(PUSH_DELAY_S)
                while changes.pending:
                    await changes.next()
                await self._push_to_all()

    async def _push_to_all(self) -> None:
        slots = asyncio.Semaphore(PUSHES_AT_ONCE)

        async def push(conn: MuxedConnection) -> None:
            async with slots:
                with suppress(PeerupError, OSError, TimeoutError):
                    await self._push(conn)

        async with asyncio.TaskGroup() as group:
            for conn in self._host.connections:
                if PUSH_PROTOCOL in self._host.peerstore.protocols(conn.peer):
                    group.create_task(push(conn))

    async def _push(self, conn: MuxedConnection) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            stream = await self._host.open_stream_on(conn, PUSH_PROTOCOL, allow_limited=True)
            async with stream:
                await stream.write(self._messages(conn))


async def _read_all(stream: MuxedStream) -> wire.Identify:
    messages: list[bytes] = []
    while (message := await read_message(stream, wire.MAX_MESSAGE)) is not None:
        messages.append(message)
        if len(messages) > wire.MAX_MESSAGES:
            raise RemoteProtocolError(f"identify: more than {wire.MAX_MESSAGES} messages")
    return wire.merge(messages)


def _less_of(
    addrs: tuple[Multiaddr, ...], protocols: tuple[str, ...]
) -> tuple[tuple[Multiaddr, ...], tuple[str, ...]]:
    """Halve what takes more room, as half of it is better than nothing.

    Circuit addresses are last and stay longest. A protocol that is left out can be used all the
    same, as whoever wants it asks for it by name.
    """
    if 2 * sum(len(addr.to_bytes()) for addr in addrs) > sum(map(len, protocols)):
        return addrs[(len(addrs) + 1) // 2 :], protocols
    return addrs, protocols[: len(protocols) // 2]


def _believable(conn: MuxedConnection, addrs: list[Multiaddr]) -> list[Multiaddr]:
    """Drop loopback addresses of a peer that is not on this machine."""
    if conn.remote_addr.is_loopback and not conn.relayed:
        return addrs
    return [addr for addr in addrs if addr.is_circuit or not addr.is_loopback]
