"""docs/reference/config.md is what the comments of the schema say."""

from __future__ import annotations

import subprocess
import sys

from peerup.config.explain import explain
from peerup.config.load import parse_config, parse_relay_config
from tests.config.test_load import FILE, GO_STYLE, MINIMAL
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "reference" / "config.md"
SCRIPT = ROOT / "scripts" / "config_reference.py"


def test_the_page_is_not_behind_the_schema() -> None:
    made = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    command = "python scripts/config_reference.py > docs/reference/config.md"
    assert PAGE.read_text(encoding="utf-8") == made.stdout, f"run: {command}"


def test_every_setting_that_is_read_has_its_row() -> None:
    page = PAGE.read_text(encoding="utf-8")
    node = explain(parse_config(GO_STYLE, FILE), GO_STYLE)
    relay = explain(parse_relay_config(MINIMAL, FILE), MINIMAL)
    for setting in (*node, *relay):
        group, _, rest = setting.name.partition(".")
        parts = rest.split(".")
        if group in {"services", "names"}:
            parts[0] = "NAME"
        name = ".".join((group, *parts)) if rest else group
        assert f"| `{name}` |" in page
