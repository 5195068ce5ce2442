from __future__ import annotations

from pathlib import Path

import pytest

from peerup.config.names import find_peer
from peerup.config.schema import Config, Identity
from peerup.errors import UsageError
from peerup.wire.peer_id import PeerId
from tests.world import peer_of

HOME, OFFICE = peer_of("home"), peer_of("office")


def config(**names: PeerId) -> Config:
    return Config(path=Path("/c.yaml"), identity=Identity(Path("/k")), names=names)


def test_a_name_is_its_peer_and_an_id_is_itself() -> None:
    assert find_peer(config(home=HOME), "home") == HOME
    assert find_peer(config(home=HOME), str(OFFICE)) == OFFICE


def test_a_name_comes_before_an_id_that_looks_the_same() -> None:
    assert find_peer(config(**{str(OFFICE): HOME}), str(OFFICE)) == HOME


@pytest.mark.parametrize("target", ["Home", "hom", "", "../../x", "12D3KooW"])
def test_whatever_is_neither_is_an_error_that_shows_the_names(target: str) -> None:
    with pytest.raises(UsageError, match="name not found") as caught:
        find_peer(config(home=HOME, office=OFFICE), target)
    assert "home, office" in caught.value.hint
    assert "peerup auth add" in caught.value.hint


def test_a_slip_is_recognised() -> None:
    with pytest.raises(UsageError, match="did you mean office"):
        find_peer(config(home=HOME, office=OFFICE), "ofice")


def test_without_any_names_the_error_says_so() -> None:
    with pytest.raises(UsageError) as caught:
        find_peer(config(), "home")
    assert "none yet" in caught.value.hint
