"""Two file descriptors as a ``ByteStream``: what a process reads, and what it writes.

They may be pipes, terminals, sockets or files, and others may share them. So they stay as
blocking as they were: ``O_NONBLOCK`` belongs to the open file, not to us, and would surprise
whoever has it too, such as the shell at the same terminal. What the event loop can watch is read
when there is something to read; all else that may block, blocks a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import select
import threading
from typing import TYPE_CHECKING, Final, TypeVar

from peerup.errors import ConnectionClosedError, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PIPE_SIZE: Final = 1024 * 1024
SET_PIPE_SIZE: Final[int | None] = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux has it
LINGER_S: Final = 0.5  # of silence, after which an input that nobody ends counts as ended


class DescriptorStream:
    """See ``transport.base.ByteStream``, with one difference, which makes it fit for a console.

    Once the far side has finished (``close_write``), there is mostly nobody who still listens, and
    an input such as a terminal may never end by itself. So what comes without a pause of
    ``linger`` seconds is still read, and then the input counts as ended.
    """

    def __init__(self, source: int | None, target: int, *, linger: float = LINGER_S) -> None:
        """Take over ``target``, which is closed with the stream, and read from ``source``.

        Args:
            source: A descriptor that is left open; None for no input at all.
            target: A descriptor of ours alone.
            linger: Seconds, see above.
        """
        self._source = source
        self._target = target
        for descriptor in (source, target):
            _widen(descriptor)
        self._linger = linger
        self._loop = asyncio.get_running_loop()
        self._input: _Blocking | None = None  # where the loop cannot watch it: a file
        self._reading: asyncio.Future[bytes] | None = None
        self._output = _Blocking(self._loop)
        self._waiter: asyncio.Future[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._writing = False
        self._over = source is None
        self._finished = False
        self._closed: ConnectionClosedError | None = None
        self.written = 0

    async def read(self, max_bytes: int = 65536) -> bytes:
        if self._waiter is not None:
            raise LocalProtocolError("two tasks read one descriptor")
        while True:
            if self._closed is not None:
                raise self._closed
            if self._over or self._source is None:
                return b""
            if self._input is None and not await self._readable(self._source):
                self._input = _Blocking(self._loop)
            if self._over or self._closed is not None:
                continue
            try:
                data = await self._read_now(self._source, max_bytes)
            except BlockingIOError:  # somebody was quicker, or made it non-blocking
                continue
            self._over = not data
            if self._patience is not None:
                self._be_patient()
            return data

    async def _read_now(self, source: int, max_bytes: int) -> bytes:
        if self._input is None:
            return os.read(source, max_bytes)
        if self._reading is None:
            self._reading = self._input.call(os.read, source, max_bytes)
        data = await asyncio.shield(self._reading)  # one that is cancelled loses nothing
        self._reading = None
        return data

    async def _readable(self, source: int) -> bool:
        """Wait until there is something to read; False if the loop cannot tell."""
        self._waiter = self._loop.create_future()
        try:
            self._loop.add_reader(source, _wake, self._waiter)
        except PermissionError:
            self._waiter = None
            return False
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._loop.remove_reader(source)
        return True

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._writing:
            raise LocalProtocolError("two tasks write to one descriptor")
        if self._closed is not None:
            raise self._closed
        if self._finished:
            raise LocalProtocolError("write after close_write")
        self._writing = True
        try:
            await self._output.call(_write_all, self._target, bytes(data))
        finally:
            self._writing = False
        self.written += len(data)

    def close_write(self) -> None:
        if not self._finished:
            self._finished = True
            self._output.call(_close, self._target)  # after what is being written
            self._output.stop()
            self._be_patient()

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self._loop.call_later(self._linger, self._give_up)

    def _give_up(self) -> None:
        self._over = True
        _wake(self._waiter)

    def close(self) -> None:
        self.close_write()
        self._shut(ConnectionClosedError("we closed the descriptor"))

    def reset(self, code: int = 0) -> None:
        """Give up; the target stays open, as whoever reads it would see an end in order.

        It ends with the process, whose exit code tells, and which may say why before.
        """
        if not self._finished:
            self._finished = True
            self._output.stop()
        self._shut(ConnectionClosedError("we gave up on the descriptor"))

    def _shut(self, reason: ConnectionClosedError) -> None:
        if self._closed is None:
            self._closed = reason
            if self._patience is not None:
                self._patience.cancel()
            if self._input is not None:
                self._input.stop()
            _wake(self._waiter)


class _Blocking:
    """Makes calls that may block, one after the other, in a thread that nobody waits for.

    A thread of an executor would be waited for when the program ends, however long its call takes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = False

    def call(self, work: Callable[..., T], *args: object) -> asyncio.Future[T]:
        """Return what ``work`` returns or raises, an OSError."""
        done: asyncio.Future[T] = self._loop.create_future()
        done.add_done_callback(_look_at)

        def run() -> None:
            try:
                result = work(*args)
            except OSError as why:
                self._tell(_fail, done, why)
            else:
                self._tell(_succeed, done, result)

        self._calls.put(run)
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name="peerup descriptor", daemon=True).start()
        return done

    def stop(self) -> None:
        """End the thread after the calls that were made so far. Idempotent."""
        self._calls.put(None)

    def _run(self) -> None:
        while (run := self._calls.get()) is not None:
            run()

    def _tell(self, callback: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody wants to know
            self._loop.call_soon_threadsafe(callback, *args)


def _succeed(done: asyncio.Future[T], result: T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[T], why: OSError) -> None:
    if not done.done():
        done.set_exception(why)


def _look_at(done: asyncio.Future[T]) -> None:
    """Keep asyncio from complaining about an error that came when nobody waited any more."""
    if not done.cancelled():
        done.exception()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _write_all(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:  # it was non-blocking when we got it
            select.select([], [target], [])


def _widen(descriptor: int | None) -> None:
    """Let a pipe hold what we move at once, where the system can do that: a third faster."""
    if descriptor is not None and SET_PIPE_SIZE is not None:
        with contextlib.suppress(OSError):  # it is no pipe, or this user has many
            fcntl.fcntl(descriptor, SET_PIPE_SIZE, PIPE_SIZE)


def _close(target: int) -> None:
    os.close(target)
