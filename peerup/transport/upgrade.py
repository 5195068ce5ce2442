"""From a byte stream to a connection: negotiate, secure, negotiate, multiplex.

Spec: libp2p specs, connections/README.md, "Upgrading Connections".
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, NoReturn

from peerup.errors import ConnectionClosedError, NotAuthorizedError
from peerup.transport import negotiation, secure
from peerup.transport.base import ByteStream, LocalPeer
from peerup.transport.byte_link import REFUSED_SILENTLY, ByteLink, hung_up
from peerup.transport.endpoints import Endpoints, Role
from peerup.transport.muxed import ConnectionInfo, MuxedConnection
from peerup.wire import noise, yamux
from peerup.wire.error_codes import ConnectionCode

if TYPE_CHECKING:
    from peerup.wire.peer_id import PeerId

UPGRADE_TIMEOUT_S: Final = 10.0  # for all of it, so that a byte now and then buys no time
REFUSAL_TIMEOUT_S: Final = 2.0
MUXERS: Final = (yamux.PROTOCOL,)


async def upgrade(
    raw: ByteStream,
    local: LocalPeer,
    ends: Endpoints,
    *,
    role: Role,
    expected: PeerId | None = None,
) -> MuxedConnection:
    """Turn ``raw`` into a connection, within 10 s in all; ``raw`` is ours from here on.

    Args:
        raw: Just connected; reset if anything fails.
        local: Our identity, whom we admit, and who owns the connection's pumps.
        ends: Where both ends are; an inbound peer has to pass ``local.admit``.
        role: Who is the client in each handshake.
        expected: The peer that must be there, None to accept any that ``admit`` takes.

    Raises:
        WrongPeerError: another peer answers.
        NotAuthorizedError: ``local.admit`` does not want the peer. It has been told.
        RemoteProtocolError: the peer broke a spec.
        TimeoutError: it took longer than 10 s.
        OSError: the network gave up.
    """
    try:
        async with asyncio.timeout(UPGRADE_TIMEOUT_S):
            channel, muxer, early = await _secure(raw, local, role, expected)
            info = ConnectionInfo(
                peer=channel.session.peer,
                public_key=channel.session.public_key,
                ends=ends,
                early_muxer=muxer is not None,
            )
            if ends.inbound and not local.admit(info.peer, ends.remote):
                await _refuse(channel)
    except BaseException:
        raw.reset()
        raise
    now = asyncio.get_running_loop().time()
    most = local.limits.streams_per_connection
    session = yamux.Session(is_client=role is Role.CLIENT, now=now, max_inbound=most)
    link = ByteLink(channel, session, info, local.budget, early)
    if local.tasks.spawn(link.run) is None:
        raw.reset()
        raise ConnectionClosedError("we are closing")
    return link.conn


async def _secure(
    raw: ByteStream, local: LocalPeer, role: Role, expected: PeerId | None
) -> tuple[secure.NoiseChannel, str | None, bytes]:
    client = role is Role.CLIENT
    if client:
        await negotiation.propose(raw, [noise.PROTOCOL])
    else:
        await negotiation.respond(raw, noise.PROTOCOL.__eq__, lambda: [noise.PROTOCOL])
    channel = await secure.handshake(
        raw, local.key, initiator=client, expected=expected, muxers=MUXERS
    )
    if channel.session.muxer is not None:
        return channel, channel.session.muxer, b""
    if client:
        try:
            _, early = await negotiation.propose(channel, MUXERS)
        except ConnectionResetError as why:
            if hung_up(why):
                raise NotAuthorizedError(REFUSED_SILENTLY) from why
            raise
    else:
        _, early = await negotiation.respond(channel, MUXERS.__contains__, lambda: MUXERS)
    return channel, None, early


async def _refuse(channel: secure.NoiseChannel) -> NoReturn:
    """Send one GO_AWAY that says why, and end in order so that it is not overtaken."""
    session = yamux.Session(is_client=False, now=0.0)
    session.close(ConnectionCode.GATED)
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(REFUSAL_TIMEOUT_S):
            await channel.write(session.data_to_send())
            channel.raw.close_write()
            while await channel.raw.read(secure.HANDSHAKE_READ):
                pass  # a close with unread bytes would reset, and might destroy our answer
    raise NotAuthorizedError(f"{channel.session.peer} is not authorized here")
