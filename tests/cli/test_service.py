from __future__ import annotations

import json
from pathlib import Path

import pytest

from peerup.config.load import load_config
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME


def test_a_service_is_added_listed_and_removed(peerup: Peerup, config: Path) -> None:
    added = peerup("service", "add", "ssh", "127.0.0.1:22")
    assert added.code == 0
    assert added.out.splitlines() == ["Added service: ssh -> 127.0.0.1:22", f"  Config: {config}"]
    assert "Restart `peerup daemon`" in added.err
    service = load_config(config).services["ssh"]
    assert (service.enabled, service.local_address) == (True, "127.0.0.1:22")

    peerup("service", "add", "website", "localhost:8080")
    assert peerup("service", "list").out.splitlines() == [
        "Services (2):",
        "  ssh     -> 127.0.0.1:22 (enabled)",
        "  website -> localhost:8080 (enabled)",
    ]
    assert peerup("service", "remove", "ssh").code == 0
    assert list(load_config(config).services) == ["website"]


def test_a_service_is_disabled_and_enabled_again(peerup: Peerup, config: Path) -> None:
    peerup("service", "add", "ssh", "127.0.0.1:22")
    assert peerup("service", "disable", "ssh").out.startswith("Service ssh is now disabled")
    assert "(disabled)" in peerup("service", "list").out
    assert peerup("service", "disable", "ssh").out == "Service ssh is disabled already\n"
    assert peerup("service", "enable", "ssh").out.startswith("Service ssh is now enabled")
    assert load_config(config).services["ssh"].enabled


def test_comments_of_the_configuration_survive_every_change(peerup: Peerup, config: Path) -> None:
    comments = [text for text in config.read_text().splitlines() if text.startswith("#")]
    peerup("service", "add", "ssh", "127.0.0.1:22")
    peerup("service", "disable", "ssh")
    peerup("service", "remove", "ssh")
    assert [t for t in config.read_text().splitlines() if t.startswith("#")] == comments


def test_adding_the_same_service_twice_is_no_error(peerup: Peerup, config: Path) -> None:
    peerup("service", "add", "ssh", "127.0.0.1:22")
    result = peerup("service", "add", "ssh", "127.0.0.1:22")
    assert (result.code, result.out) == (0, "Already there: ssh -> 127.0.0.1:22\n")


def test_a_service_is_not_silently_moved_to_another_address(peerup: Peerup, config: Path) -> None:
    peerup("service", "add", "ssh", "127.0.0.1:22")
    result = peerup("service", "add", "ssh", "127.0.0.1:2222")
    assert result.code == 2
    assert "service already registered: ssh" in result.err
    assert load_config(config).services["ssh"].local_address == "127.0.0.1:22"


@pytest.mark.parametrize("name", ["invite", "kad", "vouch", "rtt-probe", "Upper", "-x", "a" * 64])
def test_a_name_that_cannot_be_a_service_is_refused(
    peerup: Peerup, config: Path, name: str
) -> None:
    before = config.read_text()
    result = peerup("service", "add", "--", name, "127.0.0.1:22")
    assert result.code == 2
    assert "invalid service name" in result.err
    assert config.read_text() == before


@pytest.mark.parametrize("address", ["22", "localhost", "localhost:0", "localhost:70000", "[::1"])
def test_what_is_no_address_is_refused(peerup: Peerup, config: Path, address: str) -> None:
    before = config.read_text()
    result = peerup("service", "add", "ssh", address)
    assert result.code == 2
    assert result.err.startswith("Error: ")
    assert config.read_text() == before


@pytest.mark.parametrize("command", ["remove", "enable", "disable"])
def test_a_service_that_is_not_there_is_an_error(
    peerup: Peerup, config: Path, command: str
) -> None:
    result = peerup("service", command, "ssh")
    assert result.code == 2
    assert "service not found: ssh" in result.err


def test_without_services_the_list_says_so(peerup: Peerup, config: Path) -> None:
    assert peerup("service", "list").out == "No services configured.\n"


def test_the_list_as_json(peerup: Peerup, config: Path) -> None:
    peerup("service", "add", "ssh", "127.0.0.1:22")
    block = f'  web:\n    local_address: "localhost:80"\n    allowed_peers: ["{HOME}"]\n'
    text = config.read_text()
    config.write_text(text.replace("\nservices:\n", f"\nservices:\n{block}"))
    assert json.loads(peerup("service", "list", "--json").out) == {
        "services": [
            {
                "name": "web",
                "enabled": False,
                "local_address": "localhost:80",
                "protocol": "",
                "allowed_peers": [str(HOME)],
            },
            {
                "name": "ssh",
                "enabled": True,
                "local_address": "127.0.0.1:22",
                "protocol": "",
                "allowed_peers": None,
            },
        ],
        "config": str(config),
    }


def test_w03_service_add_on_a_fresh_config(peerup: Peerup, config: Path) -> None:
    assert peerup("service", "add", "ssh", "localhost:22").code == 0
    assert load_config(config).services["ssh"].local_address == "localhost:22"
    assert "# services:" in config.read_text()
    assert peerup("service", "remove", "ssh").code == 0
    assert load_config(config).services == {}


@pytest.mark.parametrize("name", ["invite", "kad", "vouch", "rtt-probe", "relay-pair"])
def test_w31_a_service_cannot_take_the_name_of_a_protocol(
    peerup: Peerup, config: Path, name: str
) -> None:
    result = peerup("service", "add", name, "localhost:22")
    assert result.code == 2
    assert f'"{name}" is reserved' in result.err
