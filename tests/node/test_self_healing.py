"""A daemon that starts anew when its configuration does, and archives the one that runs well."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from peerup.config import archive, confirm, side_files
from peerup.errors import ConfigError, DialError
from peerup.node.presence import IdentityInUseError
from peerup.node.self_healing import HEALTHY_S
from tests.node.guarded import SOON, TIMEOUT, Daemon, parse
from tests.sim.clock import RunVirtual


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path / "config.yaml")


def test_w01_a_running_daemon_takes_up_what_is_applied_and_keeps_what_is_confirmed(
    run: RunVirtual, daemon: Daemon
) -> None:
    async def main() -> None:
        async with daemon.up():
            daemon.apply("two")
            await asyncio.sleep(SOON)
            assert daemon.started == ["one", "two"]
            confirm.confirm(daemon.path, now=daemon.wall())
            await asyncio.sleep(10 * TIMEOUT)
            assert daemon.started == ["one", "two"]
            assert daemon.running == 1

    run(main())
    assert daemon.path.read_text() == "two"
    assert daemon.running == 0


def test_w01_what_is_not_confirmed_is_taken_back_at_the_deadline(
    run: RunVirtual, daemon: Daemon
) -> None:
    async def main() -> None:
        async with daemon.up():
            daemon.apply("two")
            await asyncio.sleep(TIMEOUT - SOON)
            assert daemon.started == ["one", "two"]
            await asyncio.sleep(2 * SOON)
            assert daemon.started == ["one", "two", "one"]
            assert daemon.running == 1

    run(main())
    assert daemon.path.read_text() == "one"


def test_w01_a_second_one_gets_its_own_deadline(run: RunVirtual, daemon: Daemon) -> None:
    async def main() -> None:
        async with daemon.up():
            daemon.apply("two")
            await asyncio.sleep(TIMEOUT - SOON)
            confirm.confirm(daemon.path, now=daemon.wall())
            daemon.apply("three")
            await asyncio.sleep(TIMEOUT - SOON)
            assert daemon.started == ["one", "two", "three"]
            await asyncio.sleep(2 * SOON)
            assert daemon.started == ["one", "two", "three", "two"]

    run(main())


def test_what_is_rolled_back_meanwhile_is_taken_up(run: RunVirtual, daemon: Daemon) -> None:
    async def main() -> None:
        async with daemon.up():
            daemon.apply("two")
            await asyncio.sleep(SOON)
            confirm.revert(daemon.path, "by hand")
            await asyncio.sleep(SOON)
            assert daemon.started == ["one", "two", "one"]

    run(main())


def test_w01_applied_and_confirmed_between_two_looks_is_taken_up(
    run: RunVirtual, daemon: Daemon
) -> None:
    async def main() -> None:
        async with daemon.up():
            daemon.apply("two")
            confirm.confirm(daemon.path, now=daemon.wall())
            await asyncio.sleep(SOON)
            assert daemon.started == ["one", "two"]
            await asyncio.sleep(TIMEOUT)
            assert daemon.started == ["one", "two"]

    run(main())


def test_a_rollback_is_taken_up_and_its_undoing_too(run: RunVirtual, daemon: Daemon) -> None:
    async def main() -> None:
        archive.archive(daemon.path, "good")
        async with daemon.up():
            archive.rollback(daemon.path, parse)
            await asyncio.sleep(SOON)
            archive.undo(daemon.path, parse)
            await asyncio.sleep(SOON)
            archive.rollback(daemon.path, parse)
            await asyncio.sleep(SOON)
            assert daemon.started == ["one", "good", "one", "good"]
            daemon.write("one")  # by hand, which only a restart takes up
            await asyncio.sleep(SOON)
            archive.rollback(daemon.path, parse)
            await asyncio.sleep(SOON)
            assert daemon.started == ["one", "good", "one", "good"]

    run(main())


def test_a_rollback_that_is_only_half_done_is_waited_for(run: RunVirtual, daemon: Daemon) -> None:
    async def main() -> None:
        async with daemon.up():
            side_files.push(daemon.path, side_files.REPLACED, b"one")
            await asyncio.sleep(SOON)
            assert daemon.started == ["one"]
            daemon.write("two")
            await asyncio.sleep(SOON)
            assert daemon.started == ["one", "two"]

    run(main())


def test_a_marker_that_comes_before_its_configuration_is_waited_for(
    run: RunVirtual, daemon: Daemon
) -> None:
    async def main() -> None:
        async with daemon.up():
            daemon.apply("two")
            daemon.write("one")  # as it is between two steps of apply
            await asyncio.sleep(SOON)
            assert daemon.started == ["one"]
            daemon.write("two")
            await asyncio.sleep(SOON)
            assert daemon.started == ["one", "two"]
            daemon.write("one")
            confirm.confirm(daemon.path, now=daemon.wall())
            await asyncio.sleep(SOON)
            assert daemon.started == ["one", "two", "one"]

    run(main())


def test_what_is_applied_while_the_daemon_reads_is_taken_back_all_the_same(
    run: RunVirtual, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        settle = confirm.settle

        def applied_meanwhile(path: Path, **kw: Any) -> object:
            monkeypatch.setattr(confirm, "settle", settle)
            found = settle(path, **kw)
            daemon.apply("two")
            return found

        monkeypatch.setattr(confirm, "settle", applied_meanwhile)
        async with daemon.up():
            await asyncio.sleep(TIMEOUT - SOON)
            assert daemon.started == ["two"]
            await asyncio.sleep(2 * SOON)
            assert daemon.started == ["two", "one"]

    run(main())


def test_a_clock_that_is_set_back_puts_nothing_off(run: RunVirtual, daemon: Daemon) -> None:
    async def main() -> None:
        async with daemon.up():
            daemon.apply("two")
            await asyncio.sleep(SOON)
            daemon.jumped = -56 * 365 * 86400.0
            await asyncio.sleep(TIMEOUT)
            assert daemon.started == ["one", "two", "one"]

    run(main())


def test_a_clock_that_jumps_ahead_reverts_at_once(run: RunVirtual, daemon: Daemon) -> None:
    async def main() -> None:
        async with daemon.up():
            daemon.apply("two")
            daemon.jumped = 86400.0
            await asyncio.sleep(SOON)
            assert daemon.path.read_text() == "one"
            assert daemon.started == ["one"]

    run(main())


@pytest.mark.parametrize("late", [False, True])
def test_the_deadline_survives_a_restart(run: RunVirtual, daemon: Daemon, late: bool) -> None:
    async def main() -> None:
        async with daemon.up():
            daemon.apply("two")
        await asyncio.sleep(2 * TIMEOUT if late else TIMEOUT - SOON)
        daemon.started.clear()
        async with daemon.up():
            assert daemon.started == (["one"] if late else ["two"])
            await asyncio.sleep(2 * SOON)
            assert daemon.started == (["one"] if late else ["two", "one"])

    run(main())


def test_a_deadline_that_has_passed_counts_before_anything_is_parsed(
    run: RunVirtual, daemon: Daemon
) -> None:
    async def main() -> None:
        daemon.apply("bad: [")
        await asyncio.sleep(TIMEOUT)
        async with daemon.up():
            assert daemon.started == ["one"]

    run(main())
    kept = side_files.generations(daemon.path, side_files.REPLACED)
    assert [each.path.read_text() for each in kept] == ["bad: ["]


def test_what_is_applied_and_cannot_be_used_is_taken_back_before_the_deadline(
    run: RunVirtual, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        daemon.apply("bad: [")
        async with daemon.up():
            assert daemon.started == ["one"]

    run(main())
    assert "does not start" in caplog.text


@pytest.mark.parametrize("error", [ConfigError("no key"), OSError(98, "Address in use")])
def test_what_is_applied_and_does_not_start_is_taken_back_at_once(
    run: RunVirtual, daemon: Daemon, error: Exception
) -> None:
    async def main() -> None:
        daemon.fails["two"] = error
        async with daemon.up():
            daemon.apply("two")
            await asyncio.sleep(SOON)
            assert daemon.started == ["one", "one"]

    run(main())
    assert daemon.path.read_text() == "one"


def test_a_second_daemon_takes_nothing_back(run: RunVirtual, daemon: Daemon) -> None:
    """What was applied is not at fault: the first daemon runs by it."""

    async def main() -> None:
        daemon.apply("two")
        daemon.fails["two"] = IdentityInUseError("another one runs")
        with pytest.raises(IdentityInUseError):
            await daemon.guard.run(daemon.serve)

    run(main())
    assert daemon.path.read_text() == "two"


def test_what_does_not_start_and_was_not_applied_is_an_error(
    run: RunVirtual, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        daemon.fails["one"] = DialError("x", {})
        with pytest.raises(DialError):
            await daemon.guard.run(daemon.serve)
        archive.archive(daemon.path, "good")
        daemon.write("bad")
        with pytest.raises(ConfigError, match="bad"):
            await daemon.guard.run(daemon.serve)

    run(main())
    assert "config rollback can bring back one of 1" in caplog.text


def test_what_fails_later_ends_the_daemon_whatever_is_pending(
    run: RunVirtual, daemon: Daemon
) -> None:
    async def main() -> None:
        daemon.apply("two")
        daemon.ended = ConfigError("the disk is gone")
        with pytest.raises(ExceptionGroup):
            await daemon.guard.run(daemon.serve)

    run(main())
    assert daemon.path.read_text() == "two"


def test_work_that_ends_by_itself_ends_the_daemon_with_its_code(
    run: RunVirtual, daemon: Daemon
) -> None:
    async def done() -> None:
        await asyncio.sleep(1)

    daemon.work = done  # type: ignore[method-assign]
    run(daemon._run())
    assert daemon.code == 7
    assert daemon.started == ["one"]


def test_w21_only_what_ran_well_for_a_while_is_archived(run: RunVirtual, daemon: Daemon) -> None:
    async def main() -> None:
        async with daemon.up():
            await asyncio.sleep(HEALTHY_S - SOON)
            assert archive.generations(daemon.path) == ()
            daemon.write("edited, not running")
            await asyncio.sleep(2 * SOON)

    run(main())
    (good,) = archive.generations(daemon.path)
    assert good.path.read_text() == "one"


def test_w21_what_waits_to_be_confirmed_is_archived_only_afterwards(
    run: RunVirtual, daemon: Daemon
) -> None:
    def archived() -> list[str]:
        return [each.path.read_text() for each in archive.generations(daemon.path)]

    async def main() -> None:
        async with daemon.up():
            await asyncio.sleep(HEALTHY_S + SOON)
            daemon.apply("two")
            await asyncio.sleep(TIMEOUT - SOON)
            assert archived() == ["one"]
            confirm.confirm(daemon.path, now=daemon.wall())
            await asyncio.sleep(HEALTHY_S + SOON)
            assert archived() == ["two", "one"]

    run(main())


def test_w21_a_daemon_that_does_not_stay_up_archives_nothing(
    run: RunVirtual, daemon: Daemon
) -> None:
    async def main() -> None:
        for _ in range(3):
            async with daemon.up():
                await asyncio.sleep(HEALTHY_S - SOON)

    run(main())
    assert archive.generations(daemon.path) == ()
