"""A proposer and a responder with any tables, on a wire that is cut anywhere."""

from __future__ import annotations

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from peerup.errors import LimitError, NegotiationError
from peerup.wire.multistream import MAX_PROPOSALS, Proposer, Responder

names = st.one_of(
    st.sampled_from(["/a", "/b", "/c", "/noise", "/yamux/1.0.0", "/x" * 100, "/" + "y" * 1022]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30),
).filter(lambda name: name not in {"na", "ls"})
tables = st.lists(names, min_size=1, max_size=6, unique=True)
APPLICATION: Final = bytes(range(256)) * 8  # what each side says once it knows what to speak


class Negotiation(RuleBasedStateMachine):
    """The wire moves in pieces; each side may add application data once it has agreed."""

    def __init__(self) -> None:
        super().__init__()
        self.proposals: list[str] = []
        self.supported: list[str] = []
        self.refused = False

    @initialize(
        proposals=tables,
        supported=st.lists(names, max_size=6),
        shared=st.integers(0, 6),
        extra=st.sampled_from([0, 0, 0, MAX_PROPOSALS - 1, MAX_PROPOSALS]),
    )
    def begin(self, proposals: list[str], supported: list[str], shared: int, extra: int) -> None:
        self.proposals = [f"/extra/{number}" for number in range(extra)] + proposals
        self.supported = supported + proposals[shared:]
        self.proposer = Proposer(self.proposals)
        self.responder = Responder(self.supported.__contains__, lambda: self.supported)
        self.wires = {True: bytearray(), False: bytearray()}  # up, down
        self.spoken = {True: 0, False: 0}
        self.heard = {True: b"", False: b""}

    def agreed(self) -> str | None:
        """What the model says they agree on."""
        common = [name for name in self.proposals if name in self.supported]
        return common[0] if common else None

    def refusals(self) -> int:
        """How many proposals come before that one."""
        agreed = self.agreed()
        return len(self.proposals) if agreed is None else self.proposals.index(agreed)

    def sender(self, up: bool) -> Proposer | Responder:
        return self.proposer if up else self.responder

    @rule(up=st.booleans())
    def flush(self, up: bool) -> None:
        self.wires[up] += self.sender(up).data_to_send()

    @precondition(lambda self: not self.refused)
    @rule(up=st.booleans(), size=st.one_of(st.integers(1, 5), st.integers(1, 3000)))
    def deliver(self, up: bool, size: int) -> None:
        reader, wire = self.sender(not up), self.wires[up]
        data = bytes(wire[:size])
        del wire[:size]
        if reader.agreed is not None:
            self.heard[up] += data
            return
        try:
            reader.receive(data)
        except NegotiationError:
            assert not up
            assert self.agreed() is None
            self.refused = True
        except LimitError:
            assert up
            assert self.refusals() > MAX_PROPOSALS
            self.refused = True
        if reader.agreed is not None:
            self.heard[up] += reader.leftover

    @rule(up=st.booleans(), size=st.integers(1, 100))
    def speak(self, up: bool, size: int) -> None:
        """Whoever knows what was agreed on may use it at once, behind its last message."""
        if self.sender(up).agreed is not None:
            self.flush(up)
            self.wires[up] += APPLICATION[self.spoken[up] : self.spoken[up] + size]
            self.spoken[up] = min(self.spoken[up] + size, len(APPLICATION))

    @invariant()
    def nobody_agrees_to_anything_else(self) -> None:
        if self.proposals:
            for machine in (self.proposer, self.responder):
                assert machine.agreed in {None, self.agreed()}

    @invariant()
    def application_data_arrives_as_it_was_sent(self) -> None:
        if self.proposals:
            for heard in self.heard.values():
                assert APPLICATION.startswith(heard)

    def teardown(self) -> None:
        if not self.proposals:
            return
        while not self.refused:
            for up in (True, False):
                self.flush(up)
            if not any(self.wires.values()):
                break
            for up in (True, False):
                if self.wires[up] and not self.refused:
                    self.deliver(up, len(self.wires[up]))
        if not self.refused:
            assert self.refusals() <= MAX_PROPOSALS
            assert self.proposer.agreed == self.responder.agreed == self.agreed() is not None
            for up in (True, False):
                assert self.heard[up] == APPLICATION[: self.spoken[up]]


TestNegotiation = Negotiation.TestCase
TestNegotiation.settings = settings(stateful_step_count=30)
