"""Results: a Markdown table for people, JSON for programs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.contest import Missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.contest import Row

HERE: Final = Path(__file__).resolve().parent
README: Final = HERE / "README.md"
LATEST: Final = HERE / "results" / "latest.json"
BEGIN: Final = "<!-- results: begin -->\n"
END: Final = "<!-- results: end -->\n"
HEAD: Final = """\
| what | unit | ours (min-max) | rival | rival (min-max) | ratio | runs |
|---|---|---|---|---|---|---|
"""


def machine() -> dict[str, object]:
    """Say what the figures were taken on, and how busy it was."""
    packages = {name: importlib.metadata.version(name) for name in ("cryptography", "uvloop")}
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **packages,
        "load": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def table(rows: Sequence[Row]) -> str:
    """Return the rows in Markdown."""
    return HEAD + "".join(_line(row) for row in rows)


def _line(row: Row) -> str:
    if isinstance(row.theirs, Missing):
        theirs, ratio = f"not here: {row.theirs.reason}", "-"
    else:
        theirs, ratio = _spread(row.theirs), f"{row.ratio:.2f} ({row.ratio_is})"
    cells = (row.name, row.unit, _spread(row.ours), row.rival, theirs, ratio, len(row.ours))
    return f"| {' | '.join(map(str, cells))} |\n"


def _spread(values: Sequence[float]) -> str:
    middle, low, high = map(_short, (statistics.median(values), min(values), max(values)))
    return f"**{middle}** ({low}-{high})"


def _short(value: float) -> str:
    """Three digits that count, and no more."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}"


def as_json(rows: Sequence[Row], taken_on: dict[str, object]) -> str:
    """Return the rows as JSON; a rival that is not here is null, and its row says why."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    result = {"machine": taken_on, "date": date, "rows": [_entry(row) for row in rows]}
    return json.dumps(result, indent=2) + "\n"


def _entry(row: Row) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": row.name,
        "unit": row.unit,
        "ours": statistics.median(row.ours),
        "ours_range": [min(row.ours), max(row.ours)],
        "rival": row.rival,
        "rival_value": None,
        "rival_range": None,
        "ratio": row.ratio,
        "ratio_is": row.ratio_is,
        "runs": len(row.ours),
    }
    if isinstance(row.theirs, Missing):
        return entry | {"rival": None, "missing": f"{row.rival}: {row.theirs.reason}"}
    theirs = row.theirs
    return entry | {
        "rival_value": statistics.median(theirs),
        "rival_range": [min(theirs), max(theirs)],
    }


def write(rows: Sequence[Row], taken_on: dict[str, object]) -> None:
    """Put the table into README.md, between its markers, and all of it into latest.json."""
    data = as_json(rows, taken_on)
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(data, encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    facts = ", ".join(f"{name} {value}" for name, value in taken_on.items())
    intro = f"Taken {json.loads(data)['date']} on: {facts}.\n\n"
    README.write_text(f"{head}{BEGIN}{intro}{table(rows)}{END}{tail}", encoding="utf-8")


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    sys.stdout.write("\n" + table(rows))
    sys.stdout.flush()
