"""Files are seen whole or not at all, whatever fails or is killed in between."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from peerup.atomic_file import create_exclusive, locked, read_whole, remove, write_atomic
from peerup.errors import ConfigError

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def failing(*args: object, **kwargs: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_hard_links(*args: object, **kwargs: object) -> NoReturn:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def test_what_was_written_is_read_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"first")
    write_atomic(path, b"second", mode=0o640)
    assert read_whole(path, 6) == (b"second", 0o640)
    assert names_in(tmp_path) == {"file"}


def test_a_new_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_atomic(tmp_path / "one", b"")
        create_exclusive(tmp_path / "two", b"")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "one") == mode_of(tmp_path / "two") == 0o600


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod"])
def test_a_failed_write_leaves_the_old_contents_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    monkeypatch.setattr(os, call, failing)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == {"file"}


def test_a_write_interrupted_by_the_user_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(file: int) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", b"new")
    assert names_in(tmp_path) == set()


def test_a_file_whose_directory_cannot_be_synced_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def not_for_directories(file: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{file}"):
            failing()
        real(file)

    monkeypatch.setattr(os, "fsync", not_for_directories)
    write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


WRITER = """
import itertools, sys
from pathlib import Path
from peerup.atomic_file import write_atomic
for number in itertools.count():
    write_atomic(Path(sys.argv[1]), (b"a", b"b")[number % 2] * 200_000)
    if number == 3:
        print("ready", flush=True)
