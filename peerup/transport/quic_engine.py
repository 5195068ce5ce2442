"""A QUIC connection as a sans-IO ``Muxer``.

With ``quic_connection`` it is all that knows aioquic: what is queued is bounded here, events and
errors become ours (ADR 13).

Spec: libp2p specs, quic/README.md; RFC 9000.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from aioquic import tls
from aioquic.quic import events as quic
from aioquic.quic.packet import QuicErrorCode

from peerup.errors import (
    ConnectionClosedError,
    LocalProtocolError,
    NotAuthorizedError,
    PeerupError,
    RemoteProtocolError,
    ResourceLimitError,
)
from peerup.transport.quic_connection import (
    CONNECTION_WINDOW,
    IDLE_TIMEOUT_S,
    MAX_INBOUND,
    STREAM_WINDOW,
    Connection,
    configuration,
)
from peerup.wire.error_codes import ConnectionCode
from peerup.wire.events import (
    DataReceived,
    MuxEvent,
    SessionTerminated,
    StreamEnded,
    StreamOpened,
    StreamReset,
    StreamStopped,
    StreamWritable,
)

if TYPE_CHECKING:
    from peerup.transport.tls_certificate import Certificate, VerifiedPeer
    from peerup.wire.peer_id import PeerId
    from peerup.wire.quic_reset import ResetTokens

SEND_BUFFER: Final = STREAM_WINDOW + 256 * 1024  # bytes of one stream on their way, or waiting
WRITABLE_AT: Final = 128 * 1024  # bytes of room for which a waiting writer is woken
KEEPALIVE_PARTS: Final = {True: 3.0, False: 2.0}  # of the idle time; the dialler pings first
CERTIFICATE_REQUIRED: Final = QuicErrorCode.CRYPTO_ERROR + tls.AlertDescription.certificate_required
BAD_CERTIFICATE: Final = QuicErrorCode.CRYPTO_ERROR + tls.AlertDescription.bad_certificate

Address = tuple[Any, ...]


class QuicEngine:
    """One QUIC connection, without socket or clock.

    ``established`` and ``failure`` tell how the handshake goes, ``new_ids`` and ``old_ids``
    which connection ids lead here; the rest is what every ``Muxer`` has.
    """

    def __init__(self, connection: Connection, now: float) -> None:
        """Wrap ``connection``; use ``dial`` and ``accept`` to make one."""
        self._quic = connection
        self._is_client = connection.configuration.is_client
        self._events: deque[MuxEvent] = deque()
        self._arrived: list[bytes] = []  # on one stream, in datagrams of one batch
        self._arrived_on = 0
        self._peer_opened = 0  # streams that the peer has opened so far
        self._reset: set[int] = set()  # streams that are over, whatever still comes for them
        self._starved: set[int] = set()
        self._consumed: dict[int, int] = {}
        self._consumed_in_all = 0
        self._heard_at = now
        self._pings = 0
        self.established = False
        self.terminated = False
        self.failure: PeerupError | None = None
        self.new_ids: list[bytes] = [connection.host_cid]
        self.old_ids: list[bytes] = []

    @classmethod
    def dial(
        cls,
        certificate: Certificate,
        peer: PeerId,
        addr: Address,
        now: float,
        size: int,
        *,
        tokens: ResetTokens | None = None,
    ) -> QuicEngine:
        """Begin a connection to ``peer`` at ``addr`` with datagrams of ``size`` bytes.

        ``tokens`` are of our connection ids; None takes random ones.
        """
        connection = Connection(configuration=configuration(certificate, size, client=True))
        connection.expected = peer
        if tokens is not None:
            connection.use_tokens(tokens)
        connection.connect(addr, now)
        return cls(connection, now)

    @classmethod
    def accept(
        cls,
        certificate: Certificate,
        destination_id: bytes,
        now: float,
        size: int,
        *,
        retried_from: bytes | None = None,
        tokens: ResetTokens | None = None,
    ) -> QuicEngine:
        """Begin the answer to an Initial that was sent to ``destination_id``.

        ``retried_from`` is the id that the client chose before our Retry, None without one.
        """
        connection = Connection(
            configuration=configuration(certificate, size, client=False),
            original_destination_connection_id=retried_from or destination_id,
            retry_source_connection_id=destination_id if retried_from else None,
        )
        if tokens is not None:
            connection.use_tokens(tokens)
        return cls(connection, now)

    @property
    def peer(self) -> VerifiedPeer:
        """Who is at the other end, once ``established``."""
        verified = self._quic.verified
        if verified is None:
            raise LocalProtocolError("the handshake is not over")
        return verified

    # --- datagrams and time -----------------------------------------------------------

    def receive(self, datagrams: list[bytes], addr: Address, now: float) -> None:
        """Take a batch that came from one address; ``next_event`` tells what it meant."""
        self._heard_at = now
        for data in datagrams:
            try:
                self._quic.receive_datagram(data, addr, now)
            except IndexError:  # a bug of aioquic 1.7 that a peer with two addresses can reach
                self._quic.close(error_code=QuicErrorCode.INTERNAL_ERROR, frame_type=0)
        self._drain()
        event = self._quic._close_event
        if event is not None and not self._quic._close_pending:
            self._on_terminated(event)  # the peer's close: aioquic reports it a while later

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Return what is to be sent now, and where to; the first call after ``dial`` too."""
        out = self._quic.datagrams_to_send(now)
        self._drain()  # closing and idling show up here as well
        return out

    def next_timer(self) -> float | None:
        if self.terminated:
            return None
        at = self._quic.get_timer()
        ping = self._heard_at + self._keepalive()
        return ping if at is None or (self.established and ping < at) else at

    def handle_timer(self, now: float) -> None:
        if self.established and now >= self._heard_at + self._keepalive():
            self._heard_at = now  # one ping a period, answered or not
            self._pings += 1
            self._quic.send_ping(self._pings)
        at = self._quic.get_timer()
        if at is not None and now >= at:
            self._quic.handle_timer(now)
        self._drain()

    def _keepalive(self) -> float:
        remote = self._quic._remote_max_idle_timeout
        return min(IDLE_TIMEOUT_S, remote or IDLE_TIMEOUT_S) / KEEPALIVE_PARTS[self._is_client]

    # --- streams ----------------------------------------------------------------------

    @property
    def can_open(self) -> bool:
        if self.terminated:
            return False
        next_id = self._quic.get_next_available_stream_id()
        return next_id // 4 < self._quic._remote_max_streams_bidi

    def open_stream(self) -> int:
        """See ``yamux.Session.open_stream``."""
        if self.terminated:
            raise LocalProtocolError("quic: the connection is closed")
        if not self.can_open:
            raise ResourceLimitError("quic: the peer takes no further streams now")
        stream_id = self._quic.get_next_available_stream_id()
        self._quic.send_stream_data(stream_id, b"")  # reserves the id
        # QUIC shows a stream to the peer with its first frame; repeating its window is one.
        self._quic._streams[stream_id].max_stream_data_local_sent = 0
        return stream_id

    def send(self, stream_id: int, data: bytes | memoryview) -> int:
        """See ``yamux.Session.send``."""
        stream = self._writable(stream_id)
        if stream is None:
            raise LocalProtocolError(f"quic: stream {stream_id} is finished")
        if taken := min(len(data), max(0, SEND_BUFFER - self._queued(stream))):
            self._quic.send_stream_data(stream_id, bytes(data[:taken]))
        if taken < len(data):
            self._starved.add(stream_id)
        return taken

    def _writable(self, stream_id: int) -> Any:
        """Return aioquic's stream if something may still be written to it, else None."""
        stream = self._quic._streams.get(stream_id)
        if stream is None or self.terminated or stream_id in self._reset:
            return None
        sender = stream.sender
        over = sender._buffer_fin is not None or sender._reset_error_code is not None
        return None if over else stream

    @staticmethod
    def _queued(stream: Any) -> int:
        return int(stream.sender._buffer_stop - stream.sender._buffer_start)

    def sent(self, stream_id: int) -> bool:
        """Say whether our half has arrived as a whole, its end included."""
        stream = self._quic._streams.get(stream_id)
        return stream is None or bool(stream.sender.is_finished)

    def consumed(self, stream_id: int, size: int, now: float) -> None:
        """Grant what the application has read, in steps of half a window."""
        self._consumed_in_all += size
        connection = self._quic._local_max_data
        wanted = self._consumed_in_all + CONNECTION_WINDOW
        if wanted - connection.value >= CONNECTION_WINDOW // 2:
            connection.value = wanted
        stream = self._quic._streams.get(stream_id)
        if stream is None:
            self._consumed.pop(stream_id, None)
            return
        if len(self._consumed) > 2 * MAX_INBOUND:  # streams that ended in order
            for gone in self._consumed.keys() - self._quic._streams.keys():
                del self._consumed[gone]
        total = self._consumed[stream_id] = self._consumed.get(stream_id, 0) + size
        if total + STREAM_WINDOW - stream.max_stream_data_local >= STREAM_WINDOW // 2:
            stream.max_stream_data_local = total + STREAM_WINDOW

    def close_write(self, stream_id: int) -> None:
        if self._writable(stream_id) is not None:
            self._quic.send_stream_data(stream_id, b"", end_stream=True)

    def reset(self, stream_id: int, code: int = 0) -> None:
        if stream_id in self._reset or self.terminated:
            return
        self._reset.add(stream_id)
        self._starved.discard(stream_id)
        self._consumed.pop(stream_id, None)
        if stream_id in self._quic._streams:
            self._quic.reset_stream(stream_id, code)
            self._quic.stop_stream(stream_id, code)
        if len(self._reset) > 2 * MAX_INBOUND:  # aioquic keeps no more than are open
            self._reset.intersection_update(self._quic._streams)

    def close(self, code: int = 0) -> None:
        self._quic.close(error_code=code)  # the peer sees it as an application close

    def take_reset(self, token: bytes) -> bool:
        """End the connection if the peer lost it; ``token`` comes from a stateless reset."""
        if self.terminated or not self._quic.is_reset_by(token):
            return False
        self.terminated = True
        self.failure = self.failure or ConnectionClosedError("the peer does not know it any more")
        self._events.append(SessionTerminated(ConnectionCode.NONE))
        return True

    def next_event(self) -> MuxEvent | None:
        return self._events.popleft() if self._events else None

    # --- what aioquic reports ---------------------------------------------------------

    def _drain(self) -> None:
        opened = self._quic._local_max_streams_bidi.used
        while self._peer_opened < opened:
            self._events.append(StreamOpened(4 * self._peer_opened + self._is_client))
            self._peer_opened += 1
        while (event := self._quic.next_event()) is not None:
            self._translate(event)
        self._join()
        # With nothing on its way no acknowledgement will come that makes more room.
        enough = WRITABLE_AT if self._quic._loss.bytes_in_flight else 1
        for stream_id in list(self._starved):
            stream = self._quic._streams.get(stream_id)
            if stream is None or SEND_BUFFER - self._queued(stream) >= enough:
                self._starved.discard(stream_id)
                self._events.append(StreamWritable(stream_id))

    def _translate(self, event: quic.QuicEvent) -> None:
        match event:
            case quic.StreamDataReceived(stream_id=stream_id, data=data, end_stream=end):
                self._on_data(stream_id, data, end)
            case quic.StreamReset(stream_id=stream_id, error_code=code):
                self._on_reset(stream_id, code)
            case quic.StopSendingReceived(stream_id=stream_id, error_code=code):
                # A libp2p reset is RESET_STREAM and STOP_SENDING with one code; 0 alone is go's
                # way to say that it reads no more. After the peer's end only the latter comes.
                if code:
                    self._on_reset(stream_id, code)
                elif stream_id not in self._reset:
                    self._join()
                    self._events.append(StreamStopped(stream_id, code))
            case quic.HandshakeCompleted():
                self._on_handshake()
            case quic.ConnectionIdIssued(connection_id=connection_id):
                self.new_ids.append(connection_id)
            case quic.ConnectionIdRetired(connection_id=connection_id):
                self.old_ids.append(connection_id)
            case quic.ConnectionTerminated():
                self._on_terminated(event)

    def _on_reset(self, stream_id: int, code: int) -> None:
        if stream_id not in self._reset:
            self._join()
            self._events.append(StreamReset(stream_id, code))
            self.reset(stream_id, code)

    def _on_data(self, stream_id: int, data: bytes, end: bool) -> None:
        if stream_id in self._reset:
            return
        if data:
            if stream_id != self._arrived_on:
                self._join()
                self._arrived_on = stream_id
            self._arrived.append(data)
        if end:
            self._join()
            self._events.append(StreamEnded(stream_id))

    def _join(self) -> None:
        """Make one event of what came in several datagrams, as events cost more than bytes."""
        if self._arrived:
            data = b"".join(self._arrived) if len(self._arrived) > 1 else self._arrived[0]
            self._arrived.clear()
            self._events.append(DataReceived(self._arrived_on, data))

    def _on_handshake(self) -> None:
        if self._quic.verified is None:
            self._quic.close(error_code=CERTIFICATE_REQUIRED, frame_type=0)
            self.failure = RemoteProtocolError("quic: the peer sent no certificate")
        else:
            self.established = True

    def _on_terminated(self, event: quic.ConnectionTerminated) -> None:
        if self.terminated:
            return
        self._join()
        self.terminated = True
        self.failure = self.failure or self._quic.refusal or _explain(event)
        code = event.error_code if event.frame_type is None else ConnectionCode.NONE
        self._events.append(SessionTerminated(code))


def _explain(event: quic.ConnectionTerminated) -> PeerupError:
    """Return the error for the end of a connection; nothing a peer wrote goes into it."""
    if event.frame_type is None:
        if event.error_code == ConnectionCode.GATED:
            return NotAuthorizedError("the peer does not authorize us")
        return ConnectionClosedError(
            f"the connection was closed, code {event.error_code:#x}", code=event.error_code
        )
    if event.reason_phrase == "Idle timeout":
        return ConnectionClosedError("the connection timed out")
    if event.error_code == BAD_CERTIFICATE:
        return RemoteProtocolError("quic: the peer does not accept our certificate")
    return RemoteProtocolError(f"quic: the connection failed, code {event.error_code:#x}")
