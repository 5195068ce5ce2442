from __future__ import annotations

import contextlib
import errno
import logging
import resource
import socket
import struct
from typing import TYPE_CHECKING, Final

import pytest

from peerup.tasks import Supervisor
from peerup.transport.admission import PendingHandshakes
from peerup.transport.socket_stream import SocketStream
from peerup.transport.tcp import KEEPALIVE_S, Tcp, connect
from peerup.wire.multiaddr import Multiaddr
from tests.conformance.byte_streams import read_all, send, turns, until
from tests.conformance.transports import Node, TransportSuite
from tests.transport.logs import logged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from peerup.transport.base import TransportFactory
    from tests.conformance.byte_streams import Drive
    from tests.sim.clock import RunReal

pytestmark = pytest.mark.real_clock

LOOPBACK: Final = "/ip4/127.0.0.1/tcp/0"
RESET: Final = struct.pack("ii", 1, 0)


class TestTcp(TransportSuite):
    listen_on = LOOPBACK

    @pytest.fixture
    def drive(self, run_real: RunReal) -> Drive[None]:
        return run_real

    def factory(self) -> TransportFactory:
        return Tcp


@contextlib.asynccontextmanager
async def listening(addr: str = LOOPBACK) -> AsyncIterator[tuple[Node, Multiaddr]]:
    """A node that listens, and where."""
    async with Supervisor() as tasks:
        node = Node("home", Tcp, tasks)
        listener = await node.listen(addr)
        try:
            yield node, listener.addrs[0]
        finally:
            await listener.close()


def pending(node: Node) -> PendingHandshakes:
    assert isinstance(node.transport, Tcp)
    return node.transport.pending


async def is_served(home: Node, addr: Multiaddr) -> bool:
    """Whether an honest peer gets through."""
    async with Supervisor() as tasks:
        conn = await Node("honest", Tcp, tasks).dial(addr, home.peer)
        stream = await conn.open_stream()
        await send(stream, b"hello")
        return await read_all(stream) == b"hello"


def stranger(addr: Multiaddr, source: str = "127.0.0.1") -> socket.socket:
    """A connected socket of somebody who does not speak libp2p."""
    sock = socket.socket()
    sock.bind((source, 0))
    sock.connect((addr.host, addr.port))
    sock.setblocking(False)
    return sock


# --- addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("addr", "dial", "listen"),
    [
        ("/ip4/192.0.2.1/tcp/4001", True, True),
        ("/ip6/2001:db8::1/tcp/4001", True, True),
        ("/dns4/example.org/tcp/4001", True, False),
        ("/dns/example.org/tcp/4001", True, False),
        ("/dnsaddr/example.org", False, False),
        ("/dnsaddr/example.org/tcp/4001", False, False),
        ("/ip4/192.0.2.1/udp/4001/quic-v1", False, False),
        ("/ip4/192.0.2.1/udp/4001", False, False),
        ("/ip4/192.0.2.1/tcp/4001/ws", False, False),
        ("/memory/7", False, False),
    ],
)
def test_which_addresses_are_tcp(run_real: RunReal, addr: str, *, dial: bool, listen: bool) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            tcp = Node("home", Tcp, tasks).transport
            assert tcp.can_dial(Multiaddr.parse(addr)) is dial
            assert tcp.can_listen(Multiaddr.parse(addr)) is listen

    run_real(main())


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6_has_listeners_of_its_own(run_real: RunReal) -> None:
    async def main() -> None:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("no IPv6 loopback")
        async with listening("/ip6/::/tcp/0") as (home, addr):
            assert addr.host == "::"
            assert await is_served(home, Multiaddr.parse(f"/ip6/::1/tcp/{addr.port}"))
            with pytest.raises(ConnectionRefusedError):
                await connect("127.0.0.1", addr.port or 0)

    run_real(main())


def test_a_name_is_looked_up(run_real: RunReal) -> None:
    async def main() -> None:
        async with listening() as (home, addr):
            assert await is_served(home, Multiaddr.parse(f"/dns4/localhost/tcp/{addr.port}"))
        with pytest.raises(OSError):  # noqa: PT011 - the resolver's own words
            await connect("no-such-name.invalid", 1)

    run_real(main())


def test_a_port_is_not_shared_with_another_listener(run_real: RunReal) -> None:
    async def main() -> None:
        async with listening() as (_, addr), Supervisor() as tasks:
            other = Node("other", Tcp, tasks)
            with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is looked at
                await other.listen(str(addr))
            assert caught.value.errno == errno.EADDRINUSE
            with pytest.raises(OSError) as caught:  # noqa: PT011
                await other.listen("/ip4/192.0.2.1/tcp/0")
            assert caught.value.errno == errno.EADDRNOTAVAIL

    run_real(main())


# --- sockets ------------------------------------------------------------------------------


