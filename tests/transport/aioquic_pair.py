"""Two ends of aioquic without sockets, for the tests that pin down what we know of it."""

from __future__ import annotations

import functools
import ssl
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicPacketType, QuicProtocolVersion
from aioquic.quic.packet_builder import QuicPacketBuilder

from peerup.transport.tls_certificate import make_certificate
from peerup.wire.keys import PrivateKey

if TYPE_CHECKING:
    from aioquic.quic.events import QuicEvent

    from peerup.transport.tls_certificate import Certificate

CLIENT: Final = ("192.0.2.1", 4001)
SERVER: Final = ("192.0.2.2", 4001)
TICK: Final = 0.0001  # seconds that pass at least when nothing moves

Event = TypeVar("Event", bound="QuicEvent")


@functools.cache
def certificate_of(seed: int) -> Certificate:
    return make_certificate(PrivateKey.from_seed(bytes([seed]) * 32))


OF_CLIENT: Final = 1
OF_SERVER: Final = 2


def configuration(*, is_client: bool, **changes: Any) -> QuicConfiguration:
    """What the engine gives aioquic, and ``changes``."""
    own = certificate_of(OF_CLIENT if is_client else OF_SERVER)
    settings: dict[str, Any] = {
        "is_client": is_client,
        "alpn_protocols": ["libp2p"],
        "certificate": own.certificate,
        "private_key": own.private_key,
        "verify_mode": ssl.CERT_NONE,
        "supported_versions": [QuicProtocolVersion.VERSION_1],
        "idle_timeout": 30.0,
    }
    return QuicConfiguration(**(settings | changes))


def stream_frame(stream_id: int, offset: int, data: bytes) -> bytes:
    """A frame of type 0x0E: a small stream id, an offset below a gigabyte, up to 63 bytes."""
    return bytes([stream_id]) + (offset | 2 << 30).to_bytes(4, "big") + bytes([len(data)]) + data


class Asking(QuicConnection):
    """As it comes, but that the server asks for a certificate."""

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        self.tls._request_client_certificate = not self._is_client


class Pair:
    """A client and a server; datagrams and time move when told to."""

    def __init__(
        self,
        client_class: type[QuicConnection] = QuicConnection,
        server_class: type[QuicConnection] = QuicConnection,
        client: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        """Make both ends; ``client`` and ``server`` change their configurations."""
        self.now = 1000.0
        self.datagrams: list[bytes] = []  # all that were sent
        self.client = client_class(configuration=configuration(is_client=True, **client or {}))
        self.server = server_class(
            configuration=configuration(is_client=False, **server or {}),
            original_destination_connection_id=self.client.original_destination_connection_id,
            **arguments,
        )
        self.seen: dict[QuicConnection, list[QuicEvent]] = {self.client: [], self.server: []}

    def replace_server(self, server: QuicConnection) -> None:
        """Let another connection answer the client from now on."""
        del self.seen[self.server]
        self.server, self.seen[server] = server, []

    def connect(self) -> Pair:
        """See the handshake through, and all that follows it by itself."""
        self.client.connect(SERVER, self.now)
        self.settle()
        return self

    def settle(self, seconds: float = 0.1) -> None:
        """Move datagrams both ways until nothing moves for ``seconds``."""
        quiet_since = self.now
        while self.now < quiet_since + seconds:
            if self._move():
                quiet_since = self.now
            else:
                timers = [at for end in self.seen if (at := end.get_timer()) is not None]
                self.now = max(self.now + TICK, min([*timers, quiet_since + seconds]))
                self._fire()

    def wait(self, seconds: float) -> None:
        """Let time pass on both ends while all datagrams get lost."""
        self.now += seconds
        self._fire()
        self._drain()

    def send(self, source: QuicConnection) -> list[bytes]:
        """Return the datagrams that one end wants to send now, as if they got lost."""
        return [data for data, _ in source.datagrams_to_send(self.now)]

    def give(self, target: QuicConnection, *datagrams: bytes) -> None:
        """Deliver datagrams, of any origin, as if from the right address."""
        for data in datagrams:
            target.receive_datagram(data, CLIENT if target is self.server else SERVER, self.now)
        self._drain()

    def give_frame(self, target: QuicConnection, kind: int, content: bytes, count: int = 1) -> None:
        """Deliver ``count`` frames from the other end, each in a packet of its own."""
        source = self.client if target is self.server else self.server
        for _ in range(count):
            builder = QuicPacketBuilder(
                host_cid=source.host_cid,
                is_client=source is self.client,
                max_datagram_size=1400,
                packet_number=source._packet_number,
                peer_cid=source._peer_cid.cid,
                version=QuicProtocolVersion.VERSION_1,
            )
            builder.start_packet(QuicPacketType.ONE_RTT, source._cryptos[tls.Epoch.ONE_RTT])
            builder.start_frame(kind, capacity=len(content)).push_bytes(content)
            datagrams, _ = builder.flush()
            source._packet_number = builder.packet_number
            self.give(target, *datagrams)

    def events(self, end: QuicConnection, kind: type[Event]) -> list[Event]:
        """What one end reported of one kind, since the beginning."""
        self._drain()
        return [event for event in self.seen[end] if isinstance(event, kind)]

    def _move(self) -> bool:
        moved = False
        for source, target in ((self.client, self.server), (self.server, self.client)):
            datagrams = self.send(source)
            self.datagrams += datagrams
            self.give(target, *datagrams)
            moved = moved or bool(datagrams)
        return moved

    def _fire(self) -> None:
        for end in (self.client, self.server):
            at = end.get_timer()
            if at is not None and at <= self.now:
                end.handle_timer(self.now)

    def _drain(self) -> None:
        for end, seen in self.seen.items():
            while (event := end.next_event()) is not None:
                seen.append(event)
