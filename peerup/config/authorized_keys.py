"""The list of peers that may connect: one peer id a line, ``# comment`` after it.

Reading is all or nothing: whoever decides by the list must not go on with half of it. Between
id and comment, attributes ``key=value`` are read, as later Go versions write them; we never
write any, as Go peerup 59f0969 refuses a file that has them.

Changes take the file's lock and replace it in one step. Every line that is not concerned
stays byte by byte.

Spec: compatible with Go peerup; what is bound or refused beyond that is said below.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from peerup.atomic_file import PRIVATE, create_exclusive, locked, read_whole, write_atomic
from peerup.config.paths import check_directory
from peerup.config.text import one_line, shown
from peerup.errors import ConfigError
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_COMMENT_CHARS: Final = 128

HEADER: Final = (
    "# Peers that may connect to this machine, one a line.\n"
    "# Format: <peer_id>  # optional comment\n"
)
_BOM: Final = b"\xef\xbb\xbf"
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Entry:
    """One authorized peer; ``comment`` is safe to print, ``line`` counts from 1."""

    peer: PeerId
    comment: str
    line: int
    attributes: tuple[tuple[str, str], ...] = ()
    #: Unix seconds from which on the entry authorizes nobody, None for never.
    expires: float | None = None

    def expired(self, now: float) -> bool:
        """Tell whether the entry no longer counts at ``now`` (Unix seconds)."""
        return self.expires is not None and now >= self.expires


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a list cannot be used; ``line`` counts from 1, ``detail`` may be empty."""

    line: int
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.what} at line {self.line}" + (f": {self.detail}" if self.detail else "")


def load(path: Path) -> tuple[Entry, ...]:
    """Return every entry, in the order of the file; the same peer may stand there twice.

    Raises:
        ConfigError: The file is missing, above 1 MiB, or others may write to it; or a line
            cannot be understood, or contradicts an earlier one: the message says which.
    """
    return _parse(_read_trusted(path)[0], path)


def check(path: Path) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    """Return the entries that can be understood, and what is wrong with the other lines.

    Raises:
        ConfigError: The file is missing, above 1 MiB, or others may write to it.
    """
    return _examine(_read_trusted(path)[0])


def create(path: Path) -> bool:
    """Create an empty list, which lets nobody in; False if there is a file already.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        create_exclusive(path, HEADER.encode())
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigError(f"failed to write {path}: {error.strerror}") from error
    return True


def add(path: Path, peer: PeerId, comment: str = "", *, now: float | None = None) -> bool:
    """Authorize ``peer``; False if the list has it already (its comment stays).

    A file that does not exist is created, readable for its owner only. Of ``comment`` the
    first 128 printable characters are kept, on one line.

    Args:
        path: The list.
        peer: Whom to let in.
        comment: A note beside the id.
        now: Unix seconds. An entry that has expired by then gives way to the new one, which
            takes its comment over if there is no other; without ``now`` it stays and counts.

    Raises:
        ConfigError: The existing file cannot be used, or the new one not be written.
    """
    note = one_line(comment, MAX_COMMENT_CHARS)
    with locked(path):
        if not path.exists():
            _write(path, (HEADER + _line(peer, note)).encode(), PRIVATE)
            return True
        data, mode = _read_trusted(path)
        there = [entry for entry in _parse(data, path) if entry.peer == peer]
        if any(now is None or not entry.expired(now) for entry in there):
            return False
        if there:
            note = note or there[-1].comment
            data = b"".join(line for line in _lines(data) if _peer_of(line) != peer)
        if data and not data.endswith(b"\n"):
            data += b"\n"
        _write(path, data + _line(peer, note).encode(), mode)
        return True


def remove(path: Path, peer: PeerId) -> bool:
    """Remove every line of ``peer``; False if there is none, or no file.

    Works on a file that ``load`` refuses too: what is revoked must not stay for another
    line's sake.

    Raises:
        ConfigError: The file cannot be read or written.
    """
    if not path.exists():
        return False
    with locked(path):
        data, mode = _read(path)
        lines = _lines(data)
        kept = [line for line in lines if _peer_of(line) != peer]
        if len(kept) == len(lines):
            return False
        _write(path, b"".join(kept), mode)
        return True


def still_named(path: Path) -> frozenset[PeerId]:
    """Return the peers that any line names, also of a file that ``load`` refuses.

    Good for revoking and for nothing else: who is not named here has been taken off the list,
    whatever is wrong with other lines.

    Raises:
        ConfigError: The file cannot be read at all.
    """
    data, _ = _read(path)
    return frozenset(peer for line in _lines(data) if (peer := _peer_of(line)) is not None)


def _parse(data: bytes, path: Path) -> tuple[Entry, ...]:
    entries, problems = _examine(data)
    if problems:
        raise ConfigError(f"{path}: {problems[0]}", hint="Mend that line, or remove it.")
    return entries


def _examine(data: bytes) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    entries: list[Entry] = []
    problems: list[Problem] = []
    seen: dict[PeerId, Entry] = {}
    for number, raw in enumerate(_lines(data), 1):
        entry = _parse_line(raw, number)
        if isinstance(entry, Entry):
            first = seen.setdefault(entry.peer, entry)
            if first.attributes == entry.attributes:
                entries.append(entry)
                continue
            what = f"a second entry for {entry.peer.short} with other attributes"
            entry = Problem(number, what, f"the first is at line {first.line}")
        if isinstance(entry, Problem):
            problems.append(entry)
    return tuple(entries), tuple(problems)


def _line(peer: PeerId, note: str) -> str:
    return f"{peer}  # {note}\n" if note else f"{peer}\n"


def _lines(data: bytes) -> list[bytes]:
    """Return the lines with their line feeds; joined they are ``data`` again."""
    lines = data.split(b"\n")
    ended = [line + b"\n" for line in lines[:-1]]
    return [*ended, lines[-1]] if lines[-1] else ended


def _split(line: str) -> tuple[list[str], str]:
    """Return the words before the first ``#``, and what comes after it."""
    entry, _, comment = line.partition("#")
    return entry.split(), comment


