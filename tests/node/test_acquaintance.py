from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.config.edit import add_name
from peerup.config.schema import Config, Identity, Security
from peerup.config.text import MAX_NAME_CHARS
from peerup.errors import ConfigError
from peerup.node.acquaintance import keys_file_of, knows, usable, write_down
from peerup.wire.peer_id import PeerId
from tests.node.pairing_town import PairingTown
from tests.world import peer_of

HOME, OTHER = peer_of("home"), peer_of("other")
HOSTILE: Final = {
    "../../x": "x",
    "a: b\n  admin: true": "abadmintrue",
    "h" * 10_000: "h" * MAX_NAME_CHARS,
    "\u202eemoh": "emoh",
    "\x1b[31mhome\x1b[0m": "31mhome0m",
    "--config": "config",
    "home laptop": "homelaptop",
    "h\u00f6me": "hme",
}
NAMELESS: Final = ["", " ", "\U0001f3e0", "...", "---", "\u5bb6", "\x00\n", str(OTHER)]


@pytest.mark.parametrize(("said", "name"), HOSTILE.items(), ids=range(len(HOSTILE)))
def test_of_what_a_peer_calls_itself_what_can_be_a_name_remains(said: str, name: str) -> None:
    assert usable(said, HOME) == name


@pytest.mark.parametrize("said", NAMELESS)
def test_a_peer_without_a_usable_name_gets_one(said: str) -> None:
    assert usable(said, HOME) == f"peer-{str(HOME)[-8:]}"


@given(said=st.text(max_size=200))
def test_whatever_a_peer_calls_itself_can_be_typed(said: str) -> None:
    name = usable(said, HOME)
    assert 0 < len(name) <= MAX_NAME_CHARS
    assert name.isascii()
    assert not name.startswith(("-", "."))
    with pytest.raises(ValueError, match="not a peer id"):
        PeerId.parse(name)


@pytest.mark.parametrize("said", [*HOSTILE, *NAMELESS, "null", "yes", "0x10", "2026-01-01"])
def test_w04_no_name_breaks_a_file(tmp_path: Path, said: str) -> None:
    town = PairingTown(tmp_path)
    config = town.config("laptop")
    keys = keys_file_of(config)
    first = write_down(config.path, keys, HOME, said)
    second = write_down(config.path, keys, OTHER, said)
    assert first != second
    assert town.names("laptop") == {first: HOME, second: OTHER}
    assert town.listed("laptop") == {HOME: first, OTHER: second}
    before = config.path.read_bytes(), keys.read_bytes()
    assert write_down(config.path, keys, HOME, said) == first
    assert (config.path.read_bytes(), keys.read_bytes()) == before


def test_a_name_that_the_user_gave_stays(tmp_path: Path) -> None:
    town = PairingTown(tmp_path)
    config = town.config("laptop")
    add_name(config.path, "my-box", HOME)
    assert write_down(config.path, keys_file_of(config), HOME, "home") == "my-box"
    assert town.names("laptop") == {"my-box": HOME}


def test_who_was_killed_between_name_and_key_is_not_known_yet(tmp_path: Path) -> None:
    town = PairingTown(tmp_path)
    config = town.config("laptop")
    add_name(config.path, "home", HOME)
    assert not knows(config, HOME)
    write_down(config.path, keys_file_of(config), HOME, "home")
    assert knows(config, HOME)
    assert not knows(config, OTHER)


def test_who_pairs_again_after_its_entry_has_expired_is_let_in_again(tmp_path: Path) -> None:
    config = PairingTown(tmp_path).config("laptop")
    keys = keys_file_of(config)
    add_name(config.path, "home", HOME)
    keys.write_text(f"{HOME} expires=2020-01-01T00:00:00Z  # home\n")
    assert not knows(config, HOME)
    write_down(config.path, keys, HOME, "home")
    assert knows(config, HOME)


def test_without_a_list_there_is_nowhere_to_write(tmp_path: Path) -> None:
    config = Config(tmp_path / "c.yaml", Identity(tmp_path / "k"), security=Security(None, False))
    with pytest.raises(ConfigError, match="no authorized_keys_file"):
        keys_file_of(config)
