"""The programs in our Markdown pages run, print what the page says, and pass the type checker."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.docs.pages import PAGES, ROOT, Block, blocks
from tests.sim.clock import wall_clock_limit

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM_END: Final = "asyncio.run(main())\n"
LIMIT_S: Final = 20.0  # of one program, on a busy machine


def programs() -> list[tuple[Block, str]]:
    """Every complete program, and the output that is shown after it."""
    found = []
    for page in PAGES:
        here = blocks(page)
        for number, block in enumerate(here):
            if block.language == "python" and block.code.endswith(PROGRAM_END):
                after = here[number + 1] if number + 1 < len(here) else None
                assert after, f"{block.where}: the page does not show what this prints"
                assert after.language == "text", f"{after.where}: should be what is printed"
                found.append((block, after.code))
    return found


PROGRAMS: Final = programs()


@pytest.mark.real_clock
@pytest.mark.parametrize(("block", "shown"), PROGRAMS, ids=[block.where for block, _ in PROGRAMS])
def test_a_program_prints_what_the_page_says(
    block: Block, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    padding = "\n" * (block.line - 1)  # so that a traceback names the line of the page
    code = compile(padding + block.code, block.page, "exec")
    with wall_clock_limit(LIMIT_S):
        exec(code, {"__name__": "__main__"})
    assert capsys.readouterr().out == shown


@pytest.fixture(scope="module")
def as_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with every program as a file of its own."""
    directory = tmp_path_factory.mktemp("programs")
    for block, _ in PROGRAMS:
        name = f"{block.page.stem.replace('-', '_')}_{block.line}.py"
        (directory / name).write_text(block.code, encoding="utf-8")
    return directory


def checked(*command: str) -> str:
    """What a tool says of the programs, nothing if it is content."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_every_program_passes_the_type_checker(as_files: Path) -> None:
    assert len(list(as_files.iterdir())) == len(PROGRAMS) > 5
    assert checked("mypy", "--strict", str(as_files)) == ""


def test_every_program_looks_like_the_rest_of_the_source(as_files: Path) -> None:
    config = ("--config", str(ROOT / "pyproject.toml"))
    assert checked("ruff", "format", "--diff", *config, str(as_files)) == ""
    without = "D,T20,INP,S"  # programs of a page print, and explain themselves in its text
    assert checked("ruff", "check", *config, "--extend-ignore", without, str(as_files)) == ""
