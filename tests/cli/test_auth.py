from __future__ import annotations

import json
from pathlib import Path

import pytest

from peerup.config import authorized_keys
from peerup.config.load import load_config
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, RELAY, peer

LAPTOP = peer(9)


def listed(config: Path) -> list[str]:
    return [str(entry.peer) for entry in authorized_keys.load(config.parent / "authorized_keys")]


def test_a_peer_is_added_listed_and_removed(peerup: Peerup, config: Path) -> None:
    added = peerup("auth", "add", str(LAPTOP), "--comment", "my laptop")
    assert added.code == 0
    assert added.out.splitlines() == [
        f"Authorized peer: {LAPTOP}",
        "  Comment: my laptop",
        f"  File: {config.parent / 'authorized_keys'}",
    ]
    shown = peerup("auth", "list")
    assert "Authorized peers (1):" in shown.out
    assert f"  {LAPTOP}  # my laptop\n" in shown.out
    removed = peerup("auth", "remove", str(LAPTOP))
    assert (removed.code, removed.out.splitlines()[0]) == (0, f"Revoked peer: {LAPTOP}")
    assert listed(config) == []


def test_adding_a_peer_twice_is_no_error_and_no_second_line(peerup: Peerup, config: Path) -> None:
    peerup("auth", "add", str(LAPTOP))
    again = peerup("auth", "add", str(LAPTOP))
    assert (again.code, again.out.splitlines()[0]) == (0, f"Already authorized: {LAPTOP}")
    assert listed(config) == [str(LAPTOP)]


def test_a_name_goes_into_the_configuration_and_stands_for_the_id(
    peerup: Peerup, config: Path
) -> None:
    assert peerup("auth", "add", str(LAPTOP), "--name", "laptop").code == 0
    assert load_config(config).names == {"home": HOME, "laptop": LAPTOP}
    assert f"  {LAPTOP}  laptop\n" in peerup("auth", "list").out
    assert peerup("auth", "remove", "laptop").code == 0
    assert listed(config) == []


def test_a_name_can_be_given_to_a_peer_that_is_authorized_already(
    peerup: Peerup, config: Path
) -> None:
    peerup("auth", "add", str(LAPTOP))
    assert peerup("auth", "add", str(LAPTOP), "--name", "laptop").code == 0
    assert load_config(config).names["laptop"] == LAPTOP


def test_a_name_that_another_peer_has_is_refused_and_nothing_is_changed(
    peerup: Peerup, config: Path
) -> None:
    before = config.read_text()
    result = peerup("auth", "add", str(LAPTOP), "--name", "home")
    assert result.code == 2
    assert f'the name "home" already belongs to {HOME}' in result.err
    assert config.read_text() == before
    assert listed(config) == []


@pytest.mark.parametrize("name", ["", "two words", "a/b", "x" * 65, "\x1b[31m"])
def test_a_name_that_could_not_be_typed_is_refused(peerup: Peerup, config: Path, name: str) -> None:
    result = peerup("auth", "add", str(LAPTOP), "--name", name)
    assert result.code == 2
    assert "invalid name" in result.err
    assert "\x1b" not in result.err
    assert listed(config) == []


@pytest.mark.parametrize("command", ["add", "remove"])
def test_what_is_no_peer_id_is_refused(peerup: Peerup, config: Path, command: str) -> None:
    result = peerup("auth", command, "12D3KooWnonsense")
    assert result.code == 2
    assert "invalid peer ID" in result.err
    assert "peerup whoami" in result.err


def test_removing_a_peer_that_is_not_listed_is_an_error(peerup: Peerup, config: Path) -> None:
    peerup("auth", "add", str(LAPTOP))
    result = peerup("auth", "remove", str(RELAY))
    assert result.code == 2
    assert f"peer not found: {RELAY}" in result.err
    assert listed(config) == [str(LAPTOP)]


def test_comments_of_other_peoples_making_cannot_touch_the_terminal(
    peerup: Peerup, config: Path
) -> None:
    file = config.parent / "authorized_keys"
    file.write_text(f"{LAPTOP} via=\x1b[2J # \x1b[31mred \u202eevil\n")
    result = peerup("auth", "list")
    assert result.code == 0
    assert str(LAPTOP) in result.out
    assert not set(result.out) & {"\x1b", "\u202e"}


def test_a_broken_list_is_reported_with_its_line(peerup: Peerup, config: Path) -> None:
    (config.parent / "authorized_keys").write_text(f"{LAPTOP}\nnonsense\n")
    result = peerup("auth", "list")
    assert result.code == 2
    assert "invalid peer ID at line 2" in result.err


def test_a_configuration_without_a_list_says_what_to_add(peerup: Peerup, config: Path) -> None:
    text = config.read_text()
    text = text.replace('  authorized_keys_file: "authorized_keys"\n', "")
    config.write_text(text.replace("gating: true", "gating: false"))
    result = peerup("auth", "list")
    assert result.code == 2
    assert f"no authorized_keys_file configured in {config}" in result.err


