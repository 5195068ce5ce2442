"""Moves a yamux session's bytes over a secure channel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from peerup.errors import (
    ConnectionClosedError,
    NotAuthorizedError,
    PeerupError,
    StreamResetError,
)
from peerup.transport.muxed import ConnectionInfo, MuxedConnection
from peerup.wire.error_codes import StreamCode
from peerup.wire.yamux import PING_TIMEOUT_S, PROTOCOL_ERROR, Session

if TYPE_CHECKING:
    from peerup.transport.limits import ByteBudget
    from peerup.transport.secure import NoiseChannel

WRITE_TIMEOUT_S: Final = 60.0  # for one batch of half a megabyte: 10 KB/s is still a network
REFUSED_SILENTLY: Final = "the peer hung up right after we proved who we are"
MAX_PING: Final = 1024  # bytes that may leave for a peer that is not there: pings and the like
FINISH_S: Final = 2.0  # for the last bytes of a connection that we close


class ByteLink:
    """Two pumps: one feeds the session what arrives, one sends what it produces."""

    def __init__(
        self,
        channel: NoiseChannel,
        session: Session,
        info: ConnectionInfo,
        budget: ByteBudget,
        early: bytes = b"",
    ) -> None:
        """Join them; ``early`` is plaintext that arrived behind the negotiation."""
        self._channel = channel
        self._session = session
        self._early = early
        self._received = 0  # reads that brought something
        self._looked = (0, 0)  # that, and bytes written, when we last looked
        self._finishing = False
        self._wake = asyncio.Event()
        self._writing_since: float | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.conn = MuxedConnection(info, session, self, budget)

    def flush(self) -> None:
        if self._session.pending:
            self._wake.set()

    def finish(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._wake.set()
            self._deadline = self._loop.call_later(FINISH_S, self._channel.raw.reset)

    async def run(self) -> None:
        """Pump until either side ends the connection, then fail what is left on it."""
        reason: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._pump_in())
                self._arm()
                await self._pump_out()
                reader.cancel()
        except* (OSError, PeerupError, TimeoutError) as failed:
            reason = failed.exceptions[0]
        finally:
            for handle in (self._timer, self._deadline, self._watch):
                if handle is not None:
                    handle.cancel()
            # Without a reason either it has failed before, or our own side cancels us.
            stopped = ConnectionClosedError("we closed the connection")
            self.conn.fail(stopped if reason is None else self._explain(reason))
            if reason is None:
                self._channel.raw.close()
            else:
                self._channel.raw.reset()
            self.conn.ended()

    async def _pump_in(self) -> None:
        try:
            if self._early:
                self._take([self._early])
            while pieces := await self._channel.receive():
                self._take(pieces)
            self.conn.fail(self._explain(None))
        except PeerupError as why:
            self._session.close(PROTOCOL_ERROR)
            self.conn.fail(self._explain(why))
        except OSError as why:
            self.conn.fail(self._explain(why))
        self.finish()

    def _take(self, pieces: list[bytes]) -> None:
        self._received += 1
        for piece in pieces:
            self._session.receive(piece, self._loop.time())
        self.conn.dispatch()

    async def _pump_out(self) -> None:
        while True:
            while parts := self._session.parts_to_send():
                self.conn.dispatch()  # writers may go on while these bytes are on their way
                self._writing_since = self._loop.time()
                if self._watch is None:
                    self._watch = self._loop.call_later(WRITE_TIMEOUT_S, self._check_write)
                await self._channel.write_batch(parts)
                self._writing_since = None
            if self._finishing:
                return
            self._wake.clear()
            if not self._session.pending:
                await self._wake.wait()

    def _check_write(self) -> None:
        """End the connection if one batch has been under way for too long.

        One timer for many batches, as arming one for each takes as long as sending it.
        """
        self._watch = None
        if self._writing_since is None:
            return
        due = self._writing_since + WRITE_TIMEOUT_S
        if self._loop.time() < due:
            self._watch = self._loop.call_at(due, self._check_write)
            return
        self.conn.fail(ConnectionClosedError("the peer takes no more bytes"))
        self._channel.raw.reset()

    def _arm(self) -> None:
        at = self._session.next_timer()
        self._timer = None if at is None else self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        alive = self._moves()
        if alive and self._session.awaits_answer:
            # On a slow link the answer waits behind other bytes, and so do we while those move.
            self._timer = self._loop.call_later(PING_TIMEOUT_S, self._on_timer)
            return
        self._session.handle_timer(self._loop.time())
        if self._session.next_timer() is None:
            self.conn.fail(ConnectionClosedError("the peer answers no more"))
        self.conn.dispatch()
        self._arm()

    def _moves(self) -> bool:
        """Whether anything arrived, or more than a ping left, since this was last asked."""
        received, written = self._looked
        self._looked = (self._received, self._channel.raw.written)
        return self._looked[0] > received or self._looked[1] > written + MAX_PING

    def _explain(self, why: BaseException | None) -> PeerupError:
        """Say what the end of the link means."""
        if hung_up(why) and not self._received and not self.conn.inbound:
            return NotAuthorizedError(REFUSED_SILENTLY)
        if isinstance(why, PeerupError):
            return why
        return ConnectionClosedError(f"the connection broke: {why}" if why else "the peer hung up")


def hung_up(why: BaseException | None) -> bool:
    """Whether the other side ended the bytes under a connection without giving a reason.

    A go peer that does not authorize us does so behind the handshake, so that before its first
    frame the end means just that. A circuit is reset then.
    """
    if isinstance(why, StreamResetError):
        return why.by_peer and why.code == StreamCode.NONE
    return why is None or not isinstance(why, PeerupError)
