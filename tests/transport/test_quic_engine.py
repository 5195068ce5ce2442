from __future__ import annotations

from peerup.wire.events import DataReceived, StreamEnded
from tests.conformance.conversation import Wire
from tests.conformance.muxers import MuxerSuite
from tests.transport.quic_wire import LAPTOP, QuicWire, drain


class TestQuic(MuxerSuite):
    def wire(self) -> Wire:
        return QuicWire()


def batch_of(wire: QuicWire, sent: dict[int, bytes]) -> list[bytes]:
    """The datagrams in which a client sends this, and the end of each stream."""
    for stream_id, data in sent.items():
        wire.client.send(stream_id, data)
        wire.client.close_write(stream_id)
    batch: list[bytes] = []
    for _ in range(20):  # it sends one after the other
        wire.now += 0.001
        batch += [data for data, _ in wire.client.datagrams_to_send(wire.now)]
    assert len(batch) > 8
    return batch


def test_what_comes_on_a_stream_in_one_batch_is_one_event() -> None:
    wire = QuicWire()
    stream_id = wire.client.open_stream()
    wire.exchange()
    data = bytes(range(250)) * 40
    wire.server.receive(batch_of(wire, {stream_id: data}), LAPTOP, wire.now)
    assert drain(wire.server) == [DataReceived(stream_id, data), StreamEnded(stream_id)]


def test_streams_that_take_turns_in_a_batch_keep_their_bytes_and_ends_apart() -> None:
    wire = QuicWire()
    first, second = wire.client.open_stream(), wire.client.open_stream()
    wire.exchange()
    sent = {first: bytes(5000), second: bytes(range(250)) * 20}
    wire.server.receive(batch_of(wire, sent), LAPTOP, wire.now)
    events = drain(wire.server)
    for stream_id, data in sent.items():
        own = [event for event in events if getattr(event, "stream_id", None) == stream_id]
        assert own.pop() == StreamEnded(stream_id)
        assert b"".join(event.data for event in own if isinstance(event, DataReceived)) == data
