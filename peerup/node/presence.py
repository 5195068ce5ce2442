"""One identity is in one place at a time.

Two processes that are reachable under one peer id would get each other's callers: a joiner
might land at a daemon that does not know it. So whoever is reachable holds a lock on the
identity key, which ends with the process, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from peerup.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class IdentityInUseError(ConfigError):
    """Another process is reachable under our identity."""


@contextlib.contextmanager
def presence(key_file: Path) -> Iterator[None]:
    """Be the one process that is reachable under the identity in ``key_file``, for the body.

    Raises:
        IdentityInUseError: Another process is.
        ConfigError: The file cannot be opened.
    """
    try:
        file = os.open(key_file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"failed to read key from {key_file}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IdentityInUseError(
                f"another `peerup daemon` or `peerup invite` has the identity {key_file}",
                hint="Stop that one first: two under one peer id would get each other's callers.",
            ) from None
        yield
    finally:
        os.close(file)  # which unlocks
