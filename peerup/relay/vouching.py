"""Whom this relay lets in on somebody else's word, and as far as that goes. Decides; no I/O.

An authorized peer, the inviter, may say: who shows the ticket with this hash may come to me.
Who shows it is its *holder* and may open one short circuit to that inviter. When the inviter
confirms that the holder has joined, the two are a *pair*: its guest may use the relay to reach
the inviter and to be reached by it, and for nothing else, for as long as the inviter is
authorized and none of the two, nor the operator, takes it back.

Everything remembered has a cap. What is open ends with the relay's process; pairs are kept in a
file (``vouched_file``), and what is here follows that file.

Spec: peerup's own, docs/protocols/vouch.md.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from peerup.relay.quota import Terms
from peerup.wire.vouch import VouchStatus, hash_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peerup.wire.peer_id import PeerId

MAX_OPEN: Final = 256  # invites of all inviters, at once
MAX_OPEN_PER_PEER: Final = 4  # of one inviter
MAX_OPEN_S: Final = 86400.0  # however long an inviter asks for
MAX_HOLDERS: Final = 4  # peers that have shown one ticket
MAX_SHOWN: Final = 16  # times that one ticket may be shown
MAX_VOUCHERS: Final = 16  # inviters that vouch for one guest
STRANGERS_BURST: Final = 10  # requests of strangers from one address at once, and then ...
STRANGERS_PER_S: Final = 0.5  # ... so many a second
KNOWN_BURST: Final = 100  # the same of one peer that is authorized or vouched for
KNOWN_PER_S: Final = 5.0
MAX_METERED: Final = 4096  # addresses and peers whose rate is remembered

#: What a holder may use to pair: a handshake, and a few hundred bytes.
VISIT: Final = Terms(seconds=60.0, data=128 * 1024)

DEFAULT_PER_PEER: Final = 16


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """``voucher`` has confirmed that ``guest`` joined it, at ``since`` (Unix seconds)."""

    voucher: PeerId
    guest: PeerId
    since: int = field(compare=False)

    def names(self, peer: PeerId) -> bool:
        return peer in {self.voucher, self.guest}


class Standing(enum.Enum):
    """What a peer is to this relay."""

    NOBODY = enum.auto()
    STRANGER = enum.auto()  # unknown while an invite is open: may show a ticket
    HOLDER = enum.auto()  # has shown one
    GUEST = enum.auto()  # one of a pair
    AUTHORIZED = enum.auto()


@dataclass(slots=True)
class _OpenInvite:
    inviter: PeerId
    expires: float
    shown: int = 0
    visits: dict[PeerId, int] = field(default_factory=dict)  # what each holder has left
    joined: PeerId | None = None


class Vouching:
    """What one relay knows of who vouches for whom. ``now`` is in seconds of one clock."""

    def __init__(
        self, authorized: Callable[[PeerId], bool], max_per_peer: int = DEFAULT_PER_PEER
    ) -> None:
        """Begin without pairs; ``replace`` says which there are.

        Args:
            authorized: Whether the relay itself knows a peer, asked anew each time.
            max_per_peer: For how many guests one inviter may vouch.
        """
        self.pairs: frozenset[Pair] = frozenset()
        #: False while pairs cannot be kept; then no invite is opened and none confirmed.
        self.usable = True
        self._authorized = authorized
        self._max_per_peer = max_per_peer
        self._invites: dict[bytes, _OpenInvite] = {}
        self._vouchers: dict[PeerId, set[PeerId]] = {}  # by guest
        self._meters: dict[str, tuple[float, float]] = {}

    def admit(self, peer: PeerId, source: str, now: float) -> bool:
        """Count one request of ``peer``, who comes from ``source``; False if there are too many.

        Strangers count by address, as ids cost nothing.
        """
        known = self._authorized(peer) or bool(self.guest_of(peer))
        who = str(peer) if known else source
        burst = KNOWN_BURST if known else STRANGERS_BURST
        tokens, at = self._meters.pop(who, (float(burst), now))
        rate = KNOWN_PER_S if known else STRANGERS_PER_S
        tokens = min(tokens + (now - at) * rate, burst)
        admitted = tokens >= 1
        self._meters[who] = (tokens - 1 if admitted else tokens, now)
        if len(self._meters) > MAX_METERED:
            del self._meters[next(iter(self._meters))]
        return admitted

    # --- what an inviter asks for -----------------------------------------------------

    def open(
        self, inviter: PeerId, ticket_hash: bytes, seconds: float, now: float
    ) -> tuple[VouchStatus, float]:
        """Open an invite, or keep it open; return for how many seconds it is."""
        self.expire(now)
        refusal = self._refuse_open(inviter, ticket_hash)
        if refusal is not None:
            return refusal, 0.0
        seconds = min(max(seconds, 1.0), MAX_OPEN_S)
        invite = self._invites.setdefault(ticket_hash, _OpenInvite(inviter, 0.0))
        invite.expires = now + seconds
        return VouchStatus.OK, seconds

    def _refuse_open(self, inviter: PeerId, ticket_hash: bytes) -> VouchStatus | None:
        if not self._authorized(inviter):
            return VouchStatus.PERMISSION_DENIED
        if not self.usable:
            return VouchStatus.UNAVAILABLE
        known = self._invites.get(ticket_hash)
        if known is not None:
            return None if known.inviter == inviter else VouchStatus.PERMISSION_DENIED
        theirs = sum(invite.inviter == inviter for invite in self._invites.values())
        full = len(self._invites) >= MAX_OPEN or theirs >= MAX_OPEN_PER_PEER
        return VouchStatus.FULL if full or self._is_full(inviter) else None

    def _is_full(self, inviter: PeerId) -> bool:
        return sum(pair.voucher == inviter for pair in self.pairs) >= self._max_per_peer

    def close(self, inviter: PeerId, ticket_hash: bytes) -> VouchStatus:
        """End an invite; its holders are strangers again."""
        invite = self._invites.get(ticket_hash)
        if invite is not None and invite.inviter == inviter:
            del self._invites[ticket_hash]
        return VouchStatus.OK

    def may_confirm(
        self, inviter: PeerId, ticket_hash: bytes, guest: PeerId, now: float
    ) -> VouchStatus:
        """Say whether ``inviter`` may be made a pair with ``guest``.

        OK: yes, and the pair is to be kept. PAIRED, NOT_NEEDED: they can reach each other
        already. Anything else says why not.
        """
        self.expire(now)
        invite = self._invites.get(ticket_hash)
        if (
            invite is None
            or invite.inviter != inviter
            or invite.joined not in {None, guest}
            or not self._authorized(inviter)
        ):
            return VouchStatus.PERMISSION_DENIED
        if self._authorized(guest):
            return VouchStatus.NOT_NEEDED
        if self.is_pair(inviter, guest):
            return VouchStatus.PAIRED
        return self._new_pair(invite, guest)

    def _new_pair(self, invite: _OpenInvite, guest: PeerId) -> VouchStatus:
        if guest not in invite.visits:
            return VouchStatus.PERMISSION_DENIED
        if not self.usable:
            return VouchStatus.UNAVAILABLE
        too_many = len(self._vouchers.get(guest, ())) >= MAX_VOUCHERS
        return VouchStatus.FULL if too_many or self._is_full(invite.inviter) else VouchStatus.OK

    def confirmed(self, ticket_hash: bytes, guest: PeerId) -> None:
        """The ticket has served: whoever else holds it is a stranger again."""
        invite = self._invites.get(ticket_hash)
        if invite is not None:
            invite.joined = guest
            invite.visits.clear()

    def left(self, inviter: PeerId) -> None:
        """``inviter`` has no connection any more: nobody could come to it."""
        for ticket_hash in [h for h, one in self._invites.items() if one.inviter == inviter]:
            del self._invites[ticket_hash]

    @property
    def inviters(self) -> frozenset[PeerId]:
        """Who has an invite open."""
        return frozenset(invite.inviter for invite in self._invites.values())

    # --- what a joiner asks for -------------------------------------------------------

    def present(self, joiner: PeerId, inviter: PeerId, ticket: bytes, now: float) -> VouchStatus:
        """Take a ticket.

        One that is unknown, expired, used up, or for another inviter is answered alike.
        """
        self.expire(now)
        if self._authorized(joiner):
            return VouchStatus.NOT_NEEDED
        if self.is_pair(inviter, joiner):
            return VouchStatus.PAIRED
        invite = self._shown(joiner, inviter, hash_of(ticket))
        if invite is None:
            return VouchStatus.UNKNOWN_TICKET
        invite.shown += 1
        invite.visits[joiner] = 1
        return VouchStatus.OK

    def _shown(self, joiner: PeerId, inviter: PeerId, ticket_hash: bytes) -> _OpenInvite | None:
        """Return the invite that a ticket is for, None if it does not open it to ``joiner``."""
        invite = self._invites.get(ticket_hash)
        if invite is None or invite.inviter != inviter or invite.joined is not None:
            return None
        has_room = joiner in invite.visits or len(invite.visits) < MAX_HOLDERS
        return invite if has_room and invite.shown < MAX_SHOWN else None

    # --- what follows for the relay ---------------------------------------------------

    def standing(self, peer: PeerId, now: float) -> Standing:
        """Say what ``peer`` is at this moment."""
        if self._authorized(peer):
            return Standing.AUTHORIZED
        if self.guest_of(peer):
            return Standing.GUEST
        invites = [one for one in self._invites.values() if self._is_open(one, now)]
        if any(peer in invite.visits for invite in invites):
            return Standing.HOLDER
        return Standing.STRANGER if invites else Standing.NOBODY

    def may_reserve(self, peer: PeerId) -> bool:
        """Say whether ``peer`` may hold a place: its inviter wants to reach it, too."""
        return self._authorized(peer) or bool(self.guest_of(peer))

    def circuit(self, source: PeerId, target: PeerId, usual: Terms, now: float) -> Terms | None:
        """Return what a circuit may use, None if there may be none."""
        # A target that is nothing here holds no place, and who is authorized is to hear that.
        if self._authorized(source) and (self._authorized(target) or not self.guest_of(target)):
            return usual
        if self.is_pair(source, target) or self.is_pair(target, source):
            return usual
        return VISIT.within(usual) if self._visit(source, target, now) else None

    def circuit_opened(self, source: PeerId, target: PeerId, now: float) -> None:
        """Count a circuit that ``circuit`` has allowed: a holder has but one."""
        if self._authorized(source) or self.is_pair(target, source):
            return
        invite = self._visit(source, target, now)
        if invite is not None:
            invite.visits[source] -= 1

    def _visit(self, source: PeerId, target: PeerId, now: float) -> _OpenInvite | None:
        """Return the invite of ``target`` by which ``source`` may visit it."""
        for invite in self._invites.values():
            if invite.inviter == target and invite.visits.get(source, 0) > 0:
                return invite if self._is_open(invite, now) else None
        return None

    def _is_open(self, invite: _OpenInvite, now: float) -> bool:
        return invite.expires > now and self._authorized(invite.inviter)

    def expire(self, now: float) -> None:
        """Forget what is over."""
        over = [h for h, invite in self._invites.items() if not self._is_open(invite, now)]
        for ticket_hash in over:
            del self._invites[ticket_hash]

    # --- pairs ------------------------------------------------------------------------

    def is_pair(self, voucher: PeerId, guest: PeerId) -> bool:
        """Say whether an authorized ``voucher`` vouches for ``guest``."""
        return voucher in self._vouchers.get(guest, ()) and self._authorized(voucher)

    def guest_of(self, peer: PeerId) -> frozenset[PeerId]:
        """Return the authorized peers that vouch for ``peer``."""
        return frozenset(filter(self._authorized, self._vouchers.get(peer, ())))

    @property
    def orphans(self) -> frozenset[PeerId]:
        """Inviters in pairs whom the relay does not know any more."""
        vouchers = {pair.voucher for pair in self.pairs}
        return frozenset(peer for peer in vouchers if not self._authorized(peer))

    def partners(self, peer: PeerId) -> frozenset[PeerId]:
        """Return everybody with whom ``peer`` is a pair."""
        return frozenset(
            pair.guest if pair.voucher == peer else pair.voucher
            for pair in self.pairs
            if pair.names(peer)
        )

    def replace(self, pairs: Iterable[Pair]) -> frozenset[PeerId]:
        """Go by these pairs from now on; return the guests that have lost one."""
        before, self.pairs = self.pairs, frozenset(pairs)
        self._vouchers = {}
        for pair in self.pairs:
            self._vouchers.setdefault(pair.guest, set()).add(pair.voucher)
        return frozenset(
            pair.guest for pair in before - self.pairs if not self._authorized(pair.guest)
        )
