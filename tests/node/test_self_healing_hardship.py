"""A guard whose files cannot be read or written, or were changed by hand."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import NoReturn

import pytest

from peerup.config import archive, confirm, side_files
from peerup.errors import ConfigError
from peerup.node import self_healing
from peerup.node.self_healing import HEALTHY_S
from tests.node.guarded import SOON, TIMEOUT, Daemon
from tests.sim.clock import RunVirtual


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path / "config.yaml")


def test_a_mistake_by_hand_does_not_stop_what_runs(
    run: RunVirtual, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with daemon.up():
            daemon.apply("two")
            await asyncio.sleep(SOON)
            confirm.confirm(daemon.path, now=daemon.wall())
            daemon.write("bad")
            await asyncio.sleep(SOON)
            assert daemon.started == ["one", "two"]

    run(main())
    assert daemon.path.read_text() == "bad"
    assert "still running by what was there before" in caplog.text


def test_what_is_applied_and_turns_bad_is_taken_back_and_what_runs_goes_on(
    run: RunVirtual, daemon: Daemon
) -> None:
    async def main() -> None:
        async with daemon.up():
            daemon.apply("bad")
            await asyncio.sleep(SOON)
            assert daemon.path.read_text() == "one"
            assert daemon.started == ["one"]
            assert daemon.running == 1

    run(main())


def no_space(*_: object, **__: object) -> NoReturn:
    raise ConfigError("revert: read-only file system")


def test_where_nothing_can_be_written_it_runs_by_what_was_before(
    run: RunVirtual,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        daemon.apply("two")
        await asyncio.sleep(TIMEOUT)
        monkeypatch.setattr(confirm, "settle", no_space)
        async with daemon.up():
            await asyncio.sleep(100)
            assert daemon.started == ["one"]

    run(main())
    assert daemon.path.read_text() == "two"
    said = [r for r in caplog.records if "read-only" in r.getMessage()]
    assert len(said) == 2, "at the start and while it runs, but not each second"


def test_where_nothing_can_be_written_nor_read_it_does_not_start(
    run: RunVirtual, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(confirm, "settle", no_space)
        with pytest.raises(ConfigError, match="read-only"):
            daemon.guard.load()

    run(main())


def test_what_does_not_start_and_cannot_be_taken_back_is_an_error(
    run: RunVirtual,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        daemon.apply("bad")
        monkeypatch.setattr(confirm, "revert", no_space)
        with pytest.raises(ConfigError, match=r"config\.yaml:1: bad"):
            daemon.guard.load()

    run(main())
    assert "cannot take back" in caplog.text


def test_an_archive_that_cannot_be_written_is_said_once_and_tried_again(
    run: RunVirtual,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(self_healing, "archive", no_space)
            async with daemon.up():
                await asyncio.sleep(5 * HEALTHY_S)
        async with daemon.up():
            await asyncio.sleep(HEALTHY_S + SOON)

    run(main())
    assert caplog.text.count("read-only") == 1
    assert len(archive.generations(daemon.path)) == 1


def test_a_backup_that_is_gone_is_said_loudly(
    run: RunVirtual, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        daemon.apply("two")
        side_files.pre_confirmed(daemon.path).unlink()
        await asyncio.sleep(TIMEOUT)
        async with daemon.up():
            assert daemon.started == ["two"]

    run(main())
    assert "what was before it is gone" in caplog.text
    assert [record.levelno for record in caplog.records][:1] == [logging.ERROR]


def test_a_marker_without_a_change_is_cleared_without_a_word(
    run: RunVirtual, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        daemon.apply("two")
        daemon.write("one")
        await asyncio.sleep(TIMEOUT)
        async with daemon.up():
            assert daemon.started == ["one"]
            assert confirm.look(daemon.path) is None

    run(main())
    assert "taken back" not in caplog.text
