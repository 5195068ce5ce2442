"""Who this machine is paired with, as its files have it: the list of peers, and their names."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from peerup.config import authorized_keys, edit
from peerup.config.load import load_config
from peerup.config.text import clean_name
from peerup.errors import ConfigError
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from pathlib import Path

    from peerup.config.schema import Config


def write_down(config_file: Path, keys_file: Path, peer: PeerId, said: str) -> str:
    """Authorize ``peer`` and give it a name; return the name. Doing it twice changes nothing.

    A peer that has a name already keeps it. Otherwise it gets the one that it calls itself, as
    far as that can be one, with a number behind it if another peer has it (W-04).

    Raises:
        ConfigError: A file cannot be used or written.
    """
    has = [name for name, known in load_config(config_file).names.items() if known == peer]
    name = has[0] if has else edit.add_name(config_file, usable(said, peer), peer, rename=True)
    # Last, so that whoever is listed has a name, whenever we die.
    authorized_keys.add(keys_file, peer, name, now=_now())
    return name


def usable(said: str, peer: PeerId) -> str:
    """Return what may serve as a name, made from what a peer calls itself."""
    name = clean_name(said).strip("-._")
    try:
        PeerId.parse(name)
    except ValueError:
        return name or f"peer-{str(peer)[-8:]}"
    return f"peer-{str(peer)[-8:]}"  # a name that is an id could stand for somebody else


def keys_file_of(config: Config) -> Path:
    """Return the list that pairing adds to.

    Raises:
        ConfigError: There is none.
    """
    if config.security.authorized_keys_file is None:
        raise ConfigError(
            f"no authorized_keys_file configured in {config.path}",
            hint='Add authorized_keys_file: "authorized_keys" under security: there.',
        )
    return config.security.authorized_keys_file


def knows(config: Config, peer: PeerId) -> bool:
    """Say whether ``peer`` is authorized and has a name, by the files as they are now.

    Raises:
        ConfigError: A file cannot be used.
    """
    entries, now = authorized_keys.load(keys_file_of(config)), _now()
    listed = {entry.peer for entry in entries if not entry.expired(now)}
    return peer in listed and peer in load_config(config.path).names.values()


def _now() -> float:
    return time.time_ns() / 1e9
