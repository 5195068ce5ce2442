"""What aioquic does with packets of strangers and of hostile peers: its bounds, and its gaps.

Like ``test_aioquic_facts.py``: a test that fails after an upgrade names what to look at again.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from aioquic import tls
from aioquic.quic import connection, events, packet
from aioquic.quic.connection import QuicConnection, QuicConnectionState
from aioquic.quic.packet import QuicErrorCode, QuicPacketType
from cryptography import x509

from peerup.wire import quic_packet
from peerup.wire.quic_packet import LongType
from tests.transport import aioquic_pair
from tests.transport.aioquic_pair import (
    CLIENT,
    SERVER,
    Asking,
    Pair,
    certificate_of,
    configuration,
)
from tests.transport.certificates import element

ELSEWHERE = ("192.0.2.9", 9)
TYPES = {
    QuicPacketType.INITIAL: LongType.INITIAL,
    QuicPacketType.HANDSHAKE: LongType.HANDSHAKE,
    QuicPacketType.RETRY: LongType.RETRY,
}


def initial_of(pair: Pair) -> bytes:
    """The first datagram of the client."""
    pair.client.connect(SERVER, pair.now)
    (first, *_) = pair.send(pair.client)
    return first


def has_heard_a_peer(end: QuicConnection) -> bool:
    return end._state is not QuicConnectionState.FIRSTFLIGHT


def integer(value: int) -> bytes:
    return (value | 3 << 62).to_bytes(8, "big")


# --- before a connection --------------------------------------------------------------


def test_headers_are_read_by_aioquic_as_by_us() -> None:
    pair = Pair(server_class=Asking).connect()
    assert len(pair.datagrams) > 4
    for data in pair.datagrams:
        buffer = packet.Buffer(data=data)  # type: ignore[attr-defined]  # not exported by name
        theirs = packet.pull_quic_header(buffer, host_cid_length=8)
        assert quic_packet.is_quic_packet(data)
        assert quic_packet.destination_id(data, 8) == theirs.destination_cid
        if theirs.version is not None:
            ours = quic_packet.parse_long_header(data)
            assert (ours.version, ours.source_id) == (theirs.version, theirs.source_cid)
            assert (ours.type, ours.token) == (TYPES[theirs.packet_type], theirs.token)


def test_the_first_datagram_of_a_client_begins_a_connection_and_is_full() -> None:
    pair = Pair()
    first = initial_of(pair)
    assert len(first) == quic_packet.MIN_INITIAL_SIZE
    header = quic_packet.parse_long_header(first)
    assert header.begins_connection
    assert header.destination_id == pair.client.original_destination_connection_id


def test_a_server_sends_no_more_than_three_times_what_a_stranger_sent() -> None:
    pair = Pair(
        server_class=Asking, server={"certificate_chain": [certificate_of(9).certificate] * 20}
    )
    first = initial_of(pair)
    pair.give(pair.server, first)
    sent = pair.send(pair.server)
    for _ in range(20):
        pair.wait(1.0)
        sent += pair.send(pair.server)
    assert 2 * len(first) < sum(map(len, sent)) <= 3 * len(first)


def test_an_initial_in_a_small_datagram_is_dropped() -> None:
    pair = Pair()
    first = initial_of(pair)
    pair.give(pair.server, first[:1199])
    assert not hasattr(pair.server, "tls")


def test_a_server_without_an_initial_cannot_be_asked_for_datagrams() -> None:
    pair = Pair()
    pair.give(pair.server, os.urandom(1200))
    with pytest.raises(IndexError):
        pair.server.datagrams_to_send(pair.now)


def test_an_initial_of_garbage_costs_the_keys_and_waits_for_the_idle_timeout() -> None:
    pair = Pair()
    first = initial_of(pair)
    pair.give(pair.server, first[:40] + bytes(1160))
    assert hasattr(pair.server, "tls")
    assert not has_heard_a_peer(pair.server)
    assert pair.send(pair.server) == []
    pair.give(pair.server, first)  # it begins anew
    assert has_heard_a_peer(pair.server)


def test_packets_of_unknown_versions_are_dropped_so_we_have_to_answer_them() -> None:
    pair = Pair(client={"supported_versions": [0x6B3343CF], "original_version": 0x6B3343CF})
    first = initial_of(pair)
    header = quic_packet.parse_long_header(first)
    assert header.version == 0x6B3343CF
    pair.give(pair.server, first)
    assert not hasattr(pair.server, "tls")

    pair.give(pair.client, quic_packet.version_negotiation(header, [quic_packet.VERSION_1]))
    (terminated,) = pair.events(pair.client, events.ConnectionTerminated)
    assert "protocol version" in terminated.reason_phrase


@pytest.mark.parametrize("chosen", [b"servers!", b"", b"a connection id of 20"[:20]])
def test_a_client_comes_back_after_our_retry_with_its_token(chosen: bytes) -> None:
    tokens = quic_packet.RetryTokens(bytes(32))
    pair = Pair()
    header = quic_packet.parse_long_header(initial_of(pair))
    token = tokens.make(CLIENT, header.destination_id, pair.now)
    pair.give(pair.client, quic_packet.retry(header, chosen, token))
    (again,) = pair.send(pair.client)
    returned = quic_packet.parse_long_header(again)
    assert (returned.destination_id, returned.source_id) == (chosen, header.source_id)
    original = tokens.open(returned.token, CLIENT, pair.now)
    assert original == header.destination_id

    server = Asking(
        configuration=configuration(is_client=False),
        original_destination_connection_id=original,
        retry_source_connection_id=chosen,
    )
    pair.replace_server(server)
    pair.give(pair.server, again)
    pair.settle()
    assert len(pair.events(pair.client, events.HandshakeCompleted)) == 1
    assert len(pair.events(pair.server, events.HandshakeCompleted)) == 1


def test_a_retry_with_a_wrong_tag_is_ignored() -> None:
    pair = Pair()
    header = quic_packet.parse_long_header(initial_of(pair))
    packet_with_tag = quic_packet.retry(header, b"servers!", b"token")
    pair.give(pair.client, packet_with_tag[:-1] + bytes([packet_with_tag[-1] ^ 1]))
    assert pair.client._retry_count == 0


# --- connection ids -------------------------------------------------------------------


def test_every_connection_id_that_leads_to_an_end_is_reported_but_the_first() -> None:
    pair = Pair().connect()
    for end in (pair.client, pair.server):
        reported = {event.connection_id for event in pair.events(end, events.ConnectionIdIssued)}
        assert reported | {end._local_initial_source_connection_id} == {
            connection_id.cid for connection_id in end._host_cids
        }
        assert len(reported) == 7
        assert all(len(connection_id) == 8 for connection_id in reported)


def test_a_connection_id_that_the_peer_retires_is_reported_and_replaced() -> None:
    pair = Pair().connect()
    retired = pair.client._peer_cid.cid
    pair.client.change_connection_id()
    pair.settle()
    events_of_server = pair.events(pair.server, events.ConnectionIdRetired)
    assert [event.connection_id for event in events_of_server] == [retired]
    assert len(pair.events(pair.server, events.ConnectionIdIssued)) == 8


# --- what a peer can make us hold or do -----------------------------------------------


def closed_with(end: QuicConnection) -> int | None:
    return None if end._close_event is None else end._close_event.error_code


def test_a_gap_in_the_handshake_takes_half_a_mebibyte_at_most() -> None:
    assert connection.MAX_PENDING_CRYPTO == 512 * 1024
    pair = Pair().connect()
    pair.give_frame(pair.server, 0x06, integer(512 * 1024 - 1) + b"\x01x")
    assert closed_with(pair.server) is None
    pair.give_frame(pair.server, 0x06, integer(512 * 1024) + b"\x01x")
    assert closed_with(pair.server) == QuicErrorCode.CRYPTO_BUFFER_EXCEEDED


def test_challenges_wait_for_their_answers_in_a_short_queue() -> None:
    assert connection.MAX_REMOTE_CHALLENGES == 32
    pair = Pair().connect()
    pair.give_frame(pair.server, 0x1A, b"12345678", count=1000)
    assert len(pair.server._network_paths[0].remote_challenges) == 32
    assert closed_with(pair.server) is None


def test_few_addresses_of_a_peer_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.MAX_NETWORK_PATHS == 8
    pair = Pair().connect()
    for port in range(100):
        monkeypatch.setattr(aioquic_pair, "CLIENT", ("192.0.2.9", port))
        pair.give_frame(pair.server, 0x1A, b"12345678")
    assert len(pair.server._network_paths) == 8


def test_an_acknowledgement_of_packets_never_sent_is_ignored_and_costs_nothing() -> None:
    pair = Pair().connect()
    everything = integer((1 << 62) - 1) + b"\0" + b"\0" + integer((1 << 62) - 1)
    pair.give_frame(pair.server, 0x02, everything)
    assert closed_with(pair.server) is None


def test_many_ranges_of_acknowledgements_are_not_kept() -> None:
    pair = Pair().connect()
    for _ in range(300):
        pair.client._packet_number += 1  # every second one gets lost
        pair.give_frame(pair.server, 0x01, b"")
    space = pair.server._loss.spaces[2]
    assert len(space.ack_queue) <= 64


def test_a_peer_may_retire_ids_only_so_fast() -> None:
    pair = Pair().connect()
    for number in range(8, 200):
        retire_all_before = integer(number) + integer(number) + b"\x08" + bytes(8 + 16)
        pair.give_frame(pair.server, 0x18, retire_all_before)
    assert closed_with(pair.server) == QuicErrorCode.CONNECTION_ID_LIMIT_ERROR


# --- errors that aioquic lets by ------------------------------------------------------


class OfVersion9(Asking):
    """Sends a certificate that calls itself one of version 9."""

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        original: Any = self.tls.certificate

        class Odd:
            def public_bytes(self, encoding: Any) -> bytes:
                unsigned = original.tbs_certificate_bytes.replace(
                    bytes.fromhex("a003020102"), bytes.fromhex("a003020109")
                )
                algorithm = bytes.fromhex("300a06082a8648ce3d040302")
                return element(0x30, unsigned, algorithm, element(0x03, b"\0", original.signature))

        self.tls.certificate = Odd()  # type: ignore[assignment]


def test_an_odd_certificate_raises_where_aioquic_reads_it_itself() -> None:
    with pytest.raises(x509.InvalidVersion):
        Pair(client_class=OfVersion9, server_class=Asking).connect()


def test_who_looks_first_can_refuse_an_odd_certificate() -> None:
    class Looking(Asking):
        def _initialize(self, peer_cid: bytes) -> None:
            super()._initialize(peer_cid)
            self.tls._set_peer_certificate = self._refuse  # type: ignore[method-assign]

        def _refuse(self, certificate: tls.Certificate) -> None:
            raise tls.AlertBadCertificate

    pair = Pair(client_class=OfVersion9, server_class=Looking).connect()
    assert closed_with(pair.server) == 0x12A


class Sparing(Asking):
    """Gives out no connection id but the first."""

    def _replenish_connection_ids(self) -> None:
        pass


def test_a_peer_can_make_receive_datagram_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(client_class=Sparing, server_class=Asking).connect()

    def new_id(retire_before: int) -> bytes:
        return bytes([1, retire_before, 8]) + b"my own 1" + bytes(16)

    pair.give_frame(pair.server, 0x18, new_id(0))
    pair.settle()
    monkeypatch.setattr(aioquic_pair, "CLIENT", ELSEWHERE)
    pair.give_frame(pair.server, 0x1A, b"12345678")
    pair.send(pair.server)  # the only spare id goes to the path to be probed
    monkeypatch.undo()
    with pytest.raises(IndexError):
        pair.give_frame(pair.server, 0x18, new_id(1))
