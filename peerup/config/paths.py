"""Where the files are: search order, and which files may be trusted.

Spec: compatible with Go peerup, which looks in the same places in the same order.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from peerup.errors import ConfigError

NODE_FILE: Final = "config.yaml"
LOCAL_NODE_FILE: Final = "peerup.yaml"  # its name in the working directory
RELAY_FILE: Final = "relay-server.yaml"


def user_dir() -> Path:
    """Return the directory of this user's files, ``~/.config/peerup``; it may not exist.

    Raises:
        ConfigError: There is no HOME and no account to look it up for.
    """
    try:
        return Path.home() / ".config" / "peerup"
    except RuntimeError as error:
        raise ConfigError("cannot tell the home directory", hint="Set HOME.") from error


def system_dir() -> Path:
    """Return the directory of files for the whole machine, ``/etc/peerup``."""
    return Path("/etc/peerup")


def find_config(explicit: Path | None) -> Path:
    """Return the absolute path of the node's configuration file.

    That is ``explicit`` if given; else the first that exists of ``./peerup.yaml``,
    ``~/.config/peerup/config.yaml`` and ``/etc/peerup/config.yaml``.

    Raises:
        ConfigError: There is none, or the one in the working directory is somebody else's.
    """
    local = Path(LOCAL_NODE_FILE)
    searched = (local, user_dir() / NODE_FILE, system_dir() / NODE_FILE)
    found = _find(explicit, searched)
    if found is None:
        tried = "".join(f"\n  {path}" for path in searched)
        raise ConfigError(
            f"config file not found; searched:{tried}",
            hint="Run `peerup init` to create one, or name one with --config.",
        )
    return found


def place_config(explicit: Path | None) -> Path:
    """Return the absolute path of the node's configuration file, or of where to create it.

    That is ``explicit`` if given, whether it exists or not; else the first that exists of
    those that ``find_config`` looks for, else ``~/.config/peerup/config.yaml``.

    Raises:
        ConfigError: The one in the working directory is somebody else's.
    """
    if explicit is not None:
        return explicit.absolute()
    default = user_dir() / NODE_FILE
    found = _find(None, (Path(LOCAL_NODE_FILE), default, system_dir() / NODE_FILE))
    return found or default


def find_relay_config(explicit: Path | None) -> Path | None:
    """Return the absolute path of the relay's configuration file, None if there is none.

    Looks for ``./relay-server.yaml``, then for ``relay-server.yaml`` in the user's and in
    the machine's directory.

    Raises:
        ConfigError: ``explicit`` is given and does not exist, or the file in the working
            directory is somebody else's.
    """
    searched = (Path(RELAY_FILE), user_dir() / RELAY_FILE, system_dir() / RELAY_FILE)
    return _find(explicit, searched)


def _find(explicit: Path | None, searched: tuple[Path, ...]) -> Path | None:
    if explicit is not None:
        if not explicit.exists():
            raise ConfigError(
                f"config file not found: {explicit}", hint="Check the path given with --config."
            )
        return explicit.absolute()
    for path in searched:
        if os.path.lexists(path):
            if not path.is_absolute():
                _check_ours(path)
            return path.absolute()
    return None


def _check_ours(path: Path) -> None:
    """Refuse a file that lies in wait in a directory where others may write, such as /tmp."""
    for status in (os.lstat(path), _stat(path)):
        if status.st_uid not in {os.geteuid(), 0}:
            raise ConfigError(
                f"{path.absolute()} belongs to another user (uid {status.st_uid}), "
                "so it is not used just because it lies here",
                hint=f"To use it, say so: --config {path}",
            )


def _stat(path: Path) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise ConfigError(f"failed to read config file {path}: {error.strerror}") from error


def check_directory(directory: Path) -> None:
    """Refuse a directory in which anybody could exchange our files.

    Raises:
        ConfigError: Everybody may write to it, and its sticky bit is not set.
    """
    mode = _stat(directory).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ConfigError(
            f"everybody may write to the directory {directory} (mode {stat.S_IMODE(mode):04o})",
            hint=f"Mend it with: chmod go-w {directory}",
        )
