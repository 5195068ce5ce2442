"""multistream-select on a fresh stream."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from peerup.errors import (
    NotAuthorizedError,
    PeerupError,
    ResourceLimitError,
    StreamResetError,
)
from peerup.transport import negotiation
from peerup.wire.error_codes import StreamCode
from peerup.wire.multistream import Proposer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from peerup.transport.muxed import MuxedStream

NEGOTIATION_TIMEOUT_S: Final = 10.0  # as go and js


async def propose(stream: MuxedStream, protocols: Sequence[str]) -> None:
    """Agree on one of ``protocols``; ``stream.protocol`` says which.

    Raises:
        NegotiationError: the peer speaks none of them.
        NotAuthorizedError: the peer does not let us have what we asked for.
        ResourceLimitError: the peer says that we hold too many streams.
        PeerupError, OSError, TimeoutError: the stream broke. It has been reset.
    """
    try:
        async with asyncio.timeout(NEGOTIATION_TIMEOUT_S):
            stream.protocol, _ = await negotiation.propose(stream, protocols)
    except StreamResetError as why:
        raise explain_reset(why, protocols[0]) from why
    except BaseException:
        stream.reset(StreamCode.PROTOCOL_NEGOTIATION_FAILED)
        raise


async def propose_lazily(stream: MuxedStream, protocol: str) -> None:
    """Propose ``protocol`` and go on at once; the answer is looked at before the first read.

    Saves a round trip where the peer is known to speak ``protocol``. What ``propose`` raises
    is raised by that read instead.
    """
    machine = Proposer([protocol])
    stream.protocol = protocol

    async def check() -> None:
        try:
            async with asyncio.timeout(NEGOTIATION_TIMEOUT_S):
                await negotiation.finish(stream, machine)
        except StreamResetError as why:
            raise explain_reset(why, protocol) from why
        except (PeerupError, OSError):
            stream.reset(StreamCode.PROTOCOL_NEGOTIATION_FAILED)
            raise

    stream.before_reading(check)
    await stream.write(machine.data_to_send())


async def respond(
    stream: MuxedStream, supports: Callable[[str], bool], listed: Callable[[], Sequence[str]]
) -> str:
    """Answer what the peer proposes and return what was agreed; resets the stream if nothing.

    ``supports`` may raise ``NotAuthorizedError``: the peer then sees a reset that says so.
    """
    try:
        async with asyncio.timeout(NEGOTIATION_TIMEOUT_S):
            stream.protocol, _ = await negotiation.respond(stream, supports, listed)
    except NotAuthorizedError:
        stream.reset(StreamCode.GATED)
        raise
    except BaseException:
        stream.reset(StreamCode.PROTOCOL_NEGOTIATION_FAILED)
        raise
    return stream.protocol


def explain_reset(
    why: StreamResetError, protocol: str
) -> NotAuthorizedError | ResourceLimitError | StreamResetError:
    """Return the error that the code of a reset stands for."""
    if why.by_peer and why.code == StreamCode.GATED:
        return NotAuthorizedError(
            f"the peer does not let us use {protocol}",
            hint="Ask the other side to allow it: `peerup auth add`, or a service's allowed_peers.",
        )
    if why.by_peer and why.code == StreamCode.RESOURCE_LIMIT_EXCEEDED:
        return ResourceLimitError(f"the peer has no room for another {protocol} stream")
    return why
