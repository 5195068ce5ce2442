"""A configuration file before anyone asks what is in it, and the one setting that is the first.

Some commands want to know where the key is, and nothing else. So that they start quickly, and
work whatever is wrong with the rest of the file, this module knows neither the other settings
nor what they are made of: that is ``load``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerup.atomic_file import OTHERS, read_whole
from peerup.config.paths import check_directory
from peerup.config.yaml_reader import MAX_CONFIG_BYTES, Section, compose, decode
from peerup.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

BOM: Final = "\ufeff"


def read_config(path: Path) -> str:
    """Return the text of a configuration file that nobody else may read or write.

    Raises:
        ConfigError: It is missing, too large, not UTF-8, or others have access to it.
    """
    try:
        data, mode = read_whole(path, MAX_CONFIG_BYTES)
    except OSError as error:
        raise ConfigError(f"failed to read config file {path}: {error.strerror}") from error
    if mode & OTHERS:
        raise ConfigError(
            f"config file {path} has overly permissive mode {mode:04o}; "
            f"expected 0600 - fix with: chmod 600 {path}"
        )
    check_directory(path.parent)
    return decode(data, path)


def parse_root(text: str, path: Path) -> Section:
    """Return the section that holds all others; ``path`` is for messages and relative paths.

    Raises:
        ConfigError: ``text`` is not YAML, or not within our bounds.
    """
    return Section.of(compose(text.removeprefix(BOM), path), path)


def key_file(root: Section) -> Path:
    """Return where the identity key is.

    Raises:
        ConfigError: The configuration does not say, or says something else.
    """
    section = root.section("identity")
    path = section.file("key_file")
    if path is None:
        raise ConfigError(f"{section.path}:{section.line}: identity.key_file is required")
    return path


def load_key_file(path: Path) -> Path:
    """Return where the identity key is, by the configuration file at ``path``.

    Raises:
        ConfigError: The file cannot be read, others may read it, it is not YAML, or does not
            say. What is wrong with other settings is left to ``load``.
    """
    return key_file(parse_root(read_config(path), path))
