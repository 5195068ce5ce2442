"""Being a relay: gives places, and joins two peers when one of them holds one.

Spec: libp2p specs, relay/circuit-v2.md, "Hop Protocol".
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from peerup.errors import PeerupError, RemoteProtocolError
from peerup.host.events import ConnectionClosed
from peerup.host.handlers import Registration
from peerup.relay.quota import Quota, RelayLimits
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


class HopService:
    """The relay side of one host."""

    def __init__(self, host: Host, limits: RelayLimits) -> None:
        """Serve from now on, until the host closes."""
        self._host = host
        self._limits = limits
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
            HopType.STATUS, reservation=reservation, limit=self._limit(), status=Status.OK
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

    def _limit(self) -> Limit | None:
        seconds, data = self._limits.session_seconds, self._limits.session_data
        if seconds is None and data is None:
            return None
        return Limit(duration=int(seconds or 0), data=data or 0)

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
        ends = {"source": conn.peer, "target": target}
        status = self.quota.open_circuit(conn.peer, target, self._host.clock())
        if status is not Status.OK:
            log.info("circuit refused", extra=ends | {"status": status.name})
            await _answer(stream, status)
            return
        try:
            await self._join(stream, conn, target)
        finally:
            self.quota.close_circuit(conn.peer, target)

    async def _join(self, stream: MuxedStream, conn: MuxedConnection, target: PeerId) -> None:
        ends = {"source": conn.peer, "target": target}
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                far = await self._stop(conn.peer, target)
        except (PeerupError, OSError) as why:
            log.info("circuit failed: %s", why, extra=ends)
            await _answer(stream, Status.CONNECTION_FAILED)
            return
        log.info("circuit opened", extra=ends)
        try:
            message = HopMessage(HopType.STATUS, limit=self._limit(), status=Status.OK)
            await write_message(stream, encode(message))
            await self._carry(stream, far)
        except BaseException:
            far.reset()
            raise
        finally:
            log.info("circuit closed", extra=ends)

    async def _stop(self, source: PeerId, target: PeerId) -> MuxedStream:
        """Return a stream on which ``target`` has agreed to hear ``source``."""
        conn = self._host.connections.best(target, direct_only=True)
        if conn is None:
            raise RemoteProtocolError("the reserved peer is gone")
        stream = await self._host.open_stream_on(conn, STOP_PROTOCOL)
        try:
            message = StopMessage(
                StopType.CONNECT, peer=Peer(source.to_bytes()), limit=self._limit()
            )
            await write_message(stream, encode(message))
            _expect_ok(decode(StopMessage, await expect_message(stream, MAX_MESSAGE)))
        except BaseException:
            stream.reset()
            raise
        return stream

    async def _carry(self, near: MuxedStream, far: MuxedStream) -> None:
        """Copy both ways within the limits; past them both ends see a reset that says why."""
        left = {True: self._limits.session_data, False: self._limits.session_data}

        def spend(size: int, forth: bool) -> int:
            have = left[forth]
            if have is None:
                return size
            left[forth] = max(have - size, 0)
            return min(size, have)

        def cut() -> None:
            log.info("circuit reached its limit", extra={"seconds": self._limits.session_seconds})
            for stream in (near, far):
                stream.reset(StreamCode.RESOURCE_LIMIT_EXCEEDED)

        seconds = self._limits.session_seconds
        timer = None
        if seconds is not None:
            timer = asyncio.get_running_loop().call_later(seconds, cut)
        try:
            await splice(near, far, spend=spend)
        finally:
            if timer is not None:
                timer.cancel()


def _expect_ok(answer: StopMessage) -> None:
    if answer.type is not StopType.STATUS or answer.status != Status.OK:
        raise RemoteProtocolError(f"the reserved peer answered {answer.status}")


async def _answer(stream: MuxedStream, status: Status) -> None:
    await write_message(stream, encode(HopMessage(HopType.STATUS, status=status)))
