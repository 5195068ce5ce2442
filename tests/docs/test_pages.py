"""Our pages name commands, files and pages that exist, and settings that load."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from peerup.cli import parser
from peerup.config.load import parse_config
from peerup.config.template import node_template
from peerup.errors import UsageError
from peerup.wire.multiaddr import Multiaddr
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

PEER: Final = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
RELAY: Final = f"/ip4/203.0.113.5/tcp/7777/p2p/{PEER}"
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE_FILE: Final = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.py)`")
HOLDS_CODE: Final = ("", "peerup", "tests")


def targets(page: Path) -> Iterator[Path]:
    """The files of the repository that a page links to."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "#")):
            yield (page.parent / target.partition("#")[0]).resolve()


def test_every_command_is_one() -> None:
    lines = [found for page in PAGES for found in commands(page)]
    assert len(lines) > 30
    wrong = []
    for where, line in lines:
        try:
            parser.parse(shlex.split(line)[1:])
        except UsageError as why:
            wrong.append(f"{where}: {line}: {why}")
    assert not wrong, "\n".join(wrong)


def test_every_link_leads_somewhere() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in targets(page)
        if not target.exists()
    ]
    assert not dead, "\n".join(dead)


def test_every_page_can_be_found_from_the_first_ones() -> None:
    first = ROOT / "docs" / "index.md"
    found, ahead = {first, ROOT / "README.md"}, [first, ROOT / "README.md"]
    while ahead:
        new = {target for target in targets(ahead.pop()) if target.suffix == ".md"} - found
        found |= new
        ahead += [page for page in new if page.is_relative_to(ROOT / "docs")]
    lost = sorted(str(page.relative_to(ROOT)) for page in set(PAGES) - found)
    assert not lost, f"no page leads to {lost}"


def test_every_source_file_that_a_page_names_is_there() -> None:
    gone = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in PAGES
        for name in CODE_FILE.findall(page.read_text(encoding="utf-8"))
        if "/x/" not in name and not any((ROOT / folder / name).is_file() for folder in HOLDS_CODE)
    ]
    assert not gone, "\n".join(gone)


SETTINGS: Final = [
    block
    for page in PAGES
    for block in blocks(page)
    if re.match(r"(services|names|relay|security|network):", block.code)
]


@pytest.mark.parametrize("block", SETTINGS, ids=[block.where for block in SETTINGS])
def test_every_piece_of_configuration_loads(tmp_path: Path, block: Block) -> None:
    code = block.code.replace("12D3KooW…", PEER)
    relays = [Multiaddr.parse(RELAY)]
    text = node_template(generated_by="a test", listen=(), relays=relays)
    section = code.partition(":")[0]
    kept = re.sub(rf"^{section}:.*\n(?:[ #].*\n|\n)*", "", text, flags=re.MULTILINE)
    config = parse_config(kept + code, tmp_path / "config.yaml")
    assert not config.warnings
