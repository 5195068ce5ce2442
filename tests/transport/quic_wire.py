"""Two QUIC engines joined by a wire that moves when told to."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from peerup.transport.quic_connection import STREAM_WINDOW
from peerup.transport.quic_engine import SEND_BUFFER, QuicEngine
from peerup.transport.tls_certificate import make_certificate
from peerup.wire import quic_packet
from peerup.wire.keys import PrivateKey
from peerup.wire.peer_id import PeerId
from peerup.wire.quic_reset import ResetTokens

if TYPE_CHECKING:
    from peerup.wire.events import MuxEvent

HOME: Final = ("192.0.2.1", 4001)
LAPTOP: Final = ("192.0.2.2", 4002)
HOMES_TOKENS: Final = ResetTokens(b"home")
LAPTOPS_TOKENS: Final = ResetTokens(b"laptop")
SIZE: Final = 1200
SOON_S: Final = 0.5  # timers up to this belong to what goes on; later ones are about idling


def key_of(name: str) -> PrivateKey:
    return PrivateKey.from_seed(hashlib.sha256(name.encode()).digest())


def peer_of(name: str) -> PeerId:
    return PeerId.from_public_key(key_of(name).public_key)


class QuicWire:
    """See ``tests.conformance.conversation.Wire``; the handshake is over at the start."""

    window = STREAM_WINDOW
    queue = SEND_BUFFER

    def __init__(self, *, expected: str = "home", handshake: bool = True) -> None:
        self.now = 1000.0
        certificate = make_certificate(key_of("laptop"))
        self.client = QuicEngine.dial(
            certificate, peer_of(expected), HOME, self.now, SIZE, tokens=LAPTOPS_TOKENS
        )
        first = [data for data, _ in self.client.datagrams_to_send(self.now)]
        header = quic_packet.parse_long_header(first[0])
        self.server = QuicEngine.accept(
            make_certificate(key_of("home")),
            header.destination_id,
            self.now,
            SIZE,
            tokens=HOMES_TOKENS,
        )
        self.server.receive(first, LAPTOP, self.now)
        self.sent = 0  # datagrams that went over the wire
        if handshake:
            self.exchange()

    def exchange(self) -> tuple[list[MuxEvent], list[MuxEvent]]:
        while self._move() or self._pass_time():
            pass
        return drain(self.client), drain(self.server)

    def inject(self, data: bytes) -> None:
        self.server.receive([data], LAPTOP, self.now)

    def _move(self) -> bool:
        up = [data for data, _ in self.client.datagrams_to_send(self.now)]
        if up:
            self.server.receive(up, LAPTOP, self.now)
        down = [data for data, _ in self.server.datagrams_to_send(self.now)]
        if down:
            self.client.receive(down, HOME, self.now)
        self.sent += len(up) + len(down)
        return bool(up or down)

    def _pass_time(self) -> bool:
        """Go on to the next timer, if it is one of what goes on: pacing, acknowledgements."""
        timers = [self.client.next_timer(), self.server.next_timer()]
        soonest = min([at for at in timers if at is not None], default=None)
        if soonest is None or soonest > self.now + SOON_S:
            return False
        self.now = max(self.now, soonest)
        for engine in (self.client, self.server):
            engine.handle_timer(self.now)
        return True


def drain(engine: QuicEngine) -> list[MuxEvent]:
    events = []
    while (event := engine.next_event()) is not None:
        events.append(event)
    return events
