"""The table at the end of a run: each cell, who played which part in it, and how it went.

A cell is a test in a ``test_go_*.py`` (the tests of the driver are none). Its name is the test's,
with the parameters that are no `Role`; those that are stand in a column of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from interop.cells import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest

DRIVER: Final = "test_go_peer_driver.py"
NO_ROLE: Final = "-"


def label(items: Iterable[pytest.Item]) -> None:
    """Note on each test that is a cell what the table calls it; its report carries that along."""
    for item in items:
        if item.path.name.startswith("test_go_") and item.path.name != DRIVER:
            cell, role = _describe(item)
            item.user_properties += [("cell", cell), ("role", role)]


def _describe(item: pytest.Item) -> tuple[str, str]:
    callspec = getattr(item, "callspec", None)  # parametrized tests have one
    ids = callspec.id.split("-") if callspec else []
    parts = {role.value for role in Role}
    name = getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")
    others = [one for one in ids if one not in parts]
    roles = [one for one in reversed(ids) if one in parts]  # the last decorator is the first id
    return ", ".join([name, *others]), ", ".join(roles) or NO_ROLE


def print_table(terminal: pytest.TerminalReporter) -> None:
    """Print what the reports say of the cells that ran, in the order of the files."""
    rows = sorted(_rows(terminal))
    if all(result == "skipped" for *_, result in rows):
        return  # nothing ran, and what was missing stands elsewhere
    terminal.section("scorecard: peerup and go-libp2p")
    wide = max(len(cell) for _, _, cell, *_ in rows)
    before = ""
    for _, _, cell, role, result in rows:
        terminal.line(f"{'' if cell == before else cell:<{wide}}  {role:<28} {result}")
        before = cell
    passed = sum(result.startswith("ok") for *_, result in rows)
    terminal.line(f"{passed} of {len(rows)} cells passed")


def _rows(terminal: pytest.TerminalReporter) -> Iterator[tuple[str, int, str, str, str]]:
    results: dict[str, tuple[str, int, str, str, str]] = {}
    for outcome in ("passed", "skipped", "failed", "error"):  # a later one counts
        for report in terminal.stats.get(outcome, []):
            told = dict(report.user_properties)
            if "cell" in told:
                path, line, _ = report.location
                result = f"ok {report.duration:6.2f} s" if outcome == "passed" else outcome
                if outcome in {"failed", "error"}:
                    result = "FAILED"
                results[report.nodeid] = (path, line or 0, told["cell"], told["role"], result)
    return iter(results.values())
