from __future__ import annotations

from pathlib import Path

import pytest

from peerup.cli import peer_list
from peerup.config.authorized_keys import Entry
from tests.cli.fake_node import HOME, RELAY

Capture = pytest.CaptureFixture[str]

EXPIRED = Entry(RELAY, "", 4, (("expires", "2020-01-01"), ("via", "relay")), 1577836800.0)


def test_an_entry_is_shown_with_all_there_is_to_know(capsys: Capture) -> None:
    entries = [Entry(HOME, "attic", 1), Entry(RELAY, "", 2), EXPIRED]
    peer_list.show(entries, {"home": HOME, "x": RELAY, "nas": HOME}, indent="  ")
    assert capsys.readouterr().out.splitlines() == [
        f"  {HOME}  home, nas  # attic",
        f"  {RELAY}  x",
        f"  {RELAY}  x  expires=2020-01-01 via=relay (expired)",
    ]


def test_limits_say_when_they_have_run_out() -> None:
    assert peer_list.limits(EXPIRED, 1577836799.0) == "expires=2020-01-01 via=relay"
    assert peer_list.limits(EXPIRED, 1577836800.0) == "expires=2020-01-01 via=relay (expired)"


def test_the_keys_of_the_json_are_stable() -> None:
    shown = peer_list.to_json([Entry(HOME, "attic", 1), EXPIRED], {"home": HOME}, Path("/list"))
    assert shown == {
        "peers": [
            {
                "peer_id": str(HOME),
                "names": ["home"],
                "comment": "attic",
                "attributes": {},
                "expired": False,
                "line": 1,
            },
            {
                "peer_id": str(RELAY),
                "names": [],
                "comment": "",
                "attributes": {"expires": "2020-01-01", "via": "relay"},
                "expired": True,
                "line": 4,
            },
        ],
        "file": "/list",
    }
