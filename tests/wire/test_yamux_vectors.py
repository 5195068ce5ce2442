"""What a live go-yamux said and heard, replayed against our sessions in both places.

In a transcript "go" is go-yamux and "peer" a script that wrote frames by hand. Each vector is
replayed twice: our session stands in for go, or for the peer. What the other side sent is fed to
it; what its side sent, it is told to do by the calls that have that meaning, and what it puts on
the wire must mean the same to the other side.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from peerup.errors import LocalProtocolError, RemoteProtocolError, ResourceLimitError
from peerup.wire.events import (
    DataReceived,
    MuxEvent,
    SessionTerminated,
    StreamEnded,
    StreamOpened,
    StreamReset,
)
from peerup.wire.multistream import Proposer
from peerup.wire.yamux import PROTOCOL, PROTOCOL_ERROR, Session
from peerup.wire.yamux_frame import HEADER_SIZE, Flag, FrameType, Header
from tests.wire.vectors import captured, vectors
from tests.wire.yamux_pair import Frame, client, drain, frames, go_away, syn, take_all

YAMUX: Final = {vector.name: vector for vector in vectors("yamux")}

DIFFERENT: Final = {
    ("server_accept_backlog", "go"): "the 257th is refused by both; we say why: code 0x1002",
}
"""Where our meaning differs from that of the vector, and why that is right."""

NEVER_OURS: Final = {
    "error_bad_version": "we write no other version",
    "error_duplicate_stream": "our ids count up",
    "error_window_exceeded": "we stop at the window",
    "error_stream_id_of_wrong_parity": "our ids have our parity",
    "error_stream_id_zero": "our ids begin at 1 or 2",
    "unsolicited_pong": "we answer pings only",
    "server_accept_backlog": "we wait at 256 streams that the peer has not accepted",
}
"""What the peer of a vector does and our session cannot be made to do."""


@dataclass
class Meaning:
    """What a sequence of frames says, whichever way it is written.

    Left out is what no yamux cares about, and what go, the script and we do differently:
    FIN is on WINDOW_UPDATE at go, on an empty DATA frame at ours; SYN is on DATA at the script,
    on WINDOW_UPDATE at ours; go cuts data at 65,536 bytes, we at 65,507 (one record of Noise);
    go counts its pings from 0, we from 1; go accepts when the application does, we at once.
    """

    opened: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    data: dict[int, bytes] = field(default_factory=lambda: defaultdict(bytes))
    credit: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    finished: list[int] = field(default_factory=list)
    resets: list[tuple[int, int]] = field(default_factory=list)
    pings: int = 0
    pongs: int = 0
    go_aways: list[int] = field(default_factory=list)


def meaning(wire: bytes) -> Meaning:
    found = Meaning()
    for frame in frames(wire):
        match frame.type:
            case FrameType.PING:
                found.pings += bool(frame.flags & Flag.SYN)
                found.pongs += bool(frame.flags & Flag.ACK)
            case FrameType.GO_AWAY:
                found.go_aways.append(frame.length)
            case _:
                on_stream(found, frame)
    return found


def on_stream(found: Meaning, frame: Frame) -> None:
    is_update = frame.type is FrameType.WINDOW_UPDATE
    for flag, ids in (
        (Flag.SYN, found.opened),
        (Flag.ACK, found.accepted),
        (Flag.FIN, found.finished),
    ):
        if frame.flags & flag:
            ids.append(frame.stream_id)
    if frame.flags & Flag.RST:
        found.resets.append((frame.stream_id, frame.length if is_update else 0))
    elif is_update and frame.length:
        found.credit[frame.stream_id] += frame.length
    if frame.body:
        found.data[frame.stream_id] += frame.body


def wire_of(step: dict[str, Any]) -> bytes:
    """The bytes of one step of a transcript."""
    if "bytes" in step:
        return bytes.fromhex(step["bytes"])
    if "header" in step:  # ... and a body of zero bytes
        header = bytes.fromhex(step["header"])
        return header + bytes(Header.decode(header).length)
    assert step["note"].startswith("257 SYNs (streams 1,3,...,513)")
    return b"".join(map(syn, range(1, 514, 2)))


def plaintext_of(step: dict[str, Any]) -> bytes:
    """What the records of one step of a live transcript held."""
    records = step.get("records") or [step]
    return b"".join(bytes.fromhex(record["plaintext"]) for record in records)


class Replay:
    """Our session in the place of one side; ``steps`` are who sent what."""

    def __init__(self, steps: list[tuple[str, bytes]], place: str, *, is_client: bool) -> None:
        self.session = Session(is_client=is_client, now=0.0)
        self.now = 0.0
        self.sent = b""
        self.expected = b""
        self.events: list[MuxEvent] = []
        self.refusal = ""
        for sender, wire in steps:
            self.now += 1.0
            if sender == place:
                self.expected += wire
                for frame in frames(wire):
                    self.perform(frame)
            else:
                self.hear(wire)
            self.sent += take_all(self.session)

    def perform(self, frame: Frame) -> None:
        """Do what makes our session say the same as ``frame``."""
        session = self.session
        if frame.type is FrameType.GO_AWAY:
            session.close(frame.length)
        elif frame.type is FrameType.PING and frame.flags & Flag.SYN:
            self.now = max(self.now, session.next_timer() or 0.0)
            session.handle_timer(self.now)
        elif frame.type is not FrameType.PING:
            if frame.flags & Flag.SYN:
                assert session.open_stream() == frame.stream_id
            if frame.body:
                assert session.send(frame.stream_id, frame.body) == len(frame.body)
            if frame.flags & Flag.FIN:
                session.close_write(frame.stream_id)
            if frame.flags & Flag.RST:
                session.reset(frame.stream_id, frame.length)
            elif frame.type is FrameType.WINDOW_UPDATE and frame.length:
                self.consume(frame.stream_id, frame.length)

    def consume(self, stream_id: int, size: int) -> None:
        """Read what earns this much credit, and see that one byte less earns none."""
        self.session.consumed(stream_id, size - 1, self.now)
        assert not self.session.pending
        self.session.consumed(stream_id, 1, self.now)

    def hear(self, wire: bytes) -> None:
        session = self.session
        if session._ping_sent is not None and wire[:4] == bytes.fromhex("00020002"):
            # The answer to our ping, which has a value of our own.
            wire = wire[:8] + session._ping_value.to_bytes(4, "big") + wire[HEADER_SIZE:]
        try:
            session.receive(wire, self.now)
        except RemoteProtocolError as why:
            self.refusal = str(why)
            session.close(PROTOCOL_ERROR)
        self.events += drain(session)


def replayed(name: str, place: str) -> Replay:
    vector = YAMUX[name]
    transcript = vector.expect["transcript"]
    steps = [(step["from"], wire_of(step)) for step in transcript if "fact" not in step]
    go_is_client = vector.inputs["go_role"] == "client"
    return Replay(steps, place, is_client=go_is_client == (place == "go"))


def joined(events: list[MuxEvent]) -> list[MuxEvent]:
    """Events with the pieces of one stream's data put together."""
    found: list[MuxEvent] = []
    for event in events:
        match found[-1:], event:
            case [DataReceived(before, head)], DataReceived(after, tail) if before == after:
                found[-1] = DataReceived(after, bytes(head) + bytes(tail))
            case _:
                found.append(event)
    return found


