"""The two things a relay's client does: hold a place there, and answer calls through it.

Spec: libp2p specs, relay/circuit-v2.md, "Reservation" and "Stop Protocol".
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peerup.errors import (
    DialError,
    NotAuthorizedError,
    PeerupError,
    RelayRefusedError,
    RemoteProtocolError,
)
from peerup.host.handlers import Registration
from peerup.transport.endpoints import CircuitLimits, Endpoints, Role
from peerup.transport.messages import expect_message, write_message
from peerup.transport.upgrade import upgrade
from peerup.wire.circuit import (
    HOP_PROTOCOL,
    MAX_MESSAGE,
    STOP_PROTOCOL,
    HopMessage,
    HopType,
    Limit,
    Status,
    StopMessage,
    StopType,
    open_voucher,
)
from peerup.wire.multiaddr import Multiaddr, decode_each
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerup.host.host import Host
    from peerup.transport.muxed import MuxedConnection, MuxedStream

log = logging.getLogger(__name__)

CIRCUIT: Final = Multiaddr.parse("/p2p-circuit")
RESERVE_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 10.0
MAX_RELAY_ADDRS: Final = 16  # of those a relay lists in a reservation
MAX_CIRCUITS: Final = 256  # at once, through one relay
UNREACHABLE: Final = "Is the relay running at this address, and its port open to you?"


@dataclass(frozen=True, slots=True)
class Reservation:
    """A place at a relay.

    ``expires_in`` is in seconds from when it was granted; ``addrs`` are circuit addresses
    without our own id; ``limits`` is what circuits to us may use, None for no limit.
    """

    expires_in: float
    addrs: tuple[Multiaddr, ...]
    limits: CircuitLimits | None


def limits_of(limit: Limit | None) -> CircuitLimits | None:
    """Return a relay's limit message as limits; 0 and absent mean none."""
    if limit is None:
        return None
    return CircuitLimits(limit.duration or None, limit.data or None)


async def connect(host: Host, relay: PeerId, addrs: Iterable[Multiaddr]) -> MuxedConnection:
    """Return a direct connection to ``relay``.

    Raises:
        NotAuthorizedError: the relay does not have us.
        DialError: it cannot be reached.
    """
    try:
        return await host.connect(relay, addrs, direct=True)
    except NotAuthorizedError as why:
        raise relay_refuses(relay) from why
    except DialError as why:
        if why.hint == DialError.hint:  # which speaks of peers behind a relay
            why.hint = UNREACHABLE
        raise


async def reserve(host: Host, conn: MuxedConnection) -> Reservation:
    """Ask the relay at the other end of ``conn`` for a place, or to keep the one we have.

    Raises:
        RelayRefusedError: the relay says no.
        NegotiationError: it is not a relay.
        RemoteProtocolError: its answer makes no sense.
    """
    async with asyncio.timeout(RESERVE_TIMEOUT_S):
        async with await host.open_stream_on(conn, HOP_PROTOCOL) as stream:
            await write_message(stream, encode(HopMessage(HopType.RESERVE)))
            answer = decode(HopMessage, await expect_message(stream, MAX_MESSAGE))
    if answer.type is not HopType.STATUS:
        raise RemoteProtocolError("the relay answered RESERVE with something else than a status")
    if answer.status != Status.OK:
        raise refusal(conn, answer.status)
    if answer.reservation is None:
        raise RemoteProtocolError("the relay said OK without a reservation")
    expires_in = answer.reservation.expire - time.time_ns() / 1e9
    if expires_in <= 0:
        raise RemoteProtocolError("the relay gave a reservation that is over; check both clocks")
    if answer.reservation.voucher:
        open_voucher(answer.reservation.voucher, relay=conn.peer, peer=host.peer)
    listed = [addr for addr in decode_each(answer.reservation.addrs) if not addr.is_circuit]
    usable = listed[:MAX_RELAY_ADDRS] or [conn.remote_addr]
    addrs = tuple(addr.with_peer(conn.peer) / CIRCUIT for addr in usable)
    return Reservation(expires_in, addrs, limits_of(answer.limit))


def refusal(conn: MuxedConnection, status: int | None) -> RelayRefusedError:
    """Return the error for a relay's answer other than OK, with what mends it."""
    code = status or 0
    name = Status(code).name if code in set(Status) else str(code)
    hint = {
        Status.NO_RESERVATION: "Is `peerup daemon` running over there, with this relay?",
        Status.PERMISSION_DENIED: "Ask the relay's operator to run `peerup relay authorize`.",
        Status.RESERVATION_REFUSED: "The relay is full: its operator can raise max_reservations.",
        Status.RESOURCE_LIMIT_EXCEEDED: "The relay is busy: try again, or raise max_circuits.",
    }.get(Status(code) if code in set(Status) else Status.UNUSED, "")
    return RelayRefusedError(f"relay {conn.peer} answered {name}", status=code, hint=hint)


def relay_refuses(relay: PeerId) -> NotAuthorizedError:
    """Return the error for a relay that does not have us at all."""
    return NotAuthorizedError(
        f"relay {relay} does not authorize us",
        hint="Ask its operator to run `peerup relay authorize` with what `peerup whoami` prints. "
        "If you came by an invite, that was taken back: join again with a new one.",
    )


class Circuits:
    """Answers STOP: lets relays connect others to us."""

    def __init__(self, host: Host) -> None:
        self._host = host
        host.handle(STOP_PROTOCOL, Registration(self._serve, max_per_peer=MAX_CIRCUITS))

    async def _serve(self, stream: MuxedStream) -> None:
        relay = stream.connection
        async with asyncio.timeout(STOP_TIMEOUT_S):
            try:
                request = decode(StopMessage, await expect_message(stream, MAX_MESSAGE))
                status = _status_for(request, relay)
            except RemoteProtocolError:
                status = Status.MALFORMED_MESSAGE
            await _answer(stream, status)
        if status is not Status.OK:
            return
        ends = Endpoints(
            relay.remote_addr.with_peer(relay.peer) / CIRCUIT,
            inbound=True,
            limits=limits_of(request.limit),
        )
        try:
            conn = await upgrade(stream, self._host.local, ends, role=Role.SERVER)
        except (PeerupError, OSError) as why:
            log.info("circuit through %s ended: %s", relay.peer, why)
            raise
        await self._host.adopt(conn)
        await conn.wait_closed()


def _status_for(request: StopMessage, relay: MuxedConnection) -> Status:
    """Return what to answer; a caller without a proper id raises ``RemoteProtocolError``."""
    if request.type is not StopType.CONNECT:
        return Status.UNEXPECTED_MESSAGE
    if relay.relayed:  # nobody acts as a relay through another one
        return Status.PERMISSION_DENIED
    PeerId.from_bytes(request.peer.id if request.peer else b"")
    return Status.OK


async def _answer(stream: MuxedStream, status: Status) -> None:
    await write_message(stream, encode(StopMessage(StopType.STATUS, status=status)))
