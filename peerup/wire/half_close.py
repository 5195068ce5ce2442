"""The two halves of a stream, as one table.

Each direction of a stream closes by itself. The table is data, so a test can walk every
state and move, and a reader sees at once that nothing leads out of CLOSED.

Spec: libp2p specs, yamux/README.md, "Closing a stream".
"""

from __future__ import annotations

import enum
from typing import Final


class Half(enum.Enum):
    """Which halves are finished."""

    OPEN = enum.auto()
    WE_FINISHED = enum.auto()
    PEER_FINISHED = enum.auto()
    CLOSED = enum.auto()


class Move(enum.Enum):
    """What happens to a stream."""

    SEND_FIN = enum.auto()
    RECV_FIN = enum.auto()
    RESET = enum.auto()


NEXT: Final[dict[tuple[Half, Move], Half]] = {
    (Half.OPEN, Move.SEND_FIN): Half.WE_FINISHED,
    (Half.OPEN, Move.RECV_FIN): Half.PEER_FINISHED,
    (Half.PEER_FINISHED, Move.SEND_FIN): Half.CLOSED,
    (Half.WE_FINISHED, Move.RECV_FIN): Half.CLOSED,
    **{(half, Move.RESET): Half.CLOSED for half in Half},
}

PEER_DONE: Final = frozenset({Half.PEER_FINISHED, Half.CLOSED})
WE_DONE: Final = frozenset({Half.WE_FINISHED, Half.CLOSED})
