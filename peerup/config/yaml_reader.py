"""YAML as Go's yaml.v3 reads it into typed fields, with errors that say where.

PyYAML's own conversion differs in four ways, so only its node tree is used: here a value is
what the field makes of the text. ``0123``, ``12:30`` and ``yes`` stay text in a text field,
``yes`` is true in a yes-or-no field, a key given twice is an error, and null is absence.

Aliases and anchors are refused: no setting needs them, and an edit could not tell which of
the places it means. Size, depth and number of values are bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from peerup.config.text import did_you_mean, shown
from peerup.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

MAX_CONFIG_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 16
MAX_VALUES: Final = 20_000
MAX_INTEGER_CHARS: Final = 19
MAX_WARNINGS: Final = 20

_TAG: Final = "tag:yaml.org,2002:"
_NULL: Final = _TAG + "null"
_TAGS: Final = frozenset(
    _TAG + name
    for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
)
_INTEGER: Final = re.compile(r"0x[0-9a-f]+|0b[01]+|0o?[0-7]+|[1-9][0-9]*|0")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
# YAML 1.1, which yaml.v3 understands in yes-or-no fields, quoted or not.
_YES: Final = frozenset({"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})
_NO: Final = frozenset({"n", "N", "no", "No", "NO", "off", "Off", "OFF"})


class _Loader(yaml.SafeLoader):
    """Composes nodes within our bounds; the pure Python one, for its exact marks."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.values = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        peek: Callable[[], yaml.Event] = self.peek_event
        event = peek()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _problem("anchors and aliases are not supported", event.start_mark)
        self.depth += 1
        self.values += 1
        if self.depth > MAX_DEPTH or self.values > MAX_VALUES:
            raise _problem("nested too deep, or too many values", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is not None and node.tag not in _TAGS:
            raise _problem(f"unknown tag {shown(node.tag)}", node.start_mark)
        if isinstance(node, MappingNode):
            _check_keys(node)
        if isinstance(node, ScalarNode) and _SURROGATE.search(node.value):
            raise _problem("half of a surrogate pair", node.start_mark)
        return node


def _problem(text: str, mark: object) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, text, mark if isinstance(mark, yaml.Mark) else None)


def _check_keys(node: MappingNode) -> None:
    first: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode):
            raise _problem("a key has to be plain text", key.start_mark)
        if key.value in first:
            problem = f"mapping key {shown(key.value)} already defined at line {first[key.value]}"
            raise _problem(problem, key.start_mark)
        first[key.value] = line_of(key)


def line_of(node: Node) -> int:
    """Return the line on which ``node`` starts, counted from 1."""
    line: int = node.start_mark.line
    return line + 1


