"""What the cells share: who plays which part, and two peers that have met."""

from __future__ import annotations

import enum
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from interop import go_peer, our
from interop.go_peer import GoPeer
from interop.our import OurPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from peerup.host.gater import Verdict
    from peerup.wire.peer_id import PeerId

MIB: Final = 1 << 20


class Role(enum.Enum):
    """Which part each side plays; the value stands in the scorecard."""

    WE_DIAL = "we dial"
    GO_DIALS = "go dials"
    WE_OPEN = "we open"  # the stream that is looked at
    GO_OPENS = "go opens"
    OUR_RELAY = "our relay"
    GO_RELAY = "go relay"


def roles(*which: Role) -> pytest.MarkDecorator:
    """Run the test once for each role; it takes one as ``role``."""
    return pytest.mark.parametrize("role", which, ids=[role.value for role in which])


both_dial: Final = roles(Role.WE_DIAL, Role.GO_DIALS)
both_open: Final = roles(Role.WE_OPEN, Role.GO_OPENS)
both_relay: Final = roles(Role.OUR_RELAY, Role.GO_RELAY)


async def meet(role: Role, ours: OurPeer, go: GoPeer) -> None:
    """Connect the two, from the side that ``role`` says."""
    if role is Role.GO_DIALS:
        await go.connect(ours.addr)
    else:
        await ours.connect(go.addr)


@asynccontextmanager
async def pair(
    binary: Path,
    role: Role = Role.WE_DIAL,
    *,
    ours: our.Options | None = None,
    go: go_peer.Options | None = None,
) -> AsyncIterator[tuple[OurPeer, GoPeer]]:
    """Run one peer of each kind, connected."""
    async with (
        OurPeer.start(**(ours or {})) as our_side,
        GoPeer.start(binary, **(go or {})) as go_side,
    ):
        await meet(role, our_side, go_side)
        yield our_side, go_side


class Says:
    """A gater with one answer for everybody; a test may change it."""

    def __init__(self, answer: Verdict) -> None:
        self.answer = answer

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        return self.answer
