"""The protocol of docs/research/add-a-protocol.md works, tested by the test that the page shows."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.docs.pages import ROOT, blocks

if TYPE_CHECKING:
    from pathlib import Path

PAGE: Final = ROOT / "docs" / "research" / "add-a-protocol.md"
FILES: Final = ("remember.py", "test_remember.py")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files of the page: the first line of a block names the one it is of."""
    directory = tmp_path_factory.mktemp("remember")
    texts = dict.fromkeys(FILES, "")
    for block in blocks(PAGE):
        if block.language == "python":
            name = block.code.splitlines()[0].removeprefix("# ")
            texts[name] += "\n\n" * bool(texts[name]) + block.code.partition("\n")[2]
    assert set(texts) == set(FILES)
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    return directory


def run(package: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=package,
        # Where Hypothesis keeps its tables of Unicode, which take seconds to make.
        env=os.environ | {"HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_test_of_the_page_passes(package: Path) -> None:
    options = ("-q", "-p", "no:cacheprovider", "-W", "error")
    assert run(package, "pytest", *options, "test_remember.py") == ""


def test_the_types_are_right(package: Path) -> None:
    cache = str(ROOT / ".mypy_cache")
    assert run(package, "mypy", "--strict", "--cache-dir", cache, *FILES) == ""


def test_it_looks_like_the_rest_of_the_source(package: Path) -> None:
    config = ("--config", str(ROOT / "pyproject.toml"))
    assert run(package, "ruff", "format", "--diff", *config, *FILES) == ""
    # How imports are sorted depends on whether peerup is one's own package.
    assert run(package, "ruff", "check", *config, "--ignore", "S,D100,D103,I,INP", *FILES) == ""
