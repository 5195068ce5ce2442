from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import pytest

from peerup.errors import (
    ConnectionClosedError,
    NegotiationError,
    NotAuthorizedError,
    PeerupError,
    RemoteProtocolError,
    WrongPeerError,
)
from peerup.tasks import Supervisor
from peerup.transport import negotiation, secure
from peerup.transport.endpoints import CircuitLimits, Endpoints, Role
from peerup.transport.memory import Pipe, pipe
from peerup.transport.upgrade import REFUSAL_TIMEOUT_S, UPGRADE_TIMEOUT_S, upgrade
from peerup.wire import noise, yamux
from peerup.wire.error_codes import ConnectionCode
from peerup.wire.events import SessionTerminated
from peerup.wire.multistream import HEADER, frame
from tests.conformance.byte_streams import read_all, send
from tests.conformance.transports import key_of, local_peer
from tests.transport.links import ELSEWHERE, RawPeer, inbound, outbound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId
    from tests.sim.clock import RunVirtual

OPENING: Final = frame(HEADER)
Side = "Callable[[Pipe, Supervisor], Awaitable[MuxedConnection]]"
SIDES: Final = pytest.mark.parametrize("side", [inbound, outbound])


def now() -> float:
    return asyncio.get_running_loop().time()


def nobody(peer: PeerId, addr: Multiaddr) -> bool:
    return False


# --- what comes out of it -----------------------------------------------------------------


def test_the_connection_knows_its_ends(run: RunVirtual) -> None:
    async def main() -> None:
        near, far = pipe()
        ends = Endpoints(ELSEWHERE, ELSEWHERE, limits=CircuitLimits(seconds=120, data=2**17))
        async with Supervisor() as tasks, asyncio.TaskGroup() as group:
            group.create_task(inbound(far, tasks))
            local = local_peer("laptop", tasks)
            conn = await upgrade(near, local, ends, role=Role.CLIENT)
            assert conn.info.ends is ends
            assert conn.limited
            assert conn.peer == local_peer("home", tasks).peer
            assert conn.info.early_muxer

    run(main())


def test_the_dialler_may_be_the_server_of_the_handshakes(run: RunVirtual) -> None:
    """As after a hole was punched, where both sides dialled."""

    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks:
            home, laptop = local_peer("home", tasks), local_peer("laptop", tasks)
            ends = Endpoints(ELSEWHERE)
            async with asyncio.TaskGroup() as group:
                one = group.create_task(
                    upgrade(near, laptop, ends, role=Role.SERVER, expected=home.peer)
                )
                two = group.create_task(
                    upgrade(far, home, ends, role=Role.CLIENT, expected=laptop.peer)
                )
            stream = await one.result().open_stream()
            await send(stream, b"hello")
            assert await read_all(await two.result().accept_stream()) == b"hello"

    run(main())


@pytest.mark.parametrize("early", [True, False])
def test_a_muxer_is_agreed_on_with_and_without_early_negotiation(
    run: RunVirtual, *, early: bool
) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks, asyncio.TaskGroup() as group:
            accepted = group.create_task(inbound(near, tasks))
            peer = await RawPeer.dial(far, early=early)
            conn = await accepted
            assert conn.info.early_muxer is early
            stream = peer.session.open_stream()
            peer.session.send(stream, b"hello")
            await peer.flush()
            assert await (await conn.accept_stream()).read() == b"hello"

    run(main())


def test_a_dialler_may_send_frames_along_with_its_choice_of_muxer(run: RunVirtual) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks, asyncio.TaskGroup() as group:
            accepted = group.create_task(inbound(near, tasks))
            await negotiation.propose(far, [noise.PROTOCOL])
            channel = await secure.handshake(
                far, key_of("laptop"), initiator=True, expected=None, muxers=[]
            )
            session = yamux.Session(is_client=True, now=0.0)
            session.send(session.open_stream(), b"hello")
            await channel.write(OPENING + frame(yamux.PROTOCOL) + session.data_to_send())
            stream = await (await accepted).accept_stream()
            assert await stream.read() == b"hello"

    run(main())


# --- time ---------------------------------------------------------------------------------


@SIDES
def test_a_silent_peer_has_10_s(
    run: RunVirtual, side: Callable[[Pipe, Supervisor], Awaitable[MuxedConnection]]
) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks:
            began = now()
            with pytest.raises(TimeoutError):
                await side(near, tasks)
            assert now() - began == pytest.approx(UPGRADE_TIMEOUT_S)
            with pytest.raises(ConnectionResetError):
                await read_all(far)

    run(main())


async def trickle(source: Pipe, target: Pipe, pause: float) -> None:
    """Carry bytes one by one, with a pause before each."""
    with contextlib.suppress(OSError):
        while byte := await source.read(1):
            await asyncio.sleep(pause)
            await target.write(byte)


@SIDES
@pytest.mark.parametrize("pause", [5.0, 0.1])
def test_a_byte_now_and_then_buys_no_time(
    run: RunVirtual,
    side: Callable[[Pipe, Supervisor], Awaitable[MuxedConnection]],
    pause: float,
) -> None:
    """What is sent is all correct, but one byte every 5 s: the deadline is one for all of it."""

    async def main() -> None:
        other = outbound if side is inbound else inbound
        near, near_end = pipe()
        far_end, far = pipe()
        async with Supervisor() as tasks:
            tasks.spawn(trickle, far_end, near_end, pause)
            tasks.spawn(trickle, near_end, far_end, 0.0)
            tasks.spawn(other, far, tasks)
            began = now()
            with pytest.raises(TimeoutError):
                await side(near, tasks)
            assert now() - began == pytest.approx(UPGRADE_TIMEOUT_S)

    run(main())


