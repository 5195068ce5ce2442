from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import RemoteProtocolError
from peerup.wire.yamux_frame import HEADER_SIZE, Flag, FrameType, Header

ON_STREAMS = (FrameType.DATA, FrameType.WINDOW_UPDATE)
ALONE = (FrameType.PING, FrameType.GO_AWAY)

all_flags = st.integers(0, 15).map(Flag)
lengths = st.integers(0, 2**32 - 1)
headers = st.one_of(
    st.builds(Header, st.sampled_from(ON_STREAMS), all_flags, st.integers(1, 2**32 - 1), lengths),
    st.builds(Header, st.sampled_from(ALONE), all_flags, st.just(0), lengths),
)

# Frames that live nodes sent, and one by hand.
WRITTEN = [
    ("000100010000000100000000", Header(FrameType.WINDOW_UPDATE, Flag.SYN, 1, 0)),
    ("000000000000000100000024", Header(FrameType.DATA, Flag.NONE, 1, 36)),
    ("000100020000000100000024", Header(FrameType.WINDOW_UPDATE, Flag.ACK, 1, 36)),
    ("000100040000000100000000", Header(FrameType.WINDOW_UPDATE, Flag.FIN, 1, 0)),
    ("000100080000000700001001", Header(FrameType.WINDOW_UPDATE, Flag.RST, 7, 0x1001)),
    ("0002000200000000deadbeef", Header(FrameType.PING, Flag.ACK, 0, 0xDEADBEEF)),
    ("000300000000000000000001", Header(FrameType.GO_AWAY, Flag.NONE, 0, 1)),
    ("00000005ffffffffffffffff", Header(FrameType.DATA, Flag.SYN | Flag.FIN, 2**32 - 1, 2**32 - 1)),
]


@pytest.mark.parametrize(("text", "header"), WRITTEN)
def test_a_header_is_these_twelve_bytes(text: str, header: Header) -> None:
    assert header.encode().hex() == text
    assert Header.decode(bytes.fromhex(text)) == header


@given(headers, st.binary(max_size=20), st.binary(max_size=20))
def test_a_header_comes_back_from_its_bytes_wherever_they_are(
    header: Header, before: bytes, after: bytes
) -> None:
    wire = before + header.encode() + after
    for form in (wire, bytearray(wire), memoryview(wire)):
        found = Header.decode(form, len(before))
        assert found == header
        assert (type(found.type), type(found.flags)) == (FrameType, Flag)


@given(
    st.one_of(
        st.binary(min_size=HEADER_SIZE, max_size=HEADER_SIZE),
        st.builds(
            lambda head, rest: bytes(head) + rest,  # mostly right, so that much is not refused
            st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 1), st.integers(0, 31)),
            st.binary(min_size=8, max_size=8),
        ),
    )
)
def test_any_twelve_bytes_are_a_header_or_refused(wire: bytes) -> None:
    try:
        header = Header.decode(wire)
    except RemoteProtocolError:
        return
    assert header.encode() == wire


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("010000000000000100000000", "version 1"),
        ("ff0000000000000100000000", "version 255"),
        ("000400000000000000000000", "type 4"),
        ("00ff00000000000000000000", "type 255"),
        ("000000100000000100000000", "flags 0x10"),
        ("000080000000000100000000", "flags 0x8000"),
        ("000000000000000000000000", "frame type 0 on stream 0"),
        ("000100010000000000000000", "frame type 1 on stream 0"),
        ("000200010000000100000000", "frame type 2 on stream 1"),
        ("000300000000000100000000", "frame type 3 on stream 1"),
    ],
)
def test_what_the_layout_cannot_mean_is_refused(text: str, what: str) -> None:
    with pytest.raises(RemoteProtocolError, match=what):
        Header.decode(bytes.fromhex(text))
