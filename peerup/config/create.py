"""What a node needs, made where it is missing: key, list of peers, configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from peerup.atomic_file import create_exclusive
from peerup.config import authorized_keys
from peerup.config.identity import create_identity, load_identity
from peerup.config.load import load_config, parse_config
from peerup.config.template import default_listen, node_template
from peerup.errors import ConfigError
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from pathlib import Path

    from peerup.config.schema import Config
    from peerup.wire.multiaddr import Multiaddr


class Created(NamedTuple):
    """A new configuration, whose it is, and whether the list of peers is new too."""

    config: Config
    peer: PeerId
    new_list: bool


def ensure_node(
    path: Path, *, generated_by: str, relay: Multiaddr, network: str = ""
) -> tuple[Config, bool]:
    """Return the configuration at ``path``, and whether it is a new one.

    Whatever exists is used as it is: nothing is written over, and a file that cannot be used
    is an error. What was begun by a process that died is finished.

    Args:
        path: The configuration file.
        generated_by: The command that writes it, for its first lines.
        relay: What a new one names as relay, ending in /p2p/ID.
        network: Namespace of a private DHT for a new one; "" is the common one.

    Raises:
        ConfigError: A file cannot be used or written.
    """
    created = False
    if not path.exists():
        text = node_template(
            generated_by=generated_by, listen=default_listen(), relays=[relay], network=network
        )
        try:
            create_node(path, text)
            created = True
        except FileExistsError:
            pass  # somebody was faster; theirs counts
    config = load_config(path)
    _ensure_files(config)
    return config, created


def create_node(path: Path, text: str) -> Created:
    """Create a configuration with this text, after what it needs.

    A key and a list of peers that exist stay as they are, and are used.

    Raises:
        FileExistsError: There is a configuration at ``path``, or something else of that name.
        ConfigError: A file cannot be used or written.
    """
    config = parse_config(text, path)  # says where the other files belong
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = "Not a directory" if isinstance(error, FileExistsError) else error.strerror
        raise ConfigError(
            f"cannot create {path.parent}: {why}",
            hint="Choose another place with --config PATH.",
        ) from error
    peer, new_list = _ensure_files(config)
    try:
        create_exclusive(path, text.encode())  # last: where it is, all the rest is too
    except FileExistsError:
        raise
    except OSError as error:
        raise ConfigError(f"failed to write {path}: {error.strerror}") from error
    return Created(config, peer, new_list)


def _ensure_files(config: Config) -> tuple[PeerId, bool]:
    key_file, list_file = config.identity.key_file, config.security.authorized_keys_file
    # One that leads nowhere is there too, and an error.
    key = load_identity(key_file) if os.path.lexists(key_file) else create_identity(key_file)
    new_list = list_file is not None and authorized_keys.create(list_file)
    return PeerId.from_public_key(key.public_key), new_list
