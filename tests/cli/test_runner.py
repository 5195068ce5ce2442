from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import pytest

from peerup.cli import runner
from peerup.errors import ConfigError, DialError, NotAuthorizedError

Main = Callable[[], Awaitable[int]]
Capture = pytest.CaptureFixture[str]

ARGS = argparse.Namespace(verbose=False)
LOOPS = pytest.mark.parametrize("uvloop", [False, True])
SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def interrupted(number: int, left: list[str]) -> Main:
    """A main that a signal reaches while it waits, and that takes its time to leave."""

    async def main() -> int:
        try:
            os.kill(os.getpid(), number)
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            left.append("in order")
        return 0

    return main


@LOOPS
def test_the_result_of_the_coroutine_is_the_exit_code(uvloop: bool) -> None:
    async def main() -> int:
        await asyncio.sleep(0)
        return 3

    assert runner.run_async(main, uvloop=uvloop) == 3


def test_the_faster_loop_is_for_those_who_ask() -> None:
    names = []

    async def main() -> int:
        names.append(type(asyncio.get_running_loop()).__module__)
        return 0

    runner.run_async(main, uvloop=False)
    runner.run_async(main, uvloop=True)
    assert names == ["asyncio.unix_events", "uvloop"]


def test_without_uvloop_the_ordinary_loop_does(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        return 0 if isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop) else 1

    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert runner.run_async(main, uvloop=True) == 0


@LOOPS
@SIGNALS
def test_a_signal_leaves_the_coroutine_in_order(number: int, uvloop: bool) -> None:
    left: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        runner.run_async(interrupted(number, left), uvloop=uvloop)
    assert left == ["in order"]


@LOOPS
def test_a_second_signal_hurries_a_slow_end(uvloop: bool) -> None:
    left: list[str] = []

    async def main() -> int:
        try:
            await interrupted(signal.SIGTERM, left)()
        finally:
            await interrupted(signal.SIGTERM, left)()
        return 0

    with pytest.raises(KeyboardInterrupt):
        runner.run_async(main, uvloop=uvloop)
    assert left == ["in order", "in order"]


@LOOPS
def test_afterwards_signals_do_what_they_did_before(uvloop: bool) -> None:
    before = {number: signal.getsignal(number) for number in runner.STOP_SIGNALS}
    with pytest.raises(KeyboardInterrupt):
        runner.run_async(interrupted(signal.SIGINT, []), uvloop=uvloop)
    assert {number: signal.getsignal(number) for number in runner.STOP_SIGNALS} == before


def test_a_signal_is_how_a_long_running_command_ends_well(capsys: Capture) -> None:
    assert runner.run_until_stopped(interrupted(signal.SIGTERM, []), ARGS) == 0
    assert capsys.readouterr().err == "Stopped.\n"


def test_a_signal_interrupts_any_other_command() -> None:
    with pytest.raises(KeyboardInterrupt):
        runner.run_once(interrupted(signal.SIGINT, []), ARGS)


def raising(*errors: Exception) -> Main:
    async def main() -> int:
        if len(errors) == 1:
            raise errors[0]
        raise ExceptionGroup("several", errors)

    return main


def test_an_error_on_purpose_comes_out_as_it_is() -> None:
    with pytest.raises(NotAuthorizedError):
        runner.run_async(raising(NotAuthorizedError("no")), uvloop=False)


def test_an_error_on_purpose_comes_out_of_task_groups_too() -> None:
    inner = ExceptionGroup("inner", [ConfigError("first")])
    with pytest.raises(ConfigError, match="first"):
        runner.run_async(raising(inner, DialError("x", {})), uvloop=False)


def test_a_bug_is_not_hidden_by_an_error_on_purpose() -> None:
    with pytest.raises(ExceptionGroup, match="several"):
        runner.run_async(raising(ConfigError("x"), ZeroDivisionError()), uvloop=False)
