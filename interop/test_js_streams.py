"""Cells with js: what streams carry, and how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interop.cells import MIB, JsLab, Role, Transport, both_dial, both_open, joined, roles
from interop.foreign import ECHO, RESET
from interop.process import CommandError
from peerup.errors import NegotiationError, StreamResetError

if TYPE_CHECKING:
    from interop.conftest import Run


@both_dial
def test_echo_of_4_mib(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.pair(role) as (ours, js):
            for size in (0, 1, 4 * MIB):
                assert (await ours.echo(js.peer, size)).bytes == size
                assert (await js.echo(ours.peer, size)).bytes == size

    run(scenario())


@both_dial
def test_digest_after_the_end_of_4_mib(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.pair(role) as (ours, js):
            for size in (0, 4 * MIB):
                assert (await ours.sink(js.peer, size)).bytes == size
                assert (await js.sink(ours.peer, size)).bytes == size

    run(scenario())


@both_dial
def test_4_mib_from_a_source(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.pair(role) as (ours, js):
            assert (await ours.source(js.peer, 4 * MIB)).bytes == 4 * MIB
            assert (await js.source(ours.peer, 4 * MIB)).bytes == 4 * MIB

    run(scenario())


@both_open
def test_50_streams_at_once(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.pair(Role.WE_DIAL) as (ours, js):
            if role is Role.WE_OPEN:
                result = await ours.echo_many(js.peer, 100, size=10_000, parallel=50)
            else:
                result = await js.echo_many(ours.peer, 100, size=10_000, parallel=50)
            assert (result.done, result.failures) == (100, ())

    run(scenario())


@both_open
def test_either_half_ends_first(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.pair(Role.WE_DIAL) as (ours, js):
            near, far = await joined(role, ours, js)
            await near.close_write()
            assert await far.read() == b""
            await far.write(b"answer")
            await far.close_write()
            assert await near.read_exactly(6) == b"answer"
            assert await near.read() == b""
            near, far = await joined(role, ours, js)
            await far.close_write()
            assert await near.read() == b""
            await near.write(b"answer")
            await near.close_write()
            assert await far.read_exactly(6) == b"answer"
            assert await far.read() == b""

    run(scenario())


@both_open
def test_js_resets_and_we_know(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.pair(Role.WE_DIAL) as (ours, js):
            near, far = await joined(role, ours, js)
            await far.reset()
            with pytest.raises(StreamResetError) as caught:
                await near.read()
            assert caught.value.by_peer
            with pytest.raises(StreamResetError):
                await near.write(b"x")
            assert (await js.echo(ours.peer, 1000)).bytes == 1000

    run(scenario())


@both_open
def test_we_reset_and_js_knows(js_lab: JsLab, run: Run, role: Role, transport: Transport) -> None:
    async def scenario() -> None:
        async with js_lab.pair(Role.WE_DIAL) as (ours, js):
            near, far = await joined(role, ours, js)
            await near.reset(7)
            if transport is Transport.QUIC:
                assert await far.read() == b""  # js takes it for the end
            else:
                with pytest.raises(CommandError) as caught:
                    await far.read()
                assert caught.value.reset
            assert (await ours.echo(js.peer, 1000)).bytes == 1000

    run(scenario())


@both_open
def test_a_reset_that_the_other_side_asked_for(
    js_lab: JsLab, run: Run, role: Role, transport: Transport
) -> None:
    async def scenario() -> None:
        async with js_lab.pair(Role.WE_DIAL) as (ours, js):
            request = (7).to_bytes(4, "big")
            if role is Role.WE_OPEN:
                near = await ours.open_stream(js.peer, RESET)
                await near.write(request)
                with pytest.raises(StreamResetError):
                    await near.read()
                return
            far = await js.open_stream(ours.peer, RESET)
            await far.write(request)
            if transport is Transport.QUIC:
                assert await far.read() == b""
            else:
                with pytest.raises(CommandError) as caught:
                    await far.read()
                assert caught.value.reset

    run(scenario())


@roles(Role.WE_OPEN)
def test_na_to_us(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.pair(Role.WE_DIAL) as (ours, js):
            with pytest.raises(NegotiationError):
                await ours.open_stream(js.peer, "/nobody/1.0.0", "/nothing/1.0.0")
            stream = await ours.open_stream(js.peer, "/nobody/1.0.0", ECHO)
            assert stream.protocol == ECHO
            await stream.write(b"still here")
            await stream.close_write()
            assert (await stream.digest()).bytes == 10

    run(scenario())


@roles(Role.THEY_OPEN)
def test_na_to_js(js_lab: JsLab, run: Run, role: Role) -> None:
    async def scenario() -> None:
        async with js_lab.pair(Role.WE_DIAL) as (ours, js):
            with pytest.raises(CommandError, match="UnsupportedProtocolError"):
                await js.open_stream(ours.peer, "/nobody/1.0.0", "/nothing/1.0.0")
            stream = await js.open_stream(ours.peer, "/nobody/1.0.0", ECHO)
            assert stream.protocol == ECHO
            await stream.write(b"still here")
            await stream.close_write()
            assert (await stream.digest()).bytes == 10

    run(scenario())
