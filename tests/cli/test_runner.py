from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from peerup.cli import runner
from peerup.errors import ConfigError, DialError, NotAuthorizedError

Main = Callable[[], Awaitable[int]]
Capture = pytest.CaptureFixture[str]

ARGS = argparse.Namespace(verbose=False)
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


def test_the_result_of_the_coroutine_is_the_exit_code() -> None:
    async def main() -> int:
        await asyncio.sleep(0)
        return 3

    assert runner.run_async(main) == 3


@SIGNALS
def test_a_signal_leaves_the_coroutine_in_order(number: int) -> None:
    left: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        runner.run_async(interrupted(number, left))
    assert left == ["in order"]


def test_a_second_signal_hurries_a_slow_end() -> None:
    left: list[str] = []

    async def main() -> int:
        try:
            await interrupted(signal.SIGTERM, left)()
        finally:
            await interrupted(signal.SIGTERM, left)()
        return 0

    with pytest.raises(KeyboardInterrupt):
        runner.run_async(main)
    assert left == ["in order", "in order"]


def test_afterwards_signals_do_what_they_did_before() -> None:
    before = {number: signal.getsignal(number) for number in runner.STOP_SIGNALS}
    with pytest.raises(KeyboardInterrupt):
        runner.run_async(interrupted(signal.SIGINT, []))
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
        runner.run_async(raising(NotAuthorizedError("no")))


def test_an_error_on_purpose_comes_out_of_task_groups_too() -> None:
    inner = ExceptionGroup("inner", [ConfigError("first")])
    with pytest.raises(ConfigError, match="first"):
        runner.run_async(raising(inner, DialError("x", {})))


def test_a_bug_is_not_hidden_by_an_error_on_purpose() -> None:
    with pytest.raises(ExceptionGroup, match="several"):
        runner.run_async(raising(ConfigError("x"), ZeroDivisionError()))
