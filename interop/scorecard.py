"""The tables at the end of a run: each cell, over what, who played which part, how it went.

A cell is a test in a ``test_<peer>_*.py`` (the tests of the drivers are none). Its name is the
test's, with the parameters that are no `Role` and no `Transport`; those stand in columns of
their own.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from interop.cells import Role, Transport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest

PEERS: Final = {"go": "go-libp2p", "js": "js-libp2p"}
ROLES: Final = frozenset(role.value for role in Role)
TRANSPORTS: Final = frozenset(transport.value for transport in Transport)
NONE: Final = "-"


class Row(NamedTuple):
    """One cell; rows sort by peer, and then as the tests stand in their files."""

    peer: str
    path: str
    line: int
    cell: str
    transport: str
    role: str
    result: str


def label(items: Iterable[pytest.Item]) -> None:
    """Note on each test that is a cell what the table calls it; its report carries that along."""
    for item in items:
        _, peer, *rest = item.path.stem.split("_")
        if peer in PEERS and rest[-1] != "driver":
            cell, transport, role = _describe(item)
            item.user_properties += [
                ("peer", peer),
                ("cell", cell),
                ("transport", transport),
                ("role", role),
            ]


def _describe(item: pytest.Item) -> tuple[str, str, str]:
    callspec = getattr(item, "callspec", None)  # parametrized tests have one
    ids = callspec.id.split("-") if callspec else []
    name = getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")
    others = [one for one in ids if one not in ROLES | TRANSPORTS]
    roles = [one for one in reversed(ids) if one in ROLES]  # the last decorator is the first id
    transports = [one for one in ids if one in TRANSPORTS]
    return ", ".join([name, *others]), "".join(transports) or NONE, ", ".join(roles) or NONE


def print_tables(terminal: pytest.TerminalReporter) -> None:
    """Print what the reports say of the cells that ran, in the order of the files."""
    for peer, rows in groupby(sorted(_rows(terminal)), key=lambda row: row.peer):
        _print_table(terminal, PEERS[peer], list(rows))


def _print_table(terminal: pytest.TerminalReporter, peer: str, rows: list[Row]) -> None:
    if all(row.result == "skipped" for row in rows):
        return  # nothing ran, and what was missing stands elsewhere
    terminal.section(f"scorecard: peerup and {peer}")
    wide = max(len(row.cell) for row in rows)
    before = ""
    for row in rows:
        cell = "" if row.cell == before else row.cell
        terminal.line(f"{cell:<{wide}}  {row.transport:<4}  {row.role:<32} {row.result}")
        before = row.cell
    passed = sum(row.result.startswith("ok") for row in rows)
    terminal.line(f"{passed} of {len(rows)} cells passed")


def _rows(terminal: pytest.TerminalReporter) -> Iterator[Row]:
    results: dict[str, Row] = {}
    for outcome in ("passed", "skipped", "failed", "error"):  # a later one counts
        for report in terminal.stats.get(outcome, []):
            told = dict(report.user_properties)
            if "cell" not in told:
                continue
            path, line, _ = report.location
            result = f"ok {report.duration:6.2f} s" if outcome == "passed" else outcome
            if outcome in {"failed", "error"}:
                result = "FAILED"
            results[report.nodeid] = Row(
                told["peer"],
                path,
                line or 0,
                told["cell"],
                told["transport"],
                told["role"],
                result,
            )
    return iter(results.values())
