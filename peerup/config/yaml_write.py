"""Values as YAML text: everything quoted that another reader could take for something else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from peerup.config.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

Value = str | bool | tuple[str, ...] | Mapping[str, "Value"]

_PLAIN_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_KEYWORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def scalar(value: str | bool) -> str:
    """Return a single value: text always quoted, so that it stays text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return quoted(value)


def key_text(key: str) -> str:
    """Return a key: quoted where another reader could take it for something else than text."""
    plain = _PLAIN_KEY.fullmatch(key) and key.lower() not in _KEYWORDS
    return key if plain else quoted(key)


def flow(value: Value) -> str:
    """Return any value on one line."""
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{key_text(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
        )
    if isinstance(value, tuple):
        return "[" + ", ".join(map(scalar, value)) + "]"
    return scalar(value)


def item_lines(items: Iterable[str]) -> list[str]:
    """Return the lines of a list, not indented."""
    return [f"- {scalar(item)}" for item in items]


def block(mapping: Mapping[str, Value], step: int) -> list[str]:
    """Return the lines of ``mapping``, its own keys not indented."""
    lines: list[str] = []
    for key, value in mapping.items():
        if not value or isinstance(value, str | bool):
            lines.append(f"{key_text(key)}: {flow(value)}")
            continue
        inner = item_lines(value) if isinstance(value, tuple) else block(value, step)
        lines += [f"{key_text(key)}:", *(" " * step + line for line in inner)]
    return lines
