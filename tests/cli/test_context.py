from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from peerup.cli import context
from peerup.errors import ConfigError, UsageError
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, RELAY

Capture = pytest.CaptureFixture[str]


def test_the_flag_beats_the_search_path(peerup: Peerup, config: Path, tmp_path: Path) -> None:
    assert context.node_config(Namespace(config=None)).path == config
    other = tmp_path / "other.yaml"
    other.write_bytes(config.read_bytes())
    other.chmod(0o600)
    assert context.node_config(Namespace(config=str(other))).path == other
    with pytest.raises(ConfigError, match="config file not found: nowhere"):
        context.node_config(Namespace(config="nowhere"))


def test_what_is_odd_about_a_configuration_is_said_but_does_not_stop_us(
    config: Path, capsys: Capture
) -> None:
    config.write_text(config.read_text() + "surprise: 1\n")
    capsys.readouterr()
    context.node_config(Namespace(config=None))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"Warning: {config}:")
    assert "surprise" in captured.err


def test_without_a_relay_configuration_the_way_to_one_is_said(home: Path) -> None:
    with pytest.raises(ConfigError, match="no relay configuration") as caught:
        context.relay_config(Namespace(config=None))
    assert "peerup relay serve" in caught.value.hint


def test_a_peer_is_named_or_given_by_its_id(config: Path) -> None:
    loaded = context.node_config(Namespace(config=None))
    assert context.peer_or_name(loaded, "home") == HOME
    assert context.peer_or_name(loaded, str(RELAY)) == RELAY
    with pytest.raises(UsageError, match="invalid peer ID"):
        context.peer_or_name(loaded, "work")


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10.0), ("1m30s", 90.0), ("250ms", 0.25), ("0", 0.0)]
)
def test_a_duration_is_written_with_its_unit(text: str, seconds: float) -> None:
    assert context.duration(text, "--wait") == seconds


@pytest.mark.parametrize("text", ["", "10", "-1s", "soon", "1d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        context.duration(text, "--wait")
