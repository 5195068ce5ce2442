"""Configurations that have proved themselves, to go back to: several, newest first.

Whoever runs a configuration archives it once it has been well for a while, and not while it may
still be taken back (``confirm``). So what is here ran, and was kept on purpose. What a rollback
replaces is kept too, and can be had back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.atomic_file import locked
from peerup.config import confirm, side_files
from peerup.config.yaml_reader import decode
from peerup.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peerup.config.side_files import Generation


def archive(path: Path, text: str) -> bool:
    """Make ``text`` the newest last-known-good of the configuration at ``path``.

    Returns False, and does nothing, if it is that already, or while something is pending.

    Raises:
        ConfigError: It cannot be written; older generations are still there.
    """
    newest = side_files.generation(path, side_files.LAST_GOOD, 0)
    data = text.encode()
    try:
        if side_files.read_beside(path, newest) == data or confirm.look(path) is not None:
            return False
        with locked(path, wait=0):
            if confirm.look(path) is not None:
                return False
            return side_files.push(path, side_files.LAST_GOOD, data)
    except OSError as error:
        raise confirm.failed("archive", error) from error


def generations(path: Path) -> tuple[Generation, ...]:
    """Return the archived configurations, newest first."""
    return side_files.generations(path, side_files.LAST_GOOD)


def rollback(
    path: Path, parse: Callable[[str, Path], object], number: int | None = None
) -> Generation:
    """Put an archived configuration in place of the one at ``path``, and return which.

    Args:
        path: The configuration; it need not load, nor even exist.
        parse: Returns what the text of a configuration means at a path.
        number: Which one; the newest if None.

    Raises:
        ConfigError: There is none such, it does not load either, an applied configuration
            waits to be confirmed, or nothing can be written. Then all is as it was.
    """
    found = generations(path)
    if not found:
        place = side_files.generation(path, side_files.LAST_GOOD, 0)
        raise ConfigError(
            f"no last-known-good config archive found: {place}",
            hint="One is made when a daemon or relay has run well for a minute.",
        )
    wanted = {each.number: each for each in found}.get(
        found[0].number if number is None else number
    )
    if wanted is None:
        raise ConfigError(
            f"no generation {number} of {path}",
            hint=f"There are {', '.join(str(each.number) for each in found)}; 0 is the newest.",
        )
    _put(path, wanted.path, parse)
    return wanted


def undo(path: Path, parse: Callable[[str, Path], object]) -> None:
    """Put back what the last rollback or revert replaced; again: what this one replaced.

    Raises:
        ConfigError: As with ``rollback``.
    """
    newest = side_files.generations(path, side_files.REPLACED)[:1]
    if not newest:
        raise ConfigError(f"nothing to undo: nothing was rolled back in {path.parent}")
    _put(path, newest[0].path, parse)


def _put(path: Path, source: Path, parse: Callable[[str, Path], object]) -> None:
    with locked(path):
        if confirm.look(path) is not None:
            raise ConfigError(
                "an applied configuration waits to be confirmed",
                hint="Confirm it, or roll back without a number to take it back, first.",
            )
        try:
            data = side_files.read_beside(path, source)
            if data is None:
                raise ConfigError(f"{source} is gone")
            _check(data, source, path, parse)
            side_files.exchange(path, data)
        except OSError as error:
            raise confirm.failed("rollback", error) from error


def _check(data: bytes, source: Path, path: Path, parse: Callable[[str, Path], object]) -> None:
    """Refuse to replace a configuration by one that cannot be used."""
    try:
        parse(decode(data, source), path)
    except ConfigError as error:
        message = str(error).replace(f"{path}:", f"{source}:")
        raise ConfigError(
            f"that one cannot be used either: {message}", hint="Choose another generation."
        ) from error
