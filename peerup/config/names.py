"""What a user means by a name: a peer of ``names:`` in the configuration, or a peer id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.config.text import did_you_mean
from peerup.errors import UsageError
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from peerup.config.schema import Config


def find_peer(config: Config, target: str) -> PeerId:
    """Return the peer that is called ``target``, which may also be a peer id itself.

    Names are exact, and come before ids. Nothing but ``config`` is looked at.

    Raises:
        UsageError: It is neither.
    """
    known = config.names.get(target)
    if known is not None:
        return known
    try:
        return PeerId.parse(target)
    except ValueError:
        pass
    names = ", ".join(sorted(config.names)) or "none yet"
    raise UsageError(
        f"name not found: {target}{did_you_mean(target, config.names)}",
        hint=f"Names in {config.path}: {names}. `peerup auth add ID --name NAME` adds one.",
    )
