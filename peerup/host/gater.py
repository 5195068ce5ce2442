"""Who may do what: yes, no, or only these protocols.

The host asks once per inbound connection and again for every inbound stream, whichever side
opened the connection, so a change of mind is effective at once.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from peerup.wire.peer_id import PeerId


class Answer(enum.Enum):
    """The two plain verdicts."""

    YES = enum.auto()
    NO = enum.auto()


@dataclass(frozen=True, slots=True)
class Only:
    """The connection may exist, but the peer may open streams of these protocols alone."""

    protocols: AbstractSet[str]


Verdict = Answer | Only


class Gater(Protocol):
    """Decides about peers. Called often: it must be quick and never wait."""

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        """Say what ``peer`` may do on a connection that it asked for, or that we did."""
        ...


class OpenGater:
    """Lets everybody do everything."""

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        return Answer.YES


def permits(verdict: Verdict, protocol: str) -> bool:
    """Say whether ``verdict`` lets the peer open a stream of ``protocol``."""
    return protocol in verdict.protocols if isinstance(verdict, Only) else verdict is Answer.YES
