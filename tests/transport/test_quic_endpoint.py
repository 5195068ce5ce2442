"""What strangers send to a QUIC socket: bounded, counted, and no trouble for anybody else."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from typing import TYPE_CHECKING, Final

import pytest

from peerup.errors import ConnectionClosedError
from peerup.transport import quic_endpoint
from peerup.transport.quic_endpoint import (
    MAX_RESETS,
    RETRY_ABOVE,
    QuicEndpoint,
    quic_multiaddr,
)
from peerup.transport.quic_engine import QuicEngine
from peerup.transport.tls_certificate import make_certificate
from peerup.wire import quic_packet, quic_reset
from peerup.wire.quic_reset import ResetTokens
from tests.conformance.byte_streams import until
from tests.conformance.transports import Node, key_of, local_peer
from tests.transport.quic_wire import SIZE, peer_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.sim.clock import RunReal

from peerup.tasks import Supervisor
from peerup.transport.quic import Quic

pytestmark = pytest.mark.real_clock

LOOPBACK: Final = "/ip4/127.0.0.1/udp/0/quic-v1"


class Server:
    """A listening node, and the socket that it listens with."""

    def __init__(self, node: Node, endpoint: QuicEndpoint) -> None:
        self.node, self.endpoint = node, endpoint
        host, port = endpoint.addr.host, endpoint.addr.port
        assert host is not None
        assert port is not None
        self.address = (host, port)

    @property
    def counters(self) -> dict[str, int]:
        names = self.endpoint.counters.__slots__
        return {name: getattr(self.endpoint.counters, name) for name in names}

    async def serves(self, tasks: Supervisor) -> bool:
        """Whether an honest peer gets through."""
        honest = Node("honest", Quic, tasks)
        try:
            conn = await honest.dial(self.endpoint.addr, self.node.peer)
            stream = await conn.open_stream()
            await stream.write(b"hello")
            stream.close_write()
            answer = await stream.read()
            conn.close()
            await conn.wait_closed()
            return answer == b"hello"
        finally:
            honest.transport.close()


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, Supervisor]]:
    async with Supervisor() as tasks:
        node = Node("home", Quic, tasks)
        listener = await node.listen(LOOPBACK)
        transport = node.transport
        assert isinstance(transport, Quic)
        try:
            yield Server(node, transport._endpoints[0]), tasks
        finally:
            await listener.close()
            transport.close()


@contextlib.contextmanager
def stranger() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


async def answer_to(sock: socket.socket, data: bytes, address: tuple[str, int]) -> bytes:
    sock.sendto(data, address)
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recv(sock, 2048)


def initial(address: tuple[str, int] = ("127.0.0.1", 1)) -> tuple[QuicEngine, bytes]:
    """A client of whoever is at ``address``, and the first datagram that it sends."""
    certificate = make_certificate(key_of("flood"))
    engine = QuicEngine.dial(certificate, peer_of("home"), address, 0.0, SIZE)
    return engine, engine.datagrams_to_send(0.0)[0][0]


def test_garbage_is_counted_and_dropped(run_real: RunReal) -> None:
    async def main() -> None:
        async with serving() as (server, tasks):
            rng = random.Random(7)
            with stranger() as sock:
                for _ in range(500):
                    sock.sendto(rng.randbytes(rng.randrange(1, 1500)), server.address)
                await until(lambda: server.counters["strays"] > 100)
            assert not server.endpoint._links
            assert await server.serves(tasks)

    run_real(main())


def test_truncated_initials_begin_nothing(run_real: RunReal) -> None:
    async def main() -> None:
        async with serving() as (server, tasks):
            _, first = initial()
            with stranger() as sock:
                for size in range(1, len(first), 97):
                    sock.sendto(first[:size], server.address)
                await until(lambda: server.counters["strays"] >= len(first) // 97)
            assert not server.endpoint._links
            assert await server.serves(tasks)

    run_real(main())


def test_an_unknown_version_is_told_which_ones_there_are(run_real: RunReal) -> None:
    async def main() -> None:
        async with serving() as (server, _):
            with stranger() as sock:
                probe = quic_packet.version_probe(b"12345678")
                answer = await answer_to(sock, probe, server.address)
            assert quic_packet.parse_version_negotiation(answer).versions == (1,)
            assert len(answer) < len(probe), "no amplification"
            assert server.counters["other_versions"] == 1

    run_real(main())


def test_a_small_datagram_of_an_unknown_version_gets_no_answer(run_real: RunReal) -> None:
    async def main() -> None:
        async with serving() as (server, _):
            with stranger() as sock:
                sock.sendto(quic_packet.version_probe(b"12345678")[:1199], server.address)
                await until(lambda: server.counters["strays"] == 1)
                with pytest.raises(BlockingIOError):
                    sock.recv(2048)

    run_real(main())


def test_packets_for_connections_that_are_gone_get_smaller_answers_and_not_many(
    run_real: RunReal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quic_endpoint, "CLOCK", lambda: 1000.0)  # all in one second

    async def main() -> None:
        async with serving() as (server, _):
            with stranger() as sock:
                answer = await answer_to(sock, b"\x40" + bytes(60), server.address)
                assert answer.endswith(ResetTokens(key_of("home").to_protobuf()).of(bytes(8)))
                assert len(answer) < 61
                for _ in range(2 * MAX_RESETS):
                    sock.sendto(b"\x40" + bytes(60), server.address)
                await until(lambda: server.counters["strays"] == 2 * MAX_RESETS + 1)
                for _ in range(MAX_RESETS - 1):
                    assert len(sock.recv(2048)) < 61
                with pytest.raises(BlockingIOError):
                    sock.recv(2048)
            assert server.counters["resets_sent"] == MAX_RESETS

    run_real(main())


def test_a_peer_that_was_killed_and_is_back_is_noticed_with_the_next_packet(
    run_real: RunReal,
) -> None:
    async def main() -> None:
        async with serving() as (server, tasks):
            laptop = Node("laptop", Quic, tasks)
            conn = await laptop.dial(server.endpoint.addr, server.node.peer)
            stream = await conn.open_stream()
            await stream.write(b"hello")
            assert await stream.read() == b"hello"

            server.endpoint.close()  # without a word, as a process that is killed
            again = Node("home", Quic, tasks)
            await again.listen(str(server.endpoint.addr))
            await stream.write(b"anybody there?")
            async with asyncio.timeout(5):
                with pytest.raises(ConnectionClosedError, match="does not know it any more"):
                    await stream.read()
                await conn.wait_closed()
            (dialler,) = laptop.transport._endpoints  # type: ignore[attr-defined]
            assert dialler.counters.resets_received == 1
            assert not dialler._dialled
            laptop.transport.close()
            again.transport.close()

    run_real(main())


def test_a_reset_from_another_place_is_a_stray(run_real: RunReal) -> None:
    async def main() -> None:
        async with serving() as (server, tasks):
            laptop = Node("laptop", Quic, tasks)
            conn = await laptop.dial(server.endpoint.addr, server.node.peer)
            (dialler,) = laptop.transport._endpoints  # type: ignore[attr-defined]
            (link,) = dialler._dialled[server.address]
            (token, *_) = (entry.stateless_reset_token for entry in [link.engine._quic._peer_cid])
            with stranger() as sock:
                forged = quic_reset.stateless_reset(token, 100)
                assert forged is not None
                port = dialler.addr.port
                sock.sendto(forged, ("127.0.0.1", port))
                await until(lambda: dialler.counters.strays == 1)
            stream = await conn.open_stream()
            await stream.write(b"hello")
            assert await stream.read() == b"hello"
            conn.close()
            await conn.wait_closed()
            laptop.transport.close()

    run_real(main())


def test_a_flood_of_initials_has_to_prove_its_address(run_real: RunReal) -> None:
    async def main() -> None:
        async with serving() as (server, tasks):
            sent = RETRY_ABOVE + 200
            with stranger() as sock:
                for _ in range(sent):
                    sock.sendto(initial()[1], server.address)
                    await asyncio.sleep(0)
                await until(lambda: server.counters["retries"] > 0)
                assert len(server.endpoint._pending) <= RETRY_ABOVE + 64, "one batch at the most"
            assert await server.serves(tasks), "an honest peer comes back with the token"

    run_real(main(), timeout=30)


def test_a_token_of_somebody_else_is_refused(run_real: RunReal) -> None:
    async def main() -> None:
        async with serving() as (server, _):
            with stranger() as sock, stranger() as other:
                for _ in range(RETRY_ABOVE + 80):
                    sock.sendto(initial()[1], server.address)
                    await asyncio.sleep(0)
                await until(lambda: server.counters["retries"] > 0)
                client, first = initial(server.address)
                client.receive([await _retry_for(other, first, server.address)], server.address, 0)
                stolen = client.datagrams_to_send(0.0)[0][0]
                assert quic_packet.parse_long_header(stolen).token
                sock.sendto(stolen, server.address)  # from another address than the token's
                await until(lambda: server.counters["bad_tokens"] == 1)

    run_real(main(), timeout=30)


async def _retry_for(sock: socket.socket, first: bytes, address: tuple[str, int]) -> bytes:
    original = quic_packet.parse_long_header(first).destination_id
    data = await answer_to(sock, first, address)
    assert quic_packet.parse_retry(data, original).token
    return data


def test_listening_and_dialling_share_one_socket(run_real: RunReal) -> None:
    async def main() -> None:
        async with serving() as (home, tasks):
            laptop = Node("laptop", Quic, tasks)
            listener = await laptop.listen(LOOPBACK)
            conn = await laptop.dial(home.endpoint.addr, home.node.peer)
            seen = await home.node.accepted.get()
            assert seen.remote_addr == listener.addrs[0]
            conn.close()
            await conn.wait_closed()
            laptop.transport.close()

    run_real(main())


def test_raw_datagrams_leave_from_the_listening_port(run_real: RunReal) -> None:
    async def main() -> None:
        async with serving() as (home, _):
            with stranger() as sock:
                home.endpoint.send_raw([b"punch", b"punch"], sock.getsockname())
                async with asyncio.timeout(5):
                    loop = asyncio.get_running_loop()
                    data, source = await loop.sock_recvfrom(sock, 100)
            assert (data, source) == (b"punch", home.address)

    run_real(main())


def test_a_taken_port_is_an_error(run_real: RunReal) -> None:
    async def main() -> None:
        async with serving() as (home, tasks):
            other = Node("other", Quic, tasks)
            with pytest.raises(OSError, match="in use"):
                await other.listen(str(home.endpoint.addr))

    run_real(main())


def test_nothing_is_left_of_connections_that_ended(run_real: RunReal) -> None:
    async def main() -> None:
        async with serving() as (server, tasks):
            for _ in range(5):
                assert await server.serves(tasks)
            await until(lambda: not server.endpoint._links)
            assert len(server.endpoint._pending) == 0

    run_real(main())


def test_an_address_is_written_without_its_zone() -> None:
    assert str(quic_multiaddr(("fe80::1%eth0", 4001, 0, 2))) == "/ip6/fe80::1/udp/4001/quic-v1"
    assert str(quic_multiaddr(("192.0.2.1", 4001))) == "/ip4/192.0.2.1/udp/4001/quic-v1"


def test_an_endpoint_reaches_its_own_kind(run_real: RunReal) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            local = local_peer("home", tasks)
            loopback = QuicEndpoint(local, SIZE, ("127.0.0.1", 0))
            anywhere = QuicEndpoint(local, SIZE, ("0.0.0.0", 0))
            assert loopback.reaches("127.0.0.2")
            assert not loopback.reaches("192.0.2.1")
            assert anywhere.reaches("192.0.2.1")
            assert anywhere.reaches("127.0.0.1")
            assert not anywhere.reaches("2001:db8::1")
            loopback.close()
            anywhere.close()

    run_real(main())