def test_an_entry_that_has_expired_is_renewed(peerup: Peerup, config: Path) -> None:
    file = config.parent / "authorized_keys"
    file.write_text(f"{LAPTOP} expires=2020-01-01  # old laptop\n")
    assert "expires=2020-01-01 (expired)" in peerup("auth", "list").out
    again = peerup("auth", "add", str(LAPTOP))
    assert (again.code, again.out.splitlines()[0]) == (0, f"Authorized peer: {LAPTOP}")
    assert file.read_text() == f"{LAPTOP}  # old laptop\n"


def test_another_list_can_be_named(peerup: Peerup, config: Path, tmp_path: Path) -> None:
    other = tmp_path / "relay_authorized_keys"
    flag = ("--file", str(other))
    assert peerup("auth", "add", str(LAPTOP), *flag).out.endswith(f"  File: {other}\n")
    assert peerup("auth", "list", *flag).out.splitlines()[1] == f"  {LAPTOP}"
    assert listed(config) == []
    assert peerup("auth", "remove", str(LAPTOP), *flag).code == 0
    assert authorized_keys.load(other) == ()


def test_another_list_needs_no_configuration(peerup: Peerup, home: Path) -> None:
    assert peerup("auth", "add", "--file", "list", str(LAPTOP)).code == 0
    assert str(LAPTOP) in (home / "list").read_text()
    named = peerup("auth", "add", "--file", "list", str(HOME), "--name", "home")
    assert named.code == 2
    assert "config file not found" in named.err
    assert str(HOME) not in (home / "list").read_text()


def test_the_list_as_json(peerup: Peerup, config: Path) -> None:
    peerup("auth", "add", str(HOME), "--comment", "caf\u00e9")
    result = peerup("auth", "list", "--json")
    assert result.out.isascii()
    assert json.loads(result.out) == {
        "peers": [
            {
                "peer_id": str(HOME),
                "names": ["home"],
                "comment": "caf\u00e9",
                "attributes": {},
                "expired": False,
                "line": 3,
            }
        ],
        "file": str(config.parent / "authorized_keys"),
    }


def test_a_good_list_is_said_to_be_good(peerup: Peerup, config: Path) -> None:
    peerup("auth", "add", str(LAPTOP))
    result = peerup("auth", "validate")
    file = config.parent / "authorized_keys"
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "Validation passed",
        "  Valid peer IDs: 1",
        f"  File: {file}",
    ]


def test_every_line_of_a_bad_list_is_named(peerup: Peerup, home: Path) -> None:
    (home / "list").write_text(f"nonsense\n{LAPTOP}\n{LAPTOP}x # \x1b[2J\na\0b\n")
    result = peerup("auth", "validate", "list")
    assert result.code == 2
    first, *lines, file = result.out.splitlines()
    assert first == "Validation failed with 3 error(s):"
    assert [line.partition(" - ")[0] for line in lines] == [
        "  Line 1: invalid peer ID",
        "  Line 3: invalid peer ID",
        "  Line 4: NUL byte",
    ]
    assert file == f"  File: {home / 'list'}"
    assert "\x1b" not in result.out


def test_what_is_allowed_but_hardly_meant_is_pointed_out(peerup: Peerup, home: Path) -> None:
    (home / "list").write_text(f"{LAPTOP}\n{LAPTOP}\n{HOME} expires=2020-01-01\n")
    result = peerup("auth", "validate", "list")
    assert result.code == 0
    assert result.err.splitlines() == [
        f"Warning: line 2: {LAPTOP} is in line 1 too",
        f"Warning: line 3: {HOME} has expired and is not let in",
    ]


def test_the_validation_as_json(peerup: Peerup, home: Path) -> None:
    (home / "list").write_text(f"{LAPTOP}\na\0b\n")
    result = peerup("auth", "validate", "--json", "list")
    assert result.code == 2
    assert json.loads(result.out) == {
        "valid": False,
        "peers": 1,
        "errors": [{"line": 2, "what": "NUL byte", "detail": ""}],
        "file": str(home / "list"),
    }


def test_a_list_that_is_missing_cannot_be_validated(peerup: Peerup, home: Path) -> None:
    result = peerup("auth", "validate", "list")
    assert result.code == 2
    assert "failed to open authorized_keys file" in result.err


def test_w16_the_missing_end_of_the_last_line_is_repaired(peerup: Peerup, config: Path) -> None:
    file = config.parent / "authorized_keys"
    file.write_text(f"{HOME} # home")
    assert peerup("auth", "add", str(LAPTOP), "--comment", "a\r\nb").code == 0
    assert file.read_text() == f"{HOME} # home\n{LAPTOP}  # a b\n"
    assert peerup("auth", "validate").code == 0
