"""Who may touch a configuration file, and where it says the key is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from peerup.config.source import key_file, load_key_file, parse_root, read_config
from peerup.config.yaml_reader import MAX_CONFIG_BYTES
from peerup.errors import ConfigError
from tests.config.conftest import write_private

FILE: Final = Path("/etc/peerup/config.yaml")
IDENTITY: Final = "identity: {key_file: identity.key}\n"


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    text = "\ufeff# Zoë\r\n" + IDENTITY
    assert read_config(write_private(tmp_path / "config.yaml", text)) == text


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o610])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = write_private(tmp_path / "config.yaml", IDENTITY)
    path.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value) == (
        f"config file {path} has overly permissive mode {mode:04o}; "
        f"expected 0600 - fix with: chmod 600 {path}"
    )


def test_a_file_in_a_directory_open_to_all_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir()
    write_private(directory / "config.yaml", IDENTITY)
    directory.chmod(0o777)
    with pytest.raises(ConfigError, match="everybody may write"):
        read_config(directory / "config.yaml")


def test_what_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"failed to read config file .*No such file"):
        read_config(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="not a regular file"):
        read_config(tmp_path)
    big = write_private(tmp_path / "big.yaml", b"#" * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(ConfigError, match="too large"):
        read_config(big)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (IDENTITY, "/etc/peerup/identity.key"),
        ("identity: {key_file: /elsewhere/key}", "/elsewhere/key"),
        ("\ufeffidentity:\r\n  key_file: keys/own\r\n", "/etc/peerup/keys/own"),
    ],
)
def test_a_key_file_is_in_the_directory_of_the_configuration(text: str, path: str) -> None:
    assert key_file(parse_root(text, FILE)) == Path(path)


@pytest.mark.parametrize("identity", ["", "identity:", "identity: {key_file: ''}", "a: 1"])
def test_a_key_file_is_required(identity: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:1: identity\.key_file is required"):
        key_file(parse_root(identity, FILE))


@pytest.mark.parametrize("text", ["identity: key", "identity: {key_file: [a]}", "- identity", "}"])
def test_what_names_no_key_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^/etc/peerup/config\.yaml:1: "):
        key_file(parse_root(text, FILE))


def test_a_mistake_elsewhere_does_not_hide_where_the_key_is(tmp_path: Path) -> None:
    text = f"{IDENTITY}relay: {{addresses: [nowhere]}}\nversion: 99\n"
    path = write_private(tmp_path / "config.yaml", text)
    assert load_key_file(path) == tmp_path / "identity.key"