def test_sockets_have_no_delay_and_notice_dead_peers(run_real: RunReal) -> None:
    async def main() -> None:
        async with listening() as (_, addr):
            stream = await connect("127.0.0.1", addr.port or 0)
            options = [
                (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            ]
            if hasattr(socket, "TCP_KEEPIDLE"):
                options.append((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S))
            for level, option, value in options:
                assert stream.socket.getsockopt(level, option) == value
            stream.close()

    run_real(main())


def test_dials_leave_from_the_port_that_we_listen_on(run_real: RunReal) -> None:
    async def main() -> None:
        async with listening() as (home, addr), Supervisor() as tasks:
            laptop = Node("laptop", Tcp, tasks)
            own = await laptop.listen(LOOPBACK)
            first = await laptop.dial(addr, home.peer)
            assert (await home.accepted.get()).remote_addr == own.addrs[0]
            assert first.info.ends.local == own.addrs[0]
            second = await laptop.dial(addr, home.peer)  # the port to there is taken
            assert (await home.accepted.get()).remote_addr != own.addrs[0]
            assert not first.is_closed
            assert not second.is_closed
            await own.close()

    run_real(main())


# --- strangers and floods -----------------------------------------------------------------

FOREIGN: Final = {
    "http": b"GET / HTTP/1.1\r\nHost: home:4001\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
    "http, a short one": b"GET / HTTP/1.0\r\n\r\n",
    "tls": bytes.fromhex("16030102000100 01fc0303".replace(" ", "")) + bytes(500),
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
    "rdp": bytes.fromhex("030000130ee000000000000100080003000000"),
    "nothing, and away": b"",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_protocol_is_closed_at_once_with_one_debug_line(
    run_real: RunReal, name: str
) -> None:
    async def main() -> None:
        async with listening() as (home, addr):
            with logged(logging.DEBUG) as records:
                stream = await connect("127.0.0.1", addr.port or 0)
                await stream.write(FOREIGN[name])
                if not FOREIGN[name]:
                    stream.close_write()
                with contextlib.suppress(OSError):
                    await read_all(stream)  # ends long before the 10 s of a silent peer
                await until(lambda: not len(pending(home)))
                stream.close()
            assert [record.levelname for record in records] == ["DEBUG"]
            assert records[0].exc_info is None
            assert "127.0.0.1" in records[0].getMessage()
            assert await is_served(home, addr)

    run_real(main(), timeout=5.0)


def test_a_peer_that_resets_at_once_disturbs_nobody(run_real: RunReal) -> None:
    async def main() -> None:
        async with listening() as (home, addr):
            with logged(logging.INFO) as records:
                for _ in range(50):
                    sock = stranger(addr)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    sock.close()
                assert await is_served(home, addr)
                await until(lambda: not len(pending(home)))
            assert records == []

    run_real(main())


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = 4096
    if before[1] != resource.RLIM_INFINITY and before[1] < need:
        pytest.skip(f"only {before[1]} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], need), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.parametrize("sources", [1, 100])
def test_2000_silent_connections_do_not_keep_an_honest_peer_out(
    run_real: RunReal, sources: int
) -> None:
    async def main() -> None:
        async with listening() as (home, addr):
            door, silent = pending(home), []
            for number in range(2_000):
                silent.append(stranger(addr, f"127.0.1.{1 + number % sources}"))
                if number % 100 == 0:
                    await turns()  # the backlog is not for so many
            await until(lambda: door.evicted + len(door) == 2_000)
            most = home.local.limits.handshakes
            per_source = home.local.limits.handshakes_per_source
            assert len(door) == min(most, sources * per_source)
            assert await is_served(home, addr)
            for sock in silent:
                sock.close()
            await until(lambda: not len(door))

    run_real(main())


def test_a_listener_without_descriptors_waits_for_some(run_real: RunReal) -> None:
    async def main() -> None:
        async with listening() as (home, addr):
            waiting = stranger(addr)
            before = resource.getrlimit(resource.RLIMIT_NOFILE)
            taken: list[socket.socket] = []
            with logged(logging.WARNING) as records:
                resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 3, before[1]))
                try:
                    with contextlib.suppress(OSError):
                        while True:
                            taken.append(socket.socket())
                    await until(lambda: records)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, before)
                    for sock in taken:
                        sock.close()
                await until(lambda: len(pending(home)) == 1)
            assert len(records) == 1, "and not one for each try"
            assert "cannot accept connections for now" in records[0].getMessage()
            waiting.close()
            assert await is_served(home, addr)

    run_real(main())


def test_a_listener_that_is_closed_while_it_waits_stays_closed(run_real: RunReal) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            node = Node("home", Tcp, tasks)
            listener = await node.listen(LOOPBACK)
            listener._pause(OSError(errno.EMFILE, "too many"))  # type: ignore[attr-defined]
            await listener.close()
            with pytest.raises(ConnectionRefusedError):
                await connect("127.0.0.1", listener.addrs[0].port or 0)

    run_real(main())


def test_who_comes_as_we_close_down_is_reset(run_real: RunReal) -> None:
    async def main() -> None:
        async with Supervisor() as tasks:
            home = Node("home", Tcp, tasks)
            listener = await home.listen(LOOPBACK)
            early = [stranger(listener.addrs[0]) for _ in range(5)]
        for sock in [*early, stranger(listener.addrs[0])]:
            stream = SocketStream(sock)
            with pytest.raises(ConnectionResetError):
                await read_all(stream)
            stream.close()
        await until(lambda: not len(pending(home)))
        await listener.close()

    run_real(main())
