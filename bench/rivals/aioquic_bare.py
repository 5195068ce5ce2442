"""aioquic without peerup: the same socket handling, and nothing else between it and the bytes.

python -m bench.rivals.aioquic_bare asyncio|uvloop [--listen]

It reads at most 64 datagrams a wake-up, hands them to their connections and sends once for each,
as peerup does, with the same sizes, windows and kind of certificate. Only the server has one, and
nobody looks at it; nothing bounds what waits to be sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import resource
import socket
import ssl
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from bench import worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from interop.process import Process, Result

NAME: Final = "bare aioquic"
MODULE: Final = "bench.rivals.aioquic_bare"
READS: Final = 64  # datagrams of one wake-up
ID_SIZE: Final = 8
DATAGRAM: Final = 1200
KERNEL_BUFFER: Final = 4 * 1024 * 1024
STREAM_WINDOW: Final = 1024 * 1024
WINDOW: Final = 16 * 1024 * 1024
IDLE_S: Final = 30.0
PING_S: Final = 10.0  # what a dialler of ours does to keep a connection
ALPN: Final = "bench"
MAX_FILES: Final = 4096
NUMBER: Final = 8  # a request is a u64: that many bytes follow, or with the top bit set are wanted
WANTED: Final = 1 << 63


@asynccontextmanager
async def pair(loop: str) -> AsyncIterator[tuple[Process, Process, str]]:
    """Run two; see ``bench.peer.pair``."""
    async with (
        worker.start(MODULE, loop, "--listen") as listener,
        worker.start(MODULE, loop) as dialler,
    ):
        addr = (await listener.call("addr", {}, within=20.0))["addr"]
        yield dialler, listener, addr


class Connection:
    """One connection: what it has received, and who waits for something."""

    def __init__(self, quic: QuicConnection, endpoint: Endpoint) -> None:
        self.quic = quic
        self.endpoint = endpoint
        self.ids = {quic.host_cid}
        self.ready = endpoint.loop.create_future()
        self.received = 0
        self.arrived = asyncio.Event()
        self._asked = bytearray()
        self._missing = 0  # bytes that a client of ours still sends
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._keep: asyncio.TimerHandle | None = None

    def flush(self) -> None:
        """Act on what aioquic has to say, send once, and set the timer."""
        while (event := self.quic.next_event()) is not None:
            self._on_event(event)
        loop = self.endpoint.loop
        self.endpoint.send(self.quic.datagrams_to_send(time.monotonic()))
        at = self.quic.get_timer()
        if at != self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = None
            if at is not None:
                self._timer = loop.call_later(at - time.monotonic(), self._on_timer)

    def keep(self) -> None:
        """Ping from time to time."""
        self.quic.send_ping(0)
        self.flush()
        self._keep = self.endpoint.loop.call_later(PING_S, self.keep)

    def _on_timer(self) -> None:
        at, self._timer_at, self._timer = self._timer_at, None, None
        self.quic.handle_timer(max(at or 0.0, time.monotonic()))
        self.flush()

    def _on_event(self, event: events.QuicEvent) -> None:
        match event:
            case events.StreamDataReceived(stream_id=stream_id, data=data):
                self.received += len(data)
                self.arrived.set()
                if self.endpoint.listens:
                    self._serve(stream_id, data)
            case events.HandshakeCompleted():
                self.ready.set_result(None)
                self.endpoint.open += 1
            case events.ConnectionIdIssued(connection_id=connection_id):
                self.ids.add(connection_id)
                self.endpoint.links[connection_id] = self
            case events.ConnectionIdRetired(connection_id=connection_id):
                self.endpoint.links.pop(connection_id, None)
                self.ids.discard(connection_id)
            case events.ConnectionTerminated():
                self.endpoint.open -= self.ready.done()
                for connection_id in self.ids:
                    self.endpoint.links.pop(connection_id, None)

    def _serve(self, stream_id: int, data: bytes) -> None:
        """Answer a request: send what is wanted, or one byte when all has come."""
        if self._missing:
            self._missing -= len(data)
        else:
            self._asked += data
            if len(self._asked) < NUMBER:
                return
            asked = int.from_bytes(self._asked[:NUMBER], "big")
            rest = len(self._asked) - NUMBER
            self._asked.clear()
            if asked & WANTED:
                self.quic.send_stream_data(stream_id, bytes(asked ^ WANTED), end_stream=True)
                return
            self._missing = asked - rest
        if not self._missing:
            self.quic.send_stream_data(stream_id, b"\0", end_stream=True)


class Endpoint:
    """One UDP socket and its connections."""

    def __init__(self, *, listens: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self.listens = listens
        self.links: dict[bytes, Connection] = {}
        self.open = 0
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._sock.setsockopt(socket.SOL_SOCKET, option, KERNEL_BUFFER)
        self._sock.setblocking(False)
        self._sock.bind(("127.0.0.1", 0))
        self.loop.add_reader(self._sock.fileno(), self._on_readable)
        self._certificate = certificate() if listens else None

    @property
    def address(self) -> tuple[str, int]:
        address: tuple[str, int] = self._sock.getsockname()
        return address

    def connect(self, address: tuple[str, int]) -> Connection:
        """Begin a connection."""
        quic = QuicConnection(configuration=self._configuration())
        quic.connect(address, time.monotonic())
        link = self.links[quic.host_cid] = Connection(quic, self)
        link.flush()
        return link

    def send(self, datagrams: list[tuple[bytes, Any]]) -> None:
        """Send; what the system has no room for is lost."""
        for data, address in datagrams:
            with contextlib.suppress(BlockingIOError):
                self._sock.sendto(data, address)

    def _on_readable(self) -> None:
        touched: dict[Connection, None] = {}
        now = time.monotonic()
        with contextlib.suppress(BlockingIOError):
            for _ in range(READS):
                data, address = self._sock.recvfrom(2048)
                is_long = data[0] & 0x80
                connection_id = data[6 : 6 + data[5]] if is_long else data[1 : 1 + ID_SIZE]
                link = self.links.get(connection_id)
                if link is None and is_long and self.listens:
                    link = self._accept(connection_id)
                if link is not None:
                    link.quic.receive_datagram(data, address, now)
                    touched[link] = None
        for link in touched:
            link.flush()

    def _accept(self, destination_id: bytes) -> Connection:
        quic = QuicConnection(
            configuration=self._configuration(),
            original_destination_connection_id=destination_id,
        )
        link = Connection(quic, self)
        link.ids.add(destination_id)
        self.links[quic.host_cid] = self.links[destination_id] = link
        return link

    def _configuration(self) -> QuicConfiguration:
        found = QuicConfiguration(
            is_client=not self.listens,
            alpn_protocols=[ALPN],
            verify_mode=ssl.CERT_NONE,
            idle_timeout=IDLE_S,
            max_data=WINDOW,
            max_stream_data=STREAM_WINDOW,
            max_datagram_size=DATAGRAM,
            connection_id_length=ID_SIZE,
        )
        if self._certificate is not None:
            found.certificate, found.private_key = self._certificate
        return found


def certificate() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return a self-signed certificate, of the kind that libp2p's are, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    made = x509.CertificateBuilder().serial_number(1).issuer_name(name).subject_name(name)
    made = made.not_valid_before(now - day).not_valid_after(now + day).public_key(key.public_key())
    return made.sign(key, SHA256()), key


class Bare:
    """What it can be told: the commands of ``bench.peer`` that have to do with QUIC."""

    def __init__(self, *, listens: bool) -> None:
        self.endpoint = Endpoint(listens=listens)
        self.conn: Connection | None = None

    async def addr(self) -> Result:
        host, port = self.endpoint.address
        return {"addr": f"{host}:{port}"}

    async def connect(self, addr: str) -> Result:
        self.conn = await self._connect(addr)
        return {}

    async def up(self, size: int, hashed: bool) -> Result:
        """Send ``size`` bytes on a new stream, until the other end says that it has them."""
        return await self._transfer(size.to_bytes(NUMBER, "big") + bytes(size), 1, hashed)

    async def down(self, size: int, hashed: bool) -> Result:
        """Fetch ``size`` bytes on a new stream."""
        return await self._transfer((size | WANTED).to_bytes(NUMBER, "big"), size, hashed)

    async def _transfer(self, request: bytes, expected: int, hashed: bool) -> Result:
        link = self.conn
        if link is None or hashed:
            raise OSError("not connected" if link is None else "it does not hash")
        began, link.received = time.perf_counter(), 0
        stream_id = link.quic.get_next_available_stream_id()
        link.quic.send_stream_data(stream_id, request, end_stream=True)
        link.flush()
        while link.received < expected:
            link.arrived.clear()
            await link.arrived.wait()
        return {"seconds": time.perf_counter() - began}

    async def dial(self, addr: str, count: int) -> Result:
        """Connect and close, ``count`` times in a row."""
        began = time.perf_counter()
        for _ in range(count):
            link = await self._connect(addr)
            link.quic.close()
            link.flush()
        return {"seconds": time.perf_counter() - began}

    async def hold(self, addr: str, count: int) -> Result:
        """Open ``count`` more connections, and keep them."""
        for _ in range(count):
            (await self._connect(addr)).keep()
        return {}

    async def memory(self) -> Result:
        """Tell what of this process is in memory, and how many connections it has."""
        gc.collect()
        return {"rss": worker.resident(), "connections": self.endpoint.open}

    async def cpu(self) -> Result:
        """Tell how much processor time this process has had."""
        return {"seconds": time.process_time()}

    async def _connect(self, addr: str) -> Connection:
        host, _, port = addr.rpartition(":")
        link = self.endpoint.connect((host, int(port)))
        await link.ready
        return link


async def main(flags: list[str]) -> None:
    """Do as told."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(MAX_FILES, hard), hard))
    me = Bare(listens="--listen" in flags)
    await worker.serve(me.addr, me.connect, me.up, me.down, me.dial, me.hold, me.memory, me.cpu)


if __name__ == "__main__":
    worker.run(main(sys.argv[2:]), sys.argv[1])
