from __future__ import annotations

import signal
from pathlib import Path

import pytest

from peerup.config.edit import add_name
from peerup.errors import (
    ConnectionClosedError,
    DialError,
    NotAuthorizedError,
    ServiceError,
    UsageError,
)
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, Connection, Network, peer

pytestmark = pytest.mark.usefixtures("config")

OFFICE = peer(6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_proxy_says_where_it_listens_and_stops_cleanly_on_a_signal(
    peerup: Peerup, network: Network, number: signal.Signals
) -> None:
    network.signal = number
    result = peerup("proxy", "home", "ssh", "2222")
    assert (result.code, result.out) == (0, "TCP proxy listening on 127.0.0.1:2222\n")
    assert "Connected [RELAYED] via /ip4/203.0.113.5/tcp/7777/" in result.err
    assert network.running == 0
    assert network.asked == [
        ("node", False),
        ("connect", HOME),
        ("proxy", HOME, "ssh", "127.0.0.1", 2222),
        ("closed", 2222),
    ]


def test_port_0_is_reported_as_the_port_that_was_free(peerup: Peerup, network: Network) -> None:
    network.signal = signal.SIGINT
    result = peerup("proxy", "--listen-address", "::1", "home", "ssh", "0")
    assert result.out == "TCP proxy listening on [::1]:40123\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServiceError("home has no service ssh"), 3),
        (NotAuthorizedError("home did not let us in"), 4),
        (UsageError("cannot listen on 127.0.0.1:2222: Address already in use"), 2),
    ],
)
def test_an_error_of_the_node_keeps_its_own_exit_code(
    peerup: Peerup, network: Network, error: Exception, code: int
) -> None:
    network.listen_error = error
    result = peerup("proxy", "home", "ssh", "2222")
    assert result.code == code
    assert f"Error: {error}" in result.err
    assert result.out == ""
    assert network.running == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("home", "ssh", "65536"), "there is no port 65536"),
        (("home", "ssh", "http"), "there is no port http"),
        (("home", "ssh", "--", "-1"), "there is no port -1"),
        (("home", "ssh", "٢"), "there is no port"),
        (("home", "ssh", "1", "home"), "three words each"),
        (("home", "ssh", "1", "home", "web"), "three words each"),
        (("home", "ssh", "1", "home", "WEB", "2"), "invalid service name"),
        (("home", "ssh", "1", "work", "web", "2"), "name not found: work"),
        (("home", "SSH", "1"), "invalid service name"),
        (("home", "kad", "1"), "reserved"),
        (("work", "ssh", "1"), "name not found: work"),
    ],
)
def test_what_makes_no_sense_is_exit_code_2(
    peerup: Peerup, network: Network, words: tuple[str, ...], message: str
) -> None:
    result = peerup("proxy", *words)
    assert result.code == 2
    assert message in result.err


def test_several_proxies_run_at_once_over_one_connection_to_each_peer(
    peerup: Peerup, network: Network, config: Path
) -> None:
    add_name(config, "office", OFFICE)
    network.signal = signal.SIGTERM
    result = peerup(
        *("proxy", "home", "ssh", "2222", "office", "ssh", "2223", "home", "web", "0"),
        *("--listen-address", "::1"),
    )
    assert result.code == 0
    assert result.out.splitlines() == [
        "TCP proxy listening on [::1]:2222 (home ssh)",
        "TCP proxy listening on [::1]:2223 (office ssh)",
        "TCP proxy listening on [::1]:40123 (home web)",
    ]
    assert network.asked[:3] == [("node", False), ("connect", HOME), ("connect", OFFICE)]
    assert network.running == 0


def test_an_absent_peer_is_exit_code_3_and_no_port_is_opened(
    peerup: Peerup, network: Network
) -> None:
    network.connect_error = DialError("home", {})
    result = peerup("proxy", "home", "ssh", "2222")
    assert (result.code, result.out) == (3, "")


def test_a_service_that_the_peer_does_not_have_is_no_proxy(
    peerup: Peerup, network: Network
) -> None:
    network.unknown = frozenset({"web"})
    result = peerup("proxy", "home", "ssh", "2222", "home", "web", "8080")
    assert (result.code, result.out) == (3, "")
    assert "offers no service 'web'" in result.err


def test_an_outage_is_reported_and_so_is_its_end(peerup: Peerup, network: Network) -> None:
    network.news = (ConnectionClosedError("the peer hung up"), Connection("DIRECT"))
    network.signal = signal.SIGTERM
    result = peerup("proxy", "home", "ssh", "2222")
    assert result.code == 0
    assert "Lost the connection to home (the peer hung up); trying again\n" in result.err
    assert "Connected to home again [DIRECT] via" in result.err


def test_a_revocation_while_it_runs_is_exit_code_4(peerup: Peerup, network: Network) -> None:
    network.news = (NotAuthorizedError("the peer does not authorize us"),)
    result = peerup("proxy", "home", "ssh", "2222", "home", "web", "8080")
    assert result.code == 4
    assert "Error: home: the peer does not authorize us\n" in result.err
    assert "peerup auth add" in result.err
    assert network.asked[-2:] == [("closed", 2222), ("closed", 8080)]


def test_w30_options_may_follow_the_positionals(peerup: Peerup, network: Network) -> None:
    network.signal = signal.SIGINT
    result = peerup("proxy", "home", "ssh", "2222", "--config", "missing.yaml")
    assert result.code == 2
    assert "config file not found: missing.yaml" in result.err
