from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from peerup import __version__
from tests.cli.conftest import Peerup


@pytest.mark.parametrize("words", ["version", "--version", "-V"])
def test_the_version_needs_no_configuration(peerup: Peerup, words: str) -> None:
    result = peerup(words)
    assert (result.code, result.err) == (0, "")
    first, second = result.out.splitlines()
    assert first == f"peerup {__version__}"
    assert second.startswith(f"Python {platform.python_version()} ")


@pytest.mark.parametrize("words", [("version",), ("relay", "version")])
def test_the_version_as_json(peerup: Peerup, words: tuple[str, ...]) -> None:
    shown = json.loads(peerup(*words, "--json").out)
    assert list(shown) == ["version", "python", "platform"]
    assert (shown["version"], shown["python"]) == (__version__, platform.python_version())


def test_a_relay_has_the_same_version(peerup: Peerup) -> None:
    node, relay = peerup("version").out, peerup("relay", "version").out
    assert relay == node.replace("peerup", "peerup relay", 1)


def test_the_version_is_that_of_the_package() -> None:
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    assert f'\nversion = "{__version__}"\n' in project.read_text()
