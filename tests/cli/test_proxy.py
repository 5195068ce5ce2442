from __future__ import annotations

import signal

import pytest

from peerup.errors import NotAuthorizedError, ServiceError, UsageError
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, Network

pytestmark = pytest.mark.usefixtures("config")


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
        (("home", "ssh", "http"), "invalid int value"),
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
