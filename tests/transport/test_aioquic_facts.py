"""What the QUIC engine knows of aioquic that aioquic does not promise.

A test that fails after an upgrade names the thing to look at in ``quic_engine.py``. These are
facts, not wishes: several of them are why the engine does something at all.
"""

from __future__ import annotations

import inspect
from typing import Any, Final

import pytest
from aioquic import tls
from aioquic.quic import connection, events
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicErrorCode, QuicFrameType
from aioquic.quic.stream import QuicStream
from cryptography.hazmat.primitives.serialization import Encoding

from peerup.wire import quic_packet
from tests.transport.aioquic_pair import (
    OF_CLIENT,
    OF_SERVER,
    SERVER,
    Asking,
    Pair,
    certificate_of,
    stream_frame,
)

CLIENTS_FIRST: Final = 0  # stream ids
WINDOW: Final = 65536
BAD_CERTIFICATE: Final = QuicErrorCode.CRYPTO_ERROR + tls.AlertDescription.bad_certificate


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def received(pair: Pair, end: QuicConnection) -> bytes:
    return b"".join(event.data for event in pair.events(end, events.StreamDataReceived))


def queued(stream: QuicStream) -> int:
    return stream.sender._buffer_stop - stream.sender._buffer_start


def test_all_that_aioquic_logs_goes_to_one_logger() -> None:
    assert connection.logger.name == "quic"
    assert Pair().client._logger.logger is connection.logger


# --- certificates ---------------------------------------------------------------------


def test_tls_begins_in_initialize_which_an_engine_can_override() -> None:
    assert parameters(QuicConnection._initialize) == ["self", "peer_cid"]
    pair = Pair()
    assert not hasattr(pair.client, "tls")
    assert not hasattr(pair.server, "tls")
    pair.connect()
    assert isinstance(pair.client.tls, tls.Context)
    assert isinstance(pair.server.tls, tls.Context)


def test_after_a_retry_tls_begins_once_more() -> None:
    begun: list[tls.Context] = []

    class Counting(QuicConnection):
        def _initialize(self, peer_cid: bytes) -> None:
            super()._initialize(peer_cid)
            begun.append(self.tls)

    pair = Pair(client_class=Counting)
    pair.client.connect(SERVER, pair.now)
    (first,) = pair.send(pair.client)
    asked = quic_packet.parse_long_header(first)
    pair.give(pair.client, quic_packet.retry(asked, b"servers!", b"token"))
    assert len(begun) == 2
    assert begun[0] is not begun[1] is pair.client.tls


def test_a_server_asks_for_no_certificate_unless_told_to() -> None:
    pair = Pair().connect()
    assert pair.server.tls._request_client_certificate is False
    assert pair.server.tls._peer_certificate is None
    assert pair.client.tls._peer_certificate == certificate_of(OF_SERVER).certificate


def test_a_server_that_was_told_to_gets_the_certificate_of_the_client() -> None:
    pair = Pair(server_class=Asking).connect()
    assert pair.server.tls._peer_certificate == certificate_of(OF_CLIENT).certificate
    assert len(pair.events(pair.server, events.HandshakeCompleted)) == 1


def test_a_server_takes_an_empty_certificate_for_none_asked() -> None:
    pair = Pair(server_class=Asking, client={"certificate": None, "private_key": None}).connect()
    assert len(pair.events(pair.server, events.HandshakeCompleted)) == 1
    assert pair.server.tls._peer_certificate is None


class Refusing(Asking):
    """Looks at certificates before aioquic does, and refuses them."""

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        self.offered: list[bytes] = []
        self.tls._set_peer_certificate = self._look  # type: ignore[method-assign]

    def _look(self, certificate: tls.Certificate) -> None:
        self.offered = [der for der, _ in certificate.certificates]
        raise tls.AlertBadCertificate("not this one")


