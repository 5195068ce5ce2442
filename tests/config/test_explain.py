"""Every setting is told with where it comes from, in words that are a configuration again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.config.explain import Setting, explain, yaml_lines
from peerup.config.load import parse_config, parse_relay_config
from peerup.config.schema import Config, Discovery, RelayConfig
from peerup.config.template import (
    default_listen,
    default_relay_listen,
    node_template,
    relay_template,
)
from peerup.config.units import parse_duration, parse_size
from peerup.config.yaml_write import block
from peerup.node import relay_node
from peerup.protocols.forward import protocol_of
from tests.config.conftest import ANNE, RELAY
from tests.config.test_load import FILE, GO_STYLE, MINIMAL

NODE: Final = node_template(generated_by="a test", listen=default_listen(), relays=[RELAY])


def node(text: str) -> dict[str, Setting]:
    return {each.name: each for each in explain(parse_config(text, FILE), text)}


def relay(text: str) -> dict[str, Setting]:
    return {each.name: each for each in explain(parse_relay_config(text, FILE), text)}


def printed(config: Config | RelayConfig, text: str) -> str:
    return "".join(f"{line}\n" for line, _ in yaml_lines(explain(config, text)))


def test_the_order_is_that_of_go() -> None:
    assert list(node(NODE))[:6] == [
        "version",
        "identity.key_file",
        "network.listen_addresses",
        "network.force_private_reachability",
        "network.resource_limits_enabled",
        "relay.addresses",
    ]


def test_what_the_file_says_is_told_with_its_line() -> None:
    lines = NODE.splitlines()
    found = node(NODE)
    for name, value in (
        ("version", 1),
        ("identity.key_file", "/etc/peerup/identity.key"),
        ("relay.addresses", (str(RELAY),)),
        ("relay.reservation_interval", "2m0s"),
        ("security.enable_connection_gating", True),
    ):
        setting = found[name]
        assert setting.value == value
        assert setting.source == f"config.yaml:{setting.line}"
        assert lines[setting.line - 1].strip().startswith(name.rpartition(".")[2])


@pytest.mark.parametrize(
    "text", [MINIMAL, MINIMAL + "version: 0\nnetwork:\ndiscovery: {rendezvous: ''}"]
)
def test_what_it_does_not_say_is_a_default(text: str) -> None:
    found = node(text)
    for name in ("version", "network.listen_addresses", "discovery.rendezvous"):
        assert (found[name].source, found[name].line) == ("default", 0)
    assert found["discovery.rendezvous"].value == "peerup-default-network"
    assert found["telemetry.metrics.listen_address"].value == "127.0.0.1:9091"


def test_an_empty_list_that_was_written_comes_from_the_file() -> None:
    found = node(MINIMAL + "network: {listen_addresses: []}\n")["network.listen_addresses"]
    assert (found.value, found.source) == ((), "config.yaml:3")


@pytest.mark.parametrize("said", ["", "discovery: {bootstrap_peers: []}\n"])
def test_what_follows_from_another_setting_is_derived(said: str) -> None:
    text = MINIMAL + f"relay: {{addresses: ['{RELAY}']}}\nservices: {{ssh: {{}}}}\n" + said
    found = node(text)
    assert found["discovery.bootstrap_peers"].value == (str(RELAY),)
    assert found["discovery.bootstrap_peers"].source == "derived: relay.addresses"
    assert found["services.ssh.protocol"].value == protocol_of("ssh")
    assert found["services.ssh.protocol"].source == "derived: the service's name"
    assert found["services.ssh.allowed_peers"].value == ()


def test_without_relays_there_is_nothing_to_derive_from() -> None:
    assert node(MINIMAL)["discovery.bootstrap_peers"].source == "default"


def test_the_sessions_of_a_relay_follow_from_its_gate() -> None:
    gated = relay(MINIMAL)["resources.session_duration"]
    assert (gated.value, gated.source) == (None, "derived: connection gating is on")
    text = MINIMAL.replace("security: {", "security: {enable_connection_gating: false, ")
    open_ = relay(text)
    config = parse_relay_config(text, FILE)
    limits = relay_node.limits_of(config)
    seconds, data = open_["resources.session_duration"], open_["resources.session_data_limit"]
    assert parse_duration(str(seconds.value)) == limits.session_seconds
    assert parse_size(str(data.value)) == limits.session_data
    assert seconds.source == "derived: connection gating is off"


def test_what_a_relay_says_itself_comes_from_its_file() -> None:
    text = (
        MINIMAL + "resources: {session_duration: 90s, session_data_limit: 1500, max_circuits: 0}\n"
    )
    found = relay(text)
    assert found["resources.session_duration"].value == "1m30s"
    assert found["resources.session_data_limit"].value == "1500B"
    assert found["resources.session_data_limit"].line == 3
    assert found["resources.max_circuits"] == Setting(
        ("resources", "max_circuits"), 16, 0, "default"
    )
    assert found["resources.max_reservations"].value == 128


def test_it_can_be_read_as_yaml_with_the_origin_beside_it() -> None:
    text = MINIMAL + f"names: {{home: {ANNE}}}\n"
    lines = dict(yaml_lines(explain(parse_config(text, FILE), text)))
    assert lines["version: 1"] == "default"
    assert lines["names:"] == ""
    assert lines[f'  home: "{ANNE}"'] == "config.yaml:3"
    gated = dict(yaml_lines(explain(parse_relay_config(MINIMAL, FILE), MINIMAL)))
    assert gated["  # session_duration: no limit"] == "derived: connection gating is on"


@pytest.mark.parametrize("text", [MINIMAL, NODE, GO_STYLE, "\ufeff" + NODE.replace("\n", "\r\n")])
def test_what_is_shown_of_a_node_means_the_same(text: str) -> None:
    config = parse_config(text, FILE)
    again = parse_config(printed(config, text), FILE)
    bootstrap = config.discovery.bootstrap_peers or config.relay.addresses
    discovery = Discovery(config.discovery.rendezvous, config.discovery.network, bootstrap)
    services = {
        name: dataclasses.replace(service, protocol=service.protocol or protocol_of(name))
        for name, service in config.services.items()
    }
    assert dataclasses.replace(again, warnings=(), services=dict(again.services)) == (
        dataclasses.replace(config, warnings=(), discovery=discovery, services=services)
    )


def test_what_is_shown_of_a_relay_means_the_same() -> None:
    text = relay_template(listen=default_relay_listen())
    config = parse_relay_config(text, FILE)
    assert parse_relay_config(printed(config, text), FILE) == config


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.just(str(ANNE)),
        max_size=4,
    )
)
def test_w04_any_name_is_shown_on_one_line_and_reads_back(names: dict[str, str]) -> None:
    text = MINIMAL + "".join(f"{line}\n" for line in block({"names": names}, 2))
    config = parse_config(text, FILE)
    lines = [line for line, _ in yaml_lines(explain(config, text))]
    assert all(line.isprintable() for line in lines)
    assert parse_config("".join(f"{line}\n" for line in lines), FILE).names == config.names


def test_the_path_may_be_anywhere() -> None:
    found = explain(parse_config(MINIMAL, Path("x/peerup.yaml")), MINIMAL)
    assert found[1].source == "peerup.yaml:1"
