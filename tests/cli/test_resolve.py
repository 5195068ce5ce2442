from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, peer

OTHER = peer(7)


def test_a_name_is_shown_with_its_peer(peerup: Peerup, config: Path) -> None:
    result = peerup("resolve", "home")
    assert (result.code, result.out, result.err) == (0, f"home → {HOME}\n", "")


@pytest.mark.parametrize(
    ("name", "peer_id", "source"),
    [("home", HOME, "local_config"), (str(OTHER), OTHER, "peer_id")],
)
def test_json_says_where_it_was_found(
    peerup: Peerup, config: Path, name: str, peer_id: object, source: str
) -> None:
    result = peerup("resolve", "--json", name)
    assert json.loads(result.out) == {"name": name, "peer_id": str(peer_id), "source": source}


def test_a_name_that_is_not_there_is_exit_code_2(peerup: Peerup, config: Path) -> None:
    result = peerup("resolve", "hom\x1b[2J")
    assert (result.code, result.out) == (2, "")
    assert "name not found: hom\\x1b[2J" in result.err
    assert "Names in" in result.err


def test_w15_nothing_is_created_and_no_key_is_needed(peerup: Peerup, config: Path) -> None:
    (config.parent / "identity.key").unlink()
    before = sorted(config.parent.iterdir())
    assert peerup("resolve", "home").code == 0
    assert sorted(config.parent.iterdir()) == before


def test_without_a_configuration_the_cure_is_named(peerup: Peerup) -> None:
    result = peerup("resolve", "home")
    assert result.code == 2
    assert "peerup init" in result.err
