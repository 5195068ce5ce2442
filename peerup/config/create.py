"""What a node needs, made where it is missing: key, list of peers, configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.atomic_file import create_exclusive
from peerup.config import authorized_keys
from peerup.config.identity import create_identity, load_identity
from peerup.config.load import load_config, parse_config
from peerup.config.template import default_listen, node_template
from peerup.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from peerup.config.schema import Config
    from peerup.wire.multiaddr import Multiaddr


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
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _ensure_files(parse_config(text, path))
            create_exclusive(path, text.encode())  # last: where it is, all the rest is too
            created = True
        except FileExistsError:
            pass  # somebody was faster; theirs counts
        except OSError as error:
            raise ConfigError(f"failed to write {path}: {error.strerror}") from error
    config = load_config(path)
    _ensure_files(config)
    return config, created


def _ensure_files(config: Config) -> None:
    key_file, list_file = config.identity.key_file, config.security.authorized_keys_file
    if key_file.exists():
        load_identity(key_file)
    else:
        create_identity(key_file)
    if list_file is not None:
        authorized_keys.create(list_file)
