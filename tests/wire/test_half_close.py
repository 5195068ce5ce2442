from __future__ import annotations

import itertools
from typing import Final

import pytest

from peerup.wire.half_close import NEXT, Half, Move

FINISHED: Final[dict[Half, frozenset[str]]] = {
    Half.OPEN: frozenset(),
    Half.WE_FINISHED: frozenset({"we"}),
    Half.PEER_FINISHED: frozenset({"peer"}),
    Half.CLOSED: frozenset({"we", "peer"}),
}
"""The same thing said another way: a state is the set of those who finished."""

ADDS: Final[dict[Move, frozenset[str]]] = {
    Move.SEND_FIN: frozenset({"we"}),
    Move.RECV_FIN: frozenset({"peer"}),
    Move.RESET: frozenset({"we", "peer"}),
}


@pytest.mark.parametrize(("half", "move"), list(itertools.product(Half, Move)))
def test_each_move_finishes_what_it_names(half: Half, move: Move) -> None:
    if move is not Move.RESET and ADDS[move] <= FINISHED[half]:
        assert (half, move) not in NEXT  # nobody finishes a half twice
    else:
        assert FINISHED[NEXT[half, move]] == FINISHED[half] | ADDS[move]


def test_nothing_leads_out_of_closed() -> None:
    assert {after for (half, _), after in NEXT.items() if half is Half.CLOSED} == {Half.CLOSED}


def test_every_state_is_reached_from_open() -> None:
    reached = {Half.OPEN}
    for _ in Half:
        reached |= {after for (half, _), after in NEXT.items() if half in reached}
    assert reached == set(Half)
