"""What a stranger, or the network between, may do to an upgrade."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import PeerupError
from peerup.tasks import Supervisor
from peerup.transport.memory import Pipe, pipe
from peerup.transport.upgrade import UPGRADE_TIMEOUT_S
from tests.conformance.transports import local_peer
from tests.transport.links import RawPeer, connect, inbound, outbound
from tests.transport.logs import quiet

if TYPE_CHECKING:
    from tests.sim.clock import RunVirtual


def now() -> float:
    return asyncio.get_running_loop().time()


async def recording() -> bytes:
    """What a dialler sends in a whole upgrade."""
    sent = bytearray()

    async def carry(source: Pipe, target: Pipe, note: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read():
                note += data
                await target.write(data)

    async with Supervisor() as tasks:
        near, near_end = pipe()
        far_end, far = pipe()
        tasks.spawn(carry, near_end, far_end, sent)
        tasks.spawn(carry, far_end, near_end, bytearray())
        await connect(near, far, tasks)
        return bytes(sent)


@given(
    good=st.integers(0, 600),
    data=st.lists(st.binary(max_size=200), max_size=4),
    hangs_up=st.booleans(),
)
def test_any_bytes_thrown_at_a_listener_end_as_an_error_of_the_peer(
    run: RunVirtual, good: int, data: list[bytes], *, hangs_up: bool
) -> None:
    """Garbage at once, or behind the beginning of what an honest dialler once sent."""

    async def main() -> None:
        async with Supervisor() as tasks:
            near, far = pipe()
            await far.write((await recording())[:good])
            for piece in data:
                await far.write(piece)
            if hangs_up:
                far.close_write()
            began = now()
            with quiet(), pytest.raises((PeerupError, OSError)):
                await inbound(near, tasks)
            assert now() - began <= UPGRADE_TIMEOUT_S + 1e-6

    run(main())


@given(data=st.binary(min_size=1, max_size=300))
def test_any_bytes_behind_the_upgrade_end_the_connection_quietly(
    run: RunVirtual, data: bytes
) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            near, far = pipe()
            accepted = asyncio.create_task(inbound(near, tasks))
            peer = await RawPeer.dial(far)
            conn = await accepted
            with quiet():
                await peer.channel.write(data)
                far.close_write()
                await conn.wait_closed()
            assert isinstance(conn.reason, PeerupError)

    run(main())


@given(position=st.integers(0, 500), bit=st.integers(0, 7), upwards=st.booleans())
def test_a_bit_that_is_flipped_on_the_way_makes_no_connection_to_anybody_else(
    run: RunVirtual, position: int, bit: int, *, upwards: bool
) -> None:
    async def main() -> None:
        async def carry(source: Pipe, target: Pipe, flip: int) -> None:
            with contextlib.suppress(OSError):
                at = 0
                while data := bytearray(await source.read()):
                    if at <= flip < at + len(data):
                        data[flip - at] ^= 1 << bit
                    at += len(data)
                    await target.write(data)
                target.close_write()

        async with Supervisor() as tasks:
            near, near_end = pipe()
            far_end, far = pipe()
            tasks.spawn(carry, near_end, far_end, position if upwards else -1)
            tasks.spawn(carry, far_end, near_end, -1 if upwards else position)
            with quiet():
                work = [
                    asyncio.create_task(outbound(near, tasks)),
                    asyncio.create_task(inbound(far, tasks)),
                ]
                for task, name in zip(work, ("home", "laptop"), strict=True):
                    with contextlib.suppress(PeerupError, OSError):
                        assert (await task).peer == local_peer(name, tasks).peer

    run(main())
