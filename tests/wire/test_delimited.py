from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire import varint
from peerup.wire.delimited import Splitter, decode_all, join
from tests.wire.vectors import Vector, name_of, vectors

DELIMITED = [
    vector
    for section in ("circuit", "dcutr", "autonat_v2", "dht")
    for vector in vectors(section)
    if "delimited" in vector.expect
]


def drain(splitter: Splitter) -> list[bytes]:
    messages = []
    while (message := splitter.next_message()) is not None:
        messages.append(message)
    return messages


@pytest.mark.parametrize("vector", DELIMITED, ids=name_of)
def test_go_puts_the_same_prefix_before_a_message(vector: Vector) -> None:
    message = bytes.fromhex(vector.expect["message"])
    delimited = bytes.fromhex(vector.expect["delimited"])
    assert join(message) == delimited
    assert decode_all(delimited, len(message)) == [message]


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_how_a_stream_is_cut_never_changes_its_messages(
    messages: list[bytes], data: st.DataObject
) -> None:
    wire = b"".join(map(join, messages))
    splitter = Splitter(max_size=300)
    found = []
    while wire:
        cut = data.draw(st.integers(1, len(wire)), label="bytes in this read")
        splitter.feed(wire[:cut])
        wire = wire[cut:]
        found += drain(splitter)
        assert splitter.unread <= 300 + varint.MAX_VARINT_BYTES
    assert found == messages
    assert splitter.unread == 0


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_whole_messages_come_back_from_their_bytes(messages: list[bytes]) -> None:
    assert decode_all(b"".join(map(join, messages)), 300) == messages


def test_an_empty_message_is_a_message() -> None:
    assert decode_all(b"\x00\x00", max_size=0) == [b"", b""]


def test_an_announced_message_above_the_limit_is_refused_before_it_arrives() -> None:
    splitter = Splitter(max_size=4096)
    splitter.feed(varint.encode(4097))
    with pytest.raises(LimitError, match="4097"):
        splitter.next_message()


def test_a_message_of_the_largest_size_is_taken() -> None:
    assert decode_all(join(bytes(4096)), max_size=4096) == [bytes(4096)]


@pytest.mark.parametrize("prefix", [b"\x80\x00", b"\xff" * 9, b"\xff" * 10])
def test_a_prefix_that_is_no_varint_is_refused(prefix: bytes) -> None:
    splitter = Splitter(max_size=4096)
    splitter.feed(prefix)
    with pytest.raises(RemoteProtocolError):
        splitter.next_message()


def test_an_unfinished_prefix_is_waited_for() -> None:
    splitter = Splitter(max_size=4096)
    splitter.feed(b"\x80")
    assert splitter.next_message() is None
    splitter.feed(b"\x01" + bytes(128))
    assert splitter.next_message() == bytes(128)


def test_what_follows_a_message_can_be_taken_by_whoever_comes_next() -> None:
    splitter = Splitter(max_size=4096)
    splitter.feed(join(b"status") + b"\x13/multi")
    assert splitter.next_message() == b"status"
    assert splitter.take_rest() == b"\x13/multi"
    assert splitter.unread == 0
    assert splitter.next_message() is None


@pytest.mark.parametrize("data", [b"\x05abc", b"\x00\x80", join(b"whole") + b"\x01"])
def test_a_last_message_that_is_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="cut short"):
        decode_all(data, max_size=4096)


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_messages_or_refused(data: bytes) -> None:
    try:
        messages = decode_all(data, max_size=40)
    except RemoteProtocolError:
        return
    assert b"".join(map(join, messages)) == data
