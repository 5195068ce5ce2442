"""peerup: reach your own machines from anywhere, over a libp2p-compatible stack.

Public names are loaded when first used, so importing peerup costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # what type checkers and editors see; it says the same as _HOME
    from peerup.errors import DialError as DialError
    from peerup.errors import NegotiationError as NegotiationError
    from peerup.errors import NotAuthorizedError as NotAuthorizedError
    from peerup.errors import PeerupError as PeerupError
    from peerup.errors import RemoteProtocolError as RemoteProtocolError
    from peerup.errors import ResourceLimitError as ResourceLimitError
    from peerup.errors import StreamResetError as StreamResetError
    from peerup.host.gater import Answer as Answer
    from peerup.host.gater import Gater as Gater
    from peerup.host.gater import Only as Only
    from peerup.host.handlers import Registration as Registration
    from peerup.host.host import Host as Host
    from peerup.protocols.identify import Identify as Identify
    from peerup.relay.autorelay import AutoRelay as AutoRelay
    from peerup.relay.client import Circuits as Circuits
    from peerup.relay.quota import RelayLimits as RelayLimits
    from peerup.relay.server import HopService as HopService
    from peerup.relay.transport import CircuitTransport as CircuitTransport
    from peerup.transport.base import Stream as Stream
    from peerup.transport.limits import Limits as Limits
    from peerup.transport.memory import MemoryNetwork as MemoryNetwork
    from peerup.transport.quic import Quic as Quic
    from peerup.transport.tcp import Tcp as Tcp
    from peerup.wire.keys import PrivateKey as PrivateKey
    from peerup.wire.multiaddr import Multiaddr as Multiaddr
    from peerup.wire.peer_id import PeerId as PeerId

__version__: Final = "0.1.0"

_HOME: Final = {
    "Host": "peerup.host.host",
    "Registration": "peerup.host.handlers",
    "Limits": "peerup.transport.limits",
    "Gater": "peerup.host.gater",
    "Answer": "peerup.host.gater",
    "Only": "peerup.host.gater",
    "Tcp": "peerup.transport.tcp",
    "Quic": "peerup.transport.quic",
    "MemoryNetwork": "peerup.transport.memory",
    "Stream": "peerup.transport.base",
    "Identify": "peerup.protocols.identify",
    "AutoRelay": "peerup.relay.autorelay",
    "Circuits": "peerup.relay.client",
    "CircuitTransport": "peerup.relay.transport",
    "HopService": "peerup.relay.server",
    "RelayLimits": "peerup.relay.quota",
    "Multiaddr": "peerup.wire.multiaddr",
    "PeerId": "peerup.wire.peer_id",
    "PrivateKey": "peerup.wire.keys",
    "PeerupError": "peerup.errors",
    "DialError": "peerup.errors",
    "NotAuthorizedError": "peerup.errors",
    "NegotiationError": "peerup.errors",
    "StreamResetError": "peerup.errors",
    "ResourceLimitError": "peerup.errors",
    "RemoteProtocolError": "peerup.errors",
}

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604  the names are strings


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'peerup' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