"""


@pytest.mark.real_clock
@pytest.mark.parametrize("reads", range(3))
def test_a_killed_writer_leaves_one_whole_file(tmp_path: Path, reads: int) -> None:
    path = tmp_path / "file"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        for _ in range(reads * 40):
            data = path.read_bytes()
            assert (len(data), len(set(data))) == (200_000, 1)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    data = path.read_bytes()
    assert (len(data), len(set(data))) == (200_000, 1)


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "file", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to("real/file")
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert names_in(tmp_path) == {"real", "link"}


def test_a_link_that_leads_nowhere_gets_its_target(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("target")
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@ROOT_ONLY
def test_a_replaced_file_keeps_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    write_atomic(path, b"new", mode=0o640)
    status = path.stat()
    assert (status.st_uid, status.st_gid, mode_of(path)) == (12345, 23456, 0o640)


def test_a_file_that_would_change_hands_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    real = os.stat

    def somebody_elses(name: Path, **kwargs: bool) -> os.stat_result:
        status = list(real(name, **kwargs))
        status[4] += Path(name) == path  # st_uid
        return os.stat_result(status)

    monkeypatch.setattr(os, "stat", somebody_elses)
    monkeypatch.setattr(os, "chown", no_hard_links)  # EPERM, as for everybody but root
    with pytest.raises(PermissionError):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"


def test_creating_never_replaces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    create_exclusive(path, b"first")
    with pytest.raises(FileExistsError):
        create_exclusive(path, b"second")
    assert path.read_bytes() == b"first"
    assert names_in(tmp_path) == {"file"}


def test_a_link_that_leads_nowhere_counts_as_taken(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(FileExistsError):
        create_exclusive(tmp_path / "link", b"data")
    assert names_in(tmp_path) == {"link"}


def test_of_many_creators_exactly_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def create(number: int) -> int | None:
        try:
            create_exclusive(path, b"%d" % number)
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(create, range(8)) if number is not None]
    assert [b"%d" % number for number in winners] == [path.read_bytes()]


def test_creating_works_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_hard_links)
    path = tmp_path / "file"
    create_exclusive(path, b"first")
    with pytest.raises(FileExistsError):
        create_exclusive(path, b"second")
    assert read_whole(path, 100) == (b"first", 0o600)
    assert names_in(tmp_path) == {"file"}


def test_creating_without_hard_links_leaves_nothing_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links_and_then_a_full_disk(*args: object) -> None:
        monkeypatch.setattr(os, "fsync", failing)
        no_hard_links()

    monkeypatch.setattr(os, "link", no_links_and_then_a_full_disk)
    with pytest.raises(OSError, match="No space"):
        create_exclusive(tmp_path / "file", b"data")
    assert names_in(tmp_path) == set()


def test_creating_reports_what_else_goes_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing)
    with pytest.raises(OSError, match="No space"):
        create_exclusive(tmp_path / "file", b"data")
    with pytest.raises(FileNotFoundError):
        create_exclusive(tmp_path / "missing" / "file", b"data")


def test_reading_is_bounded_and_for_regular_files_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="too large: above 4 bytes"):
        read_whole(tmp_path / "file", 4)
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(ConfigError, match="not a regular file"):
            read_whole(path, 100)
    with pytest.raises(FileNotFoundError):
        read_whole(tmp_path / "missing", 100)


def test_whoever_finds_the_lock_taken_waits_no_longer_than_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with (
        locked(path),
        pytest.raises(ConfigError, match="being changed by another process"),
        locked(path, wait=0),
    ):
        pytest.fail("two at once")
    with locked(path, wait=0):
        pass
    assert mode_of(tmp_path / ".file.lock") == 0o600


def test_the_lock_is_given_back_when_the_body_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no luck"), locked(tmp_path / "file"):
        raise ValueError("no luck")
    with locked(tmp_path / "file", wait=0):
        pass


def test_a_link_and_its_target_have_one_lock(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    with (
        locked(tmp_path / "link"),
        pytest.raises(ConfigError),
        locked(tmp_path / "file", wait=0),
    ):
        pytest.fail("two at once")


def test_the_next_one_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    order, holding = [], threading.Event()

    def hold() -> None:
        with locked(tmp_path / "file"):
            holding.set()
            order.append("first")

    with ThreadPoolExecutor() as pool:
        first = pool.submit(hold)
        assert holding.wait(10)
        with locked(tmp_path / "file"):
            order.append("second")
        first.result()
    assert order == ["first", "second"]


def test_changes_under_the_lock_are_never_lost(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"")

    def add(number: int) -> None:
        with locked(path):
            write_atomic(path, path.read_bytes() + bytes([number]))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(24)))
    assert sorted(path.read_bytes()) == list(range(24))


def test_a_lock_that_cannot_be_is_said_so(tmp_path: Path) -> None:
    place = tmp_path / "missing"
    with pytest.raises(ConfigError, match="cannot lock") as caught, locked(place / "file"):
        pytest.fail("no place for a lock")
    assert str(place) in caught.value.hint
    (tmp_path / ".file.lock").symlink_to("elsewhere")  # a trap: it would be opened as us
    with pytest.raises(ConfigError, match="cannot lock"), locked(tmp_path / "file"):
        pytest.fail("locked another file")
    assert not (tmp_path / "elsewhere").exists()


@ROOT_ONLY
def test_root_leaves_a_lock_that_the_user_can_take(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 23456)
    with locked(tmp_path / "file"):
        pass
    status = (tmp_path / ".file.lock").stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


@ROOT_ONLY
def test_a_new_file_of_root_may_be_given_the_owner_of_another(tmp_path: Path) -> None:
    model, path = tmp_path / "model", tmp_path / "file"
    model.touch()
    os.chown(model, 12345, 23456)
    write_atomic(path, b"x", like=model)
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (12345, 23456, 0o600)
    os.chown(path, 1, 1)
    write_atomic(path, b"y", like=model)  # one that is there keeps its own
    assert path.stat().st_uid == 1
    write_atomic(tmp_path / "other", b"z", like=tmp_path / "missing")
    assert (tmp_path / "other").stat().st_uid == 0


def test_what_is_removed_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    path = tmp_path / "file"
    path.touch()
    remove(path)
    assert not path.exists()
    remove(path)  # nothing is there
    assert synced == [tmp_path.stat().st_ino]
