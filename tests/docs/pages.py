"""The code in our Markdown pages, so that tests can run what readers would type."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)

_FENCE: Final = re.compile(r" *```(\w*)$")
_INDENT: Final = "    "


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: fenced ones name their ``language``, indented ones are for a shell, or text.

    ``line`` is where the code begins, counted from 1; ``above`` is the line of text before it.
    """

    page: Path
    line: int
    language: str
    code: str
    above: str
    section: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Every block of code of a page, in order."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    section = above = ""
    at = 0
    while at < len(lines):
        line, begin = lines[at], at
        at += 1
        if fence := _FENCE.match(line):
            at = _end_of_fence(lines, at)
            code = lines[begin + 1 : at - 1]
            found.append(Block(page, begin + 2, fence[1], _dedent(code), above, section))
        elif line.startswith(_INDENT) and begin and not lines[begin - 1].strip():
            at = _end_of_indent(lines, at)
            found.append(Block(page, begin + 1, "", _dedent(lines[begin:at]), above, section))
        elif line.startswith("## "):
            section = line[3:].strip()
        elif line.strip():
            above = line.strip()
    return found


def _end_of_fence(lines: list[str], at: int) -> int:
    while lines[at].strip() != "```":
        at += 1
    return at + 1


def _end_of_indent(lines: list[str], at: int) -> int:
    """Return the line after the last indented one; empty lines may stand between them."""
    end = at
    while at < len(lines) and (lines[at].startswith(_INDENT) or not lines[at].strip()):
        at += 1
        if lines[at - 1].strip():
            end = at
    return end


def _dedent(lines: list[str]) -> str:
    return textwrap.dedent("".join(line + "\n" for line in lines))


def commands(page: Path) -> list[tuple[str, str]]:
    """Each line of code that runs peerup: where it stands, and the words that peerup gets."""
    found = []
    for block in blocks(page):
        for offset, line in enumerate(block.code.splitlines()):
            typed = line.partition(" #")[0].partition(" > ")[0].strip()
            if block.language in {"", "sh"} and typed.startswith("peerup "):
                where = f"{page.relative_to(ROOT)}:{block.line + offset}"
                found.append((where, typed.removesuffix("&").strip()))
    return found
