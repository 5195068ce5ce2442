"""Change one setting in YAML text and leave every other character as it is.

A YAML library that writes what it has read would drop the user's comments. So the text is
cut and joined at the exact places that the node marks of ``yaml.compose`` give, and the result
is not trusted: it is parsed again and must mean what the old text meant plus the change, in
the same order. Where that fails, the edit is refused; it never guesses.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from peerup.config.text import shown
from peerup.config.yaml_reader import compose, is_null, line_of
from peerup.config.yaml_write import Value, block, flow, item_lines, scalar
from peerup.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Keys = tuple[str, ...]

# What a value means: keys in order, a list, or the tag and text of a scalar.
Meaning = OrderedDict[str, "Meaning"] | list["Meaning"] | tuple[str, str]

_STR: Final = "tag:yaml.org,2002:str"
_BOOL: Final = "tag:yaml.org,2002:bool"

# YAML ends a line at these too; no editor does, so spans of lines would be in doubt.
_ODD_LINE_ENDS: Final = re.compile("\r(?!\n)|[\x85\u2028\u2029]")
_COMMENT: Final = re.compile(r"( *)#")
_EMPTY_FLOW: Final = re.compile(r"\{ *\}|\[ *\]")
_DASH: Final = re.compile(r" *-[ \t]*")
_COMMA: Final = re.compile(r"\s*,")
_STEP: Final = 2  # columns of indentation where the file gives no example
_MAX_STEP: Final = 8


class _Splice(NamedTuple):
    """Put ``text`` in place of the characters from ``start`` to ``end``."""

    start: int
    end: int
    text: str


class _Spot(NamedTuple):
    """A node, with the key it stands under and the mapping that key is in."""

    node: Node | None
    key: ScalarNode | None = None
    parent: MappingNode | None = None

    @property
    def in_block(self) -> bool:
        """Tell whether the value could go on in lines of its own below the key."""
        return self.parent is not None and not self.parent.flow_style


class Document:
    """YAML text and where everything in it stands; each edit returns a new text.

    Raises:
        ConfigError: The text cannot be parsed; or, from an edit, not changed safely.
    """

    def __init__(self, text: str, path: Path) -> None:
        odd = _ODD_LINE_ENDS.search(text)
        if odd is not None:
            line = text.count("\n", 0, odd.start()) + 1
            raise ConfigError(f"{path}:{line}: cannot change a file with such line ends")
        self._text, self._path = text, path
        self._root = compose(text, path)
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def get(self, keys: Keys) -> Node | None:
        """Return what stands under ``keys``, None when absent or null."""
        found, rest = self._walk(keys)
        return None if rest or found.node is None or is_null(found.node) else found.node

    def has(self, keys: Keys) -> bool:
        """Tell whether ``keys`` exist, be it without a value."""
        return not self._walk(keys)[1]

    def put(self, keys: Keys, value: Value) -> str:
        """Set the value under ``keys``, creating the mappings on the way that are missing.

        An existing value gives way only if both are single values.
        """
        spot, rest = self._walk(keys)
        intent = self.meaning()
        _descend(intent, keys[:-1])[keys[-1]] = _meaning_of(value)
        if not rest:
            return self._splice(self._replaced(spot, keys, value), keys, intent)
        for key in reversed(rest[1:]):
            value = {key: value}
        return self._splice(self._inserted(spot, rest[0], value), keys, intent)

    def remove(self, keys: Keys) -> str:
        """Remove the last of ``keys`` from its mapping, with comments inside its value."""
        spot = self._existing(keys)
        intent = self.meaning()
        del _descend(intent, keys[:-1])[keys[-1]]
        holder, _ = self._walk(keys[:-1])
        mapping = holder.node
        if not isinstance(mapping, MappingNode) or spot.node is None:
            raise self._refusal(keys)
        places = [(key, value) for key, value in mapping.value]
        index = next(i for i, (key, _) in enumerate(places) if key is spot.key)
        return self._splice(self._cut(holder, places, index, keys), keys, intent)

    def append(self, keys: Keys, item: str) -> str:
        """Add ``item`` at the end of the list under ``keys``, creating what is missing."""
        spot, rest = self._walk(keys)
        if rest or spot.node is None or is_null(spot.node):
            return self.put(keys, (item,))
        if not isinstance(spot.node, SequenceNode):
            raise self._refusal(keys)
        intent = self.meaning()
        items = _descend(intent, keys[:-1])[keys[-1]]
        if isinstance(items, list):
            items.append((_STR, item))
        return self._splice(self._appended(spot, item), keys, intent)

    def remove_item(self, keys: Keys, index: int) -> str:
        """Remove one item of the list under ``keys``."""
        spot = self._existing(keys)
        if not isinstance(spot.node, SequenceNode):
            raise self._refusal(keys)
        intent = self.meaning()
        items = _descend(intent, keys[:-1])[keys[-1]]
        if isinstance(items, list):
            del items[index]
        places = [(item, item) for item in spot.node.value]
        return self._splice(self._cut(spot, places, index, keys), keys, intent)

    # Finding the place

    def _walk(self, keys: Keys) -> tuple[_Spot, Keys]:
        """Follow ``keys`` as far as they exist; return where that ends and what is left."""
        spot = _Spot(self._root)
        for depth, key in enumerate(keys):
            mapping = spot.node
            if mapping is None or is_null(mapping):
                return spot, keys[depth:]
            if not isinstance(mapping, MappingNode):
                raise self._refusal(keys)
            for inner, value in mapping.value:
                if inner.value == key:
                    spot = _Spot(value, inner, mapping)
                    break
            else:
                return spot, keys[depth:]
        return spot, ()

    def _existing(self, keys: Keys) -> _Spot:
        spot, rest = self._walk(keys)
        if rest or spot.key is None:
            raise self._refusal(keys)
        return spot

    def _line_start(self, position: int) -> int:
        return self._text.rfind("\n", 0, position) + 1

    def _next_line(self, position: int) -> int:
        end = self._text.find("\n", position)
        return len(self._text) if end < 0 else end + 1

    def _content_end(self, node: Node) -> int:
        """Return where the text of ``node`` ends; marks of block nodes include what follows."""
        if isinstance(node, CollectionNode) and not node.flow_style:
            last = node.value[-1]
            return self._content_end(last[1] if isinstance(last, tuple) else last)
        end: int = node.end_mark.index
        if isinstance(node, ScalarNode) and node.style in {"|", ">"}:
            return len(self._text[:end].rstrip())
        return end

    def _after(self, node: Node, column: int) -> int:
        """Return the start of the line after ``node`` and the comments that belong to it.

        Those are directly below, and indented deeper than ``column``, where its key is.
        """
        position = self._next_line(self._content_end(node))
        while (comment := _COMMENT.match(self._text, position)) and len(comment[1]) > column:
            position = self._next_line(position)
        return position

    def _step(self) -> int:
        """Return by how many columns this file indents."""
        if isinstance(self._root, MappingNode) and not self._root.flow_style:
            for key, value in self._root.value:
                if isinstance(value, MappingNode) and not value.flow_style:
                    step: int = value.start_mark.column - key.start_mark.column
                    return min(step, _MAX_STEP)
        return _STEP

    # What to change

    def _replaced(self, spot: _Spot, keys: Keys, value: Value) -> list[_Splice]:
        node = spot.node
        if not isinstance(node, ScalarNode) or node.style in {"|", ">"}:
            raise self._refusal(keys)
        if not isinstance(value, str | bool):
            return self._fill_null(spot, value, keys)
        start, end = node.start_mark.index, node.end_mark.index
        space = " " if start == end else ""
        return [_Splice(start, end, space + scalar(value))]

    def _fill_null(self, spot: _Spot, value: Value, keys: Keys) -> list[_Splice]:
        """Fill a null with a collection."""
        if spot.node is None or not is_null(spot.node):
            raise self._refusal(keys)
        if isinstance(value, tuple):
            return self._filled(spot, item_lines(value), flow(value))
        if isinstance(value, Mapping):
            return self._filled(spot, block(value, self._step()), flow(value))
        raise self._refusal(keys)

    def _inserted(self, spot: _Spot, key: str, value: Value) -> list[_Splice]:
        """Add a key that is not there to the mapping, or null, or nothing, at ``spot``."""
        node, lines = spot.node, block({key: value}, self._step())
        if spot.key is None and (node is None or is_null(node)):
            return [self._lines(len(self._text), lines, 0)]
        if not isinstance(node, MappingNode) or not node.value:
            return self._filled(spot, lines, flow({key: value}))
        if node.flow_style:
            return [_after_last(node.value[-1][1], flow({key: value}))]
        column = node.start_mark.column
        if node is not self._root:
            return [self._lines(self._after(node.value[-1][1], column), lines, column)]
        position = node.end_mark.index  # the end of the text, or of the document in it
        if isinstance(value, Mapping):
            before = self._text[:position].replace("\r\n", "\n")
            lines = lines if before.endswith("\n\n") else ["", *lines]
        return [self._lines(position, lines, column)]

    def _appended(self, spot: _Spot, item: str) -> list[_Splice]:
        node = spot.node
        if not isinstance(node, SequenceNode) or not node.value:
            return self._filled(spot, item_lines((item,)), flow((item,)))
        if node.flow_style:
            return [_after_last(node.value[-1], flow((item,)))]
        column = node.start_mark.column
        return [self._lines(self._after(node.value[-1], column), item_lines((item,)), column)]

    def _filled(self, spot: _Spot, lines: list[str], inline: str) -> list[_Splice]:
        """Put the first content into a null, a ``{}`` or a ``[]``: in lines if that can be."""
        node, key = spot.node, spot.key
        if node is None:
            return []
        start, end = node.start_mark.index, node.end_mark.index
        clean = is_null(node) or _EMPTY_FLOW.fullmatch(self._text, start, end)
        if key is not None and spot.in_block and clean and line_of(key) == line_of(node):
            blanks = len(self._text[:start].rstrip(" "))
            column = key.start_mark.column + self._step()
            added = self._lines(self._next_line(end), lines, column)
            return [_Splice(blanks if end > start else start, end, ""), added]
        if is_null(node):
            return [_Splice(start, end, f" {inline}" if start == end else inline)]
        return [_Splice(start + 1, start + 1, inline[1:-1])]

    def _cut(
        self, holder: _Spot, places: list[tuple[Node, Node]], index: int, keys: Keys
    ) -> list[_Splice]:
        """Remove one of ``places``, the first and last node of each member of a collection."""
        node, (first, last) = holder.node, places[index]
        if not isinstance(node, CollectionNode):
            raise self._refusal(keys)
        if node.flow_style:
            return [self._cut_flow(places, index, keys)]
        start = self._line_start(first.start_mark.index)
        prefix = self._text[start : first.start_mark.index]
        dashed = isinstance(node, SequenceNode)
        if not (_DASH.fullmatch(prefix) if dashed else not prefix.strip(" ")):
            raise self._refusal(keys)
        lines = _Splice(start, self._after(last, node.start_mark.column), "")
        if len(places) > 1 or holder.key is None:
            return [lines]
        colon = self._text.index(":", holder.key.end_mark.index) + 1
        return [_Splice(colon, colon, " []" if dashed else " {}"), lines]

    def _cut_flow(self, places: list[tuple[Node, Node]], index: int, keys: Keys) -> _Splice:
        first, last = places[index][0].start_mark.index, self._content_end(places[index][1])
        start, end = first, last
        if index > 0:
            start = self._content_end(places[index - 1][1])
        elif len(places) > 1:
            end = places[1][0].start_mark.index
        elif comma := _COMMA.match(self._text, end):
            end = comma.end()
        if "#" in self._text[start:first] + self._text[last:end]:
            raise self._refusal(keys)  # a comment stands where the comma has to go
        return _Splice(start, end, "")

    def _lines(self, position: int, lines: Iterable[str], column: int) -> _Splice:
        """Return the insertion of whole lines, indented by ``column``, where a line starts."""
        indented = (" " * column + line if line else "" for line in lines)
        text = "".join(line + self._newline for line in indented)
        at_start = position == 0 or self._text[position - 1] == "\n"
        return _Splice(position, position, text if at_start else self._newline + text)

    # Trusting nothing

    def meaning(self) -> OrderedDict[str, Meaning]:
        """Return what the text says, in order; nothing but comments is no keys."""
        root = self._root
        if root is None or is_null(root):
            return OrderedDict()
        meaning = _meaning(root)
        if not isinstance(meaning, OrderedDict):
            raise self._refusal(())
        return meaning

    def _splice(self, splices: list[_Splice], keys: Keys, intent: OrderedDict[str, Meaning]) -> str:
        text = self._text
        for splice in sorted(splices, reverse=True):
            text = text[: splice.start] + splice.text + text[splice.end :]
        try:
            result = Document(text, self._path).meaning()
        except ConfigError as error:
            raise self._refusal(keys) from error
        if result != intent:
            raise self._refusal(keys)
        return text

    def _refusal(self, keys: Keys) -> ConfigError:
        return ConfigError(
            f"{self._path}: cannot change {shown('.'.join(keys))} safely as this file is written",
            hint="Nothing was changed. Edit the file by hand, then run the command again.",
        )


def _meaning(node: Node) -> Meaning:
    if isinstance(node, MappingNode):
        return OrderedDict((key.value, _meaning(value)) for key, value in node.value)
    if isinstance(node, SequenceNode):
        return [_meaning(item) for item in node.value]
    return str(node.tag), str(node.value)


def _meaning_of(value: Value) -> Meaning:
    if isinstance(value, Mapping):
        return OrderedDict((key, _meaning_of(inner)) for key, inner in value.items())
    if isinstance(value, tuple):
        return [_meaning_of(item) for item in value]
    return (_BOOL, scalar(value)) if isinstance(value, bool) else (_STR, value)


def _descend(meaning: OrderedDict[str, Meaning], keys: Keys) -> OrderedDict[str, Meaning]:
    """Return the mapping under ``keys``; what is missing or null on the way becomes one."""
    for key in keys:
        inner = meaning.get(key)
        if not isinstance(inner, OrderedDict):
            inner = OrderedDict()
            meaning[key] = inner
        meaning = inner
    return meaning


def _after_last(last: Node, inline: str) -> _Splice:
    """Return the insertion of a member after the last one of a flow collection."""
    end = last.end_mark.index
    return _Splice(end, end, ", " + inline[1:-1])
