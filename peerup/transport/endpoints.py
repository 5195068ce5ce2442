"""Where the ends of a connection are, and which part each of them plays."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peerup.wire.multiaddr import Multiaddr


class Role(enum.Enum):
    """Who plays the client in the handshakes; hole punching fixes it, dialling implies it."""

    CLIENT = enum.auto()
    SERVER = enum.auto()


@dataclass(frozen=True, slots=True)
class CircuitLimits:
    """What a relay allows one circuit: seconds, and bytes each way; None is no limit."""

    seconds: float | None = None
    data: int | None = None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the two ends of a byte stream are, and how it came about.

    Addresses carry no peer id of their own; ``limits`` are those of a relay under it.
    """

    remote: Multiaddr
    local: Multiaddr | None = None
    inbound: bool = False
    limits: CircuitLimits | None = None
