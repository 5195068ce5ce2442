"""The list of authorized peers: all of it or an error, and changes that touch one line."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.config import authorized_keys
from peerup.config.authorized_keys import (
    HEADER,
    MAX_FILE_BYTES,
    Entry,
    Problem,
    add,
    check,
    create,
    load,
    remove,
)
from peerup.errors import ConfigError
from peerup.wire.keys import PrivateKey
from peerup.wire.peer_id import PeerId
from tests.config.conftest import ANNE, BOB, write_private


def peer(number: int) -> PeerId:
    return PeerId.from_public_key(PrivateKey.from_seed(bytes([number]) * 32).public_key)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "authorized_keys"


def test_entries_have_their_comment_and_line(path: Path) -> None:
    write_private(path, f"# header\n\n{ANNE}  # Anne's # laptop\n\t{BOB.to_cid()}#bob\n{ANNE}")
    assert load(path) == (
        Entry(ANNE, "Anne's # laptop", 3),
        Entry(BOB, "bob", 4),
        Entry(ANNE, "", 5),
    )


@pytest.mark.parametrize("data", [b"", b"# nobody\n", b"\n\n", b"\xef\xbb\xbf", b"\r\n"])
def test_a_list_may_be_empty(path: Path, data: bytes) -> None:
    write_private(path, data)
    assert load(path) == ()


def test_crlf_and_a_byte_order_mark_are_read(path: Path) -> None:
    write_private(path, f"\ufeff{ANNE}\r\n{BOB} # bob\r\n")
    assert load(path) == (Entry(ANNE, "", 1), Entry(BOB, "bob", 2))


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "12D3KooW",
        f"{ANNE}x",
        f"{ANNE} {BOB}",
        f"{ANNE} anne",
        f"{ANNE} =x",
        f"{ANNE}\r{BOB}",
        f"{ANNE} expires=tomorrow",
        "x" * 100_000,
        "\x1b[2J",
    ],
)
def test_one_line_that_cannot_be_understood_fails_the_whole_list(path: Path, line: str) -> None:
    write_private(path, f"{BOB}\n{line}\n".encode())
    with pytest.raises(ConfigError, match=r"invalid peer ID at line 2: .* \(error: ") as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (f"{ANNE}\n{BOB} # a\0b\n".encode(), "NUL byte at line 2"),
        (f"{ANNE}\n{BOB} # \xff\n".encode("latin-1"), "not UTF-8 at line 2"),
        (f"{ANNE}\n{str(BOB)[:30]}".encode(), "invalid peer ID at line 2"),  # written by half
    ],
)
def test_damage_fails_the_whole_list_with_its_line(path: Path, data: bytes, problem: str) -> None:
    write_private(path, data)
    with pytest.raises(ConfigError, match=problem):
        load(path)


def test_a_missing_list_is_not_an_empty_one(path: Path) -> None:
    with pytest.raises(ConfigError, match="failed to open authorized_keys file") as caught:
        load(path)
    assert "peerup auth add" in caught.value.hint


def test_what_is_no_list_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a regular file"):
        load(tmp_path)
    write_private(path, b"#" * (MAX_FILE_BYTES + 1))
    for use in (load, lambda found: add(found, ANNE)):
        with pytest.raises(ConfigError, match="too large"):
            use(path)


@pytest.mark.parametrize(("mode", "fine"), [(0o600, True), (0o644, True), (0o620, False)])
def test_a_list_that_others_may_write_is_refused(path: Path, mode: int, fine: bool) -> None:
    write_private(path, f"{ANNE}\n").chmod(mode)
    if fine:
        assert load(path)
        return
    with pytest.raises(ConfigError, match="insecure permissions 0620") as caught:
        load(path)
    assert f"chmod 600 {path}" in str(caught.value)


def test_a_list_in_a_directory_open_to_all_is_refused(path: Path) -> None:
    write_private(path, f"{ANNE}\n")
    path.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="everybody may write"):
        load(path)


def test_attributes_of_later_versions_are_read(path: Path) -> None:
    expires = "2026-03-01T12:00:00+01:00"
    write_private(path, f"{ANNE}  expires={expires} group=a  # x\n{BOB} expires=2026-03-01\n")
    anne, bob = load(path)
    assert anne == Entry(ANNE, "x", 1, (("expires", expires), ("group", "a")), 1772362800.0)
    assert not anne.expired(1772362799.0)
    assert anne.expired(1772362800.0)
    assert bob.expires == 1772323200.0  # midnight UTC
    assert not Entry(BOB, "", 1).expired(1e12)


def test_a_peer_listed_twice_with_different_attributes_is_refused(path: Path) -> None:
    write_private(path, f"{ANNE} group=a\n# x\n{ANNE} group=b\n")
    with pytest.raises(ConfigError, match=r"other attributes at line 3: the first is at line 1"):
        load(path)


def test_comments_are_safe_to_print(path: Path) -> None:
    write_private(path, f"{ANNE} # \x1b[31mred \u202egnp.exe\n")
    assert load(path)[0].comment == "[31mred gnp.exe"


def test_an_empty_list_is_created_once(path: Path) -> None:
    assert create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load(path) == ()
    write_private(path, f"{ANNE}\n")
    assert not create(path)
    assert [entry.peer for entry in load(path)] == [ANNE]


def test_a_list_that_cannot_be_created_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"failed to write .*No such file"):
        create(tmp_path / "missing" / "authorized_keys")


def test_the_first_peer_creates_the_list(path: Path) -> None:
    assert add(path, ANNE, "Anne's laptop")
    assert path.read_text() == f"{HEADER}{ANNE}  # Anne's laptop\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert HEADER.count("\n") == 2
    assert load(path) == (Entry(ANNE, "Anne's laptop", 3),)


def test_a_peer_is_added_once_in_whatever_form_it_is_written(path: Path) -> None:
    write_private(path, f"{ANNE.to_cid()}\n")
    assert not add(path, ANNE, "again")
    assert path.read_text() == f"{ANNE.to_cid()}\n"


def test_w16_a_last_line_without_its_end_is_repaired(path: Path) -> None:
    write_private(path, f"{ANNE} # anne")
    assert add(path, BOB)
    assert path.read_text() == f"{ANNE} # anne\n{BOB}\n"
    assert [entry.peer for entry in load(path)] == [ANNE, BOB]


@pytest.mark.parametrize(
    ("comment", "line"),
    [
        ("", "{}\n"),
        ("  ", "{}\n"),
        ("\n\r\0", "{}\n"),
        ("a\n12D3KooWevil", "{}  # a 12D3KooWevil\n"),
        ("\x1b[2Jx", "{}  # [2Jx\n"),
        ("# x", "{}  # # x\n"),
        ("y" * 10_000, "{}  # " + "y" * 128 + "\n"),
        ("\ud800", "{}\n"),
    ],
)
def test_w16_a_comment_is_one_printable_line(path: Path, comment: str, line: str) -> None:
    add(path, ANNE, comment)
    assert path.read_bytes() == (HEADER + line.format(ANNE)).encode()
    assert [entry.peer for entry in load(path)] == [ANNE]


def test_w16_changes_at_the_same_time_are_all_there(path: Path) -> None:
    peers = [peer(number) for number in range(12)]
    gone = [peer(number) for number in range(100, 104)]
    for one in gone:
        add(path, one)

    with ThreadPoolExecutor(4) as pool:
        added = [pool.submit(add, path, one) for one in peers]
        removed = [pool.submit(remove, path, one) for one in gone]
        assert all(change.result() for change in added + removed)
    assert {entry.peer for entry in load(path)} == set(peers)


def test_adding_to_a_broken_list_is_refused_and_changes_nothing(path: Path) -> None:
    write_private(path, f"{ANNE}\nnonsense\n")
    with pytest.raises(ConfigError, match="line 2"):
        add(path, BOB)
    assert path.read_text() == f"{ANNE}\nnonsense\n"


def test_removing_takes_every_line_of_the_peer_and_no_other_byte(path: Path) -> None:
    before = (
        b"\xef\xbb\xbf# header\r\n\n"
        + f"{ANNE}  # one\n{BOB}\t#\tbob \n  {ANNE.to_cid()} group=x\r\n".encode()
        + b"broken \xff line\n"
        + f"# {ANNE}\n{ANNE}".encode()
    )
    write_private(path, before)
    assert remove(path, ANNE)
    assert path.read_bytes() == (
        b"\xef\xbb\xbf# header\r\n\n"
        + f"{BOB}\t#\tbob \n".encode()
        + b"broken \xff line\n"
        + f"# {ANNE}\n".encode()
    )
    assert not remove(path, ANNE)


def test_removing_from_no_list_creates_none(path: Path) -> None:
    assert not remove(path, ANNE)
    assert os.listdir(path.parent) == []


def test_mode_and_link_stay(path: Path, tmp_path: Path) -> None:
    write_private(tmp_path / "real", f"{ANNE}\n").chmod(0o640)
    path.symlink_to("real")
    add(path, BOB)
    remove(path, ANNE)
    assert path.is_symlink()
    assert (tmp_path / "real").read_text() == f"{BOB}\n"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_what_cannot_be_written_is_said_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(authorized_keys, "write_atomic", full)
    with pytest.raises(ConfigError, match=r"failed to write .*No space left"):
        add(path, ANNE)
    with pytest.raises(ConfigError, match="cannot lock"):
        add(path.parent / "missing" / "authorized_keys", ANNE)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_list_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-bytes"
    write_private(path, data)
    try:
        load(path)
    except ConfigError:
        return
    before = load(path)
    add(path, ANNE)
    assert [entry.peer for entry in load(path)] == [*(entry.peer for entry in before), ANNE]
    remove(path, ANNE)
    assert load(path) == before
    assert path.read_bytes().startswith(data)


PAST, LATER = "expires=2026-03-01", "expires=2026-03-03"
NOW = 1772409600.0  # 2026-03-02 in UTC


def test_an_entry_that_has_expired_gives_way_to_a_new_one(path: Path) -> None:
    write_private(path, f"# mine\n{ANNE} {PAST}  # Anne\n{BOB}")
    assert add(path, ANNE, now=NOW)
    assert path.read_text() == f"# mine\n{BOB}\n{ANNE}  # Anne\n"
    assert not add(path, ANNE, now=NOW)


def test_a_new_comment_takes_the_place_of_the_old_one(path: Path) -> None:
    write_private(path, f"{ANNE} {PAST}  # Anne\n{ANNE} {PAST}\n")
    assert add(path, ANNE, "back again", now=NOW)
    assert path.read_text() == f"{ANNE}  # back again\n"


def test_an_entry_that_has_not_expired_stays(path: Path) -> None:
    write_private(path, f"{ANNE} {LATER}\n{BOB} {PAST}\n")
    assert not add(path, ANNE, now=NOW)
    assert not add(path, BOB)  # nobody said what time it is
    assert path.read_text() == f"{ANNE} {LATER}\n{BOB} {PAST}\n"


def test_a_check_finds_every_problem_and_every_good_line(path: Path) -> None:
    lines = [f"{ANNE}", "nonsense", "# x", f"{BOB} group=a", f"{BOB} group=b", "a\0b", "\xff"]
    write_private(path, "\n".join(lines).encode("latin-1"))
    entries, problems = check(path)
    assert [(entry.peer, entry.line) for entry in entries] == [(ANNE, 1), (BOB, 4)]
    assert [(problem.line, problem.what) for problem in problems] == [
        (2, "invalid peer ID"),
        (5, f"a second entry for {BOB.short} with other attributes"),
        (6, "NUL byte"),
        (7, "bytes that are not UTF-8"),
    ]
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {problems[0]}"
    assert str(Problem(3, "odd", "very")) == "odd at line 3: very"


def test_w16_two_entries_that_were_run_together_are_found(path: Path) -> None:
    write_private(path, f"{ANNE}{BOB}\n")
    assert [problem.line for problem in check(path)[1]] == [1]


def test_a_check_of_what_nobody_may_trust_is_an_error(path: Path) -> None:
    write_private(path, f"{ANNE}\n").chmod(0o666)
    with pytest.raises(ConfigError, match="insecure permissions"):
        check(path)
