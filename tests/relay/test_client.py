from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import (
    NegotiationError,
    NotAuthorizedError,
    RelayRefusedError,
    RemoteProtocolError,
)
from peerup.host.handlers import Handler
from peerup.relay.client import (
    CIRCUIT,
    MAX_RELAY_ADDRS,
    RESERVE_TIMEOUT_S,
    Reservation,
    limits_of,
    refusal,
    relay_refuses,
    reserve,
)
from peerup.transport.endpoints import CircuitLimits
from peerup.transport.messages import expect_message
from peerup.transport.muxed import MuxedStream
from peerup.wire.circuit import (
    HOP_PROTOCOL,
    MAX_MESSAGE,
    HopMessage,
    HopType,
    Limit,
    Status,
    seal_voucher,
)
from peerup.wire.circuit import Reservation as WireReservation
from peerup.wire.delimited import join
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.protobuf import decode, encode
from tests.world import InWorld, World, key_of, memory, never, peer_of, through

HOME, RELAY, LAPTOP = peer_of("home"), peer_of("relay"), peer_of("laptop")
HOUR = 3600
PUBLIC = Multiaddr.parse("/ip4/203.0.113.5/tcp/7777")


def in_an_hour() -> int:
    return int(time.time_ns() / 1e9) + HOUR


def granted(
    *,
    expire: int | None = None,
    addrs: tuple[Multiaddr, ...] = (),
    voucher: bytes | None = None,
    limit: Limit | None = None,
) -> HopMessage:
    """The answer of a relay that says yes."""
    reservation = WireReservation(
        expire=in_an_hour() if expire is None else expire,
        addrs=tuple(addr.to_bytes() for addr in addrs),
        voucher=voucher,
    )
    return HopMessage(HopType.STATUS, reservation=reservation, limit=limit, status=Status.OK)


def answering(answer: HopMessage | bytes) -> Handler:
    async def handler(stream: MuxedStream) -> None:
        assert decode(HopMessage, await expect_message(stream, MAX_MESSAGE)) == HopMessage()
        await stream.write(answer if isinstance(answer, bytes) else join(encode(answer)))

    return handler


async def asked(world: World, handler: Handler) -> Reservation:
    """Ask a relay that answers as ``handler`` does."""
    relay = await world.host("relay", at=1, identify=False)
    relay.handle(HOP_PROTOCOL, handler)
    home = await world.host("home", identify=False)
    return await reserve(home, await home.connect(relay.peer, relay.addrs))


# --- holding a place ------------------------------------------------------------------


