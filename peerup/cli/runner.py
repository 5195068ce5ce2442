"""Runs the coroutine of a command, with signals in order."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from peerup.cli import logging_setup, output
from peerup.errors import PeerupError

if TYPE_CHECKING:
    import argparse

Main = Callable[[], Awaitable[int]]

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run_once(main: Main, args: argparse.Namespace) -> int:
    """Run a command that ends by itself; KeyboardInterrupt when a signal ended it."""
    logging_setup.set_up(long_running=False, verbose=args.verbose)
    return run_async(main)


def run_until_stopped(main: Main, args: argparse.Namespace, *, log: bool = True) -> int:
    """Run a command that a signal is the ordinary way to end; then its exit code is 0.

    ``log`` shows what goes on (level INFO); a command with little to tell turns it off.
    """
    logging_setup.set_up(long_running=log, verbose=args.verbose)
    try:
        return run_async(main)
    except KeyboardInterrupt:
        output.progress("Stopped.")
        return 0


def run_async(main: Main) -> int:
    """Run ``main`` in a new event loop and return its exit code.

    SIGINT and SIGTERM cancel it, so that every ``async with`` on the way is left in order; so
    does a second signal, in case leaving takes long.

    Raises:
        KeyboardInterrupt: A signal stopped it.
        PeerupError: What ``main`` raised, also when it comes out of a task group.
    """
    stopped = False
    gc.freeze()  # what is loaded by now stays to the end
    gc.enable()

    async def supervised() -> int:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop() -> None:
            nonlocal stopped
            stopped = True
            task.cancel()

        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stop)
        try:
            return await main()
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)

    with asyncio.Runner() as runner:
        try:
            return runner.run(supervised())
        except asyncio.CancelledError:  # the outermost place: there is nothing left to cancel
            if not stopped:
                raise
            raise KeyboardInterrupt from None
        except ExceptionGroup as group:
            raise _first_expected(group) or group from None


def _first_expected(group: ExceptionGroup[Exception]) -> PeerupError | None:
    """Return an error that we raise on purpose, if the group holds nothing else."""
    expected, unexpected = group.split(PeerupError)
    if expected is None or unexpected is not None:
        return None
    error: BaseException = expected
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, PeerupError)
    return error
