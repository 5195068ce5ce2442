"""Print docs/reference/config.md, made from the comments in peerup/config/schema.py.

.venv/bin/python scripts/config_reference.py > docs/reference/config.md
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from peerup.config import schema
from peerup.config.units import format_duration

HEAD: Final = """\
# Every setting

Made from `peerup/config/schema.py` by `scripts/config_reference.py`; a test fails when this page
is behind. How to check one, try one and go back: [The configuration](../guide/configuration.md).

The files are YAML, and those of Go peerup are read as they are. An unknown key is a warning, with
its line and what may have been meant. Paths start at the directory of the file. A *duration* is
written as `500ms`, `10s`, `2m` or `1h30m`, a *size* as `64MB`, counted in 1024s.
"""
NODE: Final = """
## A machine: `config.yaml`

Looked for are `--config PATH`, `./peerup.yaml`, `~/.config/peerup/config.yaml` and
`/etc/peerup/config.yaml`; the first one there is counts. One in the working directory counts only
if it is yours.
"""
RELAY: Final = """
## A relay: `relay-server.yaml`

Looked for are `--config PATH`, `./relay-server.yaml`, `~/.config/peerup/relay-server.yaml` and
`/etc/peerup/relay-server.yaml`.
"""
TABLE: Final = "| key | what | default | |\n|---|---|---|---|\n"

# Settings that Go peerup acts upon; those that no code of ours mentions have no effect yet.
OF_GO: Final = (
    "telemetry",
    "health",
    "discovery.rendezvous",
    "discovery.bootstrap_peers",
    "network.force_private_reachability",
    "network.resource_limits_enabled",
    "relay.reservation_interval",
    "resources.buffer_size",
    "resources.max_reservations_per_asn",
)
SOURCE: Final = Path(schema.__file__).parents[1]
SHOWS: Final = {Path("cli/status.py")}  # names settings to show them, and does not act upon them

KINDS: Final = {
    "bool": "true or false",
    "str": "text",
    "int": "number",
    "float": "duration",
    "float | None": "duration",
    "int | None": "size",
    "Path": "file",
    "Path | None": "file",
    "PeerId": "peer id",
    "tuple[Multiaddr, ...]": "list of addresses",
    "tuple[PeerId, ...] | None": "list of peer ids",
}
NOT_SETTINGS: Final = {"path", "warnings", "name"}
OF_THE_ROOT: Final = {"version": "Format of the file; a higher one than 1 is refused."}


class Row(NamedTuple):
    """One setting of the table."""

    key: str
    kind: str
    default: str
    meaning: str


def comments(kind: type) -> dict[str, str]:
    """Return the ``#:`` comment above each field of a class."""
    source = inspect.getsource(kind)
    lines = source.splitlines()
    found = {}
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            at = node.lineno - 2
            above: list[str] = []
            while lines[at].strip().startswith("#:"):
                above.insert(0, lines[at].strip().removeprefix("#:").strip())
                at -= 1
            found[node.target.id] = " ".join(above)
    return found


def rows(kind: type, prefix: str = "") -> Iterator[Row]:
    """Yield the settings in a class of the schema, and in those below it."""
    meanings = comments(kind)
    for field in dataclasses.fields(kind):
        if field.name in NOT_SETTINGS:
            continue
        annotation, key = str(field.type), prefix + field.name
        if of_names := re.fullmatch(r"Mapping\[str, (\w+)\]", annotation):
            annotation, key = of_names[1], f"{key}.NAME"
        inner = getattr(schema, annotation, None)
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            yield from rows(inner, f"{key}.")
        else:
            meaning = meanings[field.name] or OF_THE_ROOT[field.name]
            yield Row(key, KINDS[annotation], default(field, annotation), meaning)


def default(field: dataclasses.Field[object], annotation: str) -> str:
    """Return what applies when the key is absent, as one would write it."""
    value = field.default
    if value is dataclasses.MISSING or value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if annotation.startswith("float") and isinstance(value, float):
        return f"`{format_duration(value)}`"
    if value == ():
        return "`[]`"
    return f"`{value}`" if value != "" else ""


def table(kind: type) -> str:
    return TABLE + "".join(
        f"| `{row.key}` | {row.kind} | {row.default} | {row.meaning} |\n" for row in rows(kind)
    )


def without_effect() -> str:
    """Return a paragraph about the settings that are read, and not acted upon."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] != "config" and path.relative_to(SOURCE) not in SHOWS
    )
    idle = [f"`{key}`" for key in OF_GO if f".{key.rpartition('.')[2]}" not in code]
    if not idle:
        return ""
    text = f"Read and checked, but without effect in this version: {', '.join(idle)}."
    return "\n" + textwrap.fill(text, 100, break_on_hyphens=False) + "\n"


def page() -> str:
    """Return the whole page."""
    return (
        HEAD
        + without_effect()
        + NODE
        + "\n"
        + table(schema.Config)
        + RELAY
        + "\n"
        + table(schema.RelayConfig)
    )


if __name__ == "__main__":
    print(page(), end="")
