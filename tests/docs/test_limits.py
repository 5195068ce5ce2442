"""docs/design/limits.md names every bound of the source, with its value."""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final

from tests.docs.pages import ROOT

PAGE: Final = ROOT / "docs" / "design" / "limits.md"
ROW: Final = re.compile(r"\| `([\w.]+)` \| ([^|]+) \| `([\w/]+\.py)` \| ([^|]+) \|")
VALUE: Final = re.compile(r"([\d,.]+(?:\^\d+)?(?: - \d+)?)(?: (\w+).*)?")
UNITS: Final = {"KiB": 1024, "MiB": 1024**2, "min": 60, "h": 3600}

Bound = tuple[str, str]
"""File below peerup/, and name."""


def rows() -> dict[Bound, str]:
    """The bounds of the page, and their values as text."""
    found = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(found) == len({(file, name) for name, _, file, _ in found}), "a row stands twice"
    return {(file, name): value for name, value, file, _ in found}


def bounds() -> set[Bound]:
    """Every public constant of the source whose name says that it is a bound."""
    return {
        (str(path.relative_to(ROOT / "peerup")), node.target.id)
        for path in (ROOT / "peerup").rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and "Final" in ast.unparse(node.annotation)
        and (node.target.id.startswith("MAX_") or node.target.id.endswith("_S"))
    }


def actual(bound: Bound) -> float:
    """The value in the source; ``Limits.connections`` is the default of a field."""
    file, name = bound
    module = importlib.import_module(".".join(("peerup", *Path(file).with_suffix("").parts)))
    first, _, rest = name.partition(".")
    value: object = getattr(module, first)
    if isinstance(value, type) and is_dataclass(value):
        value = next(field.default for field in fields(value) if field.name == rest)
    assert isinstance(value, int | float), f"{bound} is {value!r}"
    return value


def written(text: str) -> float:
    """The number that a cell means: ``64 KiB``, ``2^31 - 1``, ``200 a second``."""
    found = VALUE.fullmatch(text)
    assert found, f"not a value: {text!r}"
    number = found[1].replace(",", "")
    base, _, rest = number.partition("^")
    if rest:
        power, _, less = rest.partition(" - ")
        assert base == "2", text
        return (1 << int(power)) - int(less or 0)
    return float(number) * UNITS.get(found[2], 1)


def test_every_bound_has_its_row() -> None:
    missing = sorted(bounds() - set(rows()))
    assert not missing, f"not in docs/design/limits.md: {missing}"


def test_every_row_is_a_bound_with_this_value() -> None:
    assert len(rows()) > 100
    wrong = []
    for bound, text in rows().items():
        try:
            value = actual(bound)
        except (ImportError, AttributeError, StopIteration) as why:
            wrong.append(f"{bound} is not there: {why!r}")
            continue
        if value != written(text):
            wrong.append(f"{bound} is {value}, not {text}")
    assert not wrong, "\n".join(wrong)
