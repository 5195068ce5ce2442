"""peerup: reach your own machines from anywhere, over a libp2p-compatible stack.

Public names are loaded when first used, so importing peerup costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # what type checkers and editors see; it says the same as _HOME
    from peerup.errors import PeerupError as PeerupError
    from peerup.host.handlers import Registration as Registration
    from peerup.host.host import Host as Host
    from peerup.transport.base import Stream as Stream
    from peerup.transport.memory import MemoryNetwork as MemoryNetwork
    from peerup.transport.tcp import Tcp as Tcp
    from peerup.wire.keys import PrivateKey as PrivateKey
    from peerup.wire.multiaddr import Multiaddr as Multiaddr
    from peerup.wire.peer_id import PeerId as PeerId

__version__: Final = "0.1.0"

_HOME: Final = {
    "Host": "peerup.host.host",
    "Registration": "peerup.host.handlers",
    "Tcp": "peerup.transport.tcp",
    "MemoryNetwork": "peerup.transport.memory",
    "Stream": "peerup.transport.base",
    "Multiaddr": "peerup.wire.multiaddr",
    "PeerId": "peerup.wire.peer_id",
    "PrivateKey": "peerup.wire.keys",
    "PeerupError": "peerup.errors",
}

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604  the names are strings


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'peerup' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
