"""Back to a configuration that ran well, and forth again; nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from peerup.atomic_file import locked
from peerup.config import confirm, side_files
from peerup.config.archive import archive, generations, rollback, undo
from peerup.config.load import load_config, parse_config
from peerup.errors import ConfigError
from tests.config.conftest import write_private

if TYPE_CHECKING:
    from tests.config.killed import FileSystem

NOW: Final = 1_770_000_000_000_000_000


def numbered(text: str, number: int) -> str:
    return f"{text}# {number}\n"


@pytest.fixture
def text(fresh: Path) -> str:
    """What is in ``fresh``, with three older ones archived that end in ``# 0`` to ``# 2``."""
    text = fresh.read_text()
    for number in range(3):
        assert archive(fresh, numbered(text, number))
    return text


def names(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()} - {f".{path.name}.lock"}


def test_go_finds_the_newest_under_its_name(fresh: Path, text: str) -> None:
    newest = fresh.with_name(".config.last-good.yaml")
    assert newest.read_text() == numbered(text, 2)
    assert names(fresh) == {
        "config.yaml",
        ".config.last-good.yaml",
        ".config.last-good.1.yaml",
        ".config.last-good.2.yaml",
    }


def test_w21_what_waits_to_be_confirmed_is_not_archived(fresh: Path) -> None:
    new = write_private(fresh.with_name("new.yaml"), fresh.read_text() + "# new\n")
    confirm.apply(fresh, new, parse_config, now=NOW, timeout=300.0)
    assert not archive(fresh, new.read_text())
    assert generations(fresh) == ()
    confirm.confirm(fresh, now=NOW)
    assert archive(fresh, new.read_text())


def test_w21_nor_is_what_is_applied_at_this_moment(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [None, confirm_damaged()]
    monkeypatch.setattr(confirm, "look", lambda _: looks.pop(0))
    assert not archive(fresh, "x")
    assert generations(fresh) == ()


def confirm_damaged() -> object:
    from peerup.config.confirm_rules import Damaged  # noqa: PLC0415

    return Damaged("being written")


def test_w21_the_same_again_writes_nothing(fresh: Path, text: str) -> None:
    with locked(fresh):  # which shows that it is not even locked
        assert not archive(fresh, numbered(text, 2))
    assert len(generations(fresh)) == 3


def test_a_rollback_goes_to_the_newest_and_keeps_what_it_replaces(fresh: Path, text: str) -> None:
    write_private(fresh, "broken: [")
    done = rollback(fresh, parse_config)
    assert (done.number, fresh.read_text()) == (0, numbered(text, 2))
    assert load_config(fresh)
    kept = side_files.generations(fresh, side_files.REPLACED)
    assert [each.path.read_text() for each in kept] == ["broken: ["]
    assert len(generations(fresh)) == 3


def test_a_rollback_may_go_further_back(fresh: Path, text: str) -> None:
    assert rollback(fresh, parse_config, 2).path.name == ".config.last-good.2.yaml"
    assert fresh.read_text() == numbered(text, 0)


def test_a_rollback_can_be_undone_and_that_too(fresh: Path, text: str) -> None:
    rollback(fresh, parse_config, 1)
    undo(fresh, parse_config)
    assert fresh.read_text() == text
    undo(fresh, parse_config)
    assert fresh.read_text() == numbered(text, 1)


def test_a_configuration_that_was_deleted_comes_back(fresh: Path, text: str) -> None:
    fresh.unlink()
    rollback(fresh, parse_config)
    assert fresh.read_text() == numbered(text, 2)
    assert fresh.stat().st_mode & 0o777 == 0o600


def test_without_an_archive_there_is_nothing_to_go_back_to(fresh: Path) -> None:
    with pytest.raises(ConfigError, match=r"no last-known-good config archive found: .*last-good"):
        rollback(fresh, parse_config)
    with pytest.raises(ConfigError, match="nothing to undo"):
        undo(fresh, parse_config)
    assert names(fresh) == {"config.yaml"}


def test_a_generation_that_is_not_there_is_named(fresh: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="no generation 7") as caught:
        rollback(fresh, parse_config, 7)
    assert caught.value.hint == "There are 0, 1, 2; 0 is the newest."


def test_one_that_cannot_be_used_either_is_refused(fresh: Path, text: str) -> None:
    newest = write_private(generations(fresh)[0].path, "version: 9\nidentity: {key_file: k}\n")
    with pytest.raises(ConfigError, match="cannot be used either") as caught:
        rollback(fresh, parse_config)
    assert f"{newest}:1: version: config version too new" in str(caught.value)
    assert fresh.read_text() == text


def test_one_that_is_removed_meanwhile_is_said_so(
    fresh: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_files, "read", lambda *_: None)
    with pytest.raises(ConfigError, match="is gone"):
        rollback(fresh, parse_config)
    assert fresh.read_text() == text


def test_what_waits_to_be_confirmed_is_not_rolled_back_over(fresh: Path, text: str) -> None:
    new = write_private(fresh.with_name("new.yaml"), text + "# new\n")
    confirm.apply(fresh, new, parse_config, now=NOW, timeout=300.0)
    with pytest.raises(ConfigError, match="waits to be confirmed"):
        rollback(fresh, parse_config, 1)
    assert fresh.read_text() == text + "# new\n"


def test_w20_killed_while_rolling_back(fresh: Path, text: str, file_system: FileSystem) -> None:
    def prepare() -> None:
        for place in side_files.generations(fresh, side_files.REPLACED):
            place.path.unlink()
        write_private(fresh, text)

    for step in file_system.killed_at_each_step(prepare, lambda: rollback(fresh, parse_config)):
        assert fresh.read_text() in (text, numbered(text, 2)), step
        rollback(fresh, parse_config)
        undo(fresh, parse_config)
        assert fresh.read_text() == text, step


def test_w20_killed_while_undoing(fresh: Path, text: str, file_system: FileSystem) -> None:
    def prepare() -> None:
        for place in side_files.generations(fresh, side_files.REPLACED):
            place.path.unlink()
        write_private(fresh, text)
        rollback(fresh, parse_config)

    for step in file_system.killed_at_each_step(prepare, lambda: undo(fresh, parse_config)):
        kept = side_files.generations(fresh, side_files.REPLACED)
        everything = {fresh.read_text(), *(each.path.read_text() for each in kept)}
        assert everything == {text, numbered(text, 2)}, step


def test_w20_a_full_disk_while_rolling_back(
    fresh: Path, text: str, file_system: FileSystem
) -> None:
    refusals = 0

    def prepare() -> None:
        write_private(fresh, text)

    def attempt() -> None:
        nonlocal refusals
        try:
            rollback(fresh, parse_config)
        except ConfigError as error:
            assert "rollback: " in str(error)  # noqa: PT017  not each step fails
            refusals += 1

    for step in file_system.refused_at_each_step(prepare, attempt):
        assert fresh.read_text() in (text, numbered(text, 2)), step
    assert refusals > 2


def test_w20_a_full_disk_while_archiving(fresh: Path, text: str, file_system: FileSystem) -> None:
    def attempt() -> None:
        try:
            archive(fresh, text)
        except ConfigError as error:
            assert "archive: " in str(error)  # noqa: PT017  not each step fails

    for step in file_system.refused_at_each_step(lambda: None, attempt):
        found = [each.path.read_text() for each in generations(fresh)]
        assert {numbered(text, number) for number in range(3)} <= set(found), step
