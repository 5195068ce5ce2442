"""What is allowed and hardly meant is said, with the setting that does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.config.advice import advice
from peerup.config.load import parse_config, parse_relay_config
from tests.config.conftest import RELAY

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "identity: {key_file: key}\nsecurity: {authorized_keys_file: keys}\n"


def test_nothing_is_said_of_a_node_that_is_complete(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    (tmp_path / "keys").touch()
    text = TEXT + f"relay: {{addresses: ['{RELAY}']}}\n"
    assert list(advice(parse_config(text, tmp_path / "config.yaml"))) == []


def test_what_a_node_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    assert list(advice(parse_config(TEXT, path))) == [
        f"{path}: identity.key_file: there is no {tmp_path / 'key'}",
        f"{path}: security.authorized_keys_file: there is no {tmp_path / 'keys'}",
        f"{path}: relay.addresses is empty: this machine is reachable only directly",
    ]


def test_w18_an_open_gate_is_said(tmp_path: Path) -> None:
    text = TEXT.replace("{authorized_keys_file: keys}", "{enable_connection_gating: false}")
    found = list(advice(parse_config(text, tmp_path / "config.yaml")))
    assert any("any peer may connect" in line for line in found)
    assert not any("authorized_keys" in line for line in found)


def test_a_relay_makes_its_own_key_and_has_to_listen(tmp_path: Path) -> None:
    path = tmp_path / "relay-server.yaml"
    (tmp_path / "keys").touch()
    assert list(advice(parse_relay_config(TEXT, path))) == [
        f"{path}: network.listen_addresses is empty: a relay has to listen somewhere"
    ]
    text = TEXT + "network: {listen_addresses: [/ip4/0.0.0.0/tcp/1]}\n"
    assert list(advice(parse_relay_config(text, path))) == []
