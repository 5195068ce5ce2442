"""What a relay that vouches keeps in its file, and how it answers what makes no sense."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import PeerupError, RelayRefusedError
from peerup.host.host import Host
from peerup.relay import vouch_client, vouched_file
from peerup.relay.client import CIRCUIT
from peerup.relay.vouch_server import (
    MAX_LISTED,
    MAX_STREAMS,
    REQUEST_TIMEOUT_S,
)
from peerup.relay.vouching import STRANGERS_BURST, Pair
from peerup.transport.messages import expect_message
from peerup.wire.delimited import join
from peerup.wire.protobuf import decode, encode
from peerup.wire.vouch import PROTOCOL, VouchMessage, VouchStatus, VouchType, hash_of
from tests.relay.vouching_relay import TICKET, at_relay, inviting, pair, show, start_relay, to
from tests.world import InWorld, World, memory, peer_of, until

RELAY, HOME, LAPTOP = peer_of("relay"), peer_of("home"), peer_of("laptop")


# --- the file -------------------------------------------------------------------------


def test_a_file_that_gets_damaged_vouches_for_nobody_and_heals(
    in_world: InWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(world: World) -> None:
        relay, home = await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        await pair(home, laptop)
        conn = await to(laptop, "home")
        good = relay.file.read_bytes()
        relay.file.write_bytes(good[:30])
        async with asyncio.timeout(2.0):
            await conn.wait_closed()
        with pytest.raises(RelayRefusedError) as caught:
            await vouch_client.open_invite(home, await at_relay(home), TICKET, 60)
        assert caught.value.status == VouchStatus.UNAVAILABLE
        assert relay.file.read_bytes() == good[:30]
        await asyncio.sleep(10)
        assert caplog.text.count("nobody is vouched for: ") == 1
        relay.file.write_bytes(good)
        await asyncio.sleep(2)
        assert await to(laptop, "home")

    in_world(main)


def test_a_relay_starts_beside_a_damaged_file(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        (tmp_path / "vouched.json").write_text("{")
        relay = await start_relay(world, tmp_path, "home")
        await world.home()  # who is authorized notices nothing
        assert not relay.vouching.usable

    in_world(main)


def test_what_cannot_be_saved_is_not_confirmed(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        relay, home = await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        await show(laptop)
        relay.file.mkdir()
        with pytest.raises(RelayRefusedError) as caught:
            await vouch_client.confirm(home, await at_relay(home), TICKET, LAPTOP)
        assert caught.value.status == VouchStatus.UNAVAILABLE
        assert relay.vouching.pairs == frozenset()

    in_world(main)


# --- requests -------------------------------------------------------------------------


async def answer_to(host: Host, data: bytes) -> VouchMessage:
    stream = await host.open_stream_on(await at_relay(host), PROTOCOL)
    async with stream:
        await stream.write(data)
        return decode(VouchMessage, await expect_message(stream, 4096))


BROKEN: Final = [
    join(b""),  # a status
    join(b"\xff"),
    join(b"\x08\x63"),  # a request that nobody knows
    join(encode(VouchMessage(VouchType.OPEN, ticket=b"short", seconds=60))),
    join(encode(VouchMessage(VouchType.PRESENT, ticket=TICKET))),
    join(encode(VouchMessage(VouchType.PRESENT, ticket=TICKET, peer=b"nobody"))),
    join(encode(VouchMessage(VouchType.CONFIRM, ticket=bytes(32), peer=b""))),
    join(encode(VouchMessage(VouchType.REVOKE))),
    b"\xff" * 20,
    join(bytes(5000)),
]


@pytest.mark.parametrize("data", BROKEN, ids=range(len(BROKEN)))
def test_what_makes_no_sense_gets_its_status(
    in_world: InWorld, tmp_path: Path, data: bytes
) -> None:
    async def main(world: World) -> None:
        await start_relay(world, tmp_path, "home")
        answer = await answer_to(await world.host("home"), data)
        assert answer.status == VouchStatus.MALFORMED_MESSAGE

    in_world(main)


@given(data=st.binary(max_size=100))
def test_any_request_is_answered_with_a_status(in_world: InWorld, data: bytes) -> None:
    async def main(world: World) -> None:
        with tempfile.TemporaryDirectory() as folder:
            await start_relay(world, Path(folder), "home")
            answer = await answer_to(await world.host("home", identify=False), join(data))
            assert answer.status in set(VouchStatus)

    in_world(main)


def test_who_asks_nothing_is_not_waited_for(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        conn = await at_relay(laptop)
        began = laptop.clock()
        streams = [await laptop.open_stream_on(conn, PROTOCOL) for _ in range(MAX_STREAMS)]
        with pytest.raises(PeerupError):
            await laptop.open_stream_on(conn, PROTOCOL)
        with pytest.raises(PeerupError):
            await streams[0].read()
        assert laptop.clock() - began == pytest.approx(REQUEST_TIMEOUT_S, abs=1)

    in_world(main)


def test_nobody_vouches_through_another_relay(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        relay = await start_relay(world, tmp_path, "home")
        second, _ = await world.relay(name="second", at=9)
        relay.host.add_transport(world.network.transport(relay.host.local))
        home = await world.device("home")
        from peerup.relay.autorelay import AutoRelay  # noqa: PLC0415
        from peerup.relay.client import Circuits  # noqa: PLC0415

        Circuits(relay.host)
        relay.gate.known.add(second.peer)
        places = AutoRelay(relay.host, {second.peer: [memory(9)]})
        await until(lambda: places.held)
        conn = await home.connect(RELAY, [memory(9).with_peer(second.peer) / CIRCUIT])
        assert conn.relayed
        with pytest.raises(RelayRefusedError) as caught:
            await vouch_client.open_invite(home, conn, TICKET, 60)
        assert caught.value.status == VouchStatus.PERMISSION_DENIED
        places.close()

    in_world(main)


def test_every_step_is_in_the_log(
    in_world: InWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(world: World) -> None:
        _, home = await inviting(world, tmp_path)
        laptop = await world.device("laptop")
        with pytest.raises(RelayRefusedError):
            await vouch_client.present(laptop, await at_relay(laptop), b"x" * 32, HOME)
        await pair(home, laptop)
        await vouch_client.revoke(home, await at_relay(home), LAPTOP)

    with caplog.at_level(logging.INFO):
        in_world(main)
    said = [record.getMessage() for record in caplog.records if "vouch_server" in record.name]
    assert said == [
        "invite opened",
        "ticket shown: refused",
        "ticket shown",
        "peer vouched for",
        "invite closed",
        "vouching ended",
        "vouching taken back",
    ]


def test_the_hash_alone_is_what_the_relay_holds(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        relay, home = await inviting(world, tmp_path)
        assert list(relay.vouching._invites) == [hash_of(TICKET)]
        await pair(home, await world.device("laptop"))
        assert TICKET.hex().encode() not in relay.file.read_bytes()
        assert vouched_file.load(relay.file) == {Pair(HOME, LAPTOP, 0)}

    in_world(main)


def test_a_stranger_that_asks_on_and_on_is_put_off_and_leaves_no_trace(
    in_world: InWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(world: World) -> None:
        await inviting(world, tmp_path)
        thief = await world.host("thief", identify=False)
        conn = await at_relay(thief)
        statuses = []
        for number in range(50):
            guess = number.to_bytes(32, "big")
            with pytest.raises(RelayRefusedError) as caught:
                await vouch_client.present(thief, conn, guess, HOME)
            statuses.append(caught.value.status)
        assert statuses.count(VouchStatus.UNKNOWN_TICKET) == STRANGERS_BURST
        assert statuses.count(VouchStatus.BUSY) == 50 - STRANGERS_BURST

    with caplog.at_level(logging.INFO):
        in_world(main)
    assert caplog.text.count("ticket shown") == STRANGERS_BURST


def test_a_long_list_fits_into_an_answer(in_world: InWorld, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        pairs = {Pair(HOME, peer_of(f"{n}"), 0) for n in range(2 * MAX_LISTED)}
        vouched_file.update(tmp_path / "vouched.json", lambda old: old | pairs)
        await start_relay(world, tmp_path, "home")
        home = await world.home()
        assert len(await vouch_client.partners(home, await at_relay(home))) == MAX_LISTED

    in_world(main)
