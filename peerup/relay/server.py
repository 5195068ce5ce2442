"""Being a relay: gives places, and joins two peers when one of them holds one.

Spec: libp2p specs, relay/circuit-v2.md, "Hop Protocol".
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, Protocol

from peerup.errors import PeerupError, RemoteProtocolError
from peerup.host.events import ConnectionClosed
from peerup.host.handlers import Registration
from peerup.relay.quota import Quota, RelayLimits, Terms
from peerup.transport.messages import expect_message, write_message
from peerup.transport.splice import splice
from peerup.wire.circuit import (
    HOP_PROTOCOL,
    MAX_MESSAGE,
    STOP_PROTOCOL,
    HopMessage,
    HopType,
    Limit,
    Peer,
    Reservation,
    Status,
    StopMessage,
    StopType,
    seal_voucher,
)
from peerup.wire.error_codes import StreamCode
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import decode, encode

if TYPE_CHECKING:
    from peerup.host.host import Host
    from peerup.transport.muxed import MuxedConnection, MuxedStream

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 30.0  # for the reserved peer to take a circuit
MAX_STREAMS: Final = 512  # hop streams of one peer: circuits, and requests under way
MAX_LISTED: Final = 16  # addresses in a reservation


class Admission(Protocol):
    """Who of those that may ask gets what; ``vouching`` is one."""

    def may_reserve(self, peer: PeerId) -> bool:
        """Say whether ``peer`` may hold a place."""
        ...

    def circuit(self, source: PeerId, target: PeerId, usual: Terms, now: float) -> Terms | None:
        """Return what a circuit may use, ``usual`` unless there is a reason, None to refuse."""
        ...

    def circuit_opened(self, source: PeerId, target: PeerId, now: float) -> None:
        """Hear that a circuit was opened that ``circuit`` has allowed."""
        ...


class _Everybody:
    """Gives all that is asked for, within the quota."""

    def may_reserve(self, peer: PeerId) -> bool:
        return True

    def circuit(self, source: PeerId, target: PeerId, usual: Terms, now: float) -> Terms | None:
        return usual

    def circuit_opened(self, source: PeerId, target: PeerId, now: float) -> None:
        """Nothing is counted."""


class HopService:
    """The relay side of one host."""

    def __init__(self, host: Host, limits: RelayLimits, admission: Admission | None = None) -> None:
        """Serve from now on, until the host closes."""
        self._host = host
        self._limits = limits
        self._admission: Admission = admission or _Everybody()
        self.quota = Quota(limits)
        host.handle(HOP_PROTOCOL, Registration(self._serve, max_per_peer=MAX_STREAMS))
        host.tasks.spawn(self._release_places)

    async def _release_places(self) -> None:
        """A place ends with its peer's last connection."""
        with self._host.bus.subscribe(ConnectionClosed) as closed:
            while True:
                peer = (await closed.next()).connection.peer
                if self._host.connections.best(peer, direct_only=True) is None:
                    self.quota.release(peer)

    async def _serve(self, stream: MuxedStream) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                request = decode(HopMessage, await expect_message(stream, MAX_MESSAGE))
        except RemoteProtocolError:
            await _answer(stream, Status.MALFORMED_MESSAGE)
            return
        conn = stream.connection
        if conn.relayed:
            await _answer(stream, Status.PERMISSION_DENIED)
        elif not self.quota.admit_request(conn.peer, self._host.clock()):
            await _answer(stream, Status.RESOURCE_LIMIT_EXCEEDED)
        elif request.type is HopType.RESERVE:
            await self._reserve(stream, conn)
        elif request.type is HopType.CONNECT:
            await self._connect(stream, conn, request)
        else:
            await _answer(stream, Status.UNEXPECTED_MESSAGE)

    async def _reserve(self, stream: MuxedStream, conn: MuxedConnection) -> None:
        source = conn.remote_addr.host or str(conn.remote_addr)
        status = Status.PERMISSION_DENIED
        if self._admission.may_reserve(conn.peer):
            status = self.quota.reserve(conn.peer, source, self._host.clock())
        if status is not Status.OK:
            log.warning("reservation refused", extra={"peer": conn.peer, "status": status.name})
            await _answer(stream, status)
            return
        log.info("reservation given", extra={"peer": conn.peer})
        expire = int(time.time_ns() / 1e9 + self._limits.ttl)
        relay = self._host.peer
        reservation = Reservation(
            expire=expire,
            addrs=self._reachable_at(conn),
            voucher=seal_voucher(self._host.key, relay, conn.peer, expire),
        )
        message = HopMessage(
            HopType.STATUS,
            reservation=reservation,
            limit=_limit(self._limits.terms),
            status=Status.OK,
        )
        await write_message(stream, encode(message))

    def _reachable_at(self, conn: MuxedConnection) -> tuple[bytes, ...]:
        """Return our addresses for a reservation: never none, as rust refuses an empty list."""
        addrs = self._host.addresses.for_peer_at(conn.remote_addr)
        if conn.info.ends.local is not None:  # where this very peer has just reached us
            addrs = (conn.info.ends.local, *addrs)
        listed = dict.fromkeys(addr for addr in addrs if not addr.is_circuit)
        me = self._host.peer
        return tuple(addr.with_peer(me).to_bytes() for addr in list(listed)[:MAX_LISTED])

    async def _connect(
        self, stream: MuxedStream, conn: MuxedConnection, request: HopMessage
    ) -> None:
        try:
            target = PeerId.from_bytes(request.peer.id if request.peer else b"")
        except RemoteProtocolError:
            await _answer(stream, Status.MALFORMED_MESSAGE)
            return
        if target in (conn.peer, self._host.peer):
            await _answer(stream, Status.PERMISSION_DENIED)
            return
        ends, now = {"source": conn.peer, "target": target}, self._host.clock()
        terms = self._admission.circuit(conn.peer, target, self._limits.terms, now)
        status = Status.PERMISSION_DENIED
        if terms is not None:
            status = self.quota.open_circuit(conn.peer, target, now)
        if terms is None or status is not Status.OK:
            log.info("circuit refused", extra=ends | {"status": status.name})
            await _answer(stream, status)
            return
        self._admission.circuit_opened(conn.peer, target, now)
        try:
            await self._join(stream, conn, target, terms)
        finally:
            self.quota.close_circuit(conn.peer, target)

    async def _join(
        self, stream: MuxedStream, conn: MuxedConnection, target: PeerId, terms: Terms
    ) -> None:
        ends = {"source": conn.peer, "target": target}
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                far = await self._stop(conn.peer, target, terms)
        except (PeerupError, OSError) as why:
            log.info("circuit failed: %s", why, extra=ends)
            await _answer(stream, Status.CONNECTION_FAILED)
            return
        log.info("circuit opened", extra=ends)
        try:
            message = HopMessage(HopType.STATUS, limit=_limit(terms), status=Status.OK)
            await write_message(stream, encode(message))
            await _carry(stream, far, terms)
        except BaseException:
            far.reset()
            raise
        finally:
            log.info("circuit closed", extra=ends)

    async def _stop(self, source: PeerId, target: PeerId, terms: Terms) -> MuxedStream:
        """Return a stream on which ``target`` has agreed to hear ``source``."""
        conn = self._host.connections.best(target, direct_only=True)
        if conn is None:
            raise RemoteProtocolError("the reserved peer is gone")
        stream = await self._host.open_stream_on(conn, STOP_PROTOCOL)
        try:
            message = StopMessage(
                StopType.CONNECT, peer=Peer(source.to_bytes()), limit=_limit(terms)
            )
            await write_message(stream, encode(message))
            _expect_ok(decode(StopMessage, await expect_message(stream, MAX_MESSAGE)))
        except BaseException:
            stream.reset()
            raise
        return stream


