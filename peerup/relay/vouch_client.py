"""What inviters and joiners ask of a relay that vouches.

A relay that does not speak the protocol is no error: it decides by its own list alone. Then
these return None, and pairing works if the relay knows both.

Spec: peerup's own, docs/protocols/vouch.md.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from peerup.errors import NegotiationError, RelayRefusedError, RemoteProtocolError
from peerup.transport.messages import expect_message, write_message
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import decode, encode
from peerup.wire.vouch import (
    MAX_MESSAGE,
    PROTOCOL,
    VouchMessage,
    VouchStatus,
    VouchType,
    hash_of,
)

if TYPE_CHECKING:
    from peerup.host.host import Host
    from peerup.transport.muxed import MuxedConnection

REQUEST_TIMEOUT_S: Final = 10.0

_FINE: Final = {VouchStatus.OK, VouchStatus.PAIRED, VouchStatus.NOT_NEEDED}
_HINTS: Final = {
    VouchStatus.PERMISSION_DENIED: "The relay lets this machine in on the word of another one "
    "only: to invite, its operator has to run `peerup relay authorize` for it.",
    VouchStatus.UNKNOWN_TICKET: "It has expired, was cancelled or used by another machine, or has "
    "a slip: compare it, or ask for a new one with `peerup invite`.",
    VouchStatus.FULL: "Its operator can make room: `peerup relay list-peers` and `relay "
    "deauthorize`, or a larger max_per_peer under security.vouching.",
    VouchStatus.BUSY: "Too many tries come from your address: wait a minute.",
    VouchStatus.UNAVAILABLE: "The relay cannot save whom it vouches for: its operator finds the "
    "reason in its log.",
}


async def open_invite(
    host: Host, conn: MuxedConnection, ticket: bytes, seconds: float
) -> float | None:
    """Have the relay let in whoever shows ``ticket``, as far as to us; return for how long.

    Raises:
        RelayRefusedError: it speaks the protocol and will not.
    """
    request = VouchMessage(VouchType.OPEN, ticket=hash_of(ticket), seconds=int(seconds))
    answer = await _ask(host, conn, request)
    if answer is None:
        return None
    _expect_fine(conn, answer, "invite")
    return float(answer.seconds)


async def close_invite(host: Host, conn: MuxedConnection, ticket: bytes) -> None:
    """End it early."""
    await _ask(host, conn, VouchMessage(VouchType.CLOSE, ticket=hash_of(ticket)))


async def confirm(host: Host, conn: MuxedConnection, ticket: bytes, guest: PeerId) -> None:
    """Say that ``guest`` has joined us: from now on we can reach each other through the relay.

    Raises:
        RelayRefusedError: the relay will not.
    """
    request = VouchMessage(VouchType.CONFIRM, ticket=hash_of(ticket), peer=guest.to_bytes())
    answer = await _ask(host, conn, request)
    if answer is not None:
        _expect_fine(conn, answer, "joiner")


async def present(
    host: Host, conn: MuxedConnection, ticket: bytes, inviter: PeerId
) -> VouchStatus | None:
    """Show a ticket for ``inviter``; OK, PAIRED and NOT_NEEDED are all good.

    Raises:
        RelayRefusedError: the relay does not know the ticket, or will not look at it.
    """
    request = VouchMessage(VouchType.PRESENT, ticket=ticket, peer=inviter.to_bytes())
    answer = await _ask(host, conn, request)
    return None if answer is None else _expect_fine(conn, answer, "invite code")


async def revoke(host: Host, conn: MuxedConnection, other: PeerId) -> None:
    """Be a pair with ``other`` no longer.

    Raises:
        RelayRefusedError: the relay cannot save that.
    """
    request = VouchMessage(VouchType.REVOKE, peer=other.to_bytes())
    answer = await _ask(host, conn, request)
    if answer is not None:
        _expect_fine(conn, answer, "end of vouching")


async def partners(host: Host, conn: MuxedConnection) -> frozenset[PeerId]:
    """Return with whom we are a pair at this relay."""
    answer = await _ask(host, conn, VouchMessage(VouchType.LIST))
    return frozenset(map(PeerId.from_bytes, answer.peers)) if answer else frozenset()


async def _ask(host: Host, conn: MuxedConnection, request: VouchMessage) -> VouchMessage | None:
    async with asyncio.timeout(REQUEST_TIMEOUT_S):
        try:
            stream = await host.open_stream_on(conn, PROTOCOL)
        except NegotiationError:
            return None
        async with stream:
            await write_message(stream, encode(request))
            answer = decode(VouchMessage, await expect_message(stream, MAX_MESSAGE))
    if answer.type is not VouchType.STATUS or answer.status is None:
        raise RemoteProtocolError("the relay answered with something else than a status")
    return answer


def _expect_fine(conn: MuxedConnection, answer: VouchMessage, what: str) -> VouchStatus:
    code = answer.status or 0
    known = VouchStatus(code) if code in set(VouchStatus) else None
    if known in _FINE:
        assert known is not None
        return known
    name = known.name if known else str(code)
    raise RelayRefusedError(
        f"relay {conn.peer} does not take this {what}: {name}",
        status=code,
        hint=_HINTS.get(known, "") if known else "",
    )
