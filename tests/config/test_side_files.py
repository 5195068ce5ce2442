"""Names that Go knows, and generations of which none is lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.config import side_files
from peerup.config.side_files import LAST_GOOD, MAX_GENERATIONS, REPLACED, generation, push
from peerup.errors import ConfigError
from tests.config.conftest import write_private

if TYPE_CHECKING:
    from tests.config.killed import FileSystem


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_private(tmp_path / "config.yaml", b"0")


def kept(path: Path, kind: str = LAST_GOOD) -> list[bytes]:
    return [each.path.read_bytes() for each in side_files.generations(path, kind)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "config.yaml",
            (".config.last-good.yaml", ".config.pending", ".config.pre-confirmed.yaml"),
        ),
        ("a.b.yml", (".a.b.last-good.yml", ".a.b.pending", ".a.b.pre-confirmed.yml")),
        ("plain", (".plain.last-good", ".plain.pending", ".plain.pre-confirmed")),
    ],
)
def test_the_names_are_those_of_go(name: str, expected: tuple[str, ...]) -> None:
    path = Path("/etc/peerup", name)
    found = (
        generation(path, LAST_GOOD, 0),
        side_files.pending_marker(path),
        side_files.pre_confirmed(path),
    )
    assert found == tuple(Path("/etc/peerup", each) for each in expected)


def test_w21_there_are_several_generations_and_a_cap(path: Path) -> None:
    for number in range(MAX_GENERATIONS + 3):
        assert push(path, LAST_GOOD, b"%d" % number)
    assert kept(path) == [b"%d" % number for number in range(MAX_GENERATIONS + 2, 2, -1)]
    assert generation(path, LAST_GOOD, 0).read_bytes() == b"12"
    assert generation(path, LAST_GOOD, 1).name == ".config.last-good.1.yaml"
    assert generation(path, LAST_GOOD, 0).stat().st_mode & 0o777 == 0o600


def test_w21_the_same_again_is_no_new_generation(path: Path) -> None:
    assert push(path, LAST_GOOD, b"a")
    assert not push(path, LAST_GOOD, b"a")
    assert kept(path) == [b"a"]


def test_an_older_one_that_comes_back_moves_up(path: Path) -> None:
    for data in (b"a", b"b", b"c", b"a", b"b"):
        push(path, LAST_GOOD, data)
    assert kept(path) == [b"b", b"a", b"c"]


@given(st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), max_size=12))
def test_generations_are_the_last_different_ones_newest_first(pushed: list[bytes]) -> None:
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "config.yaml"
        for data in pushed:
            push(path, REPLACED, data)
        assert kept(path, REPLACED) == list(dict.fromkeys(reversed(pushed)))


def test_a_gap_costs_no_generation(path: Path) -> None:
    for data in (b"a", b"b", b"c", b"d"):
        push(path, LAST_GOOD, data)
    generation(path, LAST_GOOD, 1).unlink()
    push(path, LAST_GOOD, b"e")
    assert kept(path) == [b"e", b"d", b"b", b"a"]
    generation(path, LAST_GOOD, 0).unlink()
    assert [each.number for each in side_files.generations(path, LAST_GOOD)] == [1, 2, 3]
    push(path, LAST_GOOD, b"f")
    assert kept(path) == [b"f", b"d", b"b", b"a"]


def test_a_generation_keeps_its_time(path: Path) -> None:
    push(path, LAST_GOOD, b"a")
    os.utime(generation(path, LAST_GOOD, 0), ns=(5, 5))
    push(path, LAST_GOOD, b"b")
    assert side_files.generations(path, LAST_GOOD)[1].saved == 5


def test_file_systems_without_hard_links_will_do(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    for data in (b"a", b"b", b"c"):
        push(path, LAST_GOOD, data)
    assert kept(path) == [b"c", b"b", b"a"]


def test_w20_killed_at_any_step_no_generation_is_lost(path: Path, file_system: FileSystem) -> None:
    before = [b"d", b"c", b"b", b"a"]

    def prepare() -> None:
        for old in path.parent.iterdir():
            old.unlink()
        for data in reversed(before):
            push(path, LAST_GOOD, data)

    for step in file_system.killed_at_each_step(prepare, lambda: push(path, LAST_GOOD, b"e")):
        found = kept(path)
        assert list(dict.fromkeys(found)) in (before, [b"e", *before]), step
        assert generation(path, LAST_GOOD, 0).exists(), step
        push(path, LAST_GOOD, b"e")
        assert list(dict.fromkeys(kept(path))) == [b"e", *before], step


def test_exchange_keeps_what_it_replaces_and_mends_the_mode(path: Path) -> None:
    path.chmod(0o644)
    side_files.exchange(path, b"1")
    assert (path.read_bytes(), kept(path, REPLACED)) == (b"1", [b"0"])
    assert path.stat().st_mode & 0o777 == 0o600
    side_files.exchange(path, b"1")
    assert kept(path, REPLACED) == [b"0"]
    path.unlink()
    side_files.exchange(path, b"2")
    assert (path.read_bytes(), kept(path, REPLACED)) == (b"2", [b"0"])
    assert path.stat().st_mode & 0o777 == 0o600


def test_each_exchange_leaves_its_stamp(path: Path) -> None:
    assert side_files.replaced_stamp(path) is None
    side_files.exchange(path, b"1")
    first = side_files.replaced_stamp(path)
    os.utime(generation(path, REPLACED, 0), ns=(5, 5))
    path.write_bytes(b"0")
    side_files.exchange(path, b"1")  # which is kept already
    assert kept(path, REPLACED) == [b"0"]
    assert side_files.replaced_stamp(path) not in (
        None,
        first,
        (5, generation(path, REPLACED, 0).stat().st_ino),
    )


def test_what_is_retired_is_kept(path: Path) -> None:
    place = write_private(path.with_name("x"), b"1")
    side_files.retire(path, place)
    side_files.retire(path, place)  # nothing is there
    assert kept(path, REPLACED) == [b"1"]
    assert not place.exists()


def test_a_stricter_mode_stays(path: Path) -> None:
    path.chmod(0o400)
    side_files.replace(path, b"1")
    assert path.stat().st_mode & 0o777 == 0o400


def test_what_is_no_file_is_not_read(path: Path) -> None:
    path.unlink()
    assert side_files.read(path) is None
    path.mkdir()
    with pytest.raises(ConfigError, match="not a regular file"):
        side_files.read(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_w41_what_somebody_else_left_beside_our_file_is_not_used(path: Path) -> None:
    planted = write_private(generation(path, LAST_GOOD, 0), b"evil")
    os.chown(planted, 12345, 12345)
    with pytest.raises(side_files.ForeignFileError, match=r"belongs to another user .uid 12345"):
        side_files.read_beside(path, planted)
    planted.unlink()
    write_private(path.with_name("x"), b"fine")
    planted.symlink_to("x")
    os.lchown(planted, 12345, 12345)
    with pytest.raises(side_files.ForeignFileError):
        side_files.read_beside(path, planted)
    os.chown(path, 12345, 12345)  # beside their own file it is no stranger's
    assert side_files.read_beside(path, planted) == b"fine"
    path.unlink()
    with pytest.raises(side_files.ForeignFileError):
        side_files.read_beside(path, planted)
    os.chown(path.parent, 12345, 12345)
    assert side_files.read_beside(path, planted) == b"fine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_writes_beside_a_user_s_file_is_the_user_s(path: Path) -> None:
    os.chown(path, 12345, 23456)
    os.chown(path.parent, 12345, 23456)
    side_files.exchange(path, b"1")
    side_files.exchange(path, b"2")
    for place in (path, generation(path, REPLACED, 0), generation(path, REPLACED, 1)):
        status = place.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (12345, 23456, 0o600)
