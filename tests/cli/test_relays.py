from __future__ import annotations

import json
from pathlib import Path

import pytest

from peerup.config.load import load_config
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, RELAY, RELAY_ADDRESS

OTHER = f"/ip4/203.0.113.9/tcp/7777/p2p/{RELAY}"


def relays(config: Path) -> list[str]:
    return list(map(str, load_config(config).relay.addresses))


def test_a_relay_is_added_listed_and_removed(peerup: Peerup, config: Path) -> None:
    added = peerup("relay", "add", OTHER)
    assert added.code == 0
    assert added.out.splitlines() == [f"Added relay: {OTHER}", f"  Config: {config}"]
    assert "Restart `peerup daemon`" in added.err
    assert peerup("relay", "list").out.splitlines() == [
        "Relays (2):",
        f"  {RELAY_ADDRESS}",
        f"  {OTHER}",
    ]
    removed = peerup("relay", "remove", RELAY_ADDRESS)
    assert removed.code == 0
    assert removed.out.splitlines() == [f"Removed relay: {RELAY_ADDRESS}", f"  Config: {config}"]
    assert relays(config) == [OTHER]


def test_several_short_addresses_share_one_peer_id(peerup: Peerup, config: Path) -> None:
    words = ("203.0.113.9", "[2001:db8::7]:9000", "--peer-id", str(RELAY))
    assert peerup("relay", "add", *words).code == 0
    assert relays(config)[1:] == [OTHER, f"/ip6/2001:db8::7/tcp/9000/p2p/{RELAY}"]


def test_adding_a_relay_twice_is_no_error_and_no_second_line(peerup: Peerup, config: Path) -> None:
    before = config.read_text()
    again = peerup("relay", "add", RELAY_ADDRESS)
    assert (again.code, again.out, again.err) == (0, f"Already there: {RELAY_ADDRESS}\n", "")
    assert config.read_text() == before


def test_the_comments_of_the_configuration_survive(peerup: Peerup, config: Path) -> None:
    before = config.read_text()
    peerup("relay", "add", OTHER)
    peerup("relay", "remove", OTHER)
    assert config.read_text() == before


@pytest.mark.parametrize("empty", ["addresses: []", "addresses:"])
def test_a_relay_is_added_where_there_is_none(peerup: Peerup, config: Path, empty: str) -> None:
    text = config.read_text()
    config.write_text(text.replace(f'addresses:\n    - "{RELAY_ADDRESS}"', empty))
    assert relays(config) == []
    assert peerup("relay", "list").out == "No relays configured.\n"
    assert peerup("relay", "add", OTHER).code == 0
    assert relays(config) == [OTHER]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("/ip4/203.0.113.9/tcp/7777",), "ends in /p2p/"),
        ((f"{RELAY_ADDRESS}/p2p-circuit/p2p/{HOME}",), "ends in /p2p/"),
        (("relay.example:7777", "--peer-id", str(RELAY)), "invalid relay address"),
        (("203.0.113.9",), "short address format requires --peer-id flag"),
        (("203.0.113.9", "--peer-id", "me"), "invalid peer ID"),
        ((OTHER, "nonsense"), "invalid relay address"),
        ((), "required: ADDR"),
    ],
)
def test_what_is_no_relay_is_refused_and_nothing_is_added(
    peerup: Peerup, config: Path, words: tuple[str, ...], message: str
) -> None:
    before = config.read_text()
    result = peerup("relay", "add", *words)
    assert result.code == 2
    assert message in result.err
    assert config.read_text() == before


@pytest.mark.parametrize("text", ["/ip4/203.0.113.9/tcp/7777", "203.0.113.9:7777", "203.0.113.9"])
def test_a_relay_may_be_named_without_its_peer_id(peerup: Peerup, config: Path, text: str) -> None:
    peerup("relay", "add", OTHER)
    assert peerup("relay", "remove", text).out.startswith(f"Removed relay: {OTHER}\n")
    assert relays(config) == [RELAY_ADDRESS]


def test_a_name_for_several_relays_is_for_none(peerup: Peerup, config: Path) -> None:
    peerup("relay", "add", "203.0.113.5", "--peer-id", str(HOME))
    result = peerup("relay", "remove", "203.0.113.5")
    assert result.code == 2
    assert "several relays are there" in result.err
    assert len(relays(config)) == 2


@pytest.mark.parametrize("text", [OTHER, "203.0.113.9", "/ip4/203.0.113.9/tcp/7777"])
def test_a_relay_that_is_not_there_cannot_be_removed(
    peerup: Peerup, config: Path, text: str
) -> None:
    peerup("relay", "add", f"/ip4/203.0.113.10/tcp/1/p2p/{RELAY}")
    result = peerup("relay", "remove", text)
    assert result.code == 2
    assert "relay address not found in config: " in result.err


def test_what_is_no_address_cannot_be_removed(peerup: Peerup, config: Path) -> None:
    result = peerup("relay", "remove", "/nonsense")
    assert result.code == 2
    assert "invalid multiaddr: " in result.err


def test_the_last_relay_stays(peerup: Peerup, config: Path) -> None:
    result = peerup("relay", "remove", RELAY_ADDRESS)
    assert result.code == 2
    assert "cannot remove the last relay address" in result.err
    assert "peerup relay add" in result.err
    assert relays(config) == [RELAY_ADDRESS]


def test_a_relay_can_be_removed_from_a_configuration_that_does_not_load(
    peerup: Peerup, config: Path
) -> None:
    text = config.read_text()
    good = f'    - "{RELAY_ADDRESS}"\n'
    config.write_text(text.replace(good, f'{good}    - "{OTHER}"\n    - "/ip5/1"\n'))
    assert peerup("relay", "list").code == 2
    assert peerup("relay", "remove", "203.0.113.9").code == 0
    assert OTHER not in config.read_text()


def test_the_list_as_json(peerup: Peerup, config: Path) -> None:
    assert json.loads(peerup("relay", "list", "--json").out) == {
        "relays": [{"address": RELAY_ADDRESS, "peer_id": str(RELAY)}],
        "config": str(config),
    }
