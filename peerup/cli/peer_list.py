"""How a list of authorized peers is shown, a node's or a relay's."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from peerup.cli import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from peerup.config.authorized_keys import Entry
    from peerup.wire.peer_id import PeerId

COLUMNS = ("Peer ID", "Name", "Limits", "Comment")


def now() -> float:
    """Return the time by which entries have expired, in Unix seconds."""
    return datetime.datetime.now(datetime.UTC).timestamp()


def show(entries: Sequence[Entry], names: Mapping[str, PeerId], *, indent: str) -> None:
    """Print the entries, as a table or as lines."""
    at = now()
    rows = [
        (str(entry.peer), ", ".join(names_of(entry, names)), limits(entry, at), entry.comment)
        for entry in entries
    ]
    table.show(COLUMNS, rows, [f"{indent}{_line(*row)}" for row in rows])


def to_json(entries: Iterable[Entry], names: Mapping[str, PeerId], path: Path) -> dict[str, object]:
    """Return the entries for ``--json``; the same keys for nodes and relays."""
    at = now()
    peers = [
        {
            "peer_id": str(entry.peer),
            "names": names_of(entry, names),
            "comment": entry.comment,
            "attributes": dict(entry.attributes),
            "expired": entry.expired(at),
            "line": entry.line,
        }
        for entry in entries
    ]
    return {"peers": peers, "file": str(path)}


def names_of(entry: Entry, names: Mapping[str, PeerId]) -> list[str]:
    """Return what the configuration calls a peer."""
    return [name for name, peer in names.items() if peer == entry.peer]


def limits(entry: Entry, at: float) -> str:
    """Return the attributes of an entry, and whether it has expired at ``at``."""
    shown = [f"{key}={value}" for key, value in entry.attributes]
    return " ".join([*shown, "(expired)"] if entry.expired(at) else shown)


def _line(peer: str, names: str, limits: str, comment: str) -> str:
    comment = f"# {comment}" if comment else ""
    return "  ".join(part for part in (peer, names, limits, comment) if part)
