"""Hypothesis strategies for configuration-like YAML text, full of comments.

Each comment carries a number, ``#17.``, so that a test can tell which ones an edit kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st
from yaml.nodes import MappingNode, SequenceNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml.nodes import Node

KEYS: Final = ("a", "b", "services", "names", "addresses")
SCALARS: Final = ("x", '"q # z"', "'it''s'", "true", "12:30", "0123", "a b", "/ip4/192.0.2.1", "-1")
EMPTIES: Final = ("{}", "[]", "{ }", "~", "null")
MAX_DEPTH: Final = 3

_MARK: Final = re.compile(r"#[0-9]+\.")


def marks(text: str) -> list[str]:
    """Return the numbered comments of ``text``, in order."""
    return _MARK.findall(text)


class _Writer:
    """Writes one document, choice by choice."""

    def __init__(self, draw: st.DrawFn, *, flow: bool) -> None:
        self._draw, self._flow = draw, flow
        self._step: int = draw(st.sampled_from((2, 4, 1)))
        self._comments = 0
        self.lines: list[str] = []

    def mapping(self, column: int, depth: int) -> None:
        keys = self._draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
        for key in keys:
            self.noise(column)
            self._entry(" " * column + f"{key}:", column, depth)

    def _entry(self, head: str, column: int, depth: int) -> None:
        kinds = ["scalar", "null", "empty", "list", *(["flow"] if self._flow else [])]
        kind = self._draw(st.sampled_from([*kinds, *(["mapping"] if depth < MAX_DEPTH else [])]))
        inline = {
            "scalar": st.sampled_from(SCALARS),
            "empty": st.sampled_from(EMPTIES),
            "flow": self._flow_value(0),
        }.get(kind)
        self.lines.append(
            head + (f" {self._draw(inline)}" if inline is not None else "") + self._tail()
        )
        if kind == "mapping":
            self.mapping(column + self._step, depth + 1)
        elif kind == "list":
            self._list(column + self._draw(st.sampled_from((0, self._step))))

    def _list(self, column: int) -> None:
        for item in self._draw(st.lists(st.sampled_from(SCALARS), min_size=1, max_size=3)):
            self.noise(column)
            self.lines.append(" " * column + f"- {item}" + self._tail())

    def noise(self, column: int) -> None:
        """Blank lines, and comments at any indentation."""
        for _ in range(self._draw(st.sampled_from((0, 0, 0, 1, 2)))):
            indent = self._draw(st.sampled_from((None, 0, column, column + 1, column + self._step)))
            self.lines.append("" if indent is None else " " * indent + self._comment())

    def _flow_value(self, depth: int) -> st.SearchStrategy[str]:
        if depth == 2:
            return st.sampled_from(("x", "'y'", '"z"', "1"))
        inner = self._flow_value(depth + 1)
        items = st.lists(inner, max_size=3)
        pairs = st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
        return st.one_of(
            inner,
            items.map(lambda found: f"[{', '.join(found)}]"),
            items.map(lambda found: f"[ {' ,'.join(found)} ]"),
            pairs.map(lambda found: "{" + ", ".join(f"{key}: {found[key]}" for key in found) + "}"),
        )

    def _tail(self) -> str:
        return self._draw(st.sampled_from(("", "", "  "))) and f"  {self._comment()}"

    def _comment(self) -> str:
        self._comments += 1
        return f"#{self._comments}. text: [{{"


@st.composite
def documents(draw: st.DrawFn, *, flow: bool = True) -> str:
    """YAML text whose root is a block mapping; LF or CRLF, with or without one at the end."""
    writer = _Writer(draw, flow=flow)
    writer.mapping(0, 0)
    writer.noise(0)
    newline = draw(st.sampled_from(("\n", "\n", "\r\n")))
    return newline.join(writer.lines) + draw(st.sampled_from((newline, "")))


Plain = dict[str, "Plain"] | list["Plain"] | str | None


def plain(node: Node | None) -> Plain:
    """Return what a node tree means; scalars as their text, null as None."""
    if node is None:
        return {}
    if isinstance(node, MappingNode):
        return {key.value: plain(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.value]
    return None if node.tag.endswith(":null") else str(node.value)


def places(found: Plain, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Plain]]:
    """Yield the keys and the value of everything in ``found``, outermost first."""
    if isinstance(found, dict):
        for key, value in found.items():
            yield (*keys, key), value
            yield from places(value, (*keys, key))