@pytest.mark.parametrize("who", ["client", "server"])
def test_either_end_can_refuse_a_certificate_with_an_alert(who: str) -> None:
    classes: dict[str, Any] = {"client_class": Asking, "server_class": Asking}
    pair = Pair(**classes | {f"{who}_class": Refusing}).connect()
    refusing, other = pair.client, pair.server
    if who == "server":
        refusing, other = other, refusing
    assert isinstance(refusing, Refusing)
    owner = OF_CLIENT if who == "server" else OF_SERVER
    assert refusing.offered == [certificate_of(owner).certificate.public_bytes(Encoding.DER)]
    assert refusing._close_event is not None
    assert refusing._close_event.error_code == BAD_CERTIFICATE == 0x12A
    pair.settle(5.0)
    for end in (refusing, other):
        (terminated,) = pair.events(end, events.ConnectionTerminated)
        assert terminated.error_code == BAD_CERTIFICATE
        assert terminated.frame_type == QuicFrameType.CRYPTO
        assert terminated.reason_phrase == "not this one"


def test_both_ends_need_the_same_protocol() -> None:
    pair = Pair(client={"alpn_protocols": ["h3"]}).connect()
    pair.settle(5.0)
    (terminated,) = pair.events(pair.client, events.ConnectionTerminated)
    no_protocol = tls.AlertDescription.no_application_protocol
    assert terminated.error_code == QuicErrorCode.CRYPTO_ERROR + no_protocol


def test_without_a_handler_a_server_gives_no_session_tickets() -> None:
    tickets: list[tls.SessionTicket] = []
    for with_handler in (False, True):
        pair = Pair()
        pair.client._session_ticket_handler = tickets.append
        if with_handler:
            pair.server._session_ticket_handler = lambda ticket: None
        pair.connect()
        assert len(tickets) == int(with_handler)


def test_the_handshake_shows_no_name_of_a_server() -> None:
    pair = Pair().connect()
    assert pair.client.configuration.server_name is None
    assert pair.client.tls._server_name is None


# --- windows and buffers --------------------------------------------------------------

SMALL_WINDOWS: Final = {"max_stream_data": WINDOW, "max_data": WINDOW}


class Following(QuicConnection):
    """Hides what arrived from the rules that double the windows."""

    def _write_stream_limits(self, builder: Any, space: Any, stream: QuicStream) -> None:
        seen, stream.receiver.highest_offset = stream.receiver.highest_offset, 0
        super()._write_stream_limits(builder, space, stream)
        stream.receiver.highest_offset = seen

    def _write_connection_limits(self, builder: Any, space: Any) -> None:
        seen, self._local_max_data.used = self._local_max_data.used, 0
        super()._write_connection_limits(builder, space)
        self._local_max_data.used = seen


def test_the_functions_that_write_limits_take_what_the_engine_passes_on() -> None:
    assert parameters(QuicConnection._write_stream_limits) == ["self", "builder", "space", "stream"]
    assert parameters(QuicConnection._write_connection_limits) == ["self", "builder", "space"]


def test_windows_double_by_themselves_although_nobody_reads() -> None:
    pair = Pair(server=SMALL_WINDOWS).connect()
    pair.client.send_stream_data(CLIENTS_FIRST, bytes(1_000_000))
    pair.settle()
    assert len(received(pair, pair.server)) == 1_000_000


def test_windows_double_although_the_first_byte_never_arrived() -> None:
    pair = Pair(server=SMALL_WINDOWS).connect()
    pair.give_frame(pair.server, 0x0E, stream_frame(CLIENTS_FIRST, WINDOW - 1, b"x"))
    pair.settle()
    stream = pair.server._streams[CLIENTS_FIRST]
    assert stream.max_stream_data_local == 2 * WINDOW
    assert received(pair, pair.server) == b""


def test_windows_stand_still_once_what_arrived_is_hidden() -> None:
    pair = Pair(server_class=Following, server=SMALL_WINDOWS).connect()
    pair.client.send_stream_data(CLIENTS_FIRST, bytes(1_000_000))
    pair.settle()
    assert len(received(pair, pair.server)) == WINDOW
    assert pair.server._streams[CLIENTS_FIRST].max_stream_data_local == WINDOW
    assert pair.server._local_max_data.value == WINDOW


