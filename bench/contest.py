"""Measuring in turns, and rows that compare.

Machines get slower and quicker while one looks on, so everything that a row compares is measured
in turns (A B C, A B C, ...) and never one after the other.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure: ``runs`` rounds that count, ``size`` bytes in a transfer."""

    runs: int
    size: int
    quick: bool = False


FULL = Plan(runs=3, size=400_000_000)
QUICK = Plan(runs=3, size=200_000_000, quick=True)


@dataclass(frozen=True, slots=True)
class Missing:
    """A rival that is not on this machine."""

    reason: str


Found = Sequence[float] | Missing


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result: our figures, and those of one rival from the same rounds."""

    name: str
    unit: str
    ours: Sequence[float]
    rival: str
    theirs: Found
    lower_is_better: bool = False

    @property
    def ratio_is(self) -> str:
        """Which way round the ratio is."""
        return "rival/ours" if self.lower_is_better else "ours/rival"

    @property
    def ratio(self) -> float | None:
        """Above 1 when we are ahead: ours/rival of a rate, rival/ours of a time or a size."""
        if isinstance(self.theirs, Missing):
            return None
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        return theirs / ours if self.lower_is_better else ours / theirs


def rows(
    name: str,
    unit: str,
    ours: Sequence[float],
    rivals: Mapping[str, Found],
    *,
    lower_is_better: bool = False,
) -> list[Row]:
    """Return one row for each rival."""
    return [Row(name, unit, ours, rival, them, lower_is_better) for rival, them in rivals.items()]


async def interleave(contenders: Mapping[str, Measure], runs: int) -> dict[str, list[float]]:
    """Measure all of them in turn, ``runs`` times over, after one round that does not count."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(runs + 1):
        for name, measure in contenders.items():
            value = await measure()
            progress(f"   {f'round {turn}' if turn else 'warm-up'}: {name} {value:,.4g}")
            if turn:
                samples[name].append(value)
    return samples


def progress(text: str) -> None:
    """Show what is going on, where it does not mix with the results."""
    sys.stderr.write(text + "\n")
