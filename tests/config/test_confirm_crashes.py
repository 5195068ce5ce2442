"""Killed, or on a full disk, between any two steps of apply, confirm and revert."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from peerup.config import confirm
from peerup.config.confirm_rules import Marker
from peerup.errors import ConfigError
from tests.config.trial import LATER, NOW, SECOND, Trial, trial_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.config.killed import FileSystem


@pytest.fixture
def trial(fresh: Path) -> Trial:
    return trial_of(fresh)


def test_w20_killed_while_applying(trial: Trial, file_system: FileSystem) -> None:
    for step in file_system.killed_at_each_step(trial.reset, trial.apply):
        assert trial.path.read_bytes() in (trial.old_text, trial.new_text), step
        if trial.path.read_bytes() == trial.new_text:
            assert isinstance(confirm.look(trial.path), Marker), step
            confirm.settle(trial.path, now=LATER)
            assert trial.is_as_before(), step
        assert trial.apply(now=LATER).marker.deadline > LATER, step
        confirm.settle(trial.path, now=LATER + 300 * SECOND)
        assert trial.is_as_before(), step


def test_w20_killed_while_applying_the_command_may_be_repeated_at_once(
    trial: Trial, file_system: FileSystem
) -> None:
    for step in file_system.killed_at_each_step(trial.reset, trial.apply):
        if trial.path.read_bytes() == trial.old_text:
            trial.apply()
        assert trial.path.read_bytes() == trial.new_text, step
        assert trial.backup.read_bytes() == trial.old_text, step


def test_w20_killed_while_reverting(trial: Trial, file_system: FileSystem) -> None:
    def prepare() -> None:
        trial.reset()
        trial.apply()

    def revert() -> object:
        return confirm.settle(trial.path, now=LATER)

    for step in file_system.killed_at_each_step(prepare, revert):
        assert trial.path.read_bytes() in (trial.old_text, trial.new_text), step
        revert()
        assert trial.path.read_bytes() == trial.old_text, step
        assert confirm.look(trial.path) is None, step
        assert trial.replaced == [trial.new_text], step


def test_w20_killed_while_confirming(trial: Trial, file_system: FileSystem) -> None:
    def prepare() -> None:
        trial.reset()
        trial.apply()

    def keep() -> None:
        confirm.confirm(trial.path, now=NOW)

    for step in file_system.killed_at_each_step(prepare, keep):
        confirmed = confirm.look(trial.path) is None
        confirm.settle(trial.path, now=LATER)
        expected = trial.new_text if confirmed else trial.old_text
        assert trial.path.read_bytes() == expected, step
        left = {trial.backup.read_bytes()} if trial.backup.exists() else set()
        assert {trial.path.read_bytes(), *trial.replaced, *left} == {trial.old_text, trial.new_text}


def test_w20_a_full_disk_while_applying_changes_nothing(
    trial: Trial, file_system: FileSystem
) -> None:
    refusals = 0

    def apply() -> None:
        nonlocal refusals
        try:
            trial.apply()
        except ConfigError as error:
            assert "No space left on device" in str(error)  # noqa: PT017  not each step fails
            assert trial.is_as_before()
            refusals += 1

    for _ in file_system.refused_at_each_step(trial.reset, apply):
        pass
    assert refusals > 3


def test_w20_a_full_disk_while_reverting_loses_nothing(
    trial: Trial, file_system: FileSystem
) -> None:
    def prepare() -> None:
        trial.reset()
        trial.apply()

    def revert() -> None:
        try:
            confirm.settle(trial.path, now=LATER)
        except ConfigError as error:
            assert "revert: " in str(error)  # noqa: PT017  not each step fails
            assert trial.path.read_bytes() in (trial.old_text, trial.new_text)

    for step in file_system.refused_at_each_step(prepare, revert):
        confirm.settle(trial.path, now=LATER)
        assert trial.path.read_bytes() == trial.old_text, step
        assert trial.new_text in trial.replaced, step