def test_windows_grow_by_what_the_engine_adds() -> None:
    pair = Pair(server_class=Following, server=SMALL_WINDOWS).connect()
    pair.client.send_stream_data(CLIENTS_FIRST, bytes(1_000_000))
    pair.settle()
    pair.server._local_max_data.value += 5000
    pair.server._streams[CLIENTS_FIRST].max_stream_data_local += 4000
    pair.settle()
    assert len(received(pair, pair.server)) == WINDOW + 4000
    assert pair.client._remote_max_data == WINDOW + 5000


def test_a_frame_beyond_the_window_ends_the_connection() -> None:
    pair = Pair(server_class=Following, server=SMALL_WINDOWS).connect()
    pair.give_frame(pair.server, 0x0E, stream_frame(CLIENTS_FIRST, WINDOW, b"x"))
    assert pair.server._close_event is not None
    assert pair.server._close_event.error_code == QuicErrorCode.FLOW_CONTROL_ERROR


def test_a_gap_in_a_stream_takes_no_more_memory_than_the_window() -> None:
    pair = Pair(server_class=Following, server=SMALL_WINDOWS).connect()
    for offset in (WINDOW - 1, WINDOW // 2, 7):
        pair.give_frame(pair.server, 0x0E, stream_frame(CLIENTS_FIRST, offset, b"x"))
    assert len(pair.server._streams[CLIENTS_FIRST].receiver._buffer) == WINDOW


def test_sending_is_buffered_without_bound() -> None:
    pair = Pair(server_class=Following, server=SMALL_WINDOWS).connect()
    pair.client.send_stream_data(CLIENTS_FIRST, bytes(10_000_000))
    stream = pair.client._streams[CLIENTS_FIRST]
    assert queued(stream) == 10_000_000
    pair.settle()
    assert queued(stream) == 10_000_000 - WINDOW


# --- streams --------------------------------------------------------------------------


def test_an_id_is_taken_by_sending_and_an_empty_write_is_enough() -> None:
    pair = Pair().connect()
    assert pair.client.get_next_available_stream_id() == 0
    assert pair.client.get_next_available_stream_id() == 0
    pair.client.send_stream_data(0, b"")
    assert pair.client.get_next_available_stream_id() == 4
    pair.settle()
    assert pair.events(pair.server, events.StreamDataReceived) == []
    assert pair.server.get_next_available_stream_id() == 1


def test_limits_on_streams_are_told_to_the_peer_if_set_before_tls_begins() -> None:
    class Limiting(QuicConnection):
        def _initialize(self, peer_cid: bytes) -> None:
            self._local_max_streams_bidi.value = 7
            self._local_max_streams_uni.value = 0
            super()._initialize(peer_cid)

    pair = Pair(server_class=Limiting).connect()
    assert pair.client._remote_max_streams_bidi == 7
    assert pair.client._remote_max_streams_uni == 0
    pair.give_frame(pair.server, 0x0A, b"\x02\x01x")  # on the first stream of one direction
    assert pair.server._close_event is not None
    assert pair.server._close_event.error_code == QuicErrorCode.STREAM_LIMIT_ERROR


def test_a_stream_that_ended_both_ways_is_forgotten_and_makes_room_for_another() -> None:
    pair = Pair().connect()
    pair.client.send_stream_data(CLIENTS_FIRST, b"x", end_stream=True)
    pair.settle()
    assert CLIENTS_FIRST in pair.server._streams
    assert pair.server._local_max_streams_bidi.value == 128
    pair.server.send_stream_data(CLIENTS_FIRST, b"y", end_stream=True)
    pair.settle()
    assert CLIENTS_FIRST not in pair.server._streams
    assert CLIENTS_FIRST not in pair.client._streams
    assert pair.server._local_max_streams_bidi.value == 129
    with pytest.raises(ValueError, match="stream"):
        pair.client.send_stream_data(CLIENTS_FIRST, b"more")


def test_a_stream_that_the_peer_never_ends_stays() -> None:
    pair = Pair().connect()
    pair.client.send_stream_data(CLIENTS_FIRST, b"x", end_stream=True)
    pair.settle(20.0)
    assert CLIENTS_FIRST in pair.client._streams


def test_stopping_a_stream_resets_the_senders_half_by_itself() -> None:
    pair = Pair(server_class=Following, server=SMALL_WINDOWS).connect()
    pair.client.send_stream_data(CLIENTS_FIRST, bytes(100_000))
    pair.settle()
    pair.server.stop_stream(CLIENTS_FIRST, 0x1005)
    pair.settle()
    (stopped,) = pair.events(pair.client, events.StopSendingReceived)
    assert (stopped.stream_id, stopped.error_code) == (CLIENTS_FIRST, 0x1005)
    (reset,) = pair.events(pair.server, events.StreamReset)
    assert (reset.stream_id, reset.error_code) == (CLIENTS_FIRST, 0x1005)
    with pytest.raises(RuntimeError, match="reset"):
        pair.client.send_stream_data(CLIENTS_FIRST, b"more")


def test_writing_after_the_end_raises() -> None:
    pair = Pair().connect()
    pair.client.send_stream_data(CLIENTS_FIRST, b"x", end_stream=True)
    with pytest.raises(RuntimeError, match="FIN"):
        pair.client.send_stream_data(CLIENTS_FIRST, b"more")
    with pytest.raises(ValueError, match="unknown stream"):
        pair.client.stop_stream(400, 0)


# --- time, and how connections end ----------------------------------------------------


def test_the_pacer_can_be_told_to_let_everything_go() -> None:
    pair = Pair().connect()
    pacer = pair.client._loss._pacer
    assert pacer.packet_time is not None
    assert parameters(pacer.next_send_time) == ["now"]
    assert parameters(pacer.update_after_send) == ["now"]
    pacer.packet_time = None
    assert pacer.next_send_time(now=pair.now) is None


def test_the_peers_idle_timeout_is_known_in_seconds() -> None:
    pair = Pair(server={"idle_timeout": 12.0})
    assert pair.client._remote_max_idle_timeout is None
    pair.connect()
    assert pair.client._remote_max_idle_timeout == 12.0
    assert pair.server._remote_max_idle_timeout == 30.0


def test_a_silent_connection_ends_after_the_shorter_idle_timeout_with_this_event() -> None:
    pair = Pair(server={"idle_timeout": 12.0}).connect()
    pair.wait(11.0)
    assert pair.events(pair.client, events.ConnectionTerminated) == []
    pair.wait(2.0)
    for end in (pair.client, pair.server):
        (terminated,) = pair.events(end, events.ConnectionTerminated)
        assert terminated.reason_phrase == "Idle timeout"
        assert terminated.frame_type is not None


def test_there_is_no_keepalive_but_a_ping_keeps_a_connection() -> None:
    pair = Pair().connect()
    before = len(pair.datagrams)
    pair.settle(20.0)
    assert len(pair.datagrams) == before
    pair.client.send_ping(1)
    pair.settle(20.0)
    assert [event.uid for event in pair.events(pair.client, events.PingAcknowledged)] == [1]
    assert pair.events(pair.client, events.ConnectionTerminated) == []


@pytest.mark.parametrize("frame_type", [None, QuicFrameType.PADDING])
def test_closing_shows_at_once_here_and_as_an_event_there(frame_type: int | None) -> None:
    pair = Pair().connect()
    assert pair.client._close_event is None
    pair.client.close(error_code=0x1007, frame_type=frame_type)
    expected = events.ConnectionTerminated(0x1007, frame_type, "")
    assert pair.client._close_event == expected
    assert pair.events(pair.client, events.ConnectionTerminated) == []
    pair.settle(5.0)
    assert pair.server._close_event == expected
    assert pair.events(pair.server, events.ConnectionTerminated) == [expected]
    assert pair.events(pair.client, events.ConnectionTerminated) == [expected]


def test_a_reset_token_is_known_to_the_client_and_never_looked_for() -> None:
    pair = Pair().connect()
    token = pair.client._peer_cid.stateless_reset_token
    assert len(token) == 16
    assert token == pair.server._host_cids[0].stateless_reset_token
    assert pair.server._peer_cid.stateless_reset_token == b""  # clients send none
    stateless_reset = b"\x40" + pair.client.host_cid + bytes(20) + token
    pair.give(pair.client, stateless_reset)
    pair.settle()
    assert pair.client._close_event is None
