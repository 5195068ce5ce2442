"""Cells with js: connections through a relay, which is ours or theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interop.cells import MIB, NO_LIMITS, JsLab, Role, both_relay, dialled_by
from interop.foreign import circuit_addr
from interop.our import AGENT

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from interop.conftest import Run
    from interop.js_peer import JsPeer
    from interop.our import OurPeer


def relay_of(lab: JsLab, role: Role) -> AbstractAsyncContextManager[OurPeer | JsPeer]:
    """Run the relay that ``role`` asks for."""
    if role is Role.OUR_RELAY:
        return lab.ours(relay=NO_LIMITS.of_ours())
    return lab.js(relay=True)


@both_relay
@dialled_by
def test_a_circuit(js_lab: JsLab, run: Run, role: Role, dialler: Role) -> None:
    async def scenario() -> None:
        async with (
            relay_of(js_lab, role) as relay,
            js_lab.ours(listen=()) as ours,
            js_lab.js(listen=[]) as js,
        ):
            if dialler is Role.WE_DIAL:
                assert circuit_addr(relay.addr, js.peer).startswith(
                    (await js.reserve(relay.addr))[0]
                )
                await ours.connect(circuit_addr(relay.addr, js.peer))
            else:
                reservation = await ours.reserve(relay.addr)
                assert f"{relay.addr}/p2p-circuit" in map(str, reservation.addrs)
                await js.connect(circuit_addr(relay.addr, ours.peer))
                await ours.greeted(js.peer)
            conn = ours.conn(js.peer)
            assert (conn.relayed, conn.limited) == (True, False)
            assert (await js.identify(ours.peer)).agent == AGENT
            assert await ours.ping(js.peer) < 1
            assert len(await js.ping(ours.peer)) == 1
            assert (await ours.echo(js.peer, MIB)).bytes == MIB
            assert (await js.sink(ours.peer, MIB)).bytes == MIB
            assert (await js.echo_many(ours.peer, 20, parallel=20)).failures == ()
            assert (await ours.echo_many(js.peer, 20, parallel=20)).failures == ()

    run(scenario())
