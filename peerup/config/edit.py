"""Changes of single settings in a configuration file: services, names and relays.

Each takes the lock, reads the file, lets ``yaml_edit`` change the text, makes sure that a file
which could be loaded still can, and replaces it in one step. Comments, order, permissions and
owner stay; a refused change leaves the file as it was.

All functions raise ``ConfigError`` when the file is missing, is in use for more than 10 s, or
is written in a way that cannot be changed safely.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from yaml.nodes import MappingNode, ScalarNode, SequenceNode

from peerup.atomic_file import locked, read_whole, write_atomic
from peerup.config import schema
from peerup.config.load import parse_config, parse_relay_address
from peerup.config.source import BOM
from peerup.config.text import MAX_NAME_CHARS, shown
from peerup.config.yaml_edit import Document
from peerup.config.yaml_reader import MAX_CONFIG_BYTES, decode
from peerup.errors import ConfigError
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from yaml.nodes import Node

    from peerup.config.yaml_edit import Keys

MAX_RENAMES: Final = 1000

_RELAYS: Final = ("relay", "addresses")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")


def add_service(path: Path, name: str, local_address: str) -> bool:
    """Add an enabled service; False if it is there already, exactly so.

    Raises:
        ConfigError: The name or address is not allowed, or another service has the name.
    """
    try:
        schema.check_service_name(name)
        schema.check_local_address(local_address)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with _opened(path) as file:
        existing = file.document.get(("services", name))
        if existing is None:
            file.save(("services", name), {"enabled": True, "local_address": local_address})
            return True
        address = _child(existing, "local_address")
        if address != local_address:
            raise ConfigError(
                f"service already registered: {name} ({shown(address)})",
                hint=f"To replace it, first run `peerup service remove {name}`.",
            )
        return file.save(("services", name, "enabled"), True)


def remove_service(path: Path, name: str) -> None:
    """Remove a service and its settings.

    Raises:
        ConfigError: There is none of that name.
    """
    with _opened(path) as file:
        file.require(("services", name), f"service not found: {name}")
        file.write(file.document.remove(("services", name)))


def set_service_enabled(path: Path, name: str, enabled: bool) -> bool:
    """Enable or disable a service; False if it was so already.

    Raises:
        ConfigError: There is none of that name.
    """
    with _opened(path) as file:
        file.require(("services", name), f"service not found: {name}")
        return file.save(("services", name, "enabled"), enabled)


def add_name(path: Path, name: str, peer: PeerId, *, rename: bool = False) -> str:
    """Give ``peer`` a name; return the one under which it now stands.

    Args:
        path: The configuration file.
        name: At most 64 of A-Z a-z 0-9 . _ -, and not itself a peer id.
        peer: Whom it stands for.
        rename: When another peer has the name, take ``name-2``, ``name-3`` and so on.

    Raises:
        ConfigError: The name is not allowed, or another peer has it and ``rename`` is false.
    """
    _check_name(name)
    with _opened(path) as file:
        taken = _names(file.document.get(("names",)))
        if rename:
            name = _free_name(name, taken, peer)
        elif name in taken and taken[name] != peer:
            raise ConfigError(
                f"the name {shown(name)} already belongs to {taken[name] or 'another peer'}",
                hint="Choose another name, or remove that one from names: in the configuration.",
            )
        if name not in taken:
            file.save(("names", name), str(peer))
        return name


def remove_name(path: Path, name: str) -> None:
    """Remove a name.

    Raises:
        ConfigError: There is none such.
    """
    with _opened(path) as file:
        file.require(("names", name), f"name not found: {name}")
        file.write(file.document.remove(("names", name)))


def add_relay(path: Path, addr: Multiaddr) -> bool:
    """Add a relay after the others; False if it is there already.

    Raises:
        ConfigError: The address does not name the relay's peer id.
    """
    try:
        parse_relay_address(str(addr))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with _opened(path) as file:
        if addr in _relays(file.document):
            return False
        file.write(file.document.append(_RELAYS, str(addr)))
        return True


def remove_relay(path: Path, addr: Multiaddr) -> None:
    """Remove a relay, wherever the list has it.

    Raises:
        ConfigError: It is not in the list, or nothing else is.
    """
    with _opened(path) as file:
        relays = _relays(file.document)
        if addr not in relays:
            raise ConfigError(f"relay address not found in config: {addr}")
        if len(relays) == relays.count(addr):
            raise ConfigError(
                "cannot remove the last relay address",
                hint="First add another one with `peerup relay add`.",
            )
        while addr in relays:
            file.write(file.document.remove_item(_RELAYS, relays.index(addr)))
            relays = _relays(file.document)


@dataclass(slots=True)
class _File:
    """A configuration file while we hold its lock."""

    path: Path
    document: Document
    text: str  # without byte order mark
    mark: str  # the byte order mark, usually none
    mode: int

    def save(self, keys: Keys, value: str | bool | dict[str, str | bool]) -> bool:
        """Set one value; False when it is there already."""
        return self.write(self.document.put(keys, value))

    def write(self, text: str) -> bool:
        if text == self.text:
            return False
        self._check_still_loads(text)
        try:
            self._check_unchanged()
            write_atomic(self.path, (self.mark + text).encode(), mode=self.mode)
        except OSError as error:
            raise ConfigError(f"failed to write {self.path}: {error.strerror}") from error
        self.text, self.document = text, Document(text, self.path)
        return True

    def _check_unchanged(self) -> None:
        """Refuse to overwrite what an editor, which knows no locks, has saved meanwhile."""
        if read_whole(self.path, MAX_CONFIG_BYTES).data != (self.mark + self.text).encode():
            raise ConfigError(
                f"{self.path} was changed by somebody else at this moment",
                hint="Nothing was changed. Run the command again.",
            )

    def require(self, keys: Keys, otherwise: str) -> None:
        if not self.document.has(keys):
            raise ConfigError(otherwise)

    def _check_still_loads(self, text: str) -> None:
        try:
            parse_config(self.text, self.path)
        except ConfigError:
            return  # unusable before: this may be the very change that mends it
        try:
            parse_config(text, self.path)
        except ConfigError as error:
            raise ConfigError(f"not changed, as the result would be unusable: {error}") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_File]:
    if not path.exists():
        raise ConfigError(f"config file not found: {path}")
    with locked(path):
        try:
            data, mode = read_whole(path, MAX_CONFIG_BYTES)
        except OSError as error:
            raise ConfigError(f"failed to read config file {path}: {error.strerror}") from error
        whole = decode(data, path)
        text = whole.removeprefix(BOM)
        mark = whole[: len(whole) - len(text)]
        yield _File(path, Document(text, path), text, mark, mode)


def _child(node: Node, key: str) -> str:
    """Return the text of ``key`` in a mapping, "" if it has none."""
    if isinstance(node, MappingNode):
        for inner, value in node.value:
            if inner.value == key and isinstance(value, ScalarNode):
                return str(value.value)
    return ""


def _names(node: Node | None) -> dict[str, PeerId | None]:
    """Return whom each name stands for, None where that is not a peer id."""
    if not isinstance(node, MappingNode):
        return {}
    return {key.value: _peer(value.value) for key, value in node.value}


def _peer(text: object) -> PeerId | None:
    try:
        return PeerId.parse(str(text))
    except ValueError:
        return None


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_CHARS or not _NAME.fullmatch(name):
        raise ConfigError(
            f"invalid name: {shown(name)}; allowed are up to {MAX_NAME_CHARS} "
            "letters a to z, digits, and . _ -"
        )
    if _peer(name) is not None:
        raise ConfigError(f"invalid name: {shown(name)} is a peer id")


def _free_name(wanted: str, taken: dict[str, PeerId | None], peer: PeerId) -> str:
    """Return the first of ``wanted``, ``wanted-2``... that is free, or is this peer's."""
    for number in range(1, MAX_RENAMES):
        suffix = f"-{number}" if number > 1 else ""
        name = wanted[: MAX_NAME_CHARS - len(suffix)] + suffix
        if name not in taken or taken[name] == peer:
            return name
    raise ConfigError(f"too many names like {shown(wanted)}")


def _relays(document: Document) -> Sequence[Multiaddr | None]:
    """Return the relays of the list, None in the place of what is no address."""
    node = document.get(_RELAYS)
    return [_addr(item.value) for item in node.value] if isinstance(node, SequenceNode) else []


def _addr(text: object) -> Multiaddr | None:
    try:
        return Multiaddr.parse(str(text))
    except ValueError:
        return None
