"""When an applied configuration is reverted: a decision, made without a file and without a clock.

Deadlines are points of the wall clock, as they have to survive a reboot, and wall clocks jump. So
two things end the wait, whichever comes first: the deadline has passed, or the process that looks
has waited for as long as was allowed in all. A clock that is set back, or that starts in 1970,
cannot put off what should happen in five minutes.

Times are nanoseconds since 1970, durations are seconds. The marker's form is Go peerup's, which
ignores the key ``timeout``.
"""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass
from typing import Final

from peerup.config.units import format_duration, parse_duration

DEFAULT_TIMEOUT_S: Final = 300.0
MIN_TIMEOUT_S: Final = 1.0
MAX_TIMEOUT_S: Final = 7 * 86400.0
MAX_MARKER_BYTES: Final = 4096
DAMAGED_S: Final = 5.0  # a marker that cannot be understood for so long is not being written

_SECOND: Final = 10**9
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Marker:
    """An applied configuration waits to be confirmed until ``deadline``.

    ``backup`` is the name of a file beside the configuration. ``timeout`` is how long it was to
    wait in all; what Go writes does not say.
    """

    deadline: int
    backup: str
    timeout: float = MAX_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Damaged:
    """There is a marker, and it cannot be understood."""

    why: str


Pending = Marker | Damaged | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done for ``seconds``, as it may still be confirmed."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Revert:
    """What was before the applied configuration has to come back now, because ``reason``."""

    reason: str


def decide(pending: Pending, now: int, waited: float | None = None) -> Wait | Revert | None:
    """Return what is to be done; None when nothing is pending.

    Args:
        pending: What the marker says.
        now: The time of the wall clock.
        waited: For how long this process knows of this marker, by a clock that does not jump;
            None when it just came to look.
    """
    match pending:
        case None:
            return None
        case Damaged(why):
            # Go writes markers in place. One that stays half is worth as much as one that ran
            # out: what was before is safe.
            left = 0.0 if waited is None else DAMAGED_S - waited
            reason = f"its marker cannot be understood: {why}"
        case Marker():
            left = min((pending.deadline - now) / _SECOND, pending.timeout - (waited or 0.0))
            reason = "it was not confirmed in time"
    return Wait(left) if left > 0 else Revert(reason)


def new_marker(now: int, timeout: float, backup: str) -> Marker:
    """Return the marker of what is applied now and may be confirmed for ``timeout`` seconds.

    Raises:
        ValueError: That is below a second, or above a week.
    """
    if not MIN_TIMEOUT_S <= timeout <= MAX_TIMEOUT_S:
        raise ValueError(
            f"{format_duration(timeout)} is no time to confirm in, allowed is "
            f"{format_duration(MIN_TIMEOUT_S)} to {format_duration(MAX_TIMEOUT_S)}"
        )
    return Marker(now + round(timeout * _SECOND), backup, timeout)


def encode_marker(marker: Marker) -> bytes:
    """Return the contents of the marker's file."""
    fields = {
        "deadline": format_time(marker.deadline),
        "backup": marker.backup,
        "timeout": format_duration(marker.timeout),
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def decode_marker(data: bytes, backup: str) -> Marker | Damaged:
    """Return what the marker's file says.

    Args:
        data: All of it.
        backup: The only name that its backup may have: another one could be any file.
    """
    try:
        return _decoded(data, backup)
    except (ValueError, RecursionError) as error:  # JSON, and whatever is wrong with a field
        return Damaged(str(error) or "nested too deep")


def _decoded(data: bytes, backup: str) -> Marker:
    fields = json.loads(data)
    if not isinstance(fields, dict):
        raise ValueError("not an object")  # noqa: TRY004  for a caller all is damage alike
    if fields.get("backup") != backup:
        raise ValueError(f"backup is not {backup}")
    timeout = fields.get("timeout", format_duration(MAX_TIMEOUT_S))
    deadline = parse_time(_text(fields.get("deadline")))
    return Marker(deadline, backup, min(parse_duration(_text(timeout)), MAX_TIMEOUT_S))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a field is missing, or not text")  # noqa: TRY004  as above
    return value


def format_time(moment: int) -> str:
    """Return a time as RFC 3339 with nanoseconds: ``2026-02-22T12:00:00.000000001Z``."""
    seconds, nanoseconds = divmod(moment, _SECOND)
    when = _EPOCH + datetime.timedelta(seconds=seconds)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z"


def parse_time(text: str) -> int:
    """Return the time that RFC 3339 text means; 0 to 9 digits may follow its seconds.

    Raises:
        ValueError: It is something else, or no such day or hour exists.
    """
    parts = _TIME.fullmatch(text)
    if parts is None:
        raise ValueError("a time is not as in 2026-02-22T12:00:00Z")
    zone = "+00:00" if parts[3] == "Z" else parts[3]
    since = datetime.datetime.fromisoformat(parts[1] + zone) - _EPOCH
    whole = since // datetime.timedelta(seconds=1)
    return whole * _SECOND + int((parts[2] or "").ljust(9, "0"))