def _parse_line(raw: bytes, number: int) -> Entry | Problem | None:
    """Return what one line says, None if it has only a comment."""
    try:
        line = raw.removeprefix(_BOM if number == 1 else b"").decode("utf-8")
    except UnicodeDecodeError:
        return Problem(number, "bytes that are not UTF-8")
    if "\0" in line:
        return Problem(number, "NUL byte")
    words, comment = _split(line)
    if not words:
        return None
    try:
        peer = PeerId.parse(words[0])
        attributes = tuple(_attribute(word) for word in words[1:])
        expires = _expiry(dict(attributes).get("expires"))
    except ValueError as error:
        detail = f"{shown(' '.join(words))} (error: {error})"
        return Problem(number, "invalid peer ID", detail)
    return Entry(peer, one_line(comment, MAX_COMMENT_CHARS), number, attributes, expires)


def _attribute(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not (key and equals):
        raise ValueError(f"found {shown(word)} after the id, allowed is key=value or # comment")
    return key, value


def _expiry(text: str | None) -> float | None:
    """Return the Unix seconds of an RFC 3339 time."""
    if text is None:
        return None
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return when.timestamp()


def _peer_of(raw: bytes) -> PeerId | None:
    words, _ = _split(raw.removeprefix(_BOM).decode("utf-8", "replace"))
    try:
        return PeerId.parse(words[0]) if words else None
    except ValueError:
        return None


def _read(path: Path) -> tuple[bytes, int]:
    try:
        return read_whole(path, MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise ConfigError(
            f"failed to open authorized_keys file: {path} does not exist",
            hint="`peerup auth add ID` creates it with its first peer.",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"failed to open authorized_keys file: {path}: {error.strerror}"
        ) from error


def _read_trusted(path: Path) -> tuple[bytes, int]:
    """Return bytes and mode of the file, which nobody else could have written."""
    data, mode = _read(path)
    if mode & _WRITABLE_BY_OTHERS:
        raise ConfigError(
            f"{path}: insecure permissions {mode:04o} (expected 0600); fix with: chmod 600 {path}"
        )
    check_directory(path.parent)
    return data, mode


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        write_atomic(path, data, mode=mode)
    except OSError as error:
        raise ConfigError(f"failed to write {path}: {error.strerror}") from error
