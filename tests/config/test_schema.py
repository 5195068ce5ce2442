"""The rules for single values, and the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from peerup.config import schema
from peerup.config.schema import (
    RESERVED_SERVICES,
    check_local_address,
    check_service_name,
    is_dns_label,
    split_host_port,
)


@pytest.mark.parametrize("name", ["a", "ssh", "my-web-2", "0", "a" * 63])
def test_a_dns_label_is_a_service_name(name: str) -> None:
    assert is_dns_label(name)
    check_service_name(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "SSH", "a_b", "a.b", "a/b", "a" * 64, "ssh\n", "b\u00fcro", "\u0663"]
)
def test_anything_else_is_not(name: str) -> None:
    assert not is_dns_label(name)
    with pytest.raises(ValueError, match="invalid service name"):
        check_service_name(name)


@pytest.mark.parametrize("name", sorted(RESERVED_SERVICES))
def test_w31_names_of_protocols_are_reserved(name: str) -> None:
    with pytest.raises(ValueError, match="reserved"):
        check_service_name(name)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:22", "localhost", 22),
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("[::1]:80", "::1", 80),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        (":9091", "", 9091),
        ("127.0.0.1:0", "127.0.0.1", 0),
    ],
)
def test_a_place_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert split_host_port(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "22", "localhost", "localhost:", "localhost:ssh", "a:65536", "::1:80", "a b:1"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="allowed is HOST:PORT"):
        check_local_address(text)


def test_a_service_needs_a_port_to_connect_to() -> None:
    with pytest.raises(ValueError, match="1 to 65535"):
        check_local_address("localhost:0")


def test_w18_gating_is_on_by_default() -> None:
    assert schema.Security().enable_connection_gating


def test_what_can_be_defaulted_is() -> None:
    config = schema.Config(Path("/x/config.yaml"), schema.Identity(Path("/x/identity.key")))
    assert config.relay.reservation_interval == 120.0
    assert config.protocols.ping_pong == schema.PingPong(enabled=True, id="/pingpong/1.0.0")
    assert config.discovery.rendezvous == "peerup-default-network"
    assert config.telemetry.metrics.listen_address == "127.0.0.1:9091"