def decode(data: bytes, path: Path) -> str:
    """Return the text of a configuration, whose byte order mark, if any, is kept.

    Raises:
        ConfigError: It is not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: failed to parse YAML: this is not UTF-8") from error


def compose(text: str, path: Path) -> Node | None:
    """Return the node tree of ``text``, None when it holds nothing but comments.

    Every key in it is a scalar and stands once in its mapping.

    Raises:
        ConfigError: It is not one YAML document within the bounds above; says the line.
    """
    try:
        return _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(
            f"{path}:{mark.line + 1 if mark else 1}: failed to parse YAML: {problem}",
            hint="Look at indentation and quotes, in that line and above it.",
        ) from error
    except ReaderError as error:  # before parsing: a character that YAML forbids
        line = text.count("\n", 0, error.position) + 1
        found = shown(text[error.position])
        raise ConfigError(
            f"{path}:{line}: failed to parse YAML: found the character {found}"
        ) from error
    except (ValueError, OverflowError) as error:  # PyYAML, on numbers beyond Unicode or reason
        raise ConfigError(f"{path}:1: failed to parse YAML: {error}") from error


def _integer(text: str) -> int | None:
    """Return the whole number that Go reads, whose ``010`` is 8; None if it is none."""
    digits = text.replace("_", "").lower().removeprefix("+")
    if len(digits) > MAX_INTEGER_CHARS or not _INTEGER.fullmatch(digits):
        return None
    octal = digits[0] == "0" and digits.isdigit()
    return int(digits, 8 if octal else 0)


def is_null(node: Node) -> bool:
    """Tell whether ``node`` is an absent value: nothing, ``~`` or ``null``."""
    return isinstance(node, ScalarNode) and node.tag == _NULL


@dataclass(frozen=True, slots=True)
class Text:
    """A single value as it was written; ``place`` is ``FILE:LINE: dotted.name`` of it."""

    text: str
    place: str

    def parsed(self, parse: Callable[[str], T]) -> T:
        """Return ``parse(text)``; its ``ValueError`` becomes a ``ConfigError`` that says where."""
        try:
            return parse(self.text)
        except ValueError as error:
            raise ConfigError(f"{self.place}: {error}") from error

    def refused(self, allowed: str) -> ConfigError:
        """Return the error that names what was found and what is allowed."""
        return ConfigError(f"{self.place}: found {shown(self.text)}, {allowed}")


@dataclass(slots=True)
class Section:
    """A mapping of the file, asked field by field; what nobody asked for is unknown.

    A section that is absent or null behaves like one without keys.
    """

    path: Path
    name: str = ""
    line: int = 1
    nodes: dict[str, Node] = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)
    _asked: set[str] = field(init=False, default_factory=set)
    _inner: list[Section] = field(init=False, default_factory=list)
    _remarks: list[str] = field(init=False, default_factory=list)

    @classmethod
    def of(cls, node: Node | None, path: Path, name: str = "", line: int = 1) -> Section:
        """Return the section that ``node`` is.

        Raises:
            ConfigError: ``node`` is a list or a single value.
        """
        section = cls(path, name, line)
        if node is None or is_null(node):
            return section
        if not isinstance(node, MappingNode):
            raise section.refused(node, "allowed are keys and values")
        for key, value in node.value:
            section.nodes[key.value] = value
            section.key_lines[key.value] = line_of(key)
        return section

    def keys(self) -> Iterator[str]:
        """Yield every key, in the order of the file; they count as asked for."""
        self._asked.update(self.nodes)
        yield from self.nodes

    def section(self, key: str) -> Section:
        """Return the mapping under ``key``."""
        self._asked.add(key)
        line = self.key_lines.get(key, self.line)
        inner = Section.of(self.nodes.get(key), self.path, self.dotted(key), line)
        self._inner.append(inner)
        return inner

    def text(self, key: str) -> Text | None:
        """Return the value of ``key``, None when absent."""
        node = self._value(key)
        if node is None:
            return None
        if not isinstance(node, ScalarNode):
            raise self.refused(node, "allowed is a single value", key)
        return Text(node.value, self.place(key, node))

    def string(self, key: str, default: str = "") -> str:
        """Return the text of ``key``, ``default`` when absent or empty."""
        found = self.text(key)
        return found.text if found and found.text else default

    def file(self, key: str) -> Path | None:
        """Return the path under ``key`` in the configuration's directory, None when absent."""
        found = self.text(key)
        if found is None or not found.text:
            return None
        if "\0" in found.text:
            raise found.refused("allowed is the path of a file")
        return self.path.absolute().parent / found.text

    def texts(self, key: str) -> tuple[Text, ...]:
        """Return the items of the list under ``key``, none when absent."""
        node = self._value(key)
        if node is None:
            return ()
        if not isinstance(node, SequenceNode):
            raise self.refused(node, "allowed is a list: [] or lines that start with -", key)
        return tuple(self._item(key, index, item) for index, item in enumerate(node.value))

    def flag(self, key: str, *, default: bool) -> bool:
        """Return the yes-or-no value of ``key``."""
        found, node = self.text(key), self.nodes.get(key)
        if found is None or not isinstance(node, ScalarNode):
            return default
        plain = node.style is None
        if found.text in _YES or (plain and found.text in _TRUE):
            return True
        if found.text in _NO or (plain and found.text in _FALSE):
            return False
        raise found.refused("allowed are true and false, without quotes")

    def integer(self, key: str, *, default: int, maximum: int) -> int:
        """Return the whole number of ``key``, 0 to ``maximum``."""
        found, node = self.text(key), self.nodes.get(key)
        if found is None or not isinstance(node, ScalarNode):
            return default
        number = _integer(found.text) if node.style is None else None
        if number is None or number > maximum:
            raise found.refused(f"allowed is a whole number, 0 to {maximum}, without quotes")
        return number

    def dotted(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def place(self, key: str, node: Node | None = None) -> str:
        """Return ``FILE:LINE: dotted.name`` of a key, or of ``node`` in its value."""
        line = line_of(node) if node else self.key_lines.get(key, self.line)
        return f"{self.path}:{line}: {self.dotted(key)}"

    def remark(self, key: str, text: str) -> None:
        """Warn of the value of ``key``, which is not refused."""
        self._remarks.append(f"{self.place(key)}: {text}")

    def warnings(self) -> Iterator[str]:
        """Yield the remarks, and one for each key that nobody asked for, here and below."""
        yield from self._remarks
        for key in self.nodes:
            if key not in self._asked:
                meant = did_you_mean(key, self._asked)
                where = f"{self.path}:{self.key_lines[key]}"
                yield f"{where}: unknown key {shown(self.dotted(key))} is ignored{meant}"
        for inner in self._inner:
            yield from inner.warnings()

    def refused(self, node: Node, allowed: str, key: str = "") -> ConfigError:
        kinds: dict[type[Node], str] = {MappingNode: "keys and values", SequenceNode: "a list"}
        what = kinds.get(type(node)) or shown(str(node.value))
        name = self.dotted(key) if key else self.name
        place = f"{self.path}:{line_of(node)}:" + (f" {name}:" if name else "")
        return ConfigError(f"{place} found {what}, {allowed}")

    def _value(self, key: str) -> Node | None:
        self._asked.add(key)
        node = self.nodes.get(key)
        return None if node is None or is_null(node) else node

    def _item(self, key: str, index: int, node: Node) -> Text:
        name = f"{key}[{index}]"
        if not isinstance(node, ScalarNode):
            raise self.refused(node, "allowed is a single value", name)
        return Text("" if is_null(node) else node.value, self.place(name, node))
