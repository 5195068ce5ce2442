"""Applied, confirmed, reverted: by the deadline, and nothing is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from peerup.atomic_file import locked
from peerup.config import confirm, confirm_rules, side_files
from peerup.config.confirm_rules import DAMAGED_S, Damaged, Marker, Wait
from peerup.config.load import load_config, parse_config
from peerup.errors import ConfigError
from tests.config.conftest import write_private
from tests.config.trial import LATER, NOW, SECOND, Trial, trial_of

if TYPE_CHECKING:
    pass


@pytest.fixture
def trial(fresh: Path) -> Trial:
    return trial_of(fresh)


def refused(trial: Trial, match: str, timeout: float = 300.0, now: int = NOW) -> ConfigError:
    """Check that applying is refused and changes nothing; return the error."""
    before = {path: path.read_bytes() for path in trial.path.parent.iterdir()}
    with pytest.raises(ConfigError, match=match) as caught:
        trial.apply(now, timeout)
    after = {path: path.read_bytes() for path in trial.path.parent.iterdir()}
    after.pop(trial.path.with_name(".config.yaml.lock"), None)
    before.pop(trial.path.with_name(".config.yaml.lock"), None)
    assert after == before
    return caught.value


def test_an_applied_configuration_is_there_with_a_marker_and_a_backup(trial: Trial) -> None:
    applied = trial.apply()
    assert trial.path.read_bytes() == trial.new_text
    assert trial.backup.read_bytes() == trial.old_text
    assert applied.marker == confirm.look(trial.path) == Marker(LATER, trial.backup.name, 300.0)
    assert not applied.reverted
    assert applied.config == load_config(trial.path)
    for place in (trial.path, trial.backup, trial.marker):
        assert place.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(trial.marker.read_bytes())) >= {"deadline", "backup"}
    assert confirm.settle(trial.path, now=LATER - SECOND) == Wait(1.0)


def test_w01_what_is_confirmed_stays_after_the_deadline(trial: Trial) -> None:
    trial.apply()
    confirm.confirm(trial.path, now=LATER - SECOND)
    assert confirm.look(trial.path) is None
    assert confirm.settle(trial.path, now=LATER + 999 * SECOND) is None
    assert trial.path.read_bytes() == trial.new_text
    assert not trial.marker.exists()
    assert not trial.backup.exists()
    assert trial.replaced == [trial.old_text]


def test_a_confirmation_that_cannot_be_written_is_said_so(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: object) -> NoReturn:
        raise OSError(30, "Read-only file system", str(path))

    trial.apply()
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", read_only)
        with pytest.raises(ConfigError, match=r"confirm: .*pending: Read-only file system"):
            confirm.confirm(trial.path, now=NOW)
    confirm.settle(trial.path, now=LATER)
    assert trial.is_as_before()


def test_a_full_disk_does_not_keep_from_confirming(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    trial.apply()
    monkeypatch.setattr(side_files, "push", full)
    confirm.confirm(trial.path, now=NOW)
    assert confirm.settle(trial.path, now=LATER) is None
    assert trial.path.read_bytes() == trial.new_text
    assert trial.backup.read_bytes() == trial.old_text


def test_what_is_not_confirmed_comes_back_and_what_was_applied_is_kept(trial: Trial) -> None:
    trial.apply()
    outcome = confirm.settle(trial.path, now=LATER)
    assert isinstance(outcome, confirm.Reverted)
    assert (outcome.changed, outcome.lost) == (True, False)
    assert outcome.kept is not None
    assert outcome.kept.read_bytes() == trial.new_text
    assert trial.is_as_before()
    assert confirm.settle(trial.path, now=LATER) is None


def test_the_deadline_holds_for_a_file_that_does_not_even_parse(trial: Trial) -> None:
    trial.apply()
    write_private(trial.path, b"\xff: [")
    assert isinstance(confirm.settle(trial.path, now=LATER), confirm.Reverted)
    assert trial.is_as_before()


def test_the_deadline_holds_for_a_file_that_is_gone(trial: Trial) -> None:
    trial.apply()
    trial.path.unlink()
    outcome = confirm.settle(trial.path, now=LATER)
    assert isinstance(outcome, confirm.Reverted)
    assert (outcome.changed, outcome.kept) == (True, None)
    assert trial.is_as_before()


def test_w01_a_marker_that_is_exchanged_meanwhile_starts_anew(trial: Trial) -> None:
    trial.apply(timeout=10.0)
    first = confirm.look(trial.path)
    confirm.confirm(trial.path, now=NOW)
    trial.new.write_bytes(trial.new_text + b"# again\n")
    trial.apply(now=NOW + SECOND, timeout=10.0)
    outcome = confirm.settle(
        trial.path, now=NOW + 10 * SECOND, waited=lambda found: 10.0 if found == first else 0.0
    )
    assert outcome == Wait(1.0)


def test_w01_what_is_confirmed_while_we_wait_for_the_lock_stays(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.apply()
    looks = [confirm.look(trial.path), None]
    monkeypatch.setattr(confirm, "look", lambda _: looks.pop(0))
    assert confirm.settle(trial.path, now=LATER) is None
    assert trial.path.read_bytes() == trial.new_text


def test_a_second_one_is_refused_while_the_first_is_pending(trial: Trial) -> None:
    trial.apply()
    trial.new.write_bytes(trial.old_text + b"# third\n")
    error = refused(
        trial, "commit-confirmed already pending: .*pending; 4m59s remaining", now=NOW + SECOND
    )
    assert "roll it back" in error.hint


def test_one_that_has_run_out_is_reverted_before_the_next_is_applied(trial: Trial) -> None:
    trial.apply()
    third = trial.old_text + b"# third\n"
    trial.new.write_bytes(third)
    assert trial.apply(now=LATER + SECOND).reverted
    assert trial.path.read_bytes() == third
    assert trial.backup.read_bytes() == trial.old_text
    assert trial.replaced == [trial.new_text]


def test_a_confirmation_that_comes_too_late_says_so_and_reverts(trial: Trial) -> None:
    trial.apply()
    with pytest.raises(ConfigError, match=r"not confirmed in time, and .* is back") as caught:
        confirm.confirm(trial.path, now=LATER)
    assert str(side_files.generation(trial.path, side_files.REPLACED, 0)) in caught.value.hint
    assert trial.is_as_before()
    assert trial.replaced == [trial.new_text]


def test_a_confirmation_of_nothing_is_an_error_and_leaves_nothing(trial: Trial) -> None:
    with pytest.raises(ConfigError, match="no commit-confirmed pending"):
        confirm.confirm(trial.path, now=NOW)
    assert {path.name for path in trial.path.parent.iterdir()} == {"config.yaml", "new.yaml"}


def test_a_confirmation_that_somebody_else_made_first(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.apply()
    looks = [confirm.look(trial.path), None]
    monkeypatch.setattr(confirm, "look", lambda _: looks.pop(0))
    with pytest.raises(ConfigError, match="no commit-confirmed pending"):
        confirm.confirm(trial.path, now=NOW)


def test_a_late_confirmation_of_what_never_got_into_its_place(trial: Trial) -> None:
    trial.apply()
    write_private(trial.path, trial.old_text)
    with pytest.raises(ConfigError, match="there was nothing to take back"):
        confirm.confirm(trial.path, now=LATER)
    assert trial.is_as_before()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a: [", r"new config is invalid: .*new\.yaml:1: failed to parse"),
        ("version: 2\nidentity: {key_file: x}\n", r"new\.yaml:1: version: config version too new"),
        ("network: 5\n", r"new\.yaml:"),
    ],
)
def test_a_new_one_that_cannot_be_used_is_refused_by_its_own_name(
    trial: Trial, text: str, match: str
) -> None:
    trial.new.write_text(text)
    assert str(trial.path) not in str(refused(trial, match))


def test_a_new_one_that_others_may_read_is_refused(trial: Trial) -> None:
    trial.new.chmod(0o644)
    refused(trial, "overly permissive mode 0644")


def test_a_new_one_is_read_as_it_will_be_at_its_place(trial: Trial, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    trial.new = trial.new.rename(elsewhere / "new.yaml")
    config = confirm.read_new(trial.new, trial.path, parse_config)[1]
    assert config.identity.key_file == trial.path.parent / "identity.key"


def test_the_same_again_is_nothing_to_apply(trial: Trial) -> None:
    trial.new.write_bytes(trial.old_text)
    refused(trial, "nothing to apply")


def test_a_time_without_sense_is_refused(trial: Trial) -> None:
    refused(trial, "no time to confirm in", timeout=0.0)


def test_a_configuration_that_is_gone_is_not_replaced(trial: Trial) -> None:
    trial.path.unlink()
    refused(trial, "config file not found")


def test_two_at_once_are_one_after_the_other(trial: Trial) -> None:
    trial.apply()
    with locked(trial.path), pytest.raises(ConfigError, match="being changed by another process"):
        confirm.settle(trial.path, now=LATER, lock_wait=0)
    assert trial.path.read_bytes() == trial.new_text


# Taking it back before its time


def test_taking_back_needs_no_deadline(trial: Trial) -> None:
    assert confirm.revert(trial.path, "because") is None
    trial.apply()
    outcome = confirm.revert(trial.path, "because")
    assert outcome is not None
    assert outcome.reason == "because"
    assert trial.is_as_before()


def test_taking_back_what_was_confirmed_meanwhile_does_nothing(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.apply()
    looks = [confirm.look(trial.path), None]
    monkeypatch.setattr(confirm, "look", lambda _: looks.pop(0))
    assert confirm.revert(trial.path, "because") is None
    assert trial.path.read_bytes() == trial.new_text


# Markers that Go wrote, or nobody


def test_a_marker_of_go_counts(trial: Trial) -> None:
    write_private(trial.backup, b"# of go\n" + trial.old_text)
    write_private(
        trial.marker,
        '{"deadline":"2026-02-02T03:45:00.5+01:00","backup":".config.pre-confirmed.yaml"}',
    )
    assert isinstance(confirm.settle(trial.path, now=LATER), Wait)
    assert isinstance(confirm.settle(trial.path, now=LATER + SECOND), confirm.Reverted)
    assert trial.path.read_bytes() == b"# of go\n" + trial.old_text


@pytest.mark.parametrize("data", [b"", b'{"deadline":"2026-0', b"x" * 5000])
def test_half_a_marker_brings_back_what_was_before(trial: Trial, data: bytes) -> None:
    trial.apply()
    write_private(trial.marker, data)
    assert isinstance(confirm.look(trial.path), Damaged)
    assert isinstance(confirm.settle(trial.path, now=NOW, waited=lambda _: 0.0), Wait)
    assert trial.path.read_bytes() == trial.new_text
    assert isinstance(confirm.settle(trial.path, now=NOW), confirm.Reverted)
    assert trial.is_as_before()
    assert DAMAGED_S > 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_w41_a_marker_and_a_backup_of_somebody_else_change_nothing(trial: Trial) -> None:
    write_private(trial.backup, b"evil")
    write_private(trial.marker, b"{}")
    os.chown(trial.backup, 12345, 12345)
    with pytest.raises(ConfigError, match=r"pre-confirmed.* belongs to another user"):
        confirm.settle(trial.path, now=NOW)
    os.chown(trial.marker, 12345, 12345)
    with pytest.raises(ConfigError, match="pending belongs to another user"):
        confirm.settle(trial.path, now=NOW)
    assert trial.path.read_bytes() == trial.old_text


def test_a_marker_never_names_another_file(trial: Trial, tmp_path: Path) -> None:
    trial.apply()
    victim = write_private(tmp_path / "victim", b"secret")
    fields = json.loads(trial.marker.read_bytes())
    trial.marker.write_text(json.dumps(fields | {"backup": "../victim"}))
    confirm.settle(trial.path, now=NOW)
    assert victim.read_bytes() == b"secret"
    assert trial.is_as_before()


def test_without_a_backup_the_configuration_stays_and_the_marker_goes(trial: Trial) -> None:
    trial.apply()
    trial.backup.unlink()
    outcome = confirm.settle(trial.path, now=LATER)
    assert isinstance(outcome, confirm.Reverted)
    assert (outcome.changed, outcome.lost) == (False, True)
    assert trial.path.read_bytes() == trial.new_text
    assert confirm.look(trial.path) is None


def test_a_marker_that_cannot_be_looked_at_is_no_reason_to_revert(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object, **__: object) -> NoReturn:
        raise OSError(24, "Too many open files", str(trial.marker))

    trial.apply()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", none_left)
        with pytest.raises(ConfigError, match=r"check pending: .*pending: Too many open files"):
            confirm.settle(trial.path, now=LATER)
    assert trial.path.read_bytes() == trial.new_text


def test_what_was_before_can_be_read_without_writing(trial: Trial) -> None:
    assert confirm.text_before(trial.path) is None
    trial.apply()
    assert confirm.text_before(trial.path) == trial.old_text.decode()
    trial.backup.unlink()
    trial.backup.symlink_to(trial.backup.name)
    with pytest.raises(ConfigError, match=r"revert: .*pre-confirmed.yaml"):
        confirm.text_before(trial.path)


def test_times_left_are_whole_seconds() -> None:
    assert confirm.describe(Wait(299.9)) == "4m59s"
    assert confirm.describe(Wait(0.4)) == "0s"
    assert confirm_rules.DEFAULT_TIMEOUT_S == 300
