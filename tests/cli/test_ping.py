from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from peerup.errors import DialError, NotAuthorizedError, StreamResetError
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, Network, PingReply

pytestmark = pytest.mark.usefixtures("config")

TWO = (PingReply(1, 42.13), PingReply(2, 45.0, path="DIRECT"))
LOST = PingReply(3, None, path="", address="", error="no answer within 10 s", transport="")


def test_replies_and_statistics_are_printed(peerup: Peerup, network: Network) -> None:
    network.replies = (*TWO, LOST)
    result = peerup("ping", "home", "-c", "3")
    assert result.code == 0
    assert result.out.splitlines() == [
        f"PING home ({HOME.short})",
        "seq=1 rtt=42.1ms path=[RELAYED] transport=tcp",
        "seq=2 rtt=45.0ms path=[DIRECT] transport=tcp",
        "seq=3 error=no answer within 10 s",
        "",
        "--- home ping statistics ---",
        "3 sent, 2 received, 33% loss, rtt min/avg/max = 42.1/43.6/45.0 ms",
    ]
    assert result.err == "Connecting...\n"


def test_a_ping_is_a_client_that_does_not_listen(peerup: Peerup, network: Network) -> None:
    network.replies = TWO
    peerup("ping", "home", "--interval", "250ms", "-c", "2")
    assert network.asked == [("node", False), ("connect", HOME), ("ping", HOME, 2, 0.25)]
    assert network.running == 0


def test_json_is_one_object_a_line_and_statistics_last(peerup: Peerup, network: Network) -> None:
    network.replies = (TWO[0], LOST)
    result = peerup("--json", "ping", "home", "-c", "2")
    assert result.code == 0
    assert [json.loads(text) for text in result.out.splitlines()] == [
        {
            "seq": 1,
            "peer_id": str(HOME),
            "rtt_ms": 42.13,
            "path": "RELAYED",
            "address": TWO[0].address,
            "transport": "tcp",
            "error": "",
        },
        {
            "seq": 3,
            "peer_id": str(HOME),
            "rtt_ms": None,
            "path": "",
            "address": "",
            "transport": "",
            "error": "no answer within 10 s",
        },
        {
            "sent": 2,
            "received": 1,
            "lost": 1,
            "loss_pct": 50.0,
            "min_ms": 42.13,
            "avg_ms": 42.13,
            "max_ms": 42.13,
        },
    ]


def test_no_reply_at_all_is_exit_code_3(peerup: Peerup, network: Network) -> None:
    network.replies = (LOST,)
    result = peerup("ping", "home", "-c", "1")
    assert result.code == 3
    assert "1 sent, 0 received, 100% loss" in result.out


def test_a_peer_that_cannot_be_reached_is_exit_code_3(peerup: Peerup, network: Network) -> None:
    network.connect_error = DialError("home", {"/ip4/203.0.113.5/tcp/1": OSError("refused")})
    result = peerup("ping", "home")
    assert result.code == 3
    assert "Error: cannot reach home (/ip4/203.0.113.5/tcp/1: refused)" in result.err
    assert DialError.hint in result.err
    assert "statistics" not in result.out


def test_a_peer_that_will_not_have_us_is_exit_code_4(peerup: Peerup, network: Network) -> None:
    network.connect_error = NotAuthorizedError("home did not let us in")
    result = peerup("ping", "home", "--json")
    assert (result.code, result.out) == (4, "")
    assert "Error: home did not let us in" in result.err
    assert "peerup auth add" in result.err


def test_ctrl_c_ends_an_endless_ping_with_its_statistics(peerup: Peerup, network: Network) -> None:
    network.replies, network.signal = TWO, signal.SIGINT
    result = peerup("ping", "home")
    assert result.code == 0
    assert ("ping", HOME, 0, 1.0) in network.asked
    assert result.out.splitlines()[-1].startswith("2 sent, 2 received, 0% loss")


