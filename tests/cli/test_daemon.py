from __future__ import annotations

import signal
from pathlib import Path

import pytest

from peerup.errors import ConfigError
from tests.cli.conftest import Peerup
from tests.cli.fake_node import ME, RELAY_ADDRESS, Network


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_daemon_says_what_it_is_and_stops_cleanly_on_a_signal(
    peerup: Peerup, network: Network, config: Path, number: signal.Signals
) -> None:
    peerup("service", "add", "web", "127.0.0.1:8080")
    peerup("service", "add", "ssh", "127.0.0.1:22")
    peerup("service", "disable", "ssh")
    network.signal = number
    result = peerup("daemon")
    assert result.code == 0
    assert result.out.splitlines() == [
        f"Configuration: {config}",
        f"Peer ID: {ME}",
        f"Address: {RELAY_ADDRESS}/p2p-circuit/p2p/{ME}",
        "Service: web -> 127.0.0.1:8080",
    ]
    assert result.err.endswith("Stopped.\n")
    assert network.asked == [("node", True)]
    assert network.running == 0


def test_a_fatal_error_ends_the_daemon_with_its_exit_code(
    peerup: Peerup, network: Network, config: Path
) -> None:
    network.run_error = ConfigError("authorized_keys is gone", hint="Put it back.")
    result = peerup("daemon")
    assert result.code == 2
    assert "Error: authorized_keys is gone\nPut it back.\n" in result.err
    assert network.running == 0


def test_a_torn_configuration_is_exit_code_2(
    peerup: Peerup, network: Network, config: Path
) -> None:
    config.write_text(config.read_text()[:300] + "\n  oops: [")
    result = peerup("daemon")
    assert result.code == 2
    assert f"Error: {config}:" in result.err
    assert network.asked == []
