from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from peerup.cli import files
from peerup.errors import ConfigError


def test_the_flag_names_a_file_that_has_to_be_there(home: Path) -> None:
    (home / "other.yaml").touch()
    assert files.explicit_path(Namespace(config="other.yaml")) == Path("other.yaml")
    assert files.node_file(Namespace(config="other.yaml")) == home / "other.yaml"
    with pytest.raises(ConfigError, match="config file not found: nowhere"):
        files.node_file(Namespace(config="nowhere"))


def test_without_the_flag_the_first_file_of_the_search_path_counts(home: Path) -> None:
    assert files.explicit_path(Namespace(config=None)) is None
    with pytest.raises(ConfigError, match="searched"):
        files.node_file(Namespace(config=None))
    path = home / ".config" / "peerup" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.touch()
    assert files.node_file(Namespace(config=None)) == path
