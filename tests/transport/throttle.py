"""A slow network between two pipes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from peerup.transport.memory import pipe

if TYPE_CHECKING:
    from peerup.tasks import Supervisor
    from peerup.transport.memory import Pipe

PACKET = 1_400


def slow_pipe(tasks: Supervisor, bytes_per_second: float) -> tuple[Pipe, Pipe]:
    """Return two ends that are joined by a link of this speed, each way."""
    near, near_end = pipe()
    far_end, far = pipe()
    tasks.spawn(_carry, near_end, far_end, bytes_per_second)
    tasks.spawn(_carry, far_end, near_end, bytes_per_second)
    return near, far


async def _carry(source: Pipe, target: Pipe, bytes_per_second: float) -> None:
    try:
        while packet := await source.read(PACKET):
            await asyncio.sleep(len(packet) / bytes_per_second)
            await target.write(packet)
        target.close_write()
    except OSError:
        target.reset()
