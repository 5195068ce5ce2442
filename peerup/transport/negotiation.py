"""Runs multistream-select over anything that reads and writes bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from peerup.errors import RemoteProtocolError
from peerup.wire.multistream import Proposer, Responder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Channel(Protocol):
    """What negotiation needs; a ``ByteStream`` and a Noise channel both have it."""

    async def read(self, max_bytes: int = ...) -> bytes: ...
    async def write(self, data: bytes) -> None: ...


async def propose(channel: Channel, protocols: Sequence[str]) -> tuple[str, bytes]:
    """Agree on the first of ``protocols`` that the other side speaks.

    Returns:
        The protocol, and bytes that came with the answer and belong to it. A channel that
        honours ``max_bytes`` exactly never leaves any.

    Raises:
        NegotiationError: the other side speaks none of them.
        RemoteProtocolError: it does not speak multistream-select, or hung up.
    """
    return await finish(channel, Proposer(protocols))


async def finish(channel: Channel, machine: Proposer) -> tuple[str, bytes]:
    """Do what is left of a ``propose``; after a cancellation it may be called again."""
    while machine.agreed is None:
        await _step(channel, machine)
    return machine.agreed, machine.leftover


async def respond(
    channel: Channel,
    supports: Callable[[str], bool],
    listed: Callable[[], Sequence[str]] = lambda: (),
) -> tuple[str, bytes]:
    """Answer proposals until one is taken; returns as ``propose`` does."""
    machine = Responder(supports, listed)
    while machine.agreed is None:
        await _step(channel, machine)
    if out := machine.data_to_send():
        await channel.write(out)
    return machine.agreed, machine.leftover


async def _step(channel: Channel, machine: Proposer | Responder) -> None:
    if out := machine.data_to_send():
        await channel.write(out)
    data = await channel.read(machine.wanted)
    if not data:
        raise RemoteProtocolError("multistream: the other side hung up while negotiating")
    machine.receive(data)
