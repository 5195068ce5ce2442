"""Files that are never torn: whole reads, write-rename-fsync, and a lock between processes.

A reader sees the old contents or the new, whatever is killed in between. All names may be
symbolic links: what they point to is read, locked and replaced, the link itself stays.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from peerup.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE: Final = 0o600
OTHERS: Final = 0o077  # every permission bit of the group and of everybody else
LOCK_WAIT: Final = 10.0  # seconds
_LOCK_RETRY: Final = 0.02  # seconds

# What link() says on filesystems and systems that have no hard links.
_NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENOSYS})


class Contents(NamedTuple):
    """A whole file: its bytes, and its permission bits when it was opened."""

    data: bytes
    mode: int


def read_whole(path: Path, max_size: int, *, own: bool = False) -> Contents:
    """Return all of a regular file.

    With ``own`` it must belong to us or to root. For root, who may be looking after the files
    of somebody else, the owner of the directory will do as well.

    Raises:
        ConfigError: It is a directory or device, above ``max_size`` bytes, or not ``own``.
        OSError: It is missing, or may not be read.
    """
    # Without O_NONBLOCK, opening a FIFO waits for its writer.
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path} is not a regular file")
        if own:
            _check_owner(path, status.st_uid)
        with open(file, "rb", closefd=False) as reader:
            data = reader.read(max_size + 1)
    finally:
        os.close(file)
    if len(data) > max_size:
        raise ConfigError(f"{path} is too large: above {max_size} bytes")
    return Contents(data, stat.S_IMODE(status.st_mode))


def write_atomic(path: Path, data: bytes, *, mode: int = PRIVATE, like: Path | None = None) -> None:
    """Replace the contents of ``path``, or create it, in one step that survives a crash.

    A file that is replaced keeps its owner and group; its permission bits become ``mode``. One
    that root creates gets the owner of the file ``like``, if that is given and there.

    Raises:
        OSError: It cannot be done, or not without giving the file to another owner; the old
            contents are untouched and nothing is left behind.
    """
    target = _resolve(path)
    with _temporary(target, data, mode) as temporary:
        if not _keep_owner(target, temporary, mode) and like is not None and os.geteuid() == 0:
            _keep_owner(like, temporary, mode)
        os.replace(temporary, target)
    _sync_directory(target.parent)


def create_exclusive(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Create ``path`` with all of ``data`` in it, unless the name is taken.

    Raises:
        FileExistsError: The name is taken, be it by a link that leads nowhere.
        OSError: It cannot be done; nothing is left behind.
    """
    with _temporary(path, data, mode) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            _create_in_place(path, data, mode)
    _sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove ``path``, if it is there, so that a crash does not bring it back."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        _sync_directory(path.parent)


@contextlib.contextmanager
def locked(path: Path, *, wait: float = LOCK_WAIT) -> Iterator[None]:
    """Keep out whoever else locks ``path``, in this process or another, for the body.

    The lock is advisory and on a file ``.<name>.lock`` beside ``path``, which stays. It is
    not reentrant: a second lock of the same path in the body waits for the first in vain.

    Args:
        path: What is to be changed; need not exist, but its directory must.
        wait: Seconds to wait for the other one; the calling thread sleeps meanwhile.

    Raises:
        ConfigError: The other one did not finish in time, or there is no place for the lock.
    """
    target = _resolve(path)
    name = target.with_name(f".{target.name}.lock")
    try:
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
    except OSError as error:
        raise ConfigError(
            f"cannot lock {path}: {name}: {error.strerror}",
            hint=f"To change the file, one has to be allowed to write to {target.parent}.",
        ) from error
    try:
        _give_to_owner_of_directory(file, target.parent)
        _acquire(file, path, wait)
        yield
    finally:
        os.close(file)  # which unlocks


def _check_owner(path: Path, owner: int) -> None:
    allowed = {0, os.geteuid()}
    if os.geteuid() == 0:
        allowed.add(os.stat(_resolve(path).parent).st_uid)
    if owner not in allowed:
        raise ConfigError(
            f"{path} belongs to another user (uid {owner})",
            hint=f"If the file is yours, take it over: sudo chown {os.geteuid()} {path}",
        )


def _resolve(path: Path) -> Path:
    """Return where ``path`` really is; a link that leads nowhere gives where it leads."""
    return Path(os.path.realpath(path))


@contextlib.contextmanager
def _temporary(target: Path, data: bytes, mode: int) -> Iterator[Path]:
    """Write ``data`` durably to a new file beside ``target``, gone again after the body."""
    name = target.with_name(f".{target.name}.{os.urandom(8).hex()}.tmp")
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        with open(file, "wb") as writer:
            writer.write(data)
            writer.flush()
            os.fchmod(file, mode)
            os.fsync(file)
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):  # renamed: all went well
            os.unlink(name)


def _keep_owner(target: Path, temporary: Path, mode: int) -> bool:
    """Give a file to the owner of another one; False if that is not there."""
    try:
        old = os.stat(target)
    except FileNotFoundError:
        return False
    new = os.stat(temporary)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.chown(temporary, old.st_uid, old.st_gid)
        os.chmod(temporary, mode)  # chown may have cleared bits
    return True


def _create_in_place(path: Path, data: bytes, mode: int) -> None:
    """Create without hard links: exclusive too, but a crash may leave half a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(file, "wb") as writer:
            writer.write(data)
            writer.flush()
            os.fchmod(file, mode)
            os.fsync(file)
    except BaseException:
        path.unlink()
        raise


def _sync_directory(directory: Path) -> None:
    # The rename is done; if the disk will not say when it is durable, a crash shows the old
    # name or the new one, both whole. So this is no reason to report a failure.
    with contextlib.suppress(OSError):
        file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _give_to_owner_of_directory(file: int, directory: Path) -> None:
    """After `sudo peerup ...` the user must still be able to lock their own files."""
    if os.geteuid() == 0:
        owner = os.stat(directory)
        os.fchown(file, owner.st_uid, owner.st_gid)


def _acquire(file: int, path: Path, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise ConfigError(
                    f"{path} is being changed by another process",
                    hint="Try again when the other peerup command is done.",
                ) from error
            time.sleep(_LOCK_RETRY)
        else:
            return
