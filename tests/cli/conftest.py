"""A home of its own for each test, and one call that is a whole command."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from peerup.cli.logging_setup import VARIABLE, KeyValueFormatter
from peerup.cli.main import main
from peerup.config.edit import add_name
from tests.cli import fake_node


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


Peerup = Callable[..., Result]
Answers = Callable[[str | bytes], None]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME, which is the working directory too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def peerup(home: Path, capsys: pytest.CaptureFixture[str]) -> Peerup:
    """Run ``peerup`` with these words in the test's home."""

    def run(*words: str) -> Result:
        capsys.readouterr()
        code = main(words)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Let stdin be a pipe with these lines, then its end."""

    def give(text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_node.Network]:
    """Fakes in place of the node layer; the Network says what they do."""
    yield fake_node.install(monkeypatch)
    for name in fake_node.USERS:
        sys.modules.pop(f"peerup.cli.{name}", None)


@pytest.fixture
def config(peerup: Peerup, home: Path) -> Path:
    """A node's configuration in its usual place, with the name ``home`` in it."""
    ready = peerup("init", "--non-interactive", "--relay", fake_node.RELAY_ADDRESS)
    assert ready.code == 0, ready.err
    path = home / ".config" / "peerup" / "config.yaml"
    add_name(path, "home", fake_node.HOME)
    return path


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    """Undo the logging set-up of a command, which writes to this test's captured stderr."""
    ours = logging.getLogger("peerup")
    level = ours.level
    yield
    ours.setLevel(level)
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h.formatter, KeyValueFormatter)]:
        root.removeHandler(handler)
