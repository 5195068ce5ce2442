"""Numbers that say why a stream or a connection ended.

The same codes travel in yamux RST and GO_AWAY frames, in QUIC RESET_STREAM and in QUIC's
application close. Spec: libp2p specs, error-codes/README.md.
"""

from __future__ import annotations

import enum


class StreamCode(enum.IntEnum):
    """Why one stream was reset."""

    NONE = 0
    PROTOCOL_NEGOTIATION_FAILED = 0x1001
    RESOURCE_LIMIT_EXCEEDED = 0x1002
    RATE_LIMITED = 0x1003
    PROTOCOL_VIOLATION = 0x1004
    SUPPLANTED = 0x1005
    GARBAGE_COLLECTED = 0x1006
    SHUTDOWN = 0x1007
    GATED = 0x1008
    CODE_OUT_OF_RANGE = 0x1009


class ConnectionCode(enum.IntEnum):
    """Why a whole connection was closed."""

    NONE = 0
    PROTOCOL_NEGOTIATION_FAILED = 0x1000
    RESOURCE_LIMIT_EXCEEDED = 0x1001
    RATE_LIMITED = 0x1002
    PROTOCOL_VIOLATION = 0x1003
    SUPPLANTED = 0x1004
    GARBAGE_COLLECTED = 0x1005
    SHUTDOWN = 0x1006
    GATED = 0x1007
