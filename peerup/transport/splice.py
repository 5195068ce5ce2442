"""Join two byte streams: what one says, the other hears, each way by itself.

The end of one side becomes ``close_write`` on the other. A reset or a broken connection
becomes a reset, never a clean end, so that nobody takes half a file for a whole one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peerup.errors import ResourceLimitError, StreamResetError
from peerup.wire.error_codes import StreamCode
from peerup.wire.yamux import MAX_PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerup.transport.base import ByteStream

PIECE: Final = 4 * MAX_PAYLOAD  # bytes moved at once: frames that are full
MAX_CODE: Final = 2**32 - 1  # QUIC has room for more than yamux
STALL_S: Final = 300.0  # for which one that has finished its own half may read nothing


@dataclass(slots=True)
class Moved:
    """Bytes that passed, from the first stream to the second and back."""

    forth: int = 0
    back: int = 0


async def splice(
    one: ByteStream,
    two: ByteStream,
    *,
    spend: Callable[[int, bool], int] | None = None,
) -> Moved:
    """Copy both ways until both directions ended; both streams are closed or reset then.

    Args:
        one: Any byte stream.
        two: Any other.
        spend: Asked before bytes pass, with their number and whether they go from ``one`` to
            ``two``; returns how many may. Fewer than asked ends that direction there.

    Raises:
        OSError, PeerupError: one side broke; the other has been reset with the same code.
    """
    moved = Moved()

    ended: set[ByteStream] = set()  # streams that have said all they had to say

    async def copy(source: ByteStream, target: ByteStream, forth: bool) -> None:
        while data := await source.read(PIECE):
            allowed = len(data) if spend is None else spend(len(data), forth)
            if allowed:
                # A peer that closed its stream for good may look like one that only finished its
                # half, and then reads nothing any more without ever saying so (go over yamux).
                async with asyncio.timeout(STALL_S if target in ended else None):
                    await target.write(data[:allowed])
                if forth:
                    moved.forth += allowed
                else:
                    moved.back += allowed
            if allowed < len(data):
                raise ResourceLimitError("the limit of this circuit is used up")
        ended.add(source)
        target.close_write()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(copy(one, two, forth=True))
            group.create_task(copy(two, one, forth=False))
    except BaseExceptionGroup as failed:
        why = _first(failed)
        code = _code_of(why)
        one.reset(code)
        two.reset(code)
        raise why from None
    except asyncio.CancelledError:
        one.reset()
        two.reset()
        raise
    one.close()
    two.close()
    return moved


def _code_of(why: Exception) -> int:
    if isinstance(why, ResourceLimitError):
        return StreamCode.RESOURCE_LIMIT_EXCEEDED
    if isinstance(why, StreamResetError) and why.code <= MAX_CODE:
        return why.code
    return StreamCode.NONE


def _first(group: BaseExceptionGroup[BaseException]) -> Exception:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, Exception)
    return found
