"""``vouched.json``: who vouches for whom at a relay, beside its list of authorized peers.

Changed under a lock and replaced in one step, by the relay and by commands of its operator
alike. A file that cannot be understood vouches for nobody, and is not written over.
"""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from peerup.atomic_file import locked, read_whole, write_atomic
from peerup.errors import ConfigError
from peerup.relay.vouching import Pair
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

NAME: Final = "vouched.json"
MAX_FILE_BYTES: Final = 1024 * 1024
MAX_PAIRS: Final = 4096
VERSION: Final = 1
LOCK_WAIT_S: Final = 2.0  # the relay serves nobody meanwhile

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_MENDING: Final = "Mend it, or remove it: then nobody is vouched for, and has to be invited again."


def beside(keys_file: Path) -> Path:
    """Return where the file of a relay with this list of authorized peers is."""
    return keys_file.with_name(NAME)


def load(path: Path) -> frozenset[Pair]:
    """Return the pairs in the file, none if there is no file.

    Raises:
        ConfigError: It cannot be read or understood, or others may write to it.
    """
    try:
        data, mode = read_whole(path, MAX_FILE_BYTES)
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise ConfigError(f"failed to read {path}: {error.strerror}") from error
    if mode & _WRITABLE_BY_OTHERS:
        raise ConfigError(
            f"{path}: insecure permissions {mode:04o} (expected 0600); fix with: chmod 600 {path}"
        )
    try:
        return frozenset(_parse(data))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged: {error}", hint=_MENDING) from error


def update(
    path: Path, change: Callable[[frozenset[Pair]], frozenset[Pair]]
) -> tuple[frozenset[Pair], frozenset[Pair]]:
    """Apply ``change`` to what the file says at that moment; return what it said and says now.

    Raises:
        ConfigError: The file is damaged or full, in use for long, or cannot be written.
    """
    with locked(path, wait=LOCK_WAIT_S):
        before = load(path)
        after = frozenset(change(before))
        if len(after) > max(MAX_PAIRS, len(before)):
            raise ConfigError(
                f"{path} is full: {MAX_PAIRS} pairs", hint="`peerup relay deauthorize` makes room."
            )
        if after != before:
            try:
                write_atomic(path, _render(after))
            except OSError as error:
                raise ConfigError(f"failed to write {path}: {error.strerror}") from error
    return before, after


def without(*peers: PeerId) -> Callable[[frozenset[Pair]], frozenset[Pair]]:
    """Return the change that removes every pair with one of ``peers`` in it."""
    gone = frozenset(peers)
    return lambda pairs: frozenset(
        pair for pair in pairs if not (pair.voucher in gone or pair.guest in gone)
    )


def _parse(data: bytes) -> Iterable[Pair]:
    whole = json.loads(data.decode("utf-8"))
    if whole["version"] != VERSION:
        raise ValueError(f"version {str(whole['version'])[:20]} instead of {VERSION}")
    if len(whole["pairs"]) > MAX_PAIRS:
        raise ValueError(f"more than {MAX_PAIRS} pairs")
    for entry in whole["pairs"]:
        since = datetime.fromisoformat(entry["since"])
        if since.tzinfo is None:
            raise ValueError("a time without its zone")
        voucher, guest = PeerId.parse(entry["voucher"]), PeerId.parse(entry["guest"])
        yield Pair(voucher, guest, int(since.timestamp()))


def _render(pairs: frozenset[Pair]) -> bytes:
    entries = [
        {
            "voucher": str(pair.voucher),
            "guest": str(pair.guest),
            "since": datetime.fromtimestamp(pair.since, UTC).isoformat(),
        }
        for pair in sorted(pairs)
    ]
    text = json.dumps({"version": VERSION, "pairs": entries}, indent=1)
    return (text + "\n").encode("ascii")
