"""A configuration means what it says; what is wrong is named by file, line and setting."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.config import schema
from peerup.config.load import (
    load_config,
    load_relay_config,
    parse_config,
    parse_relay_address,
    parse_relay_config,
)
from peerup.errors import ConfigError
from peerup.wire.multiaddr import Multiaddr
from tests.config.conftest import ANNE, BOB, RELAY, RELAY_ID, write_private

FILE: Final = Path("/etc/peerup/config.yaml")
MINIMAL: Final = "identity: {key_file: identity.key}\nsecurity: {authorized_keys_file: keys}\n"

GO_STYLE: Final = f"""\
version: 1
identity:
    key_file: "identity.key"
network:
    listen_addresses:
        - "/ip4/0.0.0.0/tcp/0"
        - "/ip4/0.0.0.0/udp/0/quic-v1"
    force_private_reachability: yes
    resource_limits_enabled: true
relay:
    addresses:
        - {RELAY}
    reservation_interval: 1m30s
discovery:
    rendezvous: 0123
    network: my-crew
    bootstrap_peers: [/ip4/192.0.2.1/tcp/1/p2p/{RELAY_ID}]
security:
    authorized_keys_file: /elsewhere/authorized_keys
    enable_connection_gating: true
protocols:
    ping_pong:
        enabled: false
        id: /ping/2
services:
    ssh:
        enabled: true
        local_address: localhost:22
        allowed_peers:
            - {ANNE}
            - {BOB.to_cid()}
    web:
        enabled: false
        local_address: "[::1]:80"
        protocol: "/http/1"
        allowed_peers: []
names:
    home: "{ANNE}"
    yes: {BOB}
telemetry:
    metrics:
        enabled: on
        listen_address: ":9999"
    audit:
        enabled: true
