"""The man pages and completion scripts in the repository are those of the commands as they are."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from peerup.cli.commands import COMMANDS, GROUPS
from tests.docs.pages import ROOT

SCRIPT: Final = ROOT / "scripts" / "generate.py"
MAN: Final = ROOT / "docs" / "man"


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_no_generated_file_is_stale(generator: dict[str, Any]) -> None:
    files: dict[Path, str] = generator["generated"]()
    there = {path.relative_to(ROOT) for path in MAN.iterdir()}
    there |= {path.relative_to(ROOT) for path in (ROOT / "docs" / "completion").iterdir()}
    stale = sorted(
        str(path) for path, text in files.items() if path not in there or text != read(path)
    )
    assert not stale, f"run `make man`: {stale}"
    assert there == set(files), "run `make man`: there are files of commands that are gone"


def read(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_every_command_and_group_has_a_page_with_all_its_options() -> None:
    for words in ((), *GROUPS, *COMMANDS):
        text = (MAN / f"{'-'.join(('peerup', *words))}.1").read_text(encoding="utf-8")
        assert [line for line in text.splitlines() if line.startswith(".SH NAME")]
        for argument in COMMANDS[words].arguments if words in COMMANDS else ():
            name = argument.flags[0] if argument.flags[0].startswith("-") else argument.metavar
            assert name is not None
            assert name.replace("-", "\\-") in text


def test_a_page_depends_neither_on_the_day_nor_on_the_terminal(
    generator: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = generator["generated"]()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert generator["generated"]() == before


@pytest.mark.parametrize("line", ["./relay-server.yaml is read", "'quoted'", ".config"])
def test_prose_is_never_taken_for_a_request(generator: dict[str, Any], line: str) -> None:
    assert generator["_tidy"](f".SH X\n{line}") == f".SH X\n\\&{line}\n"


@pytest.mark.skipif(not shutil.which("groff"), reason="needs groff")
def test_every_page_is_set_without_a_warning() -> None:
    pages = sorted(MAN.glob("*.1"))
    assert len(pages) > 20
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", *map(str, pages)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "./relay-server.yaml" in done.stdout
