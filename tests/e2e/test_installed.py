"""The wheel, as it is built and as it is installed, without a network."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from peerup.cli.commands import COMMANDS, GROUPS
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [pytest.mark.e2e, pytest.mark.real_clock]

COMPLETION: Final = {
    "bash-completion/completions/peerup",
    "zsh/site-functions/_peerup",
    "fish/vendor_completions.d/peerup.fish",
}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` builds, built elsewhere."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", directory, cwd=ROOT)
    return directory


def only(directory: Path, pattern: str) -> Path:
    (found,) = directory.glob(pattern)
    return found


def shared(names: Sequence[str]) -> set[str]:
    """The files below share/, seen from there."""
    return {name.partition(".data/data/share/")[2] for name in names} - {""}


def pages() -> set[str]:
    commands = [(), *GROUPS, *COMMANDS]
    return {f"man/man1/{'-'.join(('peerup', *words))}.1" for words in commands}


def test_the_wheel_brings_man_pages_and_completion_scripts(dist: Path) -> None:
    with zipfile.ZipFile(only(dist, "*.whl")) as wheel:
        names = wheel.namelist()
    assert shared(names) == COMPLETION | pages()
    assert "peerup/py.typed" in names
    assert "peerup/cli/entry.py" in names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


def test_a_wheel_can_be_built_from_the_sdist_too(dist: Path, tmp_path: Path) -> None:
    with tarfile.open(only(dist, "*.tar.gz")) as sdist:
        sdist.extractall(tmp_path, filter="data")
    source = only(tmp_path, "peerup-*")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=source)
    with (
        zipfile.ZipFile(only(tmp_path, "*.whl")) as again,
        zipfile.ZipFile(only(dist, "*.whl")) as first,
    ):
        assert sorted(again.namelist()) == sorted(first.namelist())


def test_the_installed_command_runs_and_its_pages_are_in_place(dist: Path, tmp_path: Path) -> None:
    place = tmp_path / "installed"
    run(sys.executable, "-m", "venv", "--system-site-packages", place, cwd=tmp_path)
    pip = (place / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps")
    run(*pip, "--disable-pip-version-check", only(dist, "*.whl"), cwd=tmp_path)
    here = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (only(place, "lib/python*/site-packages") / "dependencies.pth").write_text(f"{here}\n")
    assert run(place / "bin" / "peerup", "version", cwd=tmp_path).startswith("peerup ")
    assert "complete " in run(place / "bin" / "peerup", "completion", "bash", cwd=tmp_path)
    there = {path.relative_to(place / "share") for path in (place / "share").rglob("*.*")}
    assert {Path(page) for page in pages()} <= there
