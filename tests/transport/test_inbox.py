from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peerup.transport.inbox import JOINED, LARGE, SMALL, Inbox
from tests.conformance.conversation import pattern

sizes = st.one_of(
    st.integers(1, 100),
    st.sampled_from([SMALL - 1, SMALL, SMALL + 1, LARGE - 1, LARGE, JOINED]),
)


class InboxAgainstBytes(RuleBasedStateMachine):
    """An inbox is a queue of bytes; the model is one ``bytes``."""

    def __init__(self) -> None:
        super().__init__()
        self.inbox = Inbox()
        self.model = b""
        self.seed = 0

    @rule(size=sizes, as_view=st.booleans())
    def add(self, size: int, *, as_view: bool) -> None:
        self.seed += 1
        piece = pattern(size, self.seed)
        self.inbox.add(memoryview(piece) if as_view else piece)
        self.model += piece

    @precondition(lambda self: self.model)
    @rule(most=sizes)
    def take(self, most: int) -> None:
        data = self.inbox.take(most)
        assert isinstance(data, bytes)
        assert 1 <= len(data) <= most
        assert self.model.startswith(data)
        self.model = self.model[len(data) :]

    @rule()
    def clear(self) -> None:
        assert self.inbox.clear() == len(self.model)
        self.model = b""

    @invariant()
    def size_is_right(self) -> None:
        assert self.inbox.size == len(self.model)


TestInboxAgainstBytes = InboxAgainstBytes.TestCase


@given(pieces=st.lists(sizes, min_size=1, max_size=10), most=sizes)
def test_how_bytes_are_cut_never_matters(pieces: list[int], most: int) -> None:
    inbox, expected = Inbox(), b""
    for number, size in enumerate(pieces):
        piece = pattern(size, number)
        inbox.add(piece)
        expected += piece
    got = b""
    while inbox.size:
        got += inbox.take(most)
    assert got == expected


def test_a_large_piece_is_handed_on_without_a_copy() -> None:
    inbox, piece = Inbox(), pattern(LARGE)
    inbox.add(piece)
    assert inbox.take(LARGE) is piece


def test_a_large_piece_is_not_joined_with_what_follows() -> None:
    inbox, piece = Inbox(), pattern(LARGE)
    inbox.add(piece)
    inbox.add(b"next")
    assert inbox.take(2 * LARGE) is piece
    assert inbox.take(10) == b"next"


def test_a_peer_that_sends_single_bytes_costs_us_about_a_byte_each() -> None:
    inbox, count = Inbox(), 200_000
    for _ in range(count):
        inbox.add(b"x")
    held = sum(sys.getsizeof(piece) for piece in inbox._pieces)
    assert held < 1.3 * count
    got = b""
    while inbox.size:
        got += inbox.take(count)
    assert got == b"x" * count


def test_small_pieces_are_still_joined_after_a_cut() -> None:
    inbox = Inbox()
    inbox.add(b"abc")
    assert inbox.take(1) == b"a"
    inbox.add(b"d")
    inbox.add(b"e")
    assert len(inbox._pieces) == 2
    assert inbox.take(10) == b"bcde"


def test_bytes_that_were_taken_do_not_change_later() -> None:
    inbox = Inbox()
    inbox.add(b"ab")
    taken = inbox.take(1)
    inbox.add(b"cd")
    assert taken == b"a"
    assert inbox.take(3) == b"bcd"
