from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from peerup.transport.admission import PendingHandshakes
from peerup.transport.limits import Limits


class Door:
    """Counts who was turned away."""

    def __init__(self, most: int = 1000, most_per_source: int = 1000) -> None:
        self.pending = PendingHandshakes(most, most_per_source)
        self.dropped: list[str] = []

    def enter(self, source: str, name: str = "") -> int:
        return self.pending.enter(source, lambda: self.dropped.append(name or source))


def test_nobody_goes_while_there_is_room() -> None:
    door = Door(most=3)
    for name in "abc":
        door.enter(name)
    assert (len(door.pending), door.dropped, door.pending.evicted) == (3, [], 0)


def test_the_oldest_goes_when_there_are_too_many() -> None:
    door = Door(most=3)
    for name in "abcde":
        door.enter(name)
    assert (len(door.pending), door.dropped, door.pending.evicted) == (3, ["a", "b"], 2)


def test_a_source_with_too_many_loses_its_own_oldest() -> None:
    door = Door(most_per_source=2)
    door.enter("honest")
    for number in range(4):
        door.enter("greedy", f"greedy {number}")
    assert door.dropped == ["greedy 0", "greedy 1"]
    assert len(door.pending) == 3


def test_whoever_left_is_not_dropped_any_more() -> None:
    door = Door(most=2)
    first = door.enter("a")
    door.enter("b")
    door.pending.leave(first)
    door.enter("c")
    assert door.dropped == []
    door.enter("d")
    assert door.dropped == ["b"]


def test_leaving_twice_counts_once() -> None:
    door = Door()
    first, _ = door.enter("a"), door.enter("a")
    door.pending.leave(first)
    door.pending.leave(first)
    assert len(door.pending) == 1


def test_one_may_leave_from_within_its_drop() -> None:
    pending = PendingHandshakes(1, 1)
    ticket = pending.enter("a", lambda: pending.leave(ticket))
    pending.enter("a", lambda: None)
    assert len(pending) == 1
    pending.enter("b", lambda: None)
    assert len(pending) == 1


def test_2000_silent_connections_do_not_keep_an_honest_one_out() -> None:
    limits = Limits()
    door = Door(limits.handshakes, limits.handshakes_per_source)
    for number in range(2_000):
        door.enter(f"192.0.2.{number % 200}", "silent")
    honest = door.enter("198.51.100.7", "honest")
    for number in range(900):  # as many again while its handshake runs
        door.enter(f"192.0.2.{number % 200}", "silent")
    assert set(door.dropped) == {"silent"}
    assert len(door.pending) == limits.handshakes
    door.pending.leave(honest)


def test_a_flood_from_the_same_address_does_not_keep_an_honest_one_out_either() -> None:
    limits = Limits()
    door = Door(limits.handshakes, limits.handshakes_per_source)
    for _ in range(2_000):
        door.enter("192.0.2.1", "silent")
    door.enter("192.0.2.1", "honest")
    for _ in range(limits.handshakes_per_source - 1):
        door.enter("192.0.2.1", "silent")
    assert "honest" not in door.dropped
    assert len(door.pending) == limits.handshakes_per_source


@given(
    sources=st.lists(st.sampled_from("abcd"), max_size=60),
    leavers=st.sets(st.integers(0, 59)),
    most=st.integers(1, 6),
    most_per_source=st.integers(1, 4),
)
def test_the_bounds_hold_whatever_happens(
    sources: list[str], leavers: set[int], most: int, most_per_source: int
) -> None:
    door, inside = Door(most, most_per_source), Counter[str]()
    for number, source in enumerate(sources):
        before = len(door.dropped)
        ticket = door.enter(source)
        inside[source] += 1
        inside.subtract(door.dropped[before:])
        assert len(door.dropped) - before <= 1
        if number in leavers:
            door.pending.leave(ticket)
            inside[source] -= 1
        assert len(door.pending) == inside.total() <= most
        assert all(0 <= count <= most_per_source for count in inside.values())
    assert set(door.pending._by_source) == {name for name in inside if inside[name]}
