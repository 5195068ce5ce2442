"""Dialling through a relay: a circuit is a byte stream, on which the usual upgrade runs.

Addresses are ``<relay address>/p2p/<relay>/p2p-circuit``. Spec: relay/circuit-v2.md,
"Connection Initiation".
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from peerup.errors import LocalProtocolError, RemoteProtocolError
from peerup.relay.client import CIRCUIT, connect, limits_of, refusal
from peerup.transport.base import Accept, Listener
from peerup.transport.endpoints import Endpoints, Role
from peerup.transport.messages import expect_message, write_message
from peerup.transport.upgrade import upgrade
from peerup.wire.circuit import HOP_PROTOCOL, MAX_MESSAGE, HopMessage, HopType, Peer, Status
from peerup.wire.protobuf import decode, encode

if TYPE_CHECKING:
    from peerup.host.host import Host
    from peerup.transport.muxed import MuxedConnection, MuxedStream
    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId

CONNECT_TIMEOUT_S: Final = 30.0  # for the relay to reach the other side


class CircuitTransport:
    """Reaches peers through relays. See ``transport.base.Transport``."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def can_dial(self, addr: Multiaddr) -> bool:
        relay, rest = addr.without_peer().split_circuit()
        return addr.is_circuit and relay.peer_id is not None and rest is None

    def can_listen(self, addr: Multiaddr) -> bool:
        return False  # a reservation is how one listens; see ``autorelay``

    async def listen(self, addr: Multiaddr, accept: Accept) -> Listener:
        raise LocalProtocolError("reserve a place at the relay instead of listening there")

    async def dial(
        self, addr: Multiaddr, peer: PeerId, *, role: Role = Role.CLIENT
    ) -> MuxedConnection:
        """See ``Transport.dial``.

        Raises:
            RelayRefusedError: the relay answers that it cannot or will not.
            NotAuthorizedError: the relay does not have us.
            DialError: the relay cannot be reached.
        """
        relay_addr, _ = addr.split_circuit()
        relay = relay_addr.peer_id
        assert relay is not None  # can_dial said so
        if relay == peer:
            raise OSError("a relay is not reached through itself")
        hop = await connect(self._host, relay, [relay_addr.without_peer()])
        stream = await self._host.open_stream_on(hop, HOP_PROTOCOL)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                answer = await _connect(stream, peer)
        except BaseException:
            stream.reset()
            raise
        if answer.status != Status.OK:
            stream.close()
            raise refusal(hop, answer.status)
        remote = hop.remote_addr.with_peer(relay) / CIRCUIT
        ends = Endpoints(remote, limits=limits_of(answer.limit))
        return await upgrade(stream, self._host.local, ends, role=role, expected=peer)

    def close(self) -> None:
        """See ``Transport.close``; nothing is shared here."""


async def _connect(stream: MuxedStream, peer: PeerId) -> HopMessage:
    await write_message(stream, encode(HopMessage(HopType.CONNECT, peer=Peer(peer.to_bytes()))))
    answer = decode(HopMessage, await expect_message(stream, MAX_MESSAGE))
    if answer.type is not HopType.STATUS:
        raise RemoteProtocolError("the relay answered CONNECT with something else than a status")
    return answer
