from __future__ import annotations

import pytest

from peerup.host.gater import Answer, Only, OpenGater, Verdict, permits
from tests.world import peer_of


@pytest.mark.parametrize(
    ("verdict", "permitted"),
    [
        (Answer.YES, True),
        (Answer.NO, False),
        (Only(frozenset({"/ping"})), True),
        (Only(frozenset({"/other", "/ping/2"})), False),
        (Only(frozenset()), False),
    ],
)
def test_a_verdict_permits_a_protocol_or_does_not(verdict: Verdict, permitted: bool) -> None:
    assert permits(verdict, "/ping") is permitted


@pytest.mark.parametrize("inbound", [True, False])
def test_the_open_gater_lets_everybody_do_everything(inbound: bool) -> None:
    assert permits(OpenGater().verdict(peer_of("anybody"), inbound=inbound), "/anything")
