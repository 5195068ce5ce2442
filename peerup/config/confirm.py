"""Apply a configuration for some minutes: unless it is confirmed, what was before comes back.

In between, a marker ``.config.pending`` says until when, and ``.config.pre-confirmed.yaml`` holds
what was before. Both are Go peerup's. Each step is one atomic write, in an order such that after
any of them the process, or the machine, may die:

- apply: backup, marker, configuration. With a marker and the old configuration nothing was
  applied, and the marker does not count.
- revert: what is replaced is kept, configuration, marker, backup. With the old configuration
  back and the marker still there it is done once more.
- confirm: marker, what was before is kept, backup. A backup without a marker means nothing.

Who finds that a deadline has passed reverts: the daemon while it runs, the next one that starts
before it reads anything else, the next apply, and a confirm that comes too late.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from peerup.atomic_file import LOCK_WAIT, locked, remove
from peerup.config import confirm_rules, side_files
from peerup.config.confirm_rules import Damaged, Marker, Revert, Wait
from peerup.config.source import read_config
from peerup.config.units import format_duration
from peerup.config.yaml_reader import decode
from peerup.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peerup.config.confirm_rules import Pending

C = TypeVar("C")
_MAX_BYTES: Final = confirm_rules.MAX_MARKER_BYTES


@dataclass(frozen=True, slots=True)
class Applied(Generic[C]):
    """A configuration that is in place and waits to be confirmed.

    ``reverted`` says that an earlier one, which had run out, was reverted first.
    """

    config: C
    marker: Marker
    reverted: bool


@dataclass(frozen=True, slots=True)
class Reverted:
    """What was pending is over, because ``reason``, and what was before is back.

    Not ``changed``: it was there all the time, as nothing had been applied yet; or else its
    backup is ``lost``. ``kept`` is where what it replaced is now, if there was anything.
    """

    reason: str
    changed: bool
    lost: bool
    kept: Path | None


def look(path: Path) -> Pending:
    """Return what is pending for the configuration at ``path``.

    Raises:
        ConfigError: The system does not let us look.
    """
    try:
        data = side_files.read_beside(path, side_files.pending_marker(path), _MAX_BYTES)
    except OSError as error:  # which says nothing about the marker
        raise failed("check pending", error) from error
    except side_files.ForeignFileError:
        raise
    except ConfigError as error:  # not a file, or far too long
        return Damaged(str(error))
    if data is None:
        return None
    return confirm_rules.decode_marker(data, side_files.pre_confirmed(path).name)


def read_new(new: Path, path: Path, parse: Callable[[str, Path], C]) -> tuple[bytes, C]:
    """Return a file that is to become ``path``, and what it means there.

    Raises:
        ConfigError: It cannot be read, others may read it, or a setting is wrong.
    """
    try:
        text = read_config(new)
        return text.encode(), parse(text, path)
    except ConfigError as error:
        # It was read as if it stood at its final place, but that is not where its lines are.
        message = str(error).replace(f"{path}:", f"{new}:")
        raise ConfigError(f"new config is invalid: {message}", hint=error.hint) from error


def apply(
    path: Path, new: Path, parse: Callable[[str, Path], C], *, now: int, timeout: float
) -> Applied[C]:
    """Put the file ``new`` in place of the configuration at ``path`` until it is confirmed.

    Args:
        path: The configuration.
        new: What is to be in it. It stays.
        parse: Returns what the text of a configuration means at a path.
        now: The time, in nanoseconds since 1970.
        timeout: Seconds in which to confirm it.

    Raises:
        ConfigError: The new file cannot be used, another one is pending, or nothing can be
            written. Then all is as it was.
    """
    data, config = read_new(new, path, parse)
    backup = side_files.pre_confirmed(path)
    try:
        marker = confirm_rules.new_marker(now, timeout, backup.name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with locked(path):
        try:
            reverted = _end_earlier(path, now)
            current = side_files.read(path)
            if current is None:
                raise ConfigError(f"config file not found: {path}")
            if current == data:
                raise ConfigError(f"nothing to apply: {path} is the same as {new}")
            _replace(path, data, current, marker)
        except OSError as error:
            raise failed("commit-confirmed", error) from error
    return Applied(config, marker, reverted)


def _replace(path: Path, data: bytes, current: bytes, marker: Marker) -> None:
    backup, place = side_files.pre_confirmed(path), side_files.pending_marker(path)
    try:
        side_files.write(path, backup, current)
        side_files.write(path, place, confirm_rules.encode_marker(marker))
        side_files.replace(path, data)
    except OSError:
        if side_files.read(path) == data:
            return  # it is in its place: what failed was to tidy up after it
        remove(place)
        remove(backup)
        raise


def _end_earlier(path: Path, now: int) -> bool:
    """Make sure that nothing is pending; True if for that something was reverted."""
    pending = look(path)
    decision = confirm_rules.decide(pending, now)
    if decision is None:
        return False
    never_applied = side_files.read(path) == side_files.read_beside(
        path, side_files.pre_confirmed(path)
    )
    if isinstance(decision, Wait) and not never_applied:
        raise ConfigError(
            f"commit-confirmed already pending: {side_files.pending_marker(path)}; "
            f"{describe(decision)} remaining",
            hint="Confirm what was applied, or roll it back, first.",
        )
    return _revert(path, "").changed


def confirm(path: Path, *, now: int) -> None:
    """Keep the applied configuration for good.

    Raises:
        ConfigError: Nothing is pending, or time is over: then what was before is back.
    """
    if look(path) is None:  # without leaving a lock behind
        raise _nothing_pending(path)
    with locked(path):
        try:
            decision = confirm_rules.decide(look(path), now)
            if decision is None:
                raise _nothing_pending(path)
            if isinstance(decision, Revert):
                raise _too_late(path, _revert(path, decision.reason))
            remove(side_files.pending_marker(path))
        except OSError as error:
            raise failed("confirm", error) from error
        with contextlib.suppress(OSError):  # a full disk is no reason not to keep what is there
            side_files.retire(path, side_files.pre_confirmed(path))


def _nothing_pending(path: Path) -> ConfigError:
    return ConfigError(f"no commit-confirmed pending for {path}")


def _too_late(path: Path, reverted: Reverted) -> ConfigError:
    if not reverted.changed:
        return ConfigError(
            f"{reverted.reason}; there was nothing to take back, {path} is as it was",
            hint="Apply the new configuration again.",
        )
    return ConfigError(
        f"{reverted.reason}, and the configuration from before is back in {path}",
        hint=f"What had been applied is kept in {reverted.kept}.",
    )


def settle(
    path: Path,
    *,
    now: int,
    waited: Callable[[Pending], float] | None = None,
    lock_wait: float = LOCK_WAIT,
) -> Wait | Reverted | None:
    """Revert what has run out; say for how long to wait when nothing has; None: no such thing.

    Args:
        path: The configuration, which may be missing or not load.
        now: The time, in nanoseconds since 1970.
        waited: Returns for how many seconds something pending is known; None at a first look.
        lock_wait: Seconds to wait for others that change the file.

    Raises:
        ConfigError: The configuration is in use, or cannot be replaced.
    """

    def decision() -> Wait | Revert | None:
        pending = look(path)
        return confirm_rules.decide(pending, now, waited(pending) if waited else None)

    found = decision()
    if not isinstance(found, Revert):
        return found
    with locked(path, wait=lock_wait):
        found = decision()  # it may have been confirmed a moment ago
        if not isinstance(found, Revert):
            return found
        return _revert_or_say(path, found.reason)


def revert(path: Path, reason: str) -> Reverted | None:
    """Take back what is pending before its time; None when nothing is.

    Raises:
        ConfigError: The configuration is in use, or cannot be replaced.
    """
    if look(path) is None:
        return None
    with locked(path):
        return _revert_or_say(path, reason) if look(path) is not None else None


def _revert_or_say(path: Path, reason: str) -> Reverted:
    try:
        return _revert(path, reason)
    except OSError as error:
        raise failed("revert", error) from error


def _revert(path: Path, reason: str) -> Reverted:
    """Do it; the caller holds the lock."""
    backup = side_files.pre_confirmed(path)
    before, current = side_files.read_beside(path, backup), side_files.read(path)
    changed = before is not None and before != current
    if before is not None:
        side_files.exchange(path, before)
    remove(side_files.pending_marker(path))
    remove(backup)
    kept = side_files.generation(path, side_files.REPLACED, 0) if changed and current else None
    return Reverted(reason, changed, before is None, kept)


def text_before(path: Path) -> str | None:
    """Return the text of what was before an applied configuration, None if it is not there.

    Raises:
        ConfigError: It cannot be read.
    """
    place = side_files.pre_confirmed(path)
    try:
        data = side_files.read_beside(path, place)
    except OSError as error:
        raise failed("revert", error) from error
    return None if data is None else decode(data, place)


def describe(wait: Wait) -> str:
    """Return how much time is left, in whole seconds: ``4m59s``."""
    return format_duration(float(int(wait.seconds)))


def failed(what: str, error: OSError) -> ConfigError:
    """Return the error for a step that the system refused; ``what`` is the word it starts with."""
    place = error.filename2 or error.filename
    return ConfigError(
        f"{what}: {f'{place}: ' if place else ''}{error.strerror or error}",
        hint="Nothing was lost. Is the disk full, or the directory read-only?",
    )
