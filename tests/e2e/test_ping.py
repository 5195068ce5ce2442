"""The tools that measure, with real processes: what they print, and that nothing holds them."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Family

pytestmark = [pytest.mark.e2e, pytest.mark.real_clock]


def test_json_is_a_line_for_each_ping_and_the_statistics_last(family: Family) -> None:
    done = family.laptop.peerup("ping", "home", "-c", "3", "--interval", "10ms", "--json").expect(0)
    *replies, statistics = map(json.loads, done.out.splitlines())
    assert [reply["seq"] for reply in replies] == [1, 2, 3]
    assert {reply["path"] for reply in replies} == {"RELAYED"}
    assert (statistics["sent"], statistics["received"], statistics["loss_pct"]) == (3, 3, 0)
    times = [reply["rtt_ms"] for reply in replies]
    assert (statistics["min_ms"], statistics["max_ms"]) == (min(times), max(times))


def test_without_a_direct_path_until_direct_is_exit_code_3(family: Family) -> None:
    words = ("ping", "home", "--until-direct", "-c", "2", "--interval", "10ms")
    done = family.laptop.peerup(*words).expect(3, "no direct path to home yet")
    assert "2 sent, 2 received" in done.out


def test_traceroute_shows_relay_and_peer(family: Family) -> None:
    text = family.laptop.peerup("traceroute", "home").expect(0).out.splitlines()
    assert [line.split()[0] for line in text[1:3]] == ["1", "2"]
    assert "relay-server/" in text[1]
    assert text[3] == "--- path: [RELAYED] ---"
    trace = json.loads(family.laptop.peerup("traceroute", "home", "--json").expect(0).out)
    assert [hop["peer_id"] for hop in trace["hops"]] == [family.relay.peer, family.home_id]
    assert all(hop["rtt_ms"] > 0 for hop in trace["hops"])


def test_w07_a_peer_that_is_frozen_cannot_hold_a_ping(family: Family) -> None:
    process = family.daemon.process
    process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        family.laptop.peerup("ping", "home", "--timeout", "1s").expect(3, "no answer within 1 s")
        assert time.monotonic() - began < 10.0
    finally:
        process.send_signal(signal.SIGCONT)


def test_status_and_resolve_need_no_network(family: Family) -> None:
    found = json.loads(family.laptop.peerup("status", "--json").expect(0).out)
    assert found["peer_id"] == family.laptop_id
    assert found["names"] == [{"name": "home", "peer_id": family.home_id}]
    done = family.laptop.peerup("resolve", "home").expect(0)
    assert done.out == f"home → {family.home_id}\n"
