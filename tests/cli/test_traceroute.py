from __future__ import annotations

import json

import pytest

from peerup.errors import DialError, NotAuthorizedError
from peerup.node.traceroute import Hop
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, RELAY, Network

pytestmark = pytest.mark.usefixtures("config")

NEAR = Hop(1, RELAY, "relay-server/0.1.0", "/ip4/203.0.113.5/tcp/7777", 12.345)
FAR = Hop(2, HOME, "", f"/ip4/203.0.113.5/tcp/7777/p2p/{RELAY}/p2p-circuit", 45.6789)
SILENT = Hop(2, HOME, "", "", None, "cannot reach peer: no answer in time")


def test_each_hop_is_a_line_and_the_path_is_last(peerup: Peerup, network: Network) -> None:
    network.hops = (NEAR, FAR)
    result = peerup("traceroute", "home")
    assert (result.code, result.err) == (0, "Connecting...\n")
    assert result.out.splitlines() == [
        f"traceroute to home ({HOME.short})",
        f" 1  {RELAY.short} (relay-server/0.1.0)  {NEAR.address}  12.3ms",
        f" 2  {HOME.short}  {FAR.address}  45.7ms",
        "--- path: [RELAYED] ---",
    ]
    assert network.asked == [("node", False), ("connect", HOME)]
    assert network.running == 0


def test_json_is_the_object_of_the_api(peerup: Peerup, network: Network) -> None:
    network.hops = (NEAR, SILENT)
    result = peerup("--json", "traceroute", "home")
    assert result.code == 3
    assert json.loads(result.out) == {
        "target": "home",
        "target_id": str(HOME),
        "path": "RELAYED",
        "hops": [
            {
                "hop": 1,
                "peer_id": str(RELAY),
                "name": "relay-server/0.1.0",
                "address": "/ip4/203.0.113.5/tcp/7777",
                "rtt_ms": 12.345,
                "error": "",
            },
            {
                "hop": 2,
                "peer_id": str(HOME),
                "name": "",
                "address": "",
                "rtt_ms": None,
                "error": "cannot reach peer: no answer in time",
            },
        ],
    }


def test_a_peer_that_does_not_answer_is_exit_code_3(peerup: Peerup, network: Network) -> None:
    network.hops = (NEAR, SILENT)
    result = peerup("traceroute", "home")
    assert result.code == 3
    assert "  * cannot reach peer: no answer in time" in result.out


def test_a_relay_that_does_not_answer_is_no_failure(peerup: Peerup, network: Network) -> None:
    network.hops = (Hop(1, RELAY, "", "", None, "cannot reach peer: x\x1b[2J"), FAR)
    result = peerup("traceroute", "home")
    assert result.code == 0
    assert "x\\x1b[2J" in result.out


@pytest.mark.parametrize(
    ("error", "code"), [(DialError("home", {}), 3), (NotAuthorizedError("home says no"), 4)]
)
def test_without_a_way_there_are_no_hops(
    peerup: Peerup, network: Network, error: Exception, code: int
) -> None:
    network.connect_error = error
    result = peerup("traceroute", "home", "--json")
    assert (result.code, result.out) == (code, "")


def test_a_name_that_is_not_there_is_exit_code_2(peerup: Peerup, network: Network) -> None:
    assert peerup("traceroute", "work").code == 2
