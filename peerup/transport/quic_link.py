"""Moves a QUIC connection's datagrams: between its engine, its socket and its timers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from peerup.errors import ConnectionClosedError, PeerupError
from peerup.tasks import contained
from peerup.transport.muxed import ConnectionInfo, MuxedConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peerup.transport.endpoints import Endpoints
    from peerup.transport.limits import ByteBudget
    from peerup.transport.quic_engine import QuicEngine

Address = tuple[Any, ...]

FINISH_S: Final = 1.0  # for the close to be sent, and repeated to a peer that still talks


class QuicLink:
    """One connection's place on the event loop.

    The future ``handshake`` says how the handshake ended; ``connect`` then makes the
    ``MuxedConnection``.
    """

    def __init__(
        self,
        engine: QuicEngine,
        send: Callable[[Iterable[tuple[bytes, Address]]], None],
        on_ids: Callable[[QuicLink], None],
        on_end: Callable[[QuicLink], None],
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Join an engine to a socket.

        Args:
            engine: The connection.
            send: Sends datagrams.
            on_ids: Told after each turn that connection ids came or went.
            on_end: Told once, when nothing more will be sent or received.
            clock: The time in seconds, the one that the engine began with; the event loop's
                if there is none. That of uvloop counts whole milliseconds, which is too coarse
                to measure round trips with and to pace by.
        """
        self.engine = engine
        self.ids: set[bytes] = set()  # connection ids that lead here; its endpoint keeps them
        self._send, self._on_ids, self._on_end = send, on_ids, on_end
        self._loop = asyncio.get_running_loop()
        self._clock = clock or self._loop.time
        self._latest = 0.0  # what the engine was told last
        self._queued = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._ended = False
        self._conn: MuxedConnection | None = None
        self.handshake: asyncio.Future[None] = self._loop.create_future()
        self.handshake.add_done_callback(lambda done: done.cancelled() or done.exception())

    def connect(self, ends: Endpoints, budget: ByteBudget) -> MuxedConnection:
        """Return the connection; what has arrived on it already is delivered."""
        peer = self.engine.peer
        info = ConnectionInfo(peer=peer.peer, public_key=peer.public_key, ends=ends)
        self._conn = MuxedConnection(info, self.engine, self, budget)
        self._turn()
        return self._conn

    def receive(self, datagrams: list[bytes], address: Address) -> None:
        """Take a batch from the socket."""

        def work() -> None:
            self.engine.receive(datagrams, address, self._now())
            self._turn()

        if not self._ended:
            contained(work, self._crashed)

    def take_reset(self, token: bytes) -> bool:
        """End at once if ``token`` shows that the peer lost the connection; say whether it did."""
        taken = self.engine.take_reset(token)
        if taken:
            contained(self._turn, self._crashed)
        return taken

    def flush(self) -> None:
        """Transmit once per turn of the event loop, however many calls ask for it.

        In a handshake at once: nobody has anything to add.
        """
        if self._ended:
            return
        if self._conn is None and not self.engine.terminated:
            self._transmit()
        elif not self._queued:
            self._queued = True
            self._loop.call_soon(self._transmit)

    def finish(self) -> None:
        self.flush()
        if self._deadline is None and not self._ended:
            self._deadline = self._loop.call_later(FINISH_S, self._end)

    def abort(self, code: int) -> None:
        """Close a connection that nobody has got hold of yet."""
        self.engine.close(code)
        self.finish()

    def _turn(self) -> None:
        """Act on what the engine has to say after it was fed."""
        engine = self.engine
        if not self.handshake.done():
            if engine.failure is not None:
                self.handshake.set_exception(engine.failure)
            elif engine.established:
                self.handshake.set_result(None)
        self._tell_ids()
        if self._conn is not None:
            if engine.failure is not None:
                self._conn.fail(engine.failure)
            self._conn.dispatch()
        self.flush()
        if engine.terminated:
            self._end()

    def _crashed(self) -> None:
        """A bug, of ours or aioquic's: this connection is over, and no other notices."""
        self.engine.failure = self.engine.failure or ConnectionClosedError("an internal error")
        self.engine.terminated = True
        self._end()

    def _transmit(self) -> None:
        self._queued = False
        if not self._ended:
            contained(self._send_now, self._crashed)

    def _tell_ids(self) -> None:
        if self.engine.new_ids or self.engine.old_ids:
            self._on_ids(self)

    def _send_now(self) -> None:
        out = self.engine.datagrams_to_send(self._now())
        self._tell_ids()  # the peer may use one as soon as it arrives
        if out:
            self._send(out)
        if self._conn is not None:
            self._conn.dispatch_events()
        if self.engine.terminated:
            self._turn()
            return
        self._arm()

    def _arm(self) -> None:
        at = self.engine.next_timer()
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = None
        if at is not None:
            self._timer = self._loop.call_later(at - self._clock(), self._on_timer)

    def _on_timer(self) -> None:
        at, self._timer_at, self._timer = self._timer_at, None, None
        # The loop may call a moment early; the engine must not conclude that nothing is due.
        self._latest = max(self._latest, at or 0.0)
        contained(self._pass_time, self._crashed)

    def _pass_time(self) -> None:
        self.engine.handle_timer(self._now())
        self._turn()

    def _now(self) -> float:
        """Return the time, which never goes back: a timer that came early is on time."""
        self._latest = max(self._latest, self._clock())
        return self._latest

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        for handle in (self._timer, self._deadline):
            if handle is not None:
                handle.cancel()
        if not self.handshake.done():
            self.handshake.set_exception(self._reason())
        if self._conn is not None:
            self._conn.fail(self._reason())
            self._conn.ended()
        self._on_end(self)

    def _reason(self) -> PeerupError:
        return self.engine.failure or ConnectionClosedError()
