"""Who gets how far on whose word: the decisions, one by one and in any order."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.relay.quota import Terms
from peerup.relay.vouching import (
    KNOWN_BURST,
    KNOWN_PER_S,
    MAX_HOLDERS,
    MAX_METERED,
    MAX_OPEN,
    MAX_OPEN_PER_PEER,
    MAX_OPEN_S,
    MAX_SHOWN,
    MAX_VOUCHERS,
    STRANGERS_BURST,
    STRANGERS_PER_S,
    VISIT,
    Pair,
    Standing,
    Vouching,
)
from peerup.wire.peer_id import PeerId
from peerup.wire.vouch import VouchStatus, hash_of
from tests.world import peer_of

HOME, OTHER = peer_of("home"), peer_of("other")
LAPTOP, PHONE, THIEF = peer_of("laptop"), peer_of("phone"), peer_of("thief")
TICKET: Final = b"t" * 32
USUAL: Final = Terms(None, None)
HERE: Final = "192.0.2.1"


class Relay(Vouching):
    """Decisions with a list of authorized peers that a test may change."""

    def __init__(self, *known: PeerId, most: int = 16) -> None:
        self.known = set(known or (HOME, OTHER))
        super().__init__(lambda peer: peer in self.known, most)

    def invite(self, inviter: PeerId = HOME, ticket: bytes = TICKET, now: float = 0.0) -> None:
        assert self.open(inviter, hash_of(ticket), 600, now) == (VouchStatus.OK, 600)

    def show(
        self,
        joiner: PeerId = LAPTOP,
        inviter: PeerId = HOME,
        ticket: bytes = TICKET,
        now: float = 1.0,
    ) -> VouchStatus:
        return self.present(joiner, inviter, ticket, now)

    def confirm(self, guest: PeerId = LAPTOP, inviter: PeerId = HOME, now: float = 2.0) -> None:
        assert self.may_confirm(inviter, hash_of(TICKET), guest, now) is VouchStatus.OK
        self.replace(self.pairs | {Pair(inviter, guest, 0)})
        self.confirmed(hash_of(TICKET), guest)

    def lets(self, source: PeerId, target: PeerId, now: float = 3.0) -> Terms | None:
        return self.circuit(source, target, USUAL, now)


def paired() -> Relay:
    relay = Relay()
    relay.invite()
    assert relay.show() is VouchStatus.OK
    relay.confirm()
    relay.close(HOME, hash_of(TICKET))
    return relay


# --- an invite from beginning to end --------------------------------------------------


def test_who_nobody_knows_becomes_a_guest_step_by_step() -> None:
    relay = Relay()
    assert relay.standing(LAPTOP, 0) is Standing.NOBODY
    relay.invite()
    assert relay.standing(LAPTOP, 0) is Standing.STRANGER
    assert relay.lets(LAPTOP, HOME) is None
    assert relay.show() is VouchStatus.OK
    assert relay.standing(LAPTOP, 1) is Standing.HOLDER
    assert not relay.may_reserve(LAPTOP)
    assert relay.lets(LAPTOP, HOME) == VISIT
    relay.circuit_opened(LAPTOP, HOME, 1)
    assert relay.lets(LAPTOP, HOME) is None  # one circuit
    relay.confirm()
    assert relay.standing(LAPTOP, 2) is Standing.GUEST
    assert relay.lets(LAPTOP, HOME) == relay.lets(HOME, LAPTOP) == USUAL
    assert relay.may_reserve(LAPTOP)


def test_a_guest_reaches_its_inviter_and_nobody_else() -> None:
    relay = paired()
    relay.replace(relay.pairs | {Pair(HOME, PHONE, 0)})
    for source, target in [
        (LAPTOP, OTHER),
        (OTHER, LAPTOP),
        (LAPTOP, PHONE),  # not even a guest of the same
        (PHONE, LAPTOP),
        (LAPTOP, THIEF),
    ]:
        assert relay.lets(source, target) is None, f"{source} to {target}"
    assert relay.lets(HOME, OTHER) == USUAL


def test_who_is_nothing_here_is_for_the_quota_to_refuse() -> None:
    relay = paired()
    assert relay.lets(OTHER, THIEF) == USUAL  # and then there is no place
    assert relay.lets(LAPTOP, THIEF) is None


def test_a_guest_vouches_for_nobody() -> None:
    relay = paired()
    refused = relay.open(LAPTOP, hash_of(b"u" * 32), 600, 5.0)
    assert refused == (VouchStatus.PERMISSION_DENIED, 0.0)
    assert relay.may_confirm(LAPTOP, hash_of(TICKET), PHONE, 5.0) is VouchStatus.PERMISSION_DENIED


def test_who_is_authorized_needs_no_ticket_and_no_pair() -> None:
    relay = Relay(HOME, LAPTOP)
    relay.invite()
    assert relay.show(ticket=b"x" * 32) is VouchStatus.NOT_NEEDED
    assert relay.standing(LAPTOP, 1) is Standing.AUTHORIZED
    assert relay.may_confirm(HOME, hash_of(TICKET), LAPTOP, 2) is VouchStatus.NOT_NEEDED


def test_an_inviter_that_is_removed_takes_its_guests_with_it() -> None:
    relay = paired()
    relay.known.remove(HOME)
    assert relay.standing(LAPTOP, 5) is Standing.NOBODY
    assert relay.lets(LAPTOP, HOME) is None
    assert not relay.may_reserve(LAPTOP)
    assert relay.orphans == {HOME}


def test_an_inviter_that_is_removed_has_no_open_invite_either() -> None:
    relay = Relay()
    relay.invite()
    relay.show()
    relay.known.remove(HOME)
    assert relay.standing(LAPTOP, 1) is Standing.NOBODY
    assert relay.lets(LAPTOP, HOME) is None
    relay.known.add(HOME)
    relay.expire(1)
    relay.known.remove(HOME)
    relay.expire(1)
    relay.known.add(HOME)
    assert relay.show(PHONE) is VouchStatus.UNKNOWN_TICKET


# --- tickets --------------------------------------------------------------------------


def test_a_ticket_is_good_until_it_expires_and_not_a_moment_longer() -> None:
    relay = Relay()
    relay.invite()
    assert relay.show(now=599.9) is VouchStatus.OK
    assert relay.lets(LAPTOP, HOME, 599.9) == VISIT
    assert relay.lets(LAPTOP, HOME, 600.0) is None
    assert relay.standing(LAPTOP, 600.0) is Standing.NOBODY
    assert relay.may_confirm(HOME, hash_of(TICKET), LAPTOP, 600.0) is VouchStatus.PERMISSION_DENIED
    assert relay.show(now=600.0) is VouchStatus.UNKNOWN_TICKET


def test_a_ticket_for_another_inviter_is_unknown() -> None:
    relay = Relay()
    relay.invite()
    assert relay.show(inviter=OTHER) is VouchStatus.UNKNOWN_TICKET
    relay.invite(OTHER, b"o" * 32)
    assert relay.show(inviter=OTHER, ticket=b"o" * 32) is VouchStatus.OK
    assert relay.lets(LAPTOP, OTHER) == VISIT
    assert relay.lets(LAPTOP, HOME) is None


def test_the_hash_of_a_ticket_is_no_ticket() -> None:
    relay = Relay()
    relay.invite()
    assert relay.show(ticket=hash_of(TICKET)) is VouchStatus.UNKNOWN_TICKET


def test_a_ticket_that_served_serves_nobody_else() -> None:
    relay = Relay()
    relay.invite()
    assert relay.show(LAPTOP) is relay.show(THIEF) is VouchStatus.OK
    relay.confirm()
    assert relay.standing(THIEF, 3) is Standing.STRANGER
    assert relay.lets(THIEF, HOME) is None
    assert relay.show(THIEF) is VouchStatus.UNKNOWN_TICKET
    denied = relay.may_confirm(HOME, hash_of(TICKET), THIEF, 3)
    assert denied is VouchStatus.PERMISSION_DENIED


def test_who_has_joined_may_show_it_again() -> None:
    relay = Relay()
    relay.invite()
    relay.show()
    relay.confirm()
    assert relay.show() is VouchStatus.PAIRED
    assert relay.may_confirm(HOME, hash_of(TICKET), LAPTOP, 3) is VouchStatus.PAIRED
    relay.close(HOME, hash_of(TICKET))
    assert relay.show(now=10_000) is VouchStatus.PAIRED  # also when the invite is long over


def test_nobody_is_confirmed_who_has_not_shown_the_ticket() -> None:
    relay = Relay()
    relay.invite()
    denied = relay.may_confirm(HOME, hash_of(TICKET), LAPTOP, 1)
    assert denied is VouchStatus.PERMISSION_DENIED
    relay.show()
    assert relay.may_confirm(OTHER, hash_of(TICKET), LAPTOP, 1) is VouchStatus.PERMISSION_DENIED


def test_a_ticket_has_few_holders_and_is_shown_a_few_times() -> None:
    relay = Relay()
    relay.invite()
    for number in range(MAX_HOLDERS):
        assert relay.show(peer_of(f"{number}")) is VouchStatus.OK
    assert relay.show(LAPTOP) is VouchStatus.UNKNOWN_TICKET
    for _ in range(MAX_SHOWN - MAX_HOLDERS):
        assert relay.show(peer_of("0")) is VouchStatus.OK
    assert relay.show(peer_of("0")) is VouchStatus.UNKNOWN_TICKET


def test_each_showing_is_good_for_one_more_circuit() -> None:
    relay = Relay()
    relay.invite()
    for _ in range(3):
        assert relay.show() is VouchStatus.OK
        assert relay.lets(LAPTOP, HOME) == VISIT
        relay.circuit_opened(LAPTOP, HOME, 1)
        assert relay.lets(LAPTOP, HOME) is None


def test_strangers_from_one_address_are_served_slowly() -> None:
    relay = Relay()
    for number in range(STRANGERS_BURST):
        assert relay.admit(peer_of(f"{number}"), HERE, 1.0)  # ids cost nothing
    assert not relay.admit(LAPTOP, HERE, 1.0)
    assert relay.admit(LAPTOP, "192.0.2.2", 1.0)
    assert relay.admit(LAPTOP, HERE, 1.0 + 1 / STRANGERS_PER_S)
    assert not relay.admit(PHONE, HERE, 1.0 + 1 / STRANGERS_PER_S)


def test_who_is_known_is_counted_alone() -> None:
    relay = paired()
    for number in range(STRANGERS_BURST + 1):
        relay.admit(peer_of(f"{number}"), HERE, 1.0)
    for peer in (HOME, LAPTOP):
        assert all(relay.admit(peer, HERE, 1.0) for _ in range(KNOWN_BURST))
        assert not relay.admit(peer, HERE, 1.0)
        assert relay.admit(peer, HERE, 1.0 + 1.01 / KNOWN_PER_S)


def test_the_rates_of_all_take_bounded_room() -> None:
    relay = Relay()
    for number in range(MAX_METERED + 100):
        relay.admit(LAPTOP, f"{number}", 1.0)
    assert len(relay._meters) == MAX_METERED


# --- caps on inviters -----------------------------------------------------------------


def test_only_who_is_authorized_opens_an_invite() -> None:
    relay = Relay()
    refused = relay.open(THIEF, hash_of(TICKET), 600, 0)
    assert refused == (VouchStatus.PERMISSION_DENIED, 0.0)
    assert relay.standing(LAPTOP, 0) is Standing.NOBODY


def test_an_invite_of_another_cannot_be_taken_over_or_closed() -> None:
    relay = Relay()
    relay.invite()
    assert relay.open(OTHER, hash_of(TICKET), 600, 0)[0] is VouchStatus.PERMISSION_DENIED
    relay.close(OTHER, hash_of(TICKET))
    assert relay.show() is VouchStatus.OK
    relay.close(HOME, hash_of(TICKET))
    assert relay.standing(LAPTOP, 1) is Standing.NOBODY


def test_opening_again_keeps_what_was_shown() -> None:
    relay = Relay()
    relay.invite()
    relay.show()
    relay.invite(now=300.0)
    assert relay.lets(LAPTOP, HOME, 800.0) == VISIT


def test_an_inviter_that_leaves_ends_its_invites() -> None:
    relay = Relay()
    relay.invite()
    relay.invite(OTHER, b"o" * 32)
    assert relay.inviters == {HOME, OTHER}
    relay.left(HOME)
    assert relay.inviters == {OTHER}
    assert relay.show() is VouchStatus.UNKNOWN_TICKET


@pytest.mark.parametrize(("asked", "given"), [(0, 1.0), (60, 60.0), (10**12, MAX_OPEN_S)])
def test_no_invite_is_open_for_longer_than_a_day(asked: float, given: float) -> None:
    assert Relay().open(HOME, hash_of(TICKET), asked, 0) == (VouchStatus.OK, given)


def test_one_inviter_has_few_invites_open_and_all_together_have_some() -> None:
    relay = Relay(*(peer_of(f"{n}") for n in range(MAX_OPEN)), HOME)
    for number in range(MAX_OPEN_PER_PEER):
        relay.invite(ticket=bytes([number]) * 32)
    assert relay.open(HOME, hash_of(TICKET), 600, 0) == (VouchStatus.FULL, 0.0)
    assert relay.open(HOME, hash_of(bytes(32)), 600, 0)[0] is VouchStatus.OK  # which it has
    for number in range(MAX_OPEN - MAX_OPEN_PER_PEER):
        relay.invite(peer_of(f"{number}"), (1000 + number).to_bytes(32, "big"))
    last = peer_of(f"{MAX_OPEN - 1}")
    assert relay.open(last, hash_of(TICKET), 600, 0) == (VouchStatus.FULL, 0.0)
    assert relay.open(last, hash_of(TICKET), 600, 600)[0] is VouchStatus.OK  # the others are over


def test_one_inviter_vouches_for_as_many_as_is_configured() -> None:
    relay = Relay(HOME, OTHER, most=2)
    relay.invite()
    relay.show()
    relay.replace({Pair(HOME, PHONE, 0), Pair(HOME, THIEF, 0)})
    assert relay.may_confirm(HOME, hash_of(TICKET), LAPTOP, 2) is VouchStatus.FULL
    assert relay.open(HOME, hash_of(b"n" * 32), 600, 2) == (VouchStatus.FULL, 0.0)
    relay.replace({Pair(HOME, PHONE, 0), Pair(OTHER, THIEF, 0)})
    relay.confirm()


def test_one_guest_is_vouched_for_by_few() -> None:
    relay = Relay()
    relay.invite()
    relay.show()
    relay.replace(Pair(peer_of(f"{n}"), LAPTOP, 0) for n in range(MAX_VOUCHERS))
    assert relay.may_confirm(HOME, hash_of(TICKET), LAPTOP, 2) is VouchStatus.FULL


def test_without_a_place_to_keep_pairs_nothing_is_opened_or_confirmed() -> None:
    relay = Relay()
    relay.invite()
    relay.show()
    relay.usable = False
    assert relay.may_confirm(HOME, hash_of(TICKET), LAPTOP, 2) is VouchStatus.UNAVAILABLE
    assert relay.open(OTHER, hash_of(b"o" * 32), 600, 2) == (VouchStatus.UNAVAILABLE, 0.0)


def test_who_loses_a_pair_is_told_of() -> None:
    relay = paired()
    assert relay.partners(HOME) == {LAPTOP}
    assert relay.partners(LAPTOP) == {HOME}
    assert relay.replace(relay.pairs) == frozenset()
    relay.replace({*relay.pairs, Pair(OTHER, LAPTOP, 0)})
    assert relay.replace({Pair(OTHER, LAPTOP, 0)}) == {LAPTOP}
    relay.known.add(LAPTOP)
    assert relay.replace(()) == frozenset()  # it does not depend on pairs any more


@given(
    first=st.builds(Terms, st.none() | st.floats(1, 100), st.none() | st.integers(1, 100)),
    second=st.builds(Terms, st.none() | st.floats(1, 100), st.none() | st.integers(1, 100)),
)
def test_the_stricter_of_two_terms(first: Terms, second: Terms) -> None:
    both = first.within(second)
    assert both == second.within(first)
    assert both.within(first) == both
    assert (both.seconds is None) is (first.seconds is second.seconds is None)
