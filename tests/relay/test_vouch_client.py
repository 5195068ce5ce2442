"""What inviters and joiners make of a relay's answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from peerup.errors import NotAuthorizedError, PeerupError, RelayRefusedError, RemoteProtocolError
from peerup.relay import vouch_client
from peerup.transport.messages import expect_message, write_message
from peerup.transport.muxed import MuxedStream
from peerup.wire.protobuf import encode
from peerup.wire.vouch import PROTOCOL, VouchMessage, VouchStatus, VouchType
from tests.relay.vouching_relay import TICKET, start_relay
from tests.world import InWorld, World, memory, never, peer_of

RELAY, HOME = peer_of("relay"), peer_of("home")


def answering(answer: VouchMessage | bytes) -> object:
    async def serve(stream: MuxedStream) -> None:
        await expect_message(stream, 4096)
        await write_message(stream, answer if isinstance(answer, bytes) else encode(answer))

    return serve


def test_a_relay_that_does_not_vouch_is_no_error(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        await world.relay()
        home = await world.host("home")
        conn = await home.connect(RELAY, [memory(1)])
        assert await vouch_client.open_invite(home, conn, TICKET, 60) is None
        assert await vouch_client.present(home, conn, TICKET, HOME) is None
        assert await vouch_client.partners(home, conn) == frozenset()
        await vouch_client.confirm(home, conn, TICKET, HOME)
        await vouch_client.revoke(home, conn, HOME)
        await vouch_client.close_invite(home, conn, TICKET)

    in_world(main)


def test_a_relay_that_has_us_needs_no_ticket(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await start_relay(world, tmp_path, "laptop")
        laptop = await world.host("laptop")
        conn = await laptop.connect(RELAY, [memory(1)])
        status = await vouch_client.present(laptop, conn, TICKET, HOME)
        assert status is VouchStatus.NOT_NEEDED

    in_world(main)


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (VouchStatus.UNKNOWN_TICKET, "peerup invite"),
        (VouchStatus.FULL, "max_per_peer"),
        (VouchStatus.BUSY, "wait a minute"),
        (VouchStatus.UNAVAILABLE, "its log"),
        (999, ""),
    ],
)
def test_a_refusal_comes_with_what_mends_it(in_world: InWorld, status: int, hint: str) -> None:
    async def main(world: World) -> None:
        relay = await world.host("relay", at=1)
        relay.handle(PROTOCOL, answering(VouchMessage(status=status)))  # type: ignore[arg-type]
        home = await world.host("home")
        conn = await home.connect(RELAY, [memory(1)])
        with pytest.raises(RelayRefusedError) as caught:
            await vouch_client.present(home, conn, TICKET, HOME)
        assert caught.value.status == status
        assert hint in caught.value.hint
        assert str(getattr(status, "name", status)) in str(caught.value)

    in_world(main)


@pytest.mark.parametrize(
    "answer",
    [
        VouchMessage(VouchType.OPEN),
        VouchMessage(),
        b"\xff\xff",
        bytes(3000),
        VouchMessage(status=VouchStatus.OK, peers=(b"nobody",)),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(
    in_world: InWorld, answer: VouchMessage | bytes
) -> None:
    async def main(world: World) -> None:
        relay = await world.host("relay", at=1)
        relay.handle(PROTOCOL, answering(answer))  # type: ignore[arg-type]
        home = await world.host("home")
        conn = await home.connect(RELAY, [memory(1)])
        with pytest.raises(RemoteProtocolError):
            await vouch_client.partners(home, conn)

    in_world(main)


def test_a_relay_that_never_answers_is_given_up(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        relay = await world.host("relay", at=1)
        relay.handle(PROTOCOL, never)
        home = await world.host("home")
        conn = await home.connect(RELAY, [memory(1)])
        with pytest.raises(TimeoutError):
            await vouch_client.open_invite(home, conn, TICKET, 60)

    in_world(main)


def test_a_relay_that_shuts_the_door_meanwhile_is_an_error(
    in_world: InWorld, tmp_path: Path
) -> None:
    async def main(world: World) -> None:
        relay = await start_relay(world, tmp_path, "home")
        home = await world.host("home")
        conn = await home.connect(RELAY, [memory(1)])
        relay.gate.known.clear()
        with pytest.raises((NotAuthorizedError, PeerupError)):
            await vouch_client.open_invite(home, conn, TICKET, 60)

    in_world(main)
