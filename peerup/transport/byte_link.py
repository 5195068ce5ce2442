"""Moves a yamux session's bytes over a secure channel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from peerup.errors import ConnectionClosedError, NotAuthorizedError, PeerupError
from peerup.transport.muxed import ConnectionInfo, MuxedConnection
from peerup.wire.yamux import PROTOCOL_ERROR, Session

if TYPE_CHECKING:
    from peerup.transport.limits import ByteBudget
    from peerup.transport.secure import NoiseChannel

WRITE_TIMEOUT_S: Final = 30.0  # a peer that takes nothing for so long is gone
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
        self._heard = False  # whether the peer sent at least one frame
        self._finishing = False
        self._wake = asyncio.Event()
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
            for handle in (self._timer, self._deadline):
                if handle is not None:
                    handle.cancel()
            self.conn.fail(self._explain(reason))
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
            self.conn.fail(why)
        except OSError as why:
            self.conn.fail(self._explain(why))
        self.finish()

    def _take(self, pieces: list[bytes]) -> None:
        self._heard = True
        for piece in pieces:
            self._session.receive(piece, self._loop.time())
        self.conn.dispatch()

    async def _pump_out(self) -> None:
        while True:
            while parts := self._session.parts_to_send():
                self.conn.dispatch()  # writers may go on while these bytes are on their way
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await self._channel.write_batch(parts)
            if self._finishing:
                return
            self._wake.clear()
            if not self._session.pending:
                await self._wake.wait()

    def _arm(self) -> None:
        at = self._session.next_timer()
        self._timer = None if at is None else self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._session.handle_timer(self._loop.time())
        self.conn.dispatch()
        self._arm()

    def _explain(self, why: BaseException | None) -> PeerupError:
        """Say what the end of the link means.

        A go peer that does not authorize us closes after the handshake without a word, so
        an end before its first frame means just that.
        """
        if isinstance(why, PeerupError):
            return why
        if not self._heard and not self.conn.inbound:
            return NotAuthorizedError("the peer hung up right after we proved who we are")
        return ConnectionClosedError(f"the connection broke: {why}" if why else "the peer hung up")
