"""The identity key is created once, and never lost, replaced or shown to others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from peerup.config.identity import MAX_KEY_BYTES, create_identity, load_identity
from peerup.errors import ConfigError
from peerup.wire.keys import PrivateKey
from tests.config.conftest import belongs_to_another, write_private


def test_a_created_key_is_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    created = create_identity(path)
    assert load_identity(path).public_key == created.public_key
    assert len(path.read_bytes()) == 68
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["identity.key"]


def test_w15_an_existing_file_is_never_replaced(tmp_path: Path) -> None:
    path = write_private(tmp_path / "identity.key", b"whatever this is")
    with pytest.raises(ConfigError, match="already exists"):
        create_identity(path)
    assert path.read_bytes() == b"whatever this is"


def test_w15_loading_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="identity key not found") as caught:
        load_identity(tmp_path / "identity.key")
    assert "peerup init" in caught.value.hint
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("data", [b"", b"\x08\x01\x12\x40", b"\xff" * 68, b"-----BEGIN KEY-----"])
def test_w15_a_damaged_key_is_an_error_and_stays(tmp_path: Path, data: bytes) -> None:
    path = write_private(tmp_path / "identity.key", data)
    with pytest.raises(ConfigError, match=f"failed to unmarshal key from {path}"):
        load_identity(path)
    assert path.read_bytes() == data


def test_w15_a_directory_in_its_place_is_an_error_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    path.mkdir()
    with pytest.raises(ConfigError):
        load_identity(path)
    with pytest.raises(ConfigError):
        create_identity(path)
    assert path.is_dir()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o601, 0o660])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "identity.key"
    create_identity(path)
    path.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        load_identity(path)
    text = f"insecure permissions {mode:04o} (expected 0600); fix with: chmod 600 {path}"
    assert text in str(caught.value)


def test_a_key_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "identity.key"
    create_identity(path)
    belongs_to_another(path, monkeypatch)
    with pytest.raises(ConfigError, match=r"belongs to another user \(uid \d+\)") as caught:
        load_identity(path)
    assert f"chown {os.geteuid()} {path}" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_may_look_after_the_files_of_a_user(tmp_path: Path) -> None:
    place = tmp_path / "home"
    place.mkdir()
    create_identity(place / "identity.key")
    os.chown(place, 4242, -1)
    os.chown(place / "identity.key", 4242, -1)
    load_identity(place / "identity.key")
    os.chown(place / "identity.key", 4243, -1)
    with pytest.raises(ConfigError, match="another user"):
        load_identity(place / "identity.key")


def test_a_read_only_key_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    create_identity(path)
    path.chmod(0o400)
    load_identity(path)


def test_a_key_written_elsewhere_is_loaded_through_a_link(tmp_path: Path) -> None:
    key = PrivateKey.from_seed(bytes(32))
    write_private(tmp_path / "real.key", key.to_protobuf())
    (tmp_path / "identity.key").symlink_to("real.key")
    assert load_identity(tmp_path / "identity.key").public_key == key.public_key


def test_what_cannot_be_a_key_is_not_read_whole(tmp_path: Path) -> None:
    path = write_private(tmp_path / "identity.key", bytes(MAX_KEY_BYTES + 1))
    with pytest.raises(ConfigError, match="too large"):
        load_identity(path)


def test_a_missing_directory_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="failed to save key to"):
        create_identity(tmp_path / "missing" / "identity.key")


def test_no_error_shows_the_secret(tmp_path: Path) -> None:
    data = bytearray(PrivateKey.from_seed(b"s" * 32).to_protobuf())
    data[-1] ^= 1  # the public half no longer fits
    path = write_private(tmp_path / "identity.key", bytes(data))
    with pytest.raises(ConfigError) as caught:
        load_identity(path)
    assert "ssss" not in str(caught.value)
    assert b"s".hex() * 4 not in str(caught.value)
