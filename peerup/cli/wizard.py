"""The questions of ``peerup init``: asked on stderr, and again until the answer makes sense."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerup.cli import output, relay_address
from peerup.errors import UsageError
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from peerup.wire.multiaddr import Multiaddr

FLAGS: Final = "Give it as a flag: peerup init --relay ADDR"
MAX_RELAYS: Final = 16
MAX_QUESTIONS: Final = 100  # a stdin that never answers sensibly has to end somewhere


def ask_for_relays(peer: PeerId | None = None) -> tuple[Multiaddr, ...]:
    """Return one relay or more; ``peer`` is whose the short forms are, if that is known.

    Raises:
        UsageError: stdin ended before there was one.
        KeyboardInterrupt: Ctrl-C, or Ctrl-D at a terminal.
    """
    output.progress("")
    output.progress("`peerup relay info` on your relay prints its addresses and its peer id.")
    found: dict[Multiaddr, None] = {}
    for _ in range(MAX_QUESTIONS):
        more = " of another relay (Enter: no more)" if found else " of a relay (multiaddr, IP:PORT)"
        answer = output.ask(f"Address{more}: ")
        if found and not answer:
            break
        if answer is None:
            raise UsageError("relay address is required", hint=FLAGS)
        if relay := _understood(answer, peer):
            found[relay] = None
            output.progress(f"Relay: {relay}")
        if len(found) == MAX_RELAYS:
            break
    if not found:
        raise UsageError("relay address is required", hint=FLAGS)
    return tuple(found)


def _understood(answer: str, peer: PeerId | None) -> Multiaddr | None:
    """Return the relay that an answer names, None after having said why it names none."""
    if not answer:
        output.progress("A relay address is required: without one nobody can reach this machine.")
        return None
    try:
        if relay_address.is_short(answer):
            relay_address.short_form(answer)  # before asking for more
            return relay_address.parse(answer, peer or _ask_for_peer_id())
        return relay_address.parse(answer)
    except ValueError as error:
        output.progress(f"Invalid relay address: {error}")
        return None


def _ask_for_peer_id() -> PeerId:
    for _ in range(MAX_QUESTIONS):
        answer = output.ask("Peer ID of the relay: ")
        if answer is None:
            break
        if not answer:
            output.progress("The relay's peer ID is required: it proves who answers there.")
            continue
        try:
            return PeerId.parse(answer)
        except ValueError as error:
            output.progress(f"Invalid Peer ID: {error}")
    raise UsageError("relay Peer ID is required", hint=f"{FLAGS} --peer-id ID")
