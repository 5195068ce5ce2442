"""The identity key file: created once, never replaced, readable for its owner only.

The file is the binary ``PrivateKey`` of the libp2p specs, for Ed25519 68 bytes.

Spec: libp2p specs, peer-ids/peer-ids.md, "Keys"; the same file as Go peerup's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerup.atomic_file import OTHERS, create_exclusive, read_whole
from peerup.errors import ConfigError
from peerup.wire.keys import PrivateKey

if TYPE_CHECKING:
    from pathlib import Path

MAX_KEY_BYTES: Final = 16 * 1024  # the longest is RSA, which we name in the error
RESTORE: Final = "Put the key back from your backup: others know this machine by it."


def load_identity(path: Path) -> PrivateKey:
    """Return the key in ``path``; a missing or unreadable one is never replaced.

    Raises:
        ConfigError: It cannot be read, belongs to another user, others have access to it, or it
            is no Ed25519 key.
    """
    try:
        data, mode = read_whole(path, MAX_KEY_BYTES, own=True)
    except FileNotFoundError as error:
        raise ConfigError(
            f"identity key not found: {path}",
            hint=f"{RESTORE} For a new one, move the configuration away and run `peerup init`.",
        ) from error
    except OSError as error:
        raise ConfigError(f"failed to read key from {path}: {error.strerror}") from error
    if mode & OTHERS:
        raise ConfigError(
            f"{path}: insecure permissions {mode:04o} (expected 0600); fix with: chmod 600 {path}"
        )
    if not data:
        raise ConfigError(f"failed to unmarshal key from {path}: the file is empty", hint=RESTORE)
    try:
        return PrivateKey.from_protobuf(data)
    except ValueError as error:
        raise ConfigError(f"failed to unmarshal key from {path}: {error}", hint=RESTORE) from error


def create_identity(path: Path) -> PrivateKey:
    """Create a new key in ``path``, whose directory must exist, and return it.

    Raises:
        ConfigError: The name is taken, or the file cannot be written.
    """
    key = PrivateKey.generate()
    try:
        create_exclusive(path, key.to_protobuf())
    except FileExistsError as error:
        raise ConfigError(
            f"identity key already exists: {path}",
            hint="It is who this machine is to its peers. To start over, move it away first.",
        ) from error
    except OSError as error:
        raise ConfigError(f"failed to save key to {path}: {error.strerror}") from error
    return key
