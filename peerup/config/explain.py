"""Where each setting comes from: a line of the file, the default, or another setting."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from yaml.nodes import MappingNode, ScalarNode

from peerup.config.schema import RelayConfig
from peerup.config.source import BOM
from peerup.config.units import format_duration, format_size
from peerup.config.yaml_reader import compose, is_null, line_of
from peerup.config.yaml_write import flow, item_lines, key_text
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from yaml.nodes import Node

    from peerup.config.schema import Config

Value = str | int | bool | tuple[str, ...] | None
Keys = tuple[str, ...]

DEFAULT: Final = "default"
UNLIMITED: Final = "no limit"

_NOT_SETTINGS: Final = frozenset({"path", "warnings", "name"})
_DURATIONS: Final = frozenset({"reservation_interval", "reservation_ttl", "session_duration"})
_SIZES: Final = frozenset({"session_data_limit"})
_ZERO: Final = re.compile(r"0+ *[A-Za-z]*")
# What a relay without gating allows each session; node/relay_node.py goes by the same.
_OPEN_SESSIONS: Final = {"session_duration": "10m0s", "session_data_limit": "64MB"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it takes effect.

    ``line`` is that of the file, 0 when it does not come from there; then ``source`` says where
    it does. A value of None is no limit.
    """

    keys: Keys
    value: Value
    line: int
    source: str

    @property
    def name(self) -> str:
        return ".".join(self.keys)


class _Written(NamedTuple):
    """What the file has under a key."""

    line: int
    node: Node


def explain(config: Config | RelayConfig, text: str) -> tuple[Setting, ...]:
    """Return every setting of a configuration, in the order of the schema, the version first.

    Args:
        config: What ``text`` means.
        text: The configuration's file.
    """
    root = compose(text.removeprefix(BOM), config.path)
    written = dict(_written(root, ()))
    found = [
        _derived(config, _setting(keys, value, written.get(keys), config.path))
        for keys, value in _walk(config, ())
    ]
    return tuple(sorted(found, key=lambda setting: setting.keys != ("version",)))


def _written(node: Node | None, keys: Keys) -> Iterator[tuple[Keys, _Written]]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            inner = (*keys, key.value)
            yield inner, _Written(line_of(key), value)
            yield from _written(value, inner)


def _walk(value: object, keys: Keys) -> Iterator[tuple[Keys, object]]:
    """Yield the single values and lists in ``value``, which is part of a configuration."""
    if is_dataclass(value) and not isinstance(value, PeerId):
        for field in fields(value):
            if field.name not in _NOT_SETTINGS:
                yield from _walk(getattr(value, field.name), (*keys, field.name))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(inner, (*keys, name))
    else:
        yield keys, value


def _setting(keys: Keys, value: object, written: _Written | None, path: Path) -> Setting:
    shown = _shown(keys[-1], value)
    if written is None or _says_nothing(written.node):
        return Setting(keys, shown, 0, DEFAULT)
    return Setting(keys, shown, written.line, f"{path.name}:{written.line}")


def _says_nothing(node: Node) -> bool:
    """Tell whether this is a value that stands for the default."""
    if not isinstance(node, ScalarNode):
        return False
    return is_null(node) or not node.value or _ZERO.fullmatch(node.value) is not None


def _shown(key: str, value: object) -> Value:
    if isinstance(value, tuple):
        return tuple(map(str, value))
    if value is None:
        return () if key == "allowed_peers" else None
    if key in _DURATIONS and isinstance(value, int | float):
        return format_duration(float(value))
    if key in _SIZES and isinstance(value, int):
        return format_size(value)
    return value if isinstance(value, bool | int) else str(value)


def _derived(config: Config | RelayConfig, setting: Setting) -> Setting:
    """Return the setting as another one makes it, where the file does not say."""
    keys = setting.keys
    if setting.line and setting.value != ():
        return setting
    if isinstance(config, RelayConfig):
        if keys[-1] not in _OPEN_SESSIONS:
            return setting
        gated = config.security.enable_connection_gating
        value = None if gated else _OPEN_SESSIONS[keys[-1]]
        state = "on" if gated else "off"
        return Setting(keys, value, 0, f"derived: connection gating is {state}")
    if keys == ("discovery", "bootstrap_peers"):
        relays = tuple(map(str, config.relay.addresses))
        return Setting(keys, relays, 0, "derived: relay.addresses") if relays else setting
    if keys[0] == "services" and keys[-1] == "protocol":
        return Setting(keys, f"/peerup/{keys[1]}/1.0.0", 0, "derived: the service's name")
    return setting


def yaml_lines(settings: tuple[Setting, ...]) -> Iterator[tuple[str, str]]:
    """Yield the settings as lines of YAML, each with where it comes from, "" for a heading."""
    above: Keys = ()
    for setting in settings:
        *groups, last = setting.keys
        for depth, group in enumerate(groups):
            if above[: depth + 1] != setting.keys[: depth + 1]:
                yield f"{'  ' * depth}{key_text(group)}:", ""
        above = tuple(groups)
        indent = "  " * len(groups)
        if isinstance(setting.value, tuple) and setting.value:
            yield f"{indent}{key_text(last)}:", setting.source
            for item in item_lines(setting.value):
                yield f"{indent}  {item}", ""
        elif setting.value is None:
            yield f"{indent}# {key_text(last)}: {UNLIMITED}", setting.source
        else:
            yield f"{indent}{key_text(last)}: {_inline(setting.value)}", setting.source


def _inline(value: str | int | tuple[str, ...]) -> str:
    return flow(value) if isinstance(value, bool | str | tuple) else str(value)
