from __future__ import annotations

import json
from pathlib import Path

import pytest

from peerup import __version__
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, RELAY_ADDRESS, peer

LAPTOP, GUEST = peer(8), peer(9)


@pytest.fixture
def full(peerup: Peerup, config: Path) -> Path:
    """A configuration with something in each part."""
    assert (
        peerup("auth", "add", str(LAPTOP), "--name", "laptop", "--comment", "my laptop").code == 0
    )
    with (config.parent / "authorized_keys").open("a") as file:
        file.write(f"{GUEST} expires=2001-01-01T00:00:00Z\n")
    assert peerup("service", "add", "web", "127.0.0.1:8080").code == 0
    assert peerup("service", "add", "ssh", "127.0.0.1:22").code == 0
    assert peerup("service", "disable", "web").code == 0
    return config


def test_everything_is_shown_in_full_and_in_order(peerup: Peerup, full: Path) -> None:
    me = peerup("whoami").out.strip()
    result = peerup("status")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[:7] == [
        f"peerup {__version__}",
        "",
        f"Peer ID:  {me}",
        f"Config:   {full}",
        f"Key file: {full.parent / 'identity.key'}",
        "Network:  global (default)",
        "",
    ]
    at = lines.index("Relay addresses:")
    assert lines[at + 1] == f"  {RELAY_ADDRESS} (reserved)"
    at = lines.index("Services:")
    assert lines[at + 1 : at + 3] == [
        "  ssh -> 127.0.0.1:22 (enabled)",
        "  web -> 127.0.0.1:8080 (disabled)",
    ]
    at = lines.index("Names:")
    assert lines[at + 1 :] == [f"  home → {HOME}", f"  laptop → {LAPTOP}"]


def test_w34_authorized_peers_are_shown_with_their_whole_ids(peerup: Peerup, full: Path) -> None:
    lines = peerup("status").out.splitlines()
    at = lines.index("Authorized peers (2):")
    assert lines[at + 1] == f"  {LAPTOP}  laptop  # my laptop"
    assert lines[at + 2].startswith(f"  {GUEST}  expires=")
    assert lines[at + 2].endswith("(expired)")


def test_w34_shared_and_private_addresses_are_not_called_public(peerup: Peerup, home: Path) -> None:
    kinds = {"100.64.0.1": "cgnat", "172.16.3.4": "private", "8.8.8.8": "public"}
    words = [
        word for host in kinds for word in ("--relay", RELAY_ADDRESS.replace("203.0.113.5", host))
    ]
    assert peerup("init", "--non-interactive", "--no-listen", *words).code == 0
    out = peerup("status").out
    for host, kind in kinds.items():
        assert f"{RELAY_ADDRESS.replace('203.0.113.5', host)} ({kind})" in out
    assert "(none: through relays only)" in out


def test_json_has_the_same(peerup: Peerup, full: Path) -> None:
    result = peerup("--json", "status")
    found = json.loads(result.out)
    assert found["peer_id"] == peerup("whoami").out.strip()
    assert found["config"] == str(full)
    assert found["gating"] is True
    assert found["relays"] == [{"address": RELAY_ADDRESS, "class": "reserved"}]
    laptop, guest = found["authorized_peers"]
    assert (laptop["peer_id"], laptop["names"]) == (str(LAPTOP), ["laptop"])
    assert (laptop["comment"], laptop["expired"]) == ("my laptop", False)
    assert (guest["peer_id"], guest["names"], guest["expired"]) == (str(GUEST), [], True)
    assert [service["name"] for service in found["services"]] == ["ssh", "web"]
    assert found["services"][0] == {
        "name": "ssh",
        "protocol": "/peerup/ssh/1.0.0",
        "local_address": "127.0.0.1:22",
        "enabled": True,
    }
    assert found["names"][0] == {"name": "home", "peer_id": str(HOME)}


def test_empty_parts_say_so(peerup: Peerup, config: Path) -> None:
    out = peerup("status").out
    assert "Authorized peers (0):\n  (none)" in out
    assert "Services:\n  (none configured)" in out


def test_gating_that_is_off_is_said_loudly(peerup: Peerup, config: Path) -> None:
    text = config.read_text()
    config.write_text(
        text.replace("enable_connection_gating: true", "enable_connection_gating: no")
    )
    assert "connection gating disabled: anybody may connect" in peerup("status").out
    found = json.loads(peerup("status", "--json").out)
    assert (found["gating"], found["authorized_peers"]) == (False, None)


def test_without_a_configuration_the_cure_is_named(peerup: Peerup) -> None:
    result = peerup("status")
    assert (result.code, result.out) == (2, "")
    assert "Run `peerup init`" in result.err


@pytest.mark.parametrize("name", ["identity.key", "authorized_keys"])
def test_w15_a_missing_file_is_an_error_and_stays_missing(
    peerup: Peerup, config: Path, name: str
) -> None:
    (config.parent / name).unlink()
    result = peerup("status")
    assert (result.code, result.out) == (2, "")
    assert name in result.err
    assert not (config.parent / name).exists()
