"""Cells with go: a peer that was killed and is back, which QUIC has no way to notice but one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import pytest

from interop.cells import Lab, Role, Transport, over, quic_socket, roles
from interop.foreign import ECHO
from interop.process import CommandError, ProcessDiedError
from peerup.errors import ConnectionClosedError

if TYPE_CHECKING:
    from interop.conftest import Run

SEED: Final = "17" * 32  # who is killed has the same identity afterwards
SOON_S: Final = 5.0  # without a stateless reset it would be 30


@over(Transport.QUIC)
@roles(Role.WE_DIAL)
def test_a_go_peer_that_is_killed_and_back_is_noticed_at_once(
    lab: Lab, run: Run, role: Role
) -> None:
    async def scenario() -> None:
        async with lab.ours() as ours, contextlib.AsyncExitStack() as stack:
            go = await stack.enter_async_context(lab.go(seed=SEED))
            await ours.connect(go.addr)
            stream = await ours.open_stream(go.peer, ECHO)
            await stream.write(b"hello")
            assert await stream.read_exactly(5) == b"hello"
            await go.kill()
            with pytest.raises(ProcessDiedError):
                await stack.aclose()
            async with lab.go(seed=SEED, listen=[go.addr.partition("/p2p/")[0]]) as again:
                await stream.write(b"anybody there?")
                async with asyncio.timeout(SOON_S):
                    with pytest.raises(ConnectionClosedError, match="does not know it any more"):
                        await stream.read()
                await ours.connect(again.addr)
                assert (await ours.echo(again.peer, 1024)).bytes == 1024

    run(scenario())


@over(Transport.QUIC)
@roles(Role.THEY_DIAL)
def test_go_notices_at_once_that_we_were_killed_and_are_back(
    lab: Lab, run: Run, role: Role
) -> None:
    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            go = await stack.enter_async_context(lab.go())
            ours = await stack.enter_async_context(lab.ours(seed=SEED))
            await go.connect(ours.addr)
            assert (await go.echo(ours.peer, 1024)).bytes == 1024
            quic_socket(ours).close()  # as the system does for a process that is killed
            again = await stack.enter_async_context(
                lab.ours(seed=SEED, listen=[ours.addr.partition("/p2p/")[0]])
            )
            with pytest.raises(CommandError):
                await go.echo(ours.peer, 1024, within=SOON_S)
            await go.event("connectedness", peer=ours.peer, state="NotConnected", within=SOON_S)
            assert quic_socket(again).counters.resets_sent > 0
            await go.connect(again.addr)
            assert (await go.echo(again.peer, 1024)).bytes == 1024

    run(scenario())
