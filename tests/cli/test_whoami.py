from __future__ import annotations

import json
from pathlib import Path

import pytest

from peerup.cli import qr
from peerup.config.identity import load_identity
from peerup.wire.peer_id import PeerId
from tests.cli.conftest import Peerup


def test_whoami_prints_the_peer_id_and_nothing_else(peerup: Peerup, config: Path) -> None:
    key = load_identity(config.parent / "identity.key")
    result = peerup("whoami")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{PeerId.from_public_key(key.public_key)}\n"


def test_whoami_as_json(peerup: Peerup, config: Path) -> None:
    peer = peerup("whoami").out.strip()
    assert json.loads(peerup("whoami", "--json").out) == {"peer_id": peer}


def test_whoami_draws_the_peer_id_when_asked_to(
    peerup: Peerup, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(qr, "show", drawn.append)
    peer = peerup("whoami").out.strip()
    assert drawn == []
    assert peerup("whoami", "--qr").out == f"{peer}\n"
    assert drawn == [peer]


def test_w15_whoami_leaves_a_key_that_it_cannot_use_as_it_is(peerup: Peerup, config: Path) -> None:
    key = config.parent / "identity.key"
    key.write_bytes(b"torn")
    assert peerup("whoami").code == 2
    assert key.read_bytes() == b"torn"


def test_whoami_reads_the_configuration_it_is_given(peerup: Peerup, config: Path) -> None:
    elsewhere = config.parent.parent / "elsewhere"
    config.parent.rename(elsewhere)
    assert peerup("whoami").code == 2
    assert peerup("whoami", "--config", str(elsewhere / "config.yaml")).code == 0


def test_whoami_answers_whatever_is_wrong_with_other_settings(peerup: Peerup, config: Path) -> None:
    peer = peerup("whoami").out
    config.write_text(config.read_text().replace("/ip4/", "/ip5/"))
    assert peerup("service", "list").code == 2
    result = peerup("whoami")
    assert (result.code, result.out, result.err) == (0, peer, "")


def test_whoami_never_creates_a_key(peerup: Peerup, config: Path) -> None:
    key = config.parent / "identity.key"
    key.unlink()
    result = peerup("whoami")
    assert (result.code, result.out) == (2, "")
    assert f"identity key not found: {key}" in result.err
    assert not key.exists()


def test_whoami_without_a_configuration_says_where_it_looked(peerup: Peerup, home: Path) -> None:
    result = peerup("whoami")
    assert result.code == 2
    assert "Error: config file not found; searched:" in result.err
    assert str(home / ".config/peerup/config.yaml") in result.err
    assert "peerup init" in result.err


def test_whoami_refuses_a_key_that_others_may_read(peerup: Peerup, config: Path) -> None:
    key = config.parent / "identity.key"
    key.chmod(0o640)
    result = peerup("whoami")
    assert result.code == 2
    assert f"insecure permissions 0640 (expected 0600); fix with: chmod 600 {key}" in result.err
