"""peerup: reach your own machines from anywhere, over a libp2p-compatible stack.

Public names are loaded when first used, so importing peerup costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Final

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
