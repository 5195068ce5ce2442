from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from peerup.transport.udp import READS_PER_TURN, Batch, UdpSocket
from tests.conformance.byte_streams import until

if TYPE_CHECKING:
    from tests.sim.clock import RunReal

pytestmark = pytest.mark.real_clock


def test_what_arrives_in_one_turn_comes_as_one_batch_by_sender(run_real: RunReal) -> None:
    async def main() -> None:
        batches: list[Batch] = []
        ours = UdpSocket("127.0.0.1", 0, batches.append)
        one, two = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        with one, two:
            for sock in (one, two):
                sock.bind(("127.0.0.1", 0))
            for number in range(3):
                one.sendto(bytes([number]), ours.address)
                two.sendto(bytes([number]), ours.address)
            await until(lambda: bool(batches))
            assert batches == [{sock.getsockname(): [b"\0", b"\1", b"\2"] for sock in (one, two)}]
        ours.close()

    run_real(main())


def test_a_flood_gives_others_their_turn(run_real: RunReal) -> None:
    async def main() -> None:
        sizes: list[int] = []
        ours = UdpSocket("127.0.0.1", 0, lambda batch: sizes.append(sum(map(len, batch.values()))))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(3 * READS_PER_TURN):
                sock.sendto(b"x", ours.address)
            await until(lambda: sum(sizes) == 3 * READS_PER_TURN)
        assert max(sizes) <= READS_PER_TURN
        ours.close()

    run_real(main())


def test_datagrams_that_cannot_be_sent_are_counted_and_do_not_stop_others(
    run_real: RunReal,
) -> None:
    async def main() -> None:
        got: list[Batch] = []
        one = UdpSocket("127.0.0.1", 0, lambda _: None)
        two = UdpSocket("127.0.0.1", 0, got.append)
        one.send([(bytes(70_000), two.address), (b"fits", two.address)])
        await until(lambda: bool(got))
        assert one.dropped == 1
        assert got == [{one.address: [b"fits"]}]
        one.close()
        two.close()

    run_real(main())


def test_a_closed_socket_sends_nothing_and_closes_once(run_real: RunReal) -> None:
    async def main() -> None:
        ours = UdpSocket("127.0.0.1", 0, lambda _: None)
        ours.close()
        ours.close()
        ours.send([(b"x", ("127.0.0.1", 9))])
        await asyncio.sleep(0)

    run_real(main())


def test_a_port_has_one_owner(run_real: RunReal) -> None:
    async def main() -> None:
        ours = UdpSocket("127.0.0.1", 0, lambda _: None)
        with pytest.raises(OSError, match="in use"):
            UdpSocket(*ours.address, lambda _: None)
        ours.close()

    run_real(main())


def test_ipv6_has_a_socket_of_its_own(run_real: RunReal) -> None:
    async def main() -> None:
        try:
            ours = UdpSocket("::1", 0, lambda _: None)
        except OSError:
            pytest.skip("this machine has no IPv6")
        assert ours.family == socket.AF_INET6
        ours.close()

    run_real(main())
