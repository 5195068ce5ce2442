"""The relay's side of vouching: answers requests, keeps pairs, and sees strangers off.

A stranger is somebody whom nobody vouches for yet. It may be here while an invite is open, for
as long as it takes to show a ticket; there is room for few, and the oldest goes first, as an
honest joiner is done at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import time
from typing import TYPE_CHECKING, Final

from peerup.errors import ConfigError, RemoteProtocolError
from peerup.host.events import ConnectionOpened
from peerup.host.gater import Answer, Only, Verdict
from peerup.host.handlers import Registration
from peerup.relay import vouched_file
from peerup.relay.vouching import Pair, Standing, Vouching
from peerup.transport.messages import expect_message, write_message
from peerup.wire import identify
from peerup.wire.circuit import HOP_PROTOCOL
from peerup.wire.error_codes import ConnectionCode
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import decode, encode
from peerup.wire.vouch import (
    MAX_MESSAGE,
    PROTOCOL,
    TICKET_SIZE,
    VouchMessage,
    VouchStatus,
    VouchType,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from peerup.host.host import Host
    from peerup.transport.muxed import MuxedConnection, MuxedStream

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_S: Final = 10.0
MAX_STREAMS: Final = 4  # of one peer
MAX_LISTED: Final = 96  # peers in an answer, which is then below MAX_MESSAGE
SWEEP_INTERVAL_S: Final = 1.0  # between two looks at connections and at the file
MIN_SWEEP_S: Final = 0.05  # however many connections arrive
STRANGER_S: Final = 15.0  # for a stranger to show its ticket
HOLDER_S: Final = 120.0  # for a holder to pair
LAST_WORD_S: Final = 0.2  # for an answer to leave before its connection is closed
MAX_STRANGERS: Final = 64  # connections of strangers and holders
MAX_PER_SOURCE: Final = 8  # of them, from one address

PING: Final = "/ipfs/ping/1.0.0"
VERDICTS: Final[dict[Standing, Verdict]] = {
    Standing.NOBODY: Answer.NO,
    Standing.STRANGER: Only(frozenset({PROTOCOL})),
    Standing.HOLDER: Only(frozenset({PROTOCOL, HOP_PROTOCOL})),
    Standing.GUEST: Only(
        frozenset(
            {PROTOCOL, HOP_PROTOCOL, identify.IDENTIFY_PROTOCOL, identify.PUSH_PROTOCOL, PING}
        )
    ),
    Standing.AUTHORIZED: Answer.YES,
}


class VouchService:
    """Serves ``PROTOCOL`` on one host, by what ``vouching`` decides."""

    def __init__(self, host: Host, vouching: Vouching, file: Path) -> None:
        """Read the pairs in ``file``; ``start`` begins to serve.

        A damaged file is complained about, vouches for nobody, and stops nothing else.
        """
        self._host, self.vouching, self._file = host, vouching, file
        self._stamp: tuple[int, ...] | None = None
        self._complained = ""
        self._reload()

    def start(self) -> None:
        """Serve from now on, until the host closes; what the relay's list no longer covers goes."""
        self.forget(self.vouching.orphans)
        self._host.handle(PROTOCOL, Registration(self._serve, max_per_peer=MAX_STREAMS))
        self._host.tasks.spawn(self._watch)

    def verdict(self, peer: PeerId) -> Verdict:
        """Say what a peer may do that is not authorized, or is."""
        return VERDICTS[self.vouching.standing(peer, self._host.clock())]

    def forget(self, peers: Iterable[PeerId]) -> None:
        """Take back, for good, what any of ``peers`` has vouched for or been vouched for."""
        gone = frozenset(peers)
        if any(pair.names(peer) for pair in self.vouching.pairs for peer in gone):
            with contextlib.suppress(ConfigError):  # which has been logged
                self._change(vouched_file.without(*gone))

    # --- requests ---------------------------------------------------------------------

    async def _serve(self, stream: MuxedStream) -> None:
        conn = stream.connection
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            try:
                request = decode(VouchMessage, await expect_message(stream, MAX_MESSAGE))
                answer = self._answer(conn, request)
            except RemoteProtocolError:
                answer = VouchMessage(status=VouchStatus.MALFORMED_MESSAGE)
            await write_message(stream, encode(answer))

    def _answer(self, conn: MuxedConnection, request: VouchMessage) -> VouchMessage:
        if conn.relayed:
            return VouchMessage(status=VouchStatus.PERMISSION_DENIED)
        answers = {
            VouchType.OPEN: self._open,
            VouchType.CLOSE: self._close,
            VouchType.CONFIRM: self._confirm,
            VouchType.PRESENT: self._present,
            VouchType.REVOKE: self._revoke,
            VouchType.LIST: self._list,
        }
        if request.type not in answers:
            raise RemoteProtocolError("vouch: a status is no request")
        if not self.vouching.admit(conn.peer, source_of(conn), self._host.clock()):
            return VouchMessage(status=VouchStatus.BUSY)  # which the log need not hold
        return answers[request.type](conn, request)

    def _list(self, conn: MuxedConnection, request: VouchMessage) -> VouchMessage:
        partners = sorted(self.vouching.partners(conn.peer))[:MAX_LISTED]
        peers = tuple(peer.to_bytes() for peer in partners)
        return VouchMessage(status=VouchStatus.OK, peers=peers)

    def _open(self, conn: MuxedConnection, request: VouchMessage) -> VouchMessage:
        inviter = conn.peer
        asked = _ticket(request)
        status, given = self.vouching.open(inviter, asked, request.seconds, self._host.clock())
        _audit("invite opened", status, inviter=inviter, seconds=round(given))
        return VouchMessage(status=status, seconds=int(given))

    def _close(self, conn: MuxedConnection, request: VouchMessage) -> VouchMessage:
        status = self.vouching.close(conn.peer, _ticket(request))
        _audit("invite closed", status, inviter=conn.peer)
        return VouchMessage(status=status)

    def _present(self, conn: MuxedConnection, request: VouchMessage) -> VouchMessage:
        joiner, inviter, ticket = conn.peer, PeerId.from_bytes(request.peer), _ticket(request)
        status = self.vouching.present(joiner, inviter, ticket, self._host.clock())
        _audit("ticket shown", status, peer=joiner, inviter=inviter, addr=source_of(conn))
        return VouchMessage(status=status)

    def _confirm(self, conn: MuxedConnection, request: VouchMessage) -> VouchMessage:
        inviter, guest = conn.peer, PeerId.from_bytes(request.peer)
        ticket_hash = _ticket(request)
        now = self._host.clock()
        status = self.vouching.may_confirm(inviter, ticket_hash, guest, now)
        if status is VouchStatus.OK:
            pair = Pair(inviter, guest, int(time.time_ns() // 10**9))
            try:
                self._change(lambda pairs: pairs | {pair})
            except ConfigError:
                status = VouchStatus.UNAVAILABLE
        if status in {VouchStatus.OK, VouchStatus.PAIRED, VouchStatus.NOT_NEEDED}:
            self.vouching.confirmed(ticket_hash, guest)
        _audit("peer vouched for", status, peer=guest, inviter=inviter)
        return VouchMessage(status=status)

    def _revoke(self, conn: MuxedConnection, request: VouchMessage) -> VouchMessage:
        peer, other = conn.peer, PeerId.from_bytes(request.peer)
        status = VouchStatus.OK
        if other not in self.vouching.partners(peer):
            return VouchMessage(status=status)
        try:
            self._change(
                lambda pairs: frozenset(
                    pair for pair in pairs if not (pair.names(peer) and pair.names(other))
                )
            )
        except ConfigError:
            status = VouchStatus.UNAVAILABLE
        _audit("vouching taken back", status, peer=peer, other=other)
        return VouchMessage(status=status)

    # --- pairs and their file ---------------------------------------------------------

    def _change(self, change: Callable[[frozenset[Pair]], frozenset[Pair]]) -> None:
        """Change the file and go by it.

        Raises:
            ConfigError: It cannot be changed; that is logged.
        """
        try:
            _, pairs = vouched_file.update(self._file, change)
        except ConfigError as why:
            log.error("vouching cannot be saved: %s", why)  # noqa: TRY400
            raise
        self._take_over(pairs)

    def _reload(self) -> None:
        """Go by the file if it is another one than before; by nothing if it is damaged."""
        stamp = _stamp_of(self._file)
        if stamp == self._stamp and not self._complained:
            return
        try:
            pairs = vouched_file.load(self._file)
        except ConfigError as why:
            if str(why) != self._complained:
                log.error("nobody is vouched for: %s. %s", why, why.hint)  # noqa: TRY400
            self._complained, self.vouching.usable = str(why), False
            pairs = frozenset()
        else:
            self._complained, self.vouching.usable = "", True
        self._take_over(pairs)
        self._stamp = stamp

    def _take_over(self, pairs: frozenset[Pair]) -> None:
        before = self.vouching.pairs
        lost = self.vouching.replace(pairs)
        for pair in before - pairs:
            log.info("vouching ended", extra={"peer": pair.guest, "inviter": pair.voucher})
        if lost:
            self._host.tasks.spawn(self._end, lost)

    async def _end(self, guests: frozenset[PeerId]) -> None:
        await asyncio.sleep(LAST_WORD_S)  # one of them may have asked for it
        self._host.recheck(guests)

    # --- connections ------------------------------------------------------------------

    async def _watch(self) -> None:
        """Look at connections when there is a new one, and at the file each second."""
        with self._host.bus.subscribe(ConnectionOpened) as opened:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SWEEP_INTERVAL_S):
                        await opened.next()
                while opened.pending:
                    await opened.next()
                self._reload()
                self._sweep(self._host.clock())
                await asyncio.sleep(MIN_SWEEP_S)

    def _sweep(self, now: float) -> None:
        connections = self._host.connections
        for inviter in self.vouching.inviters:
            if connections.best(inviter, direct_only=True) is None:
                self.vouching.left(inviter)
        self.vouching.expire(now)
        visiting: list[tuple[bool, float, MuxedConnection]] = []
        for conn in connections:
            standing = self.vouching.standing(conn.peer, now)
            age = now - conn.opened_at
            if standing is Standing.NOBODY and conn.inbound:
                _see_off(conn, "no invite is open", ConnectionCode.GATED)
            elif standing is Standing.STRANGER and age > STRANGER_S:
                _see_off(conn, "no ticket was shown in time", ConnectionCode.GATED)
            elif standing is Standing.HOLDER and age > HOLDER_S:
                _see_off(conn, "pairing took too long", ConnectionCode.GATED)
            elif standing in {Standing.STRANGER, Standing.HOLDER}:
                visiting.append((standing is Standing.HOLDER, conn.opened_at, conn))
        for conn in too_many([(held, at, source_of(conn), conn) for held, at, conn in visiting]):
            _see_off(conn, "there are too many", ConnectionCode.RESOURCE_LIMIT_EXCEEDED)


def too_many(
    visiting: list[tuple[bool, float, str, MuxedConnection]],
) -> list[MuxedConnection]:
    """Return who has to go: who has shown nothing before who has, and the oldest first.

    Each is: whether it has shown a ticket, since when it is here, from where, and itself.
    """
    left: list[MuxedConnection] = []
    by_source: dict[str, int] = {}
    kept = 0
    for _, _, source, conn in sorted(visiting, key=lambda one: one[:2], reverse=True):
        if kept >= MAX_STRANGERS or by_source.get(source, 0) >= MAX_PER_SOURCE:
            left.append(conn)
            continue
        kept += 1
        by_source[source] = by_source.get(source, 0) + 1
    return left


def source_of(conn: MuxedConnection) -> str:
    """Return what counts as one address: of IPv6 the network of 64 bits."""
    host = conn.remote_addr.host or str(conn.remote_addr)
    try:
        return str(ipaddress.ip_network(f"{host}/64", strict=False)) if ":" in host else host
    except ValueError:  # not an IP address at all
        return host


def _see_off(conn: MuxedConnection, why: str, code: ConnectionCode) -> None:
    log.info("stranger sent away: %s", why, extra={"peer": conn.peer, "addr": conn.remote_addr})
    conn.close(code)


def _ticket(request: VouchMessage) -> bytes:
    if len(request.ticket) != TICKET_SIZE:
        raise RemoteProtocolError(f"vouch: a ticket of {len(request.ticket)} bytes")
    return request.ticket


def _audit(what: str, status: VouchStatus, **fields: object) -> None:
    refused = status >= VouchStatus.UNKNOWN_TICKET
    level = logging.WARNING if refused else logging.INFO
    log.log(
        level, "%s%s", what, ": refused" if refused else "", extra={**fields, "status": status.name}
    )


def _stamp_of(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)
