"""Connections over a pipe, and peers that speak for themselves, for tests on the virtual clock."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from peerup.tasks import Supervisor
from peerup.transport import negotiation, secure
from peerup.transport.endpoints import Endpoints, Role
from peerup.transport.memory import Pipe, pipe
from peerup.transport.upgrade import upgrade
from peerup.wire import noise, yamux
from peerup.wire.multiaddr import Multiaddr
from tests.conformance.transports import everybody, key_of, local_peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from peerup.transport.base import Admit, ByteStream
    from peerup.transport.muxed import MuxedConnection
    from peerup.transport.secure import NoiseChannel

ELSEWHERE = Multiaddr.parse("/memory/7")


async def inbound(
    raw: ByteStream, tasks: Supervisor, *, name: str = "home", admit: Admit = everybody
) -> MuxedConnection:
    """Upgrade ``raw`` as a listener does."""
    ends = Endpoints(ELSEWHERE, inbound=True)
    return await upgrade(raw, local_peer(name, tasks, admit), ends, role=Role.SERVER)


async def outbound(
    raw: ByteStream, tasks: Supervisor, *, name: str = "laptop", to: str = "home"
) -> MuxedConnection:
    """Upgrade ``raw`` as a dialler does."""
    expected = local_peer(to, tasks).peer
    ends = Endpoints(ELSEWHERE)
    return await upgrade(raw, local_peer(name, tasks), ends, role=Role.CLIENT, expected=expected)


async def connect(near: ByteStream, far: ByteStream, tasks: Supervisor) -> Connections:
    """Make one connection of two byte streams that are joined; the dialler's end first."""
    async with asyncio.TaskGroup() as group:
        dialled = group.create_task(outbound(near, tasks))
        accepted = group.create_task(inbound(far, tasks))
    return dialled.result(), accepted.result()


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[Connections]:
    """Two ends of a connection over a pipe in memory, the dialler's first."""
    async with Supervisor() as tasks:
        yield await connect(*pipe(), tasks)


class RawPeer:
    """The far end of a connection up to the secure channel, whose frames the test writes."""

    def __init__(self, channel: NoiseChannel, *, is_client: bool) -> None:
        self.channel = channel
        self.session = yamux.Session(is_client=is_client, now=0.0)

    @classmethod
    async def dial(cls, raw: Pipe, *, name: str = "laptop", early: bool = True) -> RawPeer:
        """Do what a dialler does, with or without early muxer negotiation."""
        await negotiation.propose(raw, [noise.PROTOCOL])
        muxers = [yamux.PROTOCOL]
        channel = await secure.handshake(
            raw, key_of(name), initiator=True, expected=None, muxers=muxers if early else []
        )
        if not early:
            await negotiation.propose(channel, muxers)
        return cls(channel, is_client=True)

    @classmethod
    async def accept(cls, raw: Pipe, *, name: str = "home") -> RawPeer:
        """Do what a listener does."""
        await negotiation.respond(raw, noise.PROTOCOL.__eq__)
        channel = await secure.handshake(
            raw, key_of(name), initiator=False, expected=None, muxers=[yamux.PROTOCOL]
        )
        return cls(channel, is_client=False)

    async def flush(self) -> None:
        """Send what the session has to say."""
        if data := self.session.data_to_send():
            await self.channel.write(data)

    async def receive(self) -> bool:
        """Feed the session what comes next; False at the end of the connection."""
        pieces = await self.channel.receive()
        for piece in pieces:
            self.session.receive(piece, 0.0)
        return bool(pieces)

    async def answer(self) -> None:
        """Be an ordinary peer until the connection ends: take everything, answer pings."""
        with contextlib.suppress(OSError):
            while await self.receive():
                await self.flush()


if TYPE_CHECKING:
    Connections = tuple[MuxedConnection, MuxedConnection]
