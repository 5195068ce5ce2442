"""Durations and sizes as people write them in a configuration: ``1h30m``, ``64MB``.

Durations follow Go's ``time.ParseDuration`` and ``Duration.String``, as Go programs read and
write the same files. Sizes count in 1024s.
"""

from __future__ import annotations

import re
from typing import Final

MAX_TEXT_CHARS: Final = 64
MAX_SIZE: Final = 2**63 - 1  # bytes
MAX_DURATION_NS: Final = 2**63 - 1  # nanoseconds, 292 years

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # micro sign
    "μs": 10**3,  # Greek mu; Go reads both
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_SECOND_NS: Final = _NANOSECONDS["s"]
_SIZES: Final = {"": 1, "B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}

_STEP: Final = re.compile(r"(?=\.?[0-9])([0-9]*)\.?([0-9]*)([^0-9.]*)")
_SIZE: Final = re.compile(r"([0-9]+) *([A-Z]*)")


def parse_duration(text: str) -> float:
    """Return the seconds that a Go duration such as ``1h30m``, ``1.5s`` or ``0`` stands for.

    Raises:
        ValueError: It is none, or beyond 292 years. There is no unit for days.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError("a duration is not that long")
    sign, digits = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if digits == "0":
        return 0.0
    if not digits:
        raise ValueError(f'invalid duration "{text}"')
    total = offset = 0
    while offset < len(digits):
        step = _STEP.match(digits, offset)
        if step is None:
            raise ValueError(f'invalid duration "{text}"')
        whole, fraction, unit = step.groups()
        total += int(whole + fraction) * _unit(unit, text) // 10 ** len(fraction)
        offset = step.end()
    if total > MAX_DURATION_NS:
        raise ValueError(f'invalid duration "{text}": above 292 years')
    return sign * total / _SECOND_NS


def _unit(name: str, text: str) -> int:
    if not name:
        raise ValueError(f'missing unit in duration "{text}"')
    if name not in _NANOSECONDS:
        raise ValueError(f'unknown unit "{name}" in duration "{text}"; known are ns us ms s m h')
    return _NANOSECONDS[name]


def format_duration(seconds: float) -> str:
    """Return ``seconds`` as Go prints a duration: ``2m0s``, ``1h0m0s``, ``1.5s``, ``500ms``."""
    whole, fraction = divmod(seconds, 1)  # apart: a float does not hold 63 bits
    nanoseconds = int(whole) * _SECOND_NS + round(fraction * _SECOND_NS)
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < _SECOND_NS:
        unit = next(unit for unit in ("ms", "µs", "ns") if rest >= _NANOSECONDS[unit])
        return f"{sign}{_decimal(rest, _NANOSECONDS[unit])}{unit}"
    hours, rest = divmod(rest, _NANOSECONDS["h"])
    minutes, rest = divmod(rest, _NANOSECONDS["m"])
    text = f"{_decimal(rest, _SECOND_NS)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else f"{sign}{text}"


def _decimal(value: int, unit: int) -> str:
    """Return ``value / unit`` without an exponent and without trailing zeros."""
    whole, rest = divmod(value, unit)
    fraction = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def parse_size(text: str) -> int:
    """Return the bytes that ``64MB``, ``10 kb``, ``512B`` or a bare ``2048`` stands for.

    Raises:
        ValueError: It is none: a decimal, negative, empty, an unknown unit, above 2**63 - 1.
    """
    allowed = "allowed is a whole number with B, KB, MB or GB"
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError(f"a size is not that long; {allowed}")
    parts = _SIZE.fullmatch(text.strip().upper())
    if parts is None or parts[2] not in _SIZES:
        raise ValueError(f'invalid size "{text}"; {allowed}')
    size = int(parts[1]) * _SIZES[parts[2]]
    if size > MAX_SIZE:
        raise ValueError(f'invalid size "{text}": above {MAX_SIZE} bytes')
    return size


def format_size(size: int) -> str:
    """Return bytes as a configuration has them, exactly: ``64MB``, ``10KB``, ``1500B``."""
    for unit in ("GB", "MB", "KB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return f"{size}B"