PLACES: Final = [
    (name, place)
    for name in YAMUX
    for place in ("go", "peer")
    if place == "go" or name not in NEVER_OURS
]


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_our_session_says_what_go_and_its_peer_said(name: str, place: str) -> None:
    replay = replayed(name, place)
    sent, expected = meaning(replay.sent), meaning(replay.expected)
    if place == "peer":  # we accept every stream, the script did only where it mattered
        assert set(expected.accepted) <= set(sent.accepted)
        expected.accepted = sent.accepted
    if replay.refusal:  # go queues a GO_AWAY too, but closes before it leaves
        assert sent.go_aways == [PROTOCOL_ERROR]
        sent.go_aways = expected.go_aways
    assert bool(replay.refusal) == name.startswith("error_")
    if (name, place) in DIFFERENT:
        assert sent != expected
    else:
        assert sent == expected


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("error_bad_version", "yamux: version 1, type 1, flags 0x1"),
        ("error_duplicate_stream", "yamux: stream id 1 used twice"),
        ("error_window_exceeded", "yamux: stream 1 overran its window"),
        ("error_stream_id_of_wrong_parity", "yamux: the peer opened our stream id 2"),
        ("error_stream_id_zero", "yamux: frame type 1 on stream 0"),
    ],
)
def test_we_refuse_what_go_refuses(name: str, refusal: str) -> None:
    assert {"fact": "go closed the connection", "value": True} in YAMUX[name].expect["transcript"]
    replay = replayed(name, "go")
    assert replay.refusal == refusal
    assert replay.sent.endswith(go_away(PROTOCOL_ERROR))


