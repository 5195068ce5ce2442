"""When to ask a relay for a place, and when to ask again. Decides; does no I/O.

A place that is held is refreshed long before it ends. One that was refused or lost is asked
for again within seconds, a little later each time, and never at the same moment by everybody
whom a restarted relay has lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

REFRESH_PART: Final = 0.5  # of a place's time, which leaves as much for trying again
MIN_REFRESH_S: Final = 5.0  # whatever a relay says, we do not ask in a tight loop
MAX_REFRESH_S: Final = 1800.0  # ... nor too late, should the two clocks be years apart
FIRST_RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 4.0  # so that a relay that is back has everybody back within 5 s
FIRST_REFUSED_RETRY_S: Final = 1.0
REFUSED_RETRY_S: Final = 30.0  # a relay that says no changes its mind less quickly
MAX_COUNTED: Final = 16  # failures, after which waits have long stopped growing
JITTER: Final = 0.25  # part of a wait by which it is cut at random


@dataclass(slots=True)
class Attempts:
    """How asking one relay has gone so far."""

    failures: int = 0  # to reach it, since it last gave us a place
    refusals: int = 0

    def held(self, expires_in: float) -> float:
        """A place is ours for ``expires_in`` seconds; return after how many to refresh it."""
        self.failures = self.refusals = 0
        return min(max(expires_in * REFRESH_PART, MIN_REFRESH_S), MAX_REFRESH_S)

    def lost(self, chance: float) -> float:
        """The relay is not there; return after how many seconds to try again.

        Args:
            chance: A random number from 0 to 1.
        """
        wait = min(FIRST_RETRY_S * 2.0**self.failures, MAX_RETRY_S)
        self.failures = min(self.failures + 1, MAX_COUNTED)
        return wait * (1 - JITTER * chance)

    def refused(self, chance: float) -> float:
        """The relay is there and says no; return after how many seconds to ask again."""
        wait = min(FIRST_REFUSED_RETRY_S * 2.0**self.refusals, REFUSED_RETRY_S)
        self.refusals = min(self.refusals + 1, MAX_COUNTED)
        return wait * (1 - JITTER * chance)
