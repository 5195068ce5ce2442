from __future__ import annotations

import signal
import stat
from pathlib import Path

import pytest

from peerup.config.identity import load_identity
from peerup.config.load import load_relay_config
from peerup.config.schema import RelayConfig
from tests.cli.conftest import Peerup
from tests.cli.fake_node import RELAY, Network

LISTEN = "/ip4/127.0.0.1/tcp/7001"


@pytest.fixture(autouse=True)
def stopped_at_once(network: Network) -> None:
    network.signal = signal.SIGTERM


def served(network: Network) -> RelayConfig:
    """The configuration that the relay was started with."""
    (asked,) = network.asked
    assert isinstance(asked, tuple)
    config = asked[1]
    assert isinstance(config, RelayConfig)
    return config


def test_the_first_command_of_an_operator_works(
    peerup: Peerup, home: Path, network: Network
) -> None:
    result = peerup("relay", "serve")
    place = home / ".config" / "peerup"
    assert result.code == 0
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {
        "relay-server.yaml": 0o600,
        "relay_node.key": 0o600,
        "relay_authorized_keys": 0o600,
    }
    assert f"wrote {place / 'relay-server.yaml'}" in result.err
    assert f"Created a new identity: {place / 'relay_node.key'}" in result.err
    assert result.out.splitlines() == [
        f"Peer ID: {RELAY}",
        "Listening on /ip4/0.0.0.0/tcp/7777",
        "Listening on /ip4/0.0.0.0/udp/7777/quic-v1",
        "Listening on /ip6/::/tcp/7777",
        "Listening on /ip6/::/udp/7777/quic-v1",
    ]
    config = served(network)
    assert config == load_relay_config(place / "relay-server.yaml")
    assert config.security.enable_connection_gating
    assert load_identity(config.identity.key_file)


def test_the_configuration_that_is_written_listens_where_the_flags_say(
    peerup: Peerup, home: Path, network: Network
) -> None:
    assert peerup("relay", "serve", "--listen", LISTEN).code == 0
    config = load_relay_config(home / ".config/peerup/relay-server.yaml")
    assert list(map(str, config.network.listen_addresses)) == [LISTEN]


def test_the_second_start_finds_what_the_first_one_wrote(
    peerup: Peerup, home: Path, network: Network
) -> None:
    peerup("relay", "serve")
    place = home / ".config" / "peerup"
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    network.asked.clear()
    result = peerup("relay", "serve")
    assert result.code == 0
    assert "Configuration: " in result.err
    assert "wrote" not in result.err
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert served(network).path == place / "relay-server.yaml"


def test_flags_move_a_configured_relay_for_once_and_say_so(
    peerup: Peerup, home: Path, network: Network
) -> None:
    peerup("relay", "serve")
    file = home / ".config/peerup/relay-server.yaml"
    before = file.read_text()
    network.asked.clear()
    result = peerup("relay", "serve", "--listen", LISTEN)
    assert "this time" in result.err
    assert list(map(str, served(network).network.listen_addresses)) == [LISTEN]
    assert file.read_text() == before


def test_a_configuration_in_the_working_directory_comes_first(
    peerup: Peerup, home: Path, network: Network
) -> None:
    peerup("relay", "serve")
    text = (home / ".config/peerup/relay-server.yaml").read_text()
    (home / "relay-server.yaml").write_text(text)
    (home / "relay-server.yaml").chmod(0o600)
    network.asked.clear()
    result = peerup("relay", "serve")
    assert served(network).path == home / "relay-server.yaml"
    assert f"Created a new identity: {home / 'relay_node.key'}" in result.err


def test_an_identity_that_cannot_be_read_is_not_replaced(
    peerup: Peerup, home: Path, network: Network
) -> None:
    place = home / ".config" / "peerup"
    place.mkdir(parents=True)
    (place / "relay_node.key").write_bytes(b"torn")
    peerup("relay", "serve")
    assert (place / "relay_node.key").read_bytes() == b"torn"


def test_a_configuration_that_was_named_must_be_there(
    peerup: Peerup, home: Path, network: Network
) -> None:
    result = peerup("relay", "serve", "--config", "gone.yaml")
    assert result.code == 2
    assert "config file not found: gone.yaml" in result.err
    assert list(home.iterdir()) == []


def test_a_bad_listen_address_is_refused_before_anything_is_written(
    peerup: Peerup, home: Path, network: Network
) -> None:
    result = peerup("relay", "serve", "--listen", "7777")
    assert result.code == 2
    assert list(home.iterdir()) == []
