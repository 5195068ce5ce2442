"""Event loops for tests: one whose clock jumps, and the real one with a hard limit.

On the virtual loop a timer of 22 hours costs nothing: whenever every task waits, the loop moves
its clock to the next timer instead of sleeping. Nothing depends on the speed of the machine, so a
test may say exactly when things happen:

    def test_a_reservation_is_renewed_before_it_ends(run: RunVirtual) -> None:
        async def main() -> None:
            ...
            await asyncio.sleep(3600)
            assert ...

        run(main())

Both runners also fail a test that leaves tasks behind, or whose loop reported an error that
nobody caught.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import selectors
import signal
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from concurrent.futures import Executor
    from types import FrameType

    from _typeshed import FileDescriptorLike

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START: Final = 1000.0
"""Virtual time at the start, in seconds: not 0, which is too easily taken for "never"."""

HORIZON: Final = 48 * 3600.0
"""Virtual seconds after which a test counts as stuck in its own periodic timers."""

WALL_LIMIT: Final = 60.0
"""Real seconds a test on the virtual clock may take."""

GRACE: Final = 1.0
"""Real seconds that tasks of the real loop get to end after the test itself has ended."""


class DeadlockError(Exception):
    """Every task waits, and nothing can ever wake one of them."""


class HorizonError(Exception):
    """Timers go on and on, but what the test waits for does not happen."""


class LeftoverTasksError(Exception):
    """The test ended before tasks that it had started."""


class UncaughtError(Exception):
    """A task or callback failed, and nobody was there to take the exception."""


class RunVirtual(Protocol):
    """The type of the fixture ``run``."""

    def __call__(self, main: Coroutine[Any, Any, T], *, horizon: float = HORIZON) -> T: ...


class RunReal(Protocol):
    """The type of the fixture ``run_real``."""

    def __call__(self, main: Coroutine[Any, Any, T], *, timeout: float = 10.0) -> T: ...


class JumpingSelector(selectors.BaseSelector):
    """Never sleeps: where the loop would wait for a timer, the clock is set to that timer."""

    def __init__(self, horizon: float = HORIZON, wall_limit: float = WALL_LIMIT) -> None:
        self.now = START
        self._horizon, self._end = horizon, START + horizon
        self._wall_limit, self._wall_end = wall_limit, time.monotonic() + wall_limit
        self._inner = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if time.monotonic() > self._wall_end:
            self._wall_end += self._wall_limit  # the same again, for the tasks to be cancelled
            raise TimeoutError(f"still running after {self._wall_limit:g} s of real time")
        ready = self._inner.select(0)
        if ready:
            return ready
        if timeout is None:
            raise DeadlockError(f"every task waits and no timer is set:\n{_waiting()}")
        self.now += max(timeout, 0.0)
        if self.now > self._end:
            self._end += self._horizon  # likewise
            raise HorizonError(f"nothing but timers for {self.now - START:.0f} s:\n{_waiting()}")
        return ready

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Any:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time.

    Work for threads is done in place: a clock that jumps cannot wait for another thread.
    Sockets do not work on it, as nobody waits for the operating system either.
    """

    def __init__(self, horizon: float = HORIZON, wall_limit: float = WALL_LIMIT) -> None:
        self._jumping = JumpingSelector(horizon, wall_limit)
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as why:  # noqa: BLE001 - it belongs to whoever awaits the future
            done.set_exception(why)
        return done


def run_virtual(
    main: Coroutine[Any, Any, T], *, horizon: float = HORIZON, wall_limit: float = WALL_LIMIT
) -> T:
    """Run ``main`` on a virtual loop and return its result; nothing may be left running.

    Args:
        main: What to run.
        horizon: Virtual seconds it may take.
        wall_limit: Real seconds it may take.

    Raises:
        DeadlockError: Nothing can happen any more.
        HorizonError: The horizon was passed.
        LeftoverTasksError: ``main`` ended before tasks that it had started.
        UncaughtError: An exception reached nobody but the loop.
        TimeoutError: The limit of real time was passed.
    """
    # The selector stops what keeps the loop busy; the signal gets what blocks it.
    with wall_clock_limit(wall_limit + 2 * GRACE):
        return _run(main, lambda: VirtualLoop(horizon, wall_limit), grace=0.0)


def run_real(main: Coroutine[Any, Any, T], *, timeout: float = 10.0) -> T:
    """Run ``main`` on the real clock and real sockets, for at most ``timeout`` seconds.

    For what only the operating system can answer: sockets, processes, files that are watched.
    Tasks get a second to end after ``main``; then the same is asked as on the virtual loop.
    """

    async def limited() -> T:
        async with asyncio.timeout(timeout):
            return await main

    # The loop's own timeout gives the better traceback; the signal gets what blocks the loop.
    with wall_clock_limit(timeout + 2 * GRACE):
        return _run(limited(), asyncio.new_event_loop, grace=GRACE)


@contextlib.contextmanager
def wall_clock_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError from the block when it takes longer than this, wherever it then is.

    A last resort: a loop that is interrupted between two steps may lose one of its tasks.
    """

    class Expired(KeyboardInterrupt):
        """Not an Exception, so neither asyncio nor the code under test keeps it to itself."""

    def expire(signum: int, frame: FrameType | None) -> None:
        raise Expired

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again each second: tasks may hold it up
    try:
        yield
    except Expired:
        raise TimeoutError(f"still running after {seconds:g} s of real time") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _run(
    main: Coroutine[Any, Any, T],
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    *,
    grace: float,
) -> T:
    uncaught: list[dict[str, Any]] = []

    async def checked() -> T:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: uncaught.append(context)
        )
        result = await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left and grace:
            _, left = await asyncio.wait(left, timeout=grace)
        if left:
            raise LeftoverTasksError("\n".join(sorted(map(_describe, left))))
        return result

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        result = runner.run(checked())
    if uncaught:
        first = uncaught[0]
        raise UncaughtError(first["message"]) from first.get("exception")
    return result


def _waiting() -> str:
    return "\n".join(sorted(map(_describe, asyncio.all_tasks())))


def _describe(task: asyncio.Task[Any]) -> str:
    """Name a task and the innermost of the coroutines in which it waits."""
    inner: Any = task.get_coro()
    while inspect.iscoroutine(inner) and inspect.iscoroutine(inner.cr_await):
        inner = inner.cr_await
    frame = getattr(inner, "cr_frame", None)
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "its end"
    return f"  {task.get_name()}: {getattr(inner, '__qualname__', inner)} at {where}"
