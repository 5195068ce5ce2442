"""The clock of the tests, tested: it decides what all other tests may rely on."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.sim.clock import (
    HORIZON,
    START,
    DeadlockError,
    HorizonError,
    LeftoverTasksError,
    RunReal,
    RunVirtual,
    UncaughtError,
    run_real,
    run_virtual,
    wall_clock_limit,
)


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def test_a_day_of_sleeping_takes_no_real_time() -> None:
    async def main() -> float:
        await asyncio.sleep(24 * 3600)
        return asyncio.get_running_loop().time()

    before = time.monotonic()
    assert run_virtual(main()) == START + 24 * 3600
    assert time.monotonic() - before < 5.0


def test_timers_fire_in_their_order_and_at_their_time() -> None:
    seen: list[tuple[str, float]] = []

    async def tick(name: str, after: float) -> None:
        await asyncio.sleep(after)
        seen.append((name, asyncio.get_running_loop().time() - START))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for name, after in [("c", 3600.0), ("a", 0.001), ("b", 60.0)]:
                group.create_task(tick(name, after))

    run_virtual(main())
    assert [name for name, _ in seen] == ["a", "b", "c"]
    assert [at for _, at in seen] == pytest.approx([0.001, 60.0, 3600.0])


def test_a_timeout_expires_on_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await forever()
        return asyncio.get_running_loop().time() - START

    assert run_virtual(main()) == pytest.approx(60)


def test_what_can_never_go_on_is_a_deadlock_that_names_who_waits() -> None:
    with pytest.raises(DeadlockError, match=r"forever at .*test_clock\.py"):
        run_virtual(forever())


def test_a_periodic_timer_does_not_hide_a_deadlock() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(forever())
            while True:
                await asyncio.sleep(600)

    with pytest.raises(HorizonError, match="forever"):
        run_virtual(main())


def test_a_longer_horizon_can_be_asked_for() -> None:
    run_virtual(asyncio.sleep(2 * HORIZON), horizon=3 * HORIZON)


def test_thread_work_is_done_in_place() -> None:
    async def main() -> tuple[int, float]:
        with pytest.raises(ValueError, match="invalid literal"):
            await asyncio.to_thread(int, "x")
        return await asyncio.to_thread(int, "7"), asyncio.get_running_loop().time()

    assert run_virtual(main()) == (7, START)


def test_a_task_left_over_fails_the_test_that_left_it() -> None:
    async def main() -> None:
        task = asyncio.get_running_loop().create_task(forever())
        await asyncio.sleep(1)
        assert not task.done()

    with pytest.raises(LeftoverTasksError, match="forever"):
        run_virtual(main())


def test_an_exception_that_reached_only_the_loop_fails_the_test() -> None:
    def crash() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        asyncio.get_running_loop().call_later(1, crash)
        await asyncio.sleep(2)

    with pytest.raises(UncaughtError, match="crash") as caught:
        run_virtual(main())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_errors_and_results_pass_through() -> None:
    async def fail() -> None:
        raise LookupError("as it is")

    async def give() -> str:
        return "as it is"

    with pytest.raises(LookupError, match="as it is"):
        run_virtual(fail())
    assert run_virtual(give()) == "as it is"


def test_a_loop_that_never_waits_is_stopped_by_the_real_clock() -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(TimeoutError, match="real time"):
        run_virtual(spin(), wall_limit=0.05)


def test_what_blocks_the_loop_is_stopped_by_a_signal() -> None:
    async def block() -> None:
        while True:
            pass

    def run_blocking() -> None:
        with asyncio.Runner() as runner:
            runner.run(block())

    with pytest.raises(TimeoutError, match="real time"), wall_clock_limit(0.05):
        run_blocking()


def test_the_real_runner_has_a_hard_limit() -> None:
    before = time.monotonic()
    with pytest.raises(TimeoutError):
        run_real(forever(), timeout=0.05)
    assert time.monotonic() - before < 5.0


def test_the_real_runner_waits_a_moment_for_tasks_that_are_about_to_end() -> None:
    async def main() -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(asyncio.sleep(0.01))

    assert run_real(main()).done()


def test_the_fixture_is_the_virtual_clock(run: RunVirtual) -> None:
    run(asyncio.sleep(24 * 3600))


@pytest.mark.real_clock
def test_the_other_fixture_is_the_real_clock(run_real: RunReal) -> None:
    async def main() -> float:
        before = time.monotonic()
        await asyncio.sleep(0.02)
        return time.monotonic() - before

    assert run_real(main()) >= 0.019