async def _carry(near: MuxedStream, far: MuxedStream, terms: Terms) -> None:
    """Copy both ways within the limits; past them both ends see a reset that says why."""
    left = {True: terms.data, False: terms.data}

    def spend(size: int, forth: bool) -> int:
        have = left[forth]
        if have is None:
            return size
        left[forth] = max(have - size, 0)
        return min(size, have)

    def cut() -> None:
        log.info("circuit reached its limit", extra={"seconds": terms.seconds})
        for stream in (near, far):
            stream.reset(StreamCode.RESOURCE_LIMIT_EXCEEDED)

    timer = None
    if terms.seconds is not None:
        timer = asyncio.get_running_loop().call_later(terms.seconds, cut)
    try:
        await splice(near, far, spend=spend)
    finally:
        if timer is not None:
            timer.cancel()


def _limit(terms: Terms) -> Limit | None:
    if terms.seconds is None and terms.data is None:
        return None
    return Limit(duration=int(terms.seconds or 0), data=terms.data or 0)


def _expect_ok(answer: StopMessage) -> None:
    if answer.type is not StopType.STATUS or answer.status != Status.OK:
        raise RemoteProtocolError(f"the reserved peer answered {answer.status}")


async def _answer(stream: MuxedStream, status: Status) -> None:
    await write_message(stream, encode(HopMessage(HopType.STATUS, status=status)))
