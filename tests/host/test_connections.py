from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import cast

from peerup.host.connections import ConnectionTable
from peerup.transport.limits import Limits
from peerup.transport.muxed import MuxedConnection
from peerup.wire.peer_id import PeerId
from tests.world import peer_of

HOME, LAPTOP = peer_of("home"), peer_of("laptop")


@dataclass(eq=False)
class FakeConnection:
    """What the table asks of a connection."""

    peer: PeerId = HOME
    relayed: bool = False
    limited: bool = False
    is_closed: bool = False
    opened_at: float = 0.0
    streams: int = 0

    def __len__(self) -> int:
        return self.streams


def connection(
    *,
    peer: PeerId = HOME,
    relayed: bool = False,
    limited: bool = False,
    is_closed: bool = False,
    opened_at: float = 0.0,
    streams: int = 0,
) -> MuxedConnection:
    fake = FakeConnection(peer, relayed, limited, is_closed, opened_at, streams)
    return cast("MuxedConnection", fake)


def table_of(*conns: MuxedConnection, limits: Limits | None = None) -> ConnectionTable:
    table = ConnectionTable(limits or Limits())
    for conn in conns:
        table.add(conn)
    return table


def test_of_an_unknown_peer_there_is_nothing() -> None:
    table = table_of()
    assert table.best(HOME) is None
    assert table.of(HOME) == ()
    assert table.peers == ()
    assert len(table) == 0
    assert list(table) == []


def test_new_streams_take_the_best_connection() -> None:
    limited = connection(relayed=True, limited=True, streams=9, opened_at=9.0)
    relayed = connection(relayed=True, streams=8, opened_at=8.0)
    old = connection(opened_at=1.0)
    newer = connection(opened_at=2.0)
    in_use = connection(opened_at=0.0, streams=1)
    ranked = [limited, relayed, old, newer, in_use]
    for worse, better in itertools.pairwise(ranked):
        assert table_of(better, worse).best(HOME) is better
        assert table_of(worse, better).best(HOME) is better


def test_a_closed_connection_is_never_the_best() -> None:
    relayed = connection(relayed=True)
    assert table_of(connection(is_closed=True), relayed).best(HOME) is relayed
    assert table_of(connection(is_closed=True)).best(HOME) is None


def test_a_relayed_connection_will_not_do_where_a_direct_one_is_asked_for() -> None:
    relayed, direct = connection(relayed=True), connection()
    assert table_of(relayed).best(HOME, direct_only=True) is None
    assert table_of(relayed, direct).best(HOME, direct_only=True) is direct


def test_peers_are_kept_apart() -> None:
    ours, theirs = connection(), connection(peer=LAPTOP)
    table = table_of(ours, theirs)
    assert table.of(HOME) == (ours,)
    assert table.best(LAPTOP) is theirs
    assert set(table.peers) == {HOME, LAPTOP}
    assert len(table) == 2


def test_what_is_discarded_leaves_nothing_behind() -> None:
    conn = connection()
    table = table_of(conn)
    table.discard(conn)
    table.discard(conn)  # twice is no harm
    assert len(table) == 0
    assert table.peers == ()


def test_one_peer_may_hold_so_many_connections_and_no_more() -> None:
    table = table_of(connection(), connection(), limits=Limits(connections_per_peer=2))
    assert not table.has_room(HOME)
    assert table.has_room(LAPTOP)


def test_all_peers_together_may_hold_so_many() -> None:
    first = connection()
    table = table_of(first, limits=Limits(connections=2))
    assert table.has_room(LAPTOP)
    table.add(connection(peer=LAPTOP))
    assert not table.has_room(peer_of("third"))
    table.discard(first)
    assert table.has_room(peer_of("third"))


def test_connections_may_go_while_somebody_walks_through_them() -> None:
    table = table_of(connection(), connection(), connection(peer=LAPTOP))
    for conn in table:
        table.discard(conn)
    assert len(table) == 0
