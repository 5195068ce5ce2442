from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import ConfigError
from peerup.relay import vouched_file
from peerup.relay.vouched_file import MAX_FILE_BYTES, MAX_PAIRS, beside, load, update, without
from peerup.relay.vouching import Pair
from tests.world import peer_of

HOME, OTHER, LAPTOP = peer_of("home"), peer_of("other"), peer_of("laptop")
PAIR: Final = Pair(HOME, LAPTOP, 1_800_000_000)
ENTRY: Final = {"voucher": str(HOME), "guest": str(LAPTOP), "since": "2027-01-15T08:00:00+00:00"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return beside(tmp_path / "relay_authorized_keys")


def test_the_file_is_beside_the_list(tmp_path: Path) -> None:
    assert beside(tmp_path / "relay_authorized_keys") == tmp_path / "vouched.json"


def test_what_is_written_is_read_again(file: Path) -> None:
    assert load(file) == frozenset()
    pairs = frozenset({PAIR, Pair(OTHER, LAPTOP, 5)})
    assert update(file, lambda old: old | pairs) == (frozenset(), pairs)
    assert load(file) == pairs
    assert {pair.since for pair in load(file)} == {PAIR.since, 5}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ENTRY in json.loads(file.read_text())["pairs"]


def test_removing_takes_both_roles(file: Path) -> None:
    update(file, lambda old: old | {PAIR, Pair(OTHER, HOME, 0), Pair(OTHER, LAPTOP, 0)})
    _, left = update(file, without(HOME))
    assert left == load(file) == {Pair(OTHER, LAPTOP, 0)}


def test_a_change_that_changes_nothing_writes_nothing(file: Path) -> None:
    update(file, lambda old: old | {PAIR})
    before = file.stat().st_mtime_ns, file.stat().st_ino
    update(file, lambda old: old)
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_a_full_file_takes_no_more_and_gives_back(file: Path) -> None:
    pairs = frozenset(Pair(HOME, peer_of(f"{n}"), 0) for n in range(MAX_PAIRS))
    update(file, lambda old: old | pairs)
    assert file.stat().st_size < MAX_FILE_BYTES
    with pytest.raises(ConfigError, match="full") as caught:
        update(file, lambda old: old | {PAIR})
    assert "deauthorize" in caught.value.hint
    assert load(file) == pairs
    update(file, without(HOME))
    assert load(file) == frozenset()


DAMAGED: Final[dict[str, Any]] = {
    "empty": "",
    "torn": json.dumps({"version": 1, "pairs": [ENTRY]})[:-20],
    "no object": "[]",
    "a number": "7",
    "no pairs": '{"version": 1}',
    "later": '{"version": 2, "pairs": []}',
    "pairs that are none": '{"version": 1, "pairs": [1]}',
    "pairs that are a number": '{"version": 1, "pairs": 1}',
    "not a peer": json.dumps({"version": 1, "pairs": [ENTRY | {"guest": "me"}]}),
    "not even text": json.dumps({"version": 1, "pairs": [ENTRY | {"voucher": 7}]}),
    "not a time": json.dumps({"version": 1, "pairs": [ENTRY | {"since": "now"}]}),
    "half a time": json.dumps({"version": 1, "pairs": [ENTRY | {"since": "2027-01-15"}]}),
    "deep": "[" * 100_000,
    "too many": json.dumps({"version": 1, "pairs": [0] * (MAX_PAIRS + 1)}),
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_vouches_for_nobody_and_is_not_written_over(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="damaged") as caught:
        load(file)
    assert "remove it" in caught.value.hint
    with pytest.raises(ConfigError):
        update(file, lambda old: old | {PAIR})
    assert file.read_text() == text


@pytest.mark.parametrize("data", [b"\xff\xfe", bytes(10)])
def test_bytes_that_are_no_text_are_damage_too(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="damaged"):
        load(file)


def test_a_file_that_others_may_write_is_refused(file: Path) -> None:
    update(file, lambda old: old | {PAIR})
    file.chmod(0o620)
    with pytest.raises(ConfigError, match="chmod 600"):
        load(file)


def test_a_file_that_is_too_large_or_none_is_refused(file: Path) -> None:
    file.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="too large"):
        load(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(ConfigError, match="not a regular file"):
        load(file)


@given(
    data=st.binary(max_size=200) | st.from_regex(r'\{"version": 1, "pairs": .*\}').map(str.encode)
)
def test_any_bytes_are_pairs_or_damage(data: bytes) -> None:
    try:
        list(vouched_file._parse(data))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return


def test_changes_at_the_same_time_lose_nothing(file: Path) -> None:
    def add(number: int) -> None:
        update(file, lambda old: old | {Pair(HOME, peer_of(f"{number}"), 0)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert len(load(file)) == 40
