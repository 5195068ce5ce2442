from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from peerup.errors import LimitError, PeerupError
from peerup.tasks import Supervisor, contained

if TYPE_CHECKING:
    from tests.sim.clock import RunVirtual


def now() -> float:
    return asyncio.get_running_loop().time()


async def forever() -> None:
    await asyncio.Event().wait()


class Broken(Exception):  # noqa: N818 - not an error of ours
    """A bug."""


def test_children_run_beside_each_other(run: RunVirtual) -> None:
    async def main() -> None:
        done = []

        async def work(name: str, seconds: float, *, suffix: str = "") -> None:
            await asyncio.sleep(seconds)
            done.append(name + suffix)

        began = now()
        async with Supervisor() as tasks:
            tasks.spawn(work, "slow", 2)
            tasks.spawn(work, "quick", 1, suffix="!")
            assert len(tasks) == 2
            await asyncio.sleep(3)
            assert len(tasks) == 0
        assert done == ["quick!", "slow"]
        assert now() - began == 3

    run(main())


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (LimitError("too much"), "DEBUG"),
        (ConnectionResetError("gone"), "DEBUG"),
        (TimeoutError(), "DEBUG"),
        (Broken("oops"), "ERROR"),
    ],
)
def test_a_child_that_fails_fails_alone(
    run: RunVirtual, caplog: pytest.LogCaptureFixture, error: Exception, level: str
) -> None:
    async def main() -> None:
        async def fail() -> None:
            raise error

        async with Supervisor() as tasks:
            sibling = tasks.spawn(forever)
            assert sibling is not None
            tasks.spawn(fail)
            await asyncio.sleep(1)
            assert not sibling.done()

    caplog.set_level(logging.DEBUG, logger="peerup")
    run(main())
    (record,) = (record for record in caplog.records if record.name == "peerup.tasks")
    assert record.levelname == level
    assert "fail" in record.getMessage()
    assert bool(record.exc_info) is (level == "ERROR"), "a traceback for bugs only"
    if level == "DEBUG":
        assert (str(error) or "TimeoutError") in record.getMessage()


def test_leaving_the_block_cancels_and_awaits_all(run: RunVirtual) -> None:
    async def main() -> None:
        cleaned = []

        async def work(name: str) -> None:
            try:
                await forever()
            finally:
                await asyncio.sleep(1)
                cleaned.append(name)

        async with Supervisor() as tasks:
            for name in "abc":
                tasks.spawn(work, name)
            await asyncio.sleep(1)
        assert sorted(cleaned) == ["a", "b", "c"]

    run(main())


def test_a_child_spawned_a_moment_ago_still_cleans_up(run: RunVirtual) -> None:
    async def main() -> None:
        let_go = []

        async def hold(what: str) -> None:
            try:
                await forever()
            finally:
                let_go.append(what)

        async with Supervisor() as tasks:
            tasks.spawn(hold, "a socket")
        assert let_go == ["a socket"]

    run(main())


@pytest.mark.parametrize("error", [Broken(), PeerupError(), KeyError()])
def test_an_error_in_the_block_passes_as_it_is(run: RunVirtual, error: Exception) -> None:
    async def main() -> None:
        async def work() -> None:
            async with Supervisor() as tasks:
                tasks.spawn(forever)
                raise error

        with pytest.raises(type(error)) as caught:
            await work()
        assert caught.value is error

    run(main())


def test_cancelling_the_block_cancels_the_children(run: RunVirtual) -> None:
    async def main() -> None:
        child: list[asyncio.Task[None]] = []

        async def owner() -> None:
            async with Supervisor() as tasks:
                spawned = tasks.spawn(forever)
                assert spawned is not None
                child.append(spawned)
                await forever()

        task = asyncio.create_task(owner())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert child[0].cancelled()

    run(main())


def test_cancelling_it_again_while_it_closes_does_not_leave_children_behind(
    run: RunVirtual,
) -> None:
    async def main() -> None:
        children = []

        async def slow_to_go() -> None:
            try:
                await forever()
            finally:
                await asyncio.sleep(1)

        async def owner() -> None:
            async with Supervisor() as tasks:
                children.append(tasks.spawn(slow_to_go))
                await forever()

        for pause in (0, 0.5):
            task = asyncio.create_task(owner())
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.sleep(pause)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            child = children.pop()
            assert child is not None
            assert child.done()

    run(main())


def test_the_owner_may_cancel_one_child_early(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            one, two = tasks.spawn(forever), tasks.spawn(forever)
            assert one is not None
            assert two is not None
            one.cancel()
            await asyncio.sleep(1)
            assert one.cancelled()
            assert not two.done()
            assert len(tasks) == 1

    run(main())


def test_nothing_is_started_before_or_after(run: RunVirtual) -> None:
    async def main() -> None:
        started = []

        async def work() -> None:
            started.append(True)

        async def spawn_late(tasks: Supervisor) -> None:
            try:
                await forever()
            finally:
                assert tasks.spawn(work) is None

        tasks = Supervisor()
        assert tasks.spawn(work) is None
        async with tasks:
            tasks.spawn(spawn_late, tasks)
            await asyncio.sleep(1)
        assert tasks.spawn(work) is None
        assert started == []

    run(main())


def test_children_may_spawn_children(run: RunVirtual) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:

            async def parent() -> None:
                tasks.spawn(forever)

            tasks.spawn(parent)
            await asyncio.sleep(1)
            assert len(tasks) == 1

    run(main())


def test_spawn_takes_any_callable(run: RunVirtual, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        class Work:
            def __call__(self) -> asyncio.Future[None]:
                failed = asyncio.get_running_loop().create_future()
                failed.set_exception(OSError("no"))
                return failed

        async with Supervisor() as tasks:
            tasks.spawn(Work())
            await asyncio.sleep(1)

    caplog.set_level(logging.DEBUG, logger="peerup")
    run(main())
    assert "Work object" in caplog.text


def test_contained_work_just_runs() -> None:
    done: list[str] = []
    contained(lambda: done.append("worked"), lambda: done.append("cleaned up"))
    assert done == ["worked"]


def test_contained_work_that_crashes_is_loud_and_cleaned_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def work() -> None:
        raise Broken

    done: list[str] = []
    contained(work, lambda: done.append("cleaned up"))
    assert done == ["cleaned up"]
    assert "work crashed" in caplog.text


def test_contained_work_lets_an_interrupt_through() -> None:
    def work() -> None:
        raise KeyboardInterrupt

    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        contained(work, lambda: done.append("cleaned up"))
    assert done == []
