"""The files that self-healing keeps beside a configuration, and copies in generations.

For ``config.yaml`` they are ``.config.last-good.yaml``, ``.config.pending``,
``.config.pre-confirmed.yaml``, as Go peerup names them, and ``.config.replaced.yaml``. Of the
first and the last there are older generations, ``.config.last-good.1.yaml`` and so on, which Go
does not look at.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from peerup.atomic_file import OTHERS, PRIVATE, read_whole, remove, write_atomic
from peerup.config.yaml_reader import MAX_CONFIG_BYTES
from peerup.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MAX_GENERATIONS: Final = 10  # of a kind, the newest included
LAST_GOOD: Final = "last-good"
REPLACED: Final = "replaced"


class ForeignFileError(ConfigError):
    """A file that should be ours belongs to another user."""


class Generation(NamedTuple):
    """One copy of a configuration; number 0 is the newest, ``saved`` a time in ns since 1970."""

    number: int
    path: Path
    saved: int


def pending_marker(path: Path) -> Path:
    """Return where it is written that an applied configuration waits to be confirmed."""
    return path.with_name(f".{_split(path)[0]}.pending")


def pre_confirmed(path: Path) -> Path:
    """Return where what was before an applied configuration is kept until it is confirmed."""
    name, extension = _split(path)
    return path.with_name(f".{name}.pre-confirmed{extension}")


def generation(path: Path, kind: str, number: int) -> Path:
    """Return where generation ``number`` of a kind is: ``LAST_GOOD`` or ``REPLACED``."""
    name, extension = _split(path)
    return path.with_name(f".{name}.{kind}{f'.{number}' if number else ''}{extension}")


def _split(path: Path) -> tuple[str, str]:
    """Split a file's name as Go does: the extension starts at the last dot."""
    name, dot, extension = path.name.rpartition(".")
    return (name, dot + extension) if dot else (path.name, "")


def generations(path: Path, kind: str) -> tuple[Generation, ...]:
    """Return the copies that there are, newest first."""
    found = []
    for number in range(MAX_GENERATIONS):
        place = generation(path, kind, number)
        with contextlib.suppress(FileNotFoundError):
            found.append(Generation(number, place, place.stat().st_mtime_ns))
    return tuple(found)


def push(path: Path, kind: str, data: bytes) -> bool:
    """Make ``data`` the newest generation; False if it is that already.

    An older copy of the same moves up; else the oldest one goes, once there are
    ``MAX_GENERATIONS``. Whatever is killed in between, no other copy is lost. The caller holds
    the lock of ``path``.

    Raises:
        OSError: It cannot be written; what there was is still there.
    """
    newest = generation(path, kind, 0)
    if read_beside(path, newest) == data:
        return False
    if newest.exists():
        _make_room(path, kind, data)
    write(path, newest, data)
    return True


def _make_room(path: Path, kind: str, data: bytes) -> None:
    """Move each generation on by one, up to the first place that may be overwritten."""
    last = MAX_GENERATIONS - 1
    free = next(
        (n for n in range(1, last) if read(generation(path, kind, n)) in {None, data}), last
    )
    for number in range(free - 1, 0, -1):
        os.replace(generation(path, kind, number), generation(path, kind, number + 1))
    newest, first = generation(path, kind, 0), generation(path, kind, 1)
    with contextlib.suppress(FileNotFoundError):
        first.unlink()  # the same as ``data``, or the oldest there may be
    try:
        os.link(newest, first)  # rather than rename it: Go must find a newest at any time
    except OSError:
        write(path, first, newest.read_bytes())


def exchange(path: Path, data: bytes) -> None:
    """Put ``data`` in place of a configuration, which becomes the newest ``REPLACED``.

    Modes of the file that let others in are mended. The caller holds the lock of ``path``.

    Raises:
        OSError: It cannot be done; the configuration is still there.
    """
    current = read(path)
    if current == data:
        return
    if current is not None and not push(path, REPLACED, current):
        os.utime(generation(path, REPLACED, 0))  # whoever watches has to see that it was used
    replace(path, data)


def retire(path: Path, place: Path) -> None:
    """Make the file at ``place``, which was a configuration, the newest ``REPLACED``."""
    data = read_beside(path, place)
    if data is not None:
        push(path, REPLACED, data)
        remove(place)


def replaced_stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes whenever a command replaces the configuration, None if none did."""
    try:
        status = generation(path, REPLACED, 0).stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino


def replace(path: Path, data: bytes) -> None:
    """Put ``data`` in place of a configuration, of which nobody but its owner gets to know."""
    try:
        mode = path.stat().st_mode & 0o777 & ~OTHERS
    except FileNotFoundError:
        mode = PRIVATE
    write_atomic(path, data, mode=mode)


def write(path: Path, place: Path, data: bytes) -> None:
    """Write a file beside the configuration at ``path``, for the same owner as that."""
    write_atomic(place, data, like=path)


def read(path: Path, max_size: int = MAX_CONFIG_BYTES) -> bytes | None:
    """Return what a file holds, None if there is none.

    Raises:
        ConfigError: It is not a file, or larger than ``max_size`` bytes.
        OSError: It cannot be read.
    """
    try:
        return read_whole(path, max_size).data
    except FileNotFoundError:
        return None


def read_beside(path: Path, place: Path, max_size: int = MAX_CONFIG_BYTES) -> bytes | None:
    """Return what a file beside the configuration at ``path`` holds, None if there is none.

    Raises:
        ForeignFileError: It is from somebody who owns neither the configuration nor the
            directory, nor are we that. In a directory such as /tmp anybody could leave us
            something to go back to.
        ConfigError: It is not a file, or larger than ``max_size`` bytes.
        OSError: It cannot be read.
    """
    trusted = {os.geteuid(), 0}
    for known in (path.parent, path):
        with contextlib.suppress(FileNotFoundError):
            trusted.add(os.stat(known).st_uid)
    try:
        owners = {os.lstat(place).st_uid, os.stat(place).st_uid}
    except FileNotFoundError:
        return None
    if strangers := owners - trusted:
        raise ForeignFileError(
            f"{place} belongs to another user (uid {min(strangers)})",
            hint="Look where it comes from, and remove it.",
        )
    return read(place, max_size)