@pytest.mark.parametrize(
    ("name", "place", "events"),
    [
        (
            "client_basic",
            "go",
            [
                DataReceived(1, b"worldok"),  # the second part after our FIN
                StreamEnded(1),
                DataReceived(7, b"abc"),
                StreamReset(9, 0x1234),
                StreamReset(11, 0),
            ],
        ),
        (
            "client_basic",
            "peer",
            [
                StreamOpened(1),
                DataReceived(1, b"hello"),
                StreamEnded(1),
                StreamOpened(3),
                StreamReset(3, 0),
                StreamOpened(5),
                StreamReset(5, 0x2A),
                StreamOpened(7),
                StreamEnded(7),
                StreamOpened(9),
                StreamOpened(11),
                SessionTerminated(0),
            ],
        ),
        ("client_close_with_error", "peer", [SessionTerminated(0x1006)]),
        (
            "syn_and_fin_at_once",
            "go",
            [StreamOpened(1), DataReceived(1, b"hi"), StreamEnded(1)],
        ),
        ("syn_and_fin_at_once", "peer", [DataReceived(1, b"yo"), StreamEnded(1)]),
        ("unsolicited_pong", "go", []),
        ("goaway_with_code", "go", [SessionTerminated(0x1001)]),
        ("goaway_with_code", "peer", [StreamOpened(1)]),
        ("server_receive_window", "go", [StreamOpened(1), DataReceived(1, bytes(262144))]),
        ("server_receive_window", "peer", []),
        ("server_accept_backlog", "go", [StreamOpened(sid) for sid in range(1, 512, 2)]),
    ],
)
def test_the_owner_of_the_session_hears_what_go_heard(
    name: str, place: str, events: list[MuxEvent]
) -> None:
    assert joined(replayed(name, place).events) == events


def test_after_a_go_away_go_opens_no_stream_and_neither_do_we() -> None:
    replay = replayed("goaway_with_code", "go")
    with pytest.raises(LocalProtocolError):
        replay.session.open_stream()


def test_of_257_streams_the_last_is_reset_with_a_reason() -> None:
    sent = meaning(replayed("server_accept_backlog", "go").sent)
    assert sent.accepted == list(range(1, 512, 2))
    assert sent.resets == [(513, 0x1002)]


def test_we_do_not_ask_for_a_257th_stream() -> None:
    ours = client()
    for _ in range(256):
        ours.open_stream()
    with pytest.raises(ResourceLimitError):
        ours.open_stream()


@pytest.mark.parametrize("table", [DIFFERENT, NEVER_OURS])
def test_the_tables_name_vectors_that_exist(table: dict[Any, str]) -> None:
    names = {key if isinstance(key, str) else key[0] for key in table}
    assert names <= YAMUX.keys()


@pytest.mark.parametrize("early", [True, False], ids=["early", "multistream"])
def test_our_session_says_what_a_client_of_a_whole_go_host_said(early: bool) -> None:
    """Behind Noise: identify, ping and a refused protocol, with early muxer negotiation or not."""
    name = "whole_connection_early_muxer" if early else "whole_connection_multistream_muxer"
    (vector,) = (vector for vector in vectors("live") if vector.name == name)
    steps = [
        (step["from"], plaintext_of(step))
        for step in vector.expect["transcript"]
        if "bytes" not in step
    ]
    if not early:
        proposer = Proposer([PROTOCOL])
        (_, greeting), (_, proposed), (_, answer) = steps[:3]
        assert proposer.data_to_send() == proposed
        proposer.receive(greeting + answer)
        assert proposer.agreed == PROTOCOL
        steps[:3] = [("go", proposer.leftover)]
    replay = Replay(steps, "peer", is_client=True)
    sent, expected = meaning(replay.sent), meaning(replay.expected)
    assert sent.accepted == [2]  # go's identify stream, which the script let be
    expected.accepted = sent.accepted
    assert sent == expected
    heard = [event for event in replay.events if not isinstance(event, DataReceived)]
    assert heard == [StreamOpened(2), StreamEnded(1), StreamReset(5, 0x1001)]


@pytest.mark.parametrize("file", ["go_libp2p_0_32", "js_libp2p_3_3"])
def test_frames_of_other_versions_are_understood_in_their_order(file: str) -> None:
    """Only the headers were kept: bodies are zeros here."""
    ours = client()
    ids = {ours.open_stream() for _ in range(2)}
    for sid in ids:
        ours.send(sid, bytes(100))
    take_all(ours)
    expected = Meaning()
    for line in captured(file)["yamux_frames_received"]:
        kind, flags, sid, length = (int(word.partition("=")[2]) for word in line.split()[1:])
        header = Header(FrameType(kind), Flag(flags), sid, length).encode()
        wire = header + (bytes(length) if kind == FrameType.DATA else b"")
        for frame in frames(wire):
            if frame.type is not FrameType.PING:
                on_stream(expected, frame)
        ours.receive(wire, 0.0)
    heard = joined(drain(ours))
    assert [event.stream_id for event in heard if isinstance(event, StreamOpened)] == [2]
    ended = [event.stream_id for event in heard if isinstance(event, StreamEnded)]
    assert ended == expected.finished
    for sid, body in expected.data.items():
        parts = [bytes(e.data) for e in heard if isinstance(e, DataReceived) and e.stream_id == sid]
        assert b"".join(parts) == body
    answers = meaning(take_all(ours))
    assert (answers.accepted, answers.pongs) == ([2], 1)
    assert ours._unacked == 0