def test_a_place_comes_with_addresses_a_time_and_limits(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        answer = granted(
            addrs=(PUBLIC.with_peer(RELAY), memory(1)),
            voucher=seal_voucher(key_of("relay"), RELAY, HOME, in_an_hour()),
            limit=Limit(duration=120, data=131072),
        )
        place = await asked(world, answering(answer))
        assert place.expires_in == pytest.approx(HOUR, abs=5)
        assert place.addrs == (PUBLIC.with_peer(RELAY) / CIRCUIT, through(RELAY))
        assert place.limits == CircuitLimits(120, 131072)

    in_world(main)


@pytest.mark.parametrize("addrs", [(), (through(peer_of("other")),)])
def test_a_relay_that_lists_no_address_is_advertised_where_we_found_it(
    in_world: InWorld, addrs: tuple[Multiaddr, ...]
) -> None:
    """go lists none on loopback; what leads through another relay is no address of this one."""

    async def main(world: World) -> None:
        place = await asked(world, answering(granted(addrs=addrs)))
        assert place.addrs == (through(RELAY),)
        assert place.limits is None

    in_world(main)


def test_a_relay_cannot_make_us_advertise_much_or_for_others(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        many = tuple(memory(number).with_peer(peer_of("victim")) for number in range(60))
        place = await asked(world, answering(granted(addrs=many)))
        assert len(place.addrs) == MAX_RELAY_ADDRS
        assert all(addr.split_circuit()[0].peer_id == RELAY for addr in place.addrs)

    in_world(main)


def test_addresses_that_we_do_not_understand_are_left_out(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        reservation = WireReservation(in_an_hour(), (b"\xff\xff\x7f", b"", memory(1).to_bytes()))
        answer = HopMessage(HopType.STATUS, reservation=reservation, status=Status.OK)
        assert (await asked(world, answering(answer))).addrs == (through(RELAY),)

    in_world(main)


@pytest.mark.parametrize("status", [*Status, 999, 0])
def test_a_relay_that_says_no_is_quoted(in_world: InWorld, status: int) -> None:
    if status == Status.OK:
        return

    async def main(world: World) -> None:
        answer = HopMessage(HopType.STATUS, status=status)
        with pytest.raises(RelayRefusedError) as caught:
            await asked(world, answering(answer))
        assert caught.value.status == status
        assert caught.value.exit_code == 3

    in_world(main)


@pytest.mark.parametrize(
    ("status", "mends_it"),
    [
        (Status.RESERVATION_REFUSED, "max_reservations"),
        (Status.PERMISSION_DENIED, "peerup relay authorize"),
        (Status.NO_RESERVATION, "peerup daemon"),
        (Status.RESOURCE_LIMIT_EXCEEDED, "max_circuits"),
    ],
)
def test_a_refusal_says_what_mends_it(in_world: InWorld, status: Status, mends_it: str) -> None:
    async def main(world: World) -> None:
        relay = await world.host("relay", at=1)
        home = await world.host("home")
        conn = await home.connect(relay.peer, relay.addrs)
        why = refusal(conn, status)
        assert mends_it in why.hint
        assert status.name in str(why)

    in_world(main)


def test_a_relay_that_does_not_have_us_at_all_is_a_matter_of_authorization() -> None:
    why = relay_refuses(RELAY)
    assert isinstance(why, NotAuthorizedError)
    assert str(RELAY) in str(why)
    assert "peerup relay authorize" in why.hint


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (HopMessage(HopType.CONNECT, status=Status.OK), "something else than a status"),
        (HopMessage(HopType.STATUS, status=Status.OK), "without a reservation"),
        (granted(expire=1), "is over"),
        (granted(voucher=b"garbage"), None),
        (
            granted(voucher=seal_voucher(key_of("relay"), RELAY, LAPTOP, in_an_hour())),
            "instead of",
        ),
        (
            granted(voucher=seal_voucher(key_of("laptop"), LAPTOP, HOME, in_an_hour())),
            "did not sign",
        ),
        (bytes(2), None),
        (b"", "ended"),
        (join(bytes(MAX_MESSAGE + 1)), "at most 4096"),
        (b"\xff" * 20, None),
    ],
)
def test_an_answer_that_makes_no_sense_is_the_relays_fault(
    in_world: InWorld, answer: HopMessage | bytes, says: str | None
) -> None:
    async def main(world: World) -> None:
        with pytest.raises((RemoteProtocolError, RelayRefusedError), match=says):
            await asked(world, answering(answer))

    in_world(main)


@given(data=st.binary(max_size=100))
def test_any_answer_is_a_refusal_or_the_relays_fault(in_world: InWorld, data: bytes) -> None:
    async def main(world: World) -> None:
        try:
            await asked(world, answering(join(data)))
        except (RemoteProtocolError, RelayRefusedError):
            pass

    in_world(main)


def test_a_relay_that_says_nothing_is_given_up_after_10_s(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await asked(world, never)
        assert asyncio.get_running_loop().time() - began == pytest.approx(RESERVE_TIMEOUT_S)

    in_world(main)


def test_a_peer_that_is_no_relay_says_so(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        other = await world.host("other", at=3)
        home = await world.host("home")
        with pytest.raises(NegotiationError):
            await reserve(home, await home.connect(other.peer, other.addrs))

    in_world(main)


@pytest.mark.parametrize(
    ("limit", "limits"),
    [
        (None, None),
        (Limit(), CircuitLimits(None, None)),
        (Limit(0, 0), CircuitLimits(None, None)),
        (Limit(120, 131072), CircuitLimits(120, 131072)),
        (Limit(120_000, None), CircuitLimits(120_000, None)),
    ],
)
def test_nothing_and_zero_are_no_limit(limit: Limit | None, limits: CircuitLimits | None) -> None:
    assert limits_of(limit) == limits