def test_ctrl_c_before_the_first_reply_is_an_interruption(peerup: Peerup, network: Network) -> None:
    network.signal = signal.SIGINT
    result = peerup("ping", "home")
    assert result.code == 130
    assert "statistics" not in result.out


def test_what_was_measured_is_printed_when_the_connection_breaks(
    peerup: Peerup, network: Network
) -> None:
    network.replies, network.run_error = TWO, StreamResetError(by_peer=True)
    result = peerup("ping", "home")
    assert result.code == 3
    assert "2 sent, 2 received" in result.out
    assert "Error: stream reset by the peer" in result.err


def test_text_from_the_network_cannot_touch_the_terminal(peerup: Peerup, network: Network) -> None:
    network.replies = (PingReply(1, None, error="\x1b[2Jgone\u202e"),)
    result = peerup("ping", "home")
    assert "error=\\x1b[2Jgone\\u202e" in result.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("work",), "name not found: work"),
        (("home", "-c", "0"), "at least 1"),
        (("home", "--interval", "1"), "is not a duration"),
        (("home", "--interval", "1ms"), "too short"),
        (("home", "--timeout", "soon"), "is not a duration"),
    ],
)
def test_what_makes_no_sense_is_exit_code_2(
    peerup: Peerup, network: Network, words: tuple[str, ...], message: str
) -> None:
    result = peerup("ping", *words)
    assert result.code == 2
    assert message in result.err


def test_without_a_configuration_there_is_no_ping(
    peerup: Peerup, network: Network, config: Path
) -> None:
    config.unlink()
    assert peerup("ping", "home").code == 2
    assert network.asked == []


def test_until_direct_ends_well_when_an_answer_took_the_direct_path(
    peerup: Peerup, network: Network
) -> None:
    network.replies = TWO
    result = peerup("ping", "home", "--until-direct")
    assert result.code == 0
    assert network.asked[-1] == ("ping", HOME, 0, 1.0, "until direct")


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_until_direct_without_a_direct_path_is_exit_code_3_and_says_so(
    peerup: Peerup, network: Network, option: tuple[str, ...]
) -> None:
    network.replies = (TWO[0],)
    result = peerup("ping", "home", "-c", "1", "--until-direct", *option)
    assert result.code == 3
    assert "no direct path to home yet" in result.err
    assert "received" in result.out  # the statistics come all the same


def test_until_direct_without_any_answer_is_no_word_about_paths(
    peerup: Peerup, network: Network
) -> None:
    network.replies = (LOST,)
    result = peerup("ping", "home", "-c", "1", "--until-direct")
    assert result.code == 3
    assert "no direct path" not in result.err


def test_when_the_time_is_over_the_statistics_come(peerup: Peerup, network: Network) -> None:
    network.replies, network.run_error = TWO, TimeoutError()
    result = peerup("ping", "home", "--timeout", "1h")
    assert result.code == 0
    assert result.out.splitlines()[-1].startswith("2 sent, 2 received")


def test_when_the_time_is_over_before_any_answer_that_is_exit_code_3(
    peerup: Peerup, network: Network
) -> None:
    network.connect_error = TimeoutError()
    result = peerup("ping", "home", "--timeout", "1500ms")
    assert result.code == 3
    assert "Error: no answer within 1.5 s" in result.err


@pytest.mark.real_clock
def test_w07_the_time_is_over_whatever_the_network_does(peerup: Peerup, network: Network) -> None:
    network.replies, network.signal = (), signal.SIGCONT  # which does nothing: it waits for ever
    result = peerup("ping", "home", "--timeout", "50ms")
    assert result.code == 3
    assert "no answer within 0.05 s" in result.err


def test_a_timeout_that_nobody_asked_for_is_told_as_it_is(peerup: Peerup, network: Network) -> None:
    network.connect_error = TimeoutError("the relay is silent")
    result = peerup("ping", "home")
    assert (result.code, "Error: the relay is silent\n" in result.err) == (3, True)
