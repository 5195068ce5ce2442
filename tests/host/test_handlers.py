from __future__ import annotations

from contextlib import ExitStack

import pytest

from peerup.errors import LocalProtocolError, ResourceLimitError
from peerup.host.handlers import MAX_PER_PEER, HandlerTable, Registration
from tests.world import echo, never, peer_of

HOME, LAPTOP = peer_of("home"), peer_of("laptop")


def table_with(*protocols: str, most: int = 2) -> HandlerTable:
    table = HandlerTable()
    for protocol in protocols:
        table.add(protocol, Registration(echo, max_per_peer=most))
    return table


def test_protocols_are_listed_in_the_order_in_which_they_were_added() -> None:
    table = table_with("/b", "/a")
    assert table.protocols == ("/b", "/a")
    assert table.find("/a") == Registration(echo, max_per_peer=2)
    assert table.find("/c") is None


def test_a_protocol_has_one_handler() -> None:
    table = table_with("/a")
    with pytest.raises(LocalProtocolError, match="/a already has a handler"):
        table.add("/a", Registration(never))
    assert table.find("/a") == Registration(echo, max_per_peer=2)


def test_a_removed_protocol_is_free_for_another_handler() -> None:
    table = table_with("/a")
    table.remove("/a")
    table.remove("/a")  # twice is no harm
    assert table.protocols == ()
    table.add("/a", Registration(never))


def test_a_peer_holds_so_many_streams_of_a_protocol_and_no_more() -> None:
    table = table_with("/a", "/b")
    with table.hold(HOME, "/a"), table.hold(HOME, "/a"):
        with pytest.raises(ResourceLimitError, match="holds 2 /a streams"), table.hold(HOME, "/a"):
            pass
        with table.hold(LAPTOP, "/a"), table.hold(HOME, "/b"):
            pass  # others are not concerned
    with table.hold(HOME, "/a"):
        pass  # there is room again


def test_what_fails_is_not_held_any_longer() -> None:
    table = table_with("/a", most=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), table.hold(HOME, "/a"):
            raise ZeroDivisionError
    assert not table._held  # nothing grows with the number of peers that were here


def test_a_stream_may_outlive_its_registration() -> None:
    table = table_with("/a")
    with table.hold(HOME, "/a"):
        table.remove("/a")
    assert not table._held


def test_without_a_word_the_bound_is_that_of_all_protocols() -> None:
    table = HandlerTable()
    table.add("/a", Registration(echo))
    with ExitStack() as held:
        for _ in range(MAX_PER_PEER):
            held.enter_context(table.hold(HOME, "/a"))
        with pytest.raises(ResourceLimitError):
            held.enter_context(table.hold(HOME, "/a"))