"""


def test_a_file_as_go_peerup_has_it_is_read_whole() -> None:
    config = parse_config(GO_STYLE, FILE)
    listen = ("/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1")
    bootstrap = Multiaddr.parse(f"/ip4/192.0.2.1/tcp/1/p2p/{RELAY_ID}")
    assert config == schema.Config(
        path=FILE,
        identity=schema.Identity(Path("/etc/peerup/identity.key")),
        network=schema.Network(tuple(map(Multiaddr.parse, listen)), True, True),
        relay=schema.Relays((RELAY,), 90.0),
        discovery=schema.Discovery("0123", "my-crew", (bootstrap,)),
        security=schema.Security(Path("/elsewhere/authorized_keys"), True),
        protocols=schema.Protocols(schema.PingPong(enabled=False, id="/ping/2")),
        services={
            "ssh": schema.Service("ssh", True, "localhost:22", "", (ANNE, BOB)),
            "web": schema.Service("web", False, "[::1]:80", "/http/1", None),
        },
        names={"home": ANNE, "yes": BOB},
        telemetry=schema.Telemetry(schema.Metrics(True, ":9999"), schema.Audit(True)),
    )


def test_what_is_absent_has_its_default() -> None:
    config = parse_config(MINIMAL, FILE)
    keys = Path("/etc/peerup/keys")
    assert config == schema.Config(
        FILE,
        schema.Identity(Path("/etc/peerup/identity.key")),
        security=schema.Security(authorized_keys_file=keys),
    )


def test_a_relay_without_resources_has_the_defaults_and_no_session_limits() -> None:
    config = parse_relay_config(MINIMAL, FILE)
    assert config.resources == schema.Resources()
    assert config.resources.session_duration is None
    assert config.resources.session_data_limit is None


def test_a_relay_file_as_go_peerup_has_it_is_read_whole() -> None:
    text = MINIMAL + (
        "version: 1\nnetwork:\n  listen_addresses: [/ip4/0.0.0.0/tcp/7777]\n"
        "discovery:\n  network: crew\n"
        "resources:\n  max_reservations: 1\n  max_circuits: 2\n  buffer_size: 4096\n"
        "  max_reservations_per_ip: 3\n  max_reservations_per_asn: 4\n"
        "  reservation_ttl: 30m\n  session_duration: 10m\n  session_data_limit: 64MB\n"
        "health:\n  enabled: true\n  listen_address: 127.0.0.1:1\n"
        "telemetry:\n  audit: {enabled: true}\n"
    )
    config = parse_relay_config(text, FILE)
    assert config.resources == schema.Resources(1, 2, 4096, 3, 4, 1800.0, 600.0, 64 << 20)
    assert config.health == schema.Health(True, "127.0.0.1:1")
    assert config.network.listen_addresses == (Multiaddr.parse("/ip4/0.0.0.0/tcp/7777"),)
    assert config.discovery.network == "crew"
    assert config.telemetry.audit.enabled
    assert config.warnings == ()


def test_zero_and_empty_are_the_default_of_a_resource() -> None:
    text = MINIMAL + (
        "resources: {max_circuits: 0, reservation_ttl: 0, session_duration: '', "
        "session_data_limit: 0}\n"
    )
    assert parse_relay_config(text, FILE).resources == schema.Resources()


def test_w17_a_missing_reservation_interval_is_two_minutes() -> None:
    assert parse_config(MINIMAL, FILE).relay.reservation_interval == 120.0
    empty = MINIMAL + "relay: {reservation_interval: ''}"
    assert parse_config(empty, FILE).relay.reservation_interval == 120.0


@pytest.mark.parametrize("interval", ["0", "0s", "-2m", "999ms"])
def test_w17_a_reservation_interval_that_makes_no_sense_is_refused(interval: str) -> None:
    with pytest.raises(ConfigError, match=r":3: .*invalid reservation_interval: found .*allowed"):
        parse_config(f"{MINIMAL}relay: {{reservation_interval: {interval}}}", FILE)


@pytest.mark.parametrize("gating", ["", "enable_connection_gating:", "enable_connection_gating: ~"])
def test_w18_gating_is_on_unless_switched_off_in_so_many_words(gating: str) -> None:
    text = f"identity: {{key_file: k}}\nsecurity:\n  authorized_keys_file: a\n  {gating}\n"
    assert parse_config(text, FILE).security.enable_connection_gating
    assert parse_relay_config(text, FILE).security.enable_connection_gating


def test_w18_without_a_security_section_there_is_no_open_node() -> None:
    text = "identity: {key_file: k}\n"
    for parse in (parse_config, parse_relay_config):
        with pytest.raises(ConfigError, match="authorized_keys_file is required when connection"):
            parse(text, FILE)
    off = parse_config(text + "security: {enable_connection_gating: false}", FILE)
    assert off.security == schema.Security(None, False)


@pytest.mark.parametrize(
    ("setting", "line", "problem"),
    [
        ("version: 2", 3, "config version too new: version 2 is newer than supported version 1"),
        ("version: x", 3, 'version: found "x", allowed is a whole number'),
        ("network:\n  listen_addresses: x", 4, "allowed is a list"),
        ("network:\n  listen_addresses:\n    - /ip4/1.2.3", 5, "network.listen_addresses[0]: inv"),
        ("network:\n  listen_addresses: [~]", 4, "network.listen_addresses[0]: invalid multiaddr"),
        ("network: []", 3, "network: found a list, allowed are keys and values"),
        ("relay: {addresses: [/ip4/192.0.2.1/tcp/1]}", 3, "allowed is an address that ends in"),
        ("relay: {reservation_interval: 2}", 3, "invalid reservation_interval: missing unit"),
        ("relay: {reservation_interval: [2m]}", 3, "found a list, allowed is a single value"),
        ("discovery: {network: My_Crew}", 3, 'discovery.network: invalid network name: "My_Crew"'),
        ("discovery: {bootstrap_peers: [/ip4/192.0.2.1/tcp/1]}", 3, "ends in /p2p/ID"),
        ("services:\n  ssh:\n    enabled: true", 4, "service local_address cannot be empty"),
        ("services:\n  ssh: {local_address: localhost}", 4, "allowed is HOST:PORT"),
        ("services:\n  ssh: {enabled: maybe}", 4, 'services.ssh.enabled: found "maybe"'),
        ("services:\n  SSH: {}", 4, 'invalid service name: "SSH"'),
        ("services:\n  invite: {}", 4, "is reserved"),
        ("names:\n  home:", 4, "names.home: found nothing, allowed is a peer id"),
        ("telemetry: {metrics: {listen_address: x}}", 3, "allowed is HOST:PORT"),
        ('extra: "a\\0b"\nidentity2: 1\nprotocols: {ping_pong: x}', 5, "protocols.ping_pong: foun"),
    ],
)
def test_what_is_wrong_is_named_by_file_line_and_setting(
    setting: str, line: int, problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(MINIMAL + setting, FILE)
    assert str(caught.value).startswith(f"{FILE}:{line}: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("reservation_ttl: -1h", "invalid reservation_ttl: it is negative"),
        ("session_duration: 10", "invalid session_duration: missing unit"),
        ("session_data_limit: 1.5MB", "resources.session_data_limit: invalid size"),
        ("max_circuits: -1", "allowed is a whole number"),
    ],
)
def test_what_is_wrong_about_a_relay_is_named_too(setting: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_relay_config(f"{MINIMAL}resources:\n  {setting}", FILE)
    assert str(caught.value).startswith(f"{FILE}:4: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize("protocol", ["tcp", "ssh/1", "\u202e/x"])
def test_w19_a_protocol_that_is_none_is_ignored_and_said_so(protocol: str) -> None:
    text = MINIMAL + f"services:\n  ssh:\n    local_address: a:1\n    protocol: {protocol!a}\n"
    config = parse_config(text.replace("'", '"'), FILE)
    assert config.services["ssh"].protocol == ""
    (warning,) = config.warnings
    assert warning.startswith(f"{FILE}:6: services.ssh.protocol: found ")
    assert warning.isprintable()


def test_w19_a_protocol_id_counts() -> None:
    text = MINIMAL + "services: {ssh: {protocol: /my/ssh/2.0.0}}\n"
    config = parse_config(text, FILE)
    assert (config.services["ssh"].protocol, config.warnings) == ("/my/ssh/2.0.0", ())


def test_w44_an_invalid_allowed_peer_is_an_error_and_not_a_closed_door() -> None:
    text = MINIMAL + f"services:\n  ssh:\n    allowed_peers:\n      - {ANNE}\n      - 12D3nobody\n"
    with pytest.raises(ConfigError, match=r"config\.yaml:7: services\.ssh\.allowed_peers\[1\]: "):
        parse_config(text, FILE)


def test_w44_an_invalid_name_is_an_error_and_loses_no_other() -> None:
    text = MINIMAL + f"names:\n  home: {ANNE}\n  bad: 12D3nobody\n  more: {BOB}\n"
    with pytest.raises(ConfigError, match=r"config\.yaml:5: names\.bad: "):
        parse_config(text, FILE)


def test_w04_a_name_given_twice_is_an_error_with_both_lines() -> None:
    text = MINIMAL + f"names:\n  home: {ANNE}\n  home: {BOB}\n"
    with pytest.raises(ConfigError, match=r"config\.yaml:5: .*already defined at line 4"):
        parse_config(text, FILE)


def test_an_address_through_another_relay_is_no_relay() -> None:
    with pytest.raises(ValueError, match="allowed is an address that ends in /p2p/"):
        parse_relay_address(f"{RELAY}/p2p-circuit/p2p/{ANNE}")
    assert parse_relay_address(str(RELAY)) == RELAY


def test_no_listen_addresses_and_no_relays_are_allowed() -> None:
    text = MINIMAL + "network: {listen_addresses: []}\nrelay: {addresses: []}\n"
    config = parse_config(text, FILE)
    assert config.network.listen_addresses == config.relay.addresses == ()


def test_unknown_keys_are_warned_about_and_not_many_times() -> None:
    text = MINIMAL + "relays: 1\n" + "".join(f"unknown{n}: 1\n" for n in range(100))
    warnings = parse_config(text, FILE).warnings
    assert warnings[0] == f'{FILE}:3: unknown key "relays" is ignored; did you mean relay?'
    assert len(warnings) == 20


def test_settings_cannot_be_changed_by_accident() -> None:
    config = parse_config(GO_STYLE, FILE)
    with pytest.raises(TypeError):
        config.names["home"] = BOB  # type: ignore[index]


def test_a_file_is_loaded_from_disk_and_paths_start_at_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_private(tmp_path / "config.yaml", MINIMAL)
    monkeypatch.chdir(tmp_path)
    for path in (Path("config.yaml"), tmp_path / "config.yaml"):
        config, relay = load_config(path), load_relay_config(path)
        assert config.path == relay.path == tmp_path / "config.yaml"
        assert config.identity.key_file == relay.identity.key_file == tmp_path / "identity.key"
        assert config.security.authorized_keys_file == tmp_path / "keys"


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path: Path) -> None:
    text = "\ufeff" + MINIMAL.replace("\n", "\r\n")
    path = write_private(tmp_path / "config.yaml", text)
    assert load_config(path).security.authorized_keys_file == tmp_path / "keys"


_keys = st.sampled_from(
    [
        *("version", "identity", "key_file", "network", "listen_addresses", "relay", "addresses"),
        *("services", "names", "security", "enable_connection_gating", "authorized_keys_file"),
        *("ssh", "allowed_peers", "resources", "health"),
    ]
)
_trees = st.recursive(
    st.sampled_from(["~", "x", "1", "true", "''", "2m", str(ANNE), str(RELAY)]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(_keys, inner, max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {pairs[key]}" for key in pairs) + "}"
        ),
    ),
)


@given(text=st.dictionaries(_keys, _trees, max_size=5))
def test_any_tree_is_a_configuration_or_a_config_error(text: dict[str, str]) -> None:
    yaml = "".join(f"{key}: {value}\n" for key, value in text.items())
    for parse in (parse_config, parse_relay_config):
        with contextlib.suppress(ConfigError):
            parse(yaml, FILE)


# --- vouching -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "vouching"),
    [
        ("", schema.Vouching(True, 16)),
        ("vouching: {}", schema.Vouching(True, 16)),
        ("vouching: {enabled: false}", schema.Vouching(False, 16)),
        ("vouching: {enabled: true, max_per_peer: 3}", schema.Vouching(True, 3)),
        ("vouching: {max_per_peer: 0}", schema.Vouching(True, 16)),
    ],
)
def test_a_relay_lets_its_peers_vouch_as_its_file_says(
    setting: str, vouching: schema.Vouching
) -> None:
    text = f"identity: {{key_file: k}}\nsecurity:\n  authorized_keys_file: keys\n  {setting}\n"
    config = parse_relay_config(text, FILE)
    assert config.security.vouching == vouching
    assert config.warnings == ()
    if setting:
        assert "vouching" in parse_config(text, FILE).warnings[0]  # which nodes do not have


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("{max_per_peer: 65}", "security.vouching.max_per_peer"),
        ("{max_per_peer: -1}", "security.vouching.max_per_peer"),
        ("{enabled: maybe}", "security.vouching.enabled"),
        ("yes", "security.vouching: found"),
    ],
)
def test_what_is_wrong_about_vouching_is_named(setting: str, problem: str) -> None:
    text = f"identity: {{key_file: k}}\nsecurity:\n  authorized_keys_file: k\n  vouching: {setting}"
    with pytest.raises(ConfigError) as caught:
        parse_relay_config(text, FILE)
    assert str(caught.value).startswith(f"{FILE}:4: {problem}")
