"""Requests of anybody in any order: nobody gets further than somebody authorized has said."""

from __future__ import annotations

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from peerup.relay.vouching import Pair, Standing
from peerup.wire.peer_id import PeerId
from peerup.wire.vouch import VouchStatus, hash_of
from tests.relay.test_vouching import HOME, LAPTOP, OTHER, PHONE, THIEF, USUAL, Relay

PEERS: Final = (HOME, OTHER, LAPTOP, PHONE, THIEF)
peers = st.sampled_from(PEERS)
tickets = st.sampled_from([bytes([n]) * 32 for n in range(3)])


class AnyOrder(RuleBasedStateMachine):
    """Requests of anybody in any order, beside a record of who really showed what."""

    def __init__(self) -> None:
        super().__init__()
        self.relay = Relay(most=2)
        self.now = 0.0
        self.shown: set[tuple[PeerId, PeerId]] = set()
        self.confirmed: set[tuple[PeerId, PeerId]] = set()

    @rule(inviter=peers, ticket=tickets, seconds=st.integers(0, 100))
    def opens(self, inviter: PeerId, ticket: bytes, seconds: int) -> None:
        status, _ = self.relay.open(inviter, hash_of(ticket), seconds, self.now)
        assert status is not VouchStatus.OK or inviter in self.relay.known

    @rule(inviter=peers, ticket=tickets)
    def closes(self, inviter: PeerId, ticket: bytes) -> None:
        self.relay.close(inviter, hash_of(ticket))

    @rule(joiner=peers, inviter=peers, ticket=tickets)
    def presents(self, joiner: PeerId, inviter: PeerId, ticket: bytes) -> None:
        if self.relay.present(joiner, inviter, ticket, self.now) is VouchStatus.OK:
            self.shown.add((inviter, joiner))

    @rule(inviter=peers, guest=peers, ticket=tickets)
    def confirms(self, inviter: PeerId, guest: PeerId, ticket: bytes) -> None:
        status = self.relay.may_confirm(inviter, hash_of(ticket), guest, self.now)
        if status is VouchStatus.OK:
            assert (inviter, guest) in self.shown
            self.relay.replace(self.relay.pairs | {Pair(inviter, guest, 0)})
            self.relay.confirmed(hash_of(ticket), guest)
            self.confirmed.add((inviter, guest))

    @rule(peer=peers)
    def operator_changes_its_mind(self, peer: PeerId) -> None:
        self.relay.known ^= {peer}

    @rule(peer=peers)
    def revokes(self, peer: PeerId) -> None:
        self.relay.replace(pair for pair in self.relay.pairs if not pair.names(peer))
        self.confirmed = {pair for pair in self.confirmed if peer not in pair}

    @rule(source=peers, to=peers)
    def connects(self, source: PeerId, to: PeerId) -> None:
        target = to
        known = self.relay.known
        terms = self.relay.circuit(source, target, USUAL, self.now)
        if terms is None:
            return
        self.relay.circuit_opened(source, target, self.now)
        if terms == USUAL:
            pairs = {(source, target), (target, source)} & self.confirmed
            nothing = source in known and not self.relay.may_reserve(target)
            both = {source, target} <= known
            assert nothing or both or any(pair[0] in known for pair in pairs)
        else:
            assert (target, source) in self.shown
            assert target in known

    @rule(seconds=st.floats(0, 200))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def nobody_is_more_than_what_somebody_authorized_says(self) -> None:
        for peer in PEERS:
            standing = self.relay.standing(peer, self.now)
            vouchers = {pair[0] for pair in self.confirmed if pair[1] == peer}
            assert (standing is Standing.AUTHORIZED) is (peer in self.relay.known)
            if standing is Standing.GUEST:
                assert vouchers & self.relay.known
            if standing is Standing.HOLDER:
                assert any(pair[1] == peer for pair in self.shown)


AnyOrder.TestCase.settings = settings(stateful_step_count=30)
TestAnyOrder = AnyOrder.TestCase