def test_a_peer_that_reads_nothing_has_10_s_too(run: RunVirtual) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks:
            await near.write(bytes(256 * 1024))  # the pipe is full
            await far.write(OPENING + frame(noise.PROTOCOL))
            began = now()
            with pytest.raises(TimeoutError):
                await inbound(near, tasks)
            assert now() - began == pytest.approx(UPGRADE_TIMEOUT_S)

    run(main())


def test_cancelling_it_resets_what_is_below(run: RunVirtual) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks:
            work = asyncio.create_task(outbound(near, tasks))
            await asyncio.sleep(1)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            with pytest.raises(ConnectionResetError):
                await read_all(far)

    run(main())


def test_a_host_that_is_closing_makes_no_connection(run: RunVirtual) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as others:
            async with Supervisor() as tasks:
                pass
            accepted = asyncio.create_task(inbound(far, others))
            with pytest.raises(ConnectionClosedError):
                await outbound(near, tasks)
            with contextlib.suppress(PeerupError, OSError):
                await (await accepted).wait_closed()

    run(main())


# --- who it is ----------------------------------------------------------------------------


def test_the_wrong_peer_is_refused(run: RunVirtual) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks:
            accepted = asyncio.create_task(inbound(far, tasks))
            with pytest.raises(WrongPeerError):
                await outbound(near, tasks, to="somebody else")
            with pytest.raises((RemoteProtocolError, ConnectionResetError)):
                await accepted

    run(main())


@pytest.mark.parametrize("early", [True, False])
def test_a_peer_that_is_not_admitted_is_told_so(run: RunVirtual, *, early: bool) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks:
            accepted = asyncio.create_task(inbound(near, tasks, admit=nobody))
            peer = await RawPeer.dial(far, early=early)
            assert await peer.receive()
            assert peer.session.next_event() == SessionTerminated(ConnectionCode.GATED)
            assert not await peer.receive(), "an orderly end follows"
            far.close_write()
            with pytest.raises(NotAuthorizedError, match=str(local_peer("laptop", tasks).peer)):
                await accepted

    run(main())


def test_a_peer_that_hangs_up_on_us_once_it_knows_us_does_not_want_us(run: RunVirtual) -> None:
    """As go does, which closes without a word; here while the muxer is still agreed on."""

    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks:
            dialled = asyncio.create_task(outbound(near, tasks))
            await negotiation.respond(far, noise.PROTOCOL.__eq__)
            await secure.handshake(far, key_of("home"), initiator=False, expected=None, muxers=[])
            far.reset()
            with pytest.raises(NotAuthorizedError):
                await dialled

    run(main())


def test_a_refused_peer_that_talks_on_is_listened_to_for_2_s(run: RunVirtual) -> None:
    async def main() -> None:
        async def talk(peer: RawPeer) -> None:
            while True:
                await peer.channel.write(bytes(1000))
                await asyncio.sleep(0.01)

        near, far = pipe()
        async with Supervisor() as tasks:
            accepted = asyncio.create_task(inbound(near, tasks, admit=nobody))
            peer = await RawPeer.dial(far)
            tasks.spawn(talk, peer)
            began = now()
            with pytest.raises(NotAuthorizedError):
                await accepted
            assert now() - began == pytest.approx(REFUSAL_TIMEOUT_S)

    run(main())


# --- what is refused ----------------------------------------------------------------------


def test_nothing_but_noise_secures_a_connection(run: RunVirtual) -> None:
    """An attacker in the middle may strip what we propose, but finds nothing weaker."""

    async def main() -> None:
        async with Supervisor() as tasks:
            near, far = pipe()
            accepted = asyncio.create_task(inbound(near, tasks))
            offers = ["/plaintext/2.0.0", "/tls/1.0.0", "/secio/1.0.0", "/NOISE", "/noise/1"]
            with pytest.raises(NegotiationError):
                await negotiation.propose(far, offers)
            far.close()
            with pytest.raises(RemoteProtocolError):
                await accepted

            near, far = pipe()
            dialled = asyncio.create_task(outbound(near, tasks))
            with pytest.raises(ConnectionResetError):
                await negotiation.respond(far, {"/plaintext/2.0.0"}.__contains__)
            with pytest.raises(NegotiationError):
                await dialled

    run(main())


def test_nothing_but_yamux_multiplexes_a_connection(run: RunVirtual) -> None:
    async def main() -> None:
        near, far = pipe()
        async with Supervisor() as tasks:
            accepted = asyncio.create_task(inbound(near, tasks))
            await negotiation.propose(far, [noise.PROTOCOL])
            channel = await secure.handshake(
                far, key_of("laptop"), initiator=True, expected=None, muxers=["/mplex/6.7.0"]
            )
            assert channel.session.muxer is None
            with pytest.raises(NegotiationError):
                await negotiation.propose(channel, ["/mplex/6.7.0"])
            far.close()
            with pytest.raises(RemoteProtocolError):
                await accepted

    run(main())
