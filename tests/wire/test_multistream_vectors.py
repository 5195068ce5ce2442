"""What a live go-multistream said and heard, replayed against our machines in both places."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Final

import pytest

from peerup.errors import NegotiationError, RemoteProtocolError
from peerup.wire.multistream import Proposer, Responder
from tests.wire.multistream_lines import HEADER, NA, line, lines
from tests.wire.vectors import Vector, vectors

MULTISTREAM: Final = {vector.name: vector for vector in vectors("multistream")}
ANSWERS: Final = [name for name, v in MULTISTREAM.items() if v.inputs["go_role"] == "responder"]
ASKS: Final = [name for name, v in MULTISTREAM.items() if v.inputs["go_role"] == "dialer"]

DIFFERENT_ANSWERS: Final = {
    "responder_ls": (
        HEADER + b"\x01\n" + line("/a/1"),
        "go-multistream 0.6 knows no ls and answers na; we list, as js does (here: nothing)",
    ),
}
"""What we answer where go answers otherwise, and why that is right."""

NEVER_ASKED: Final = {
    "responder_ls": "we never ask for a listing",
    "responder_na_token": "na is an answer",
    "responder_no_newline": "we end every message with a newline",
    "responder_length_zero": "our messages are not empty",
    "responder_longest_message": "go goes on to wait: there is no end to compare",
    "responder_too_long": "our own names are at most 1,023 bytes",
    "responder_non_minimal_length": "our lengths are minimal",
}
"""What the script asked go and our proposer would not ask."""


def steps(vector: Vector) -> list[tuple[str, bytes]]:
    transcript = vector.expect["transcript"]
    return [(step["from"], bytes.fromhex(step["bytes"])) for step in transcript if "bytes" in step]


def said(vector: Vector, side: str) -> bytes:
    return b"".join(wire for sender, wire in steps(vector) if sender == side)


def supports(name: str) -> bool:
    """What go's responder supports in every vector."""
    return name in {"/a/1", "/b/1"} or name.startswith("/pre")


@dataclass
class Replay:
    """A machine of ours in the place of ``side``, fed with what the other side sent."""

    machine: Proposer | Responder
    sent: bytes = b""
    error: str = ""

    def run(self, vector: Vector, side: str) -> Replay:
        try:
            for sender, wire in steps(vector):
                self.sent += self.machine.data_to_send()
                if sender != side:
                    self.machine.receive(wire)
        except (RemoteProtocolError, NegotiationError) as why:
            self.error = str(why)
        self.sent += self.machine.data_to_send()
        return self


@pytest.mark.parametrize("name", ANSWERS)
def test_our_responder_answers_as_go_does(name: str) -> None:
    vector = MULTISTREAM[name]
    replay = Replay(Responder(supports)).run(vector, "go")
    expected, _ = DIFFERENT_ANSWERS.get(name, (said(vector, "go"), ""))
    assert replay.sent == expected
    assert replay.machine.agreed == (vector.expect.get("selected") or None)
    assert bool(replay.error) == ("go_error" in vector.expect)


def test_application_data_in_the_same_segment_is_kept_as_by_go() -> None:
    vector = MULTISTREAM["responder_accepts_one_segment"]
    assert Replay(Responder(supports)).run(vector, "go").machine.leftover == b"data"


@pytest.mark.parametrize("name", [name for name in ANSWERS if name not in NEVER_ASKED])
def test_our_proposer_gets_from_go_what_the_script_got(name: str) -> None:
    vector = MULTISTREAM[name]
    _, wanted = lines(said(vector, "peer").removesuffix(b"data"))
    replay = Replay(Proposer([wanted])).run(vector, "peer")
    assert replay.machine.agreed == vector.expect["selected"] == wanted
    assert said(vector, "peer").startswith(replay.sent)
    assert replay.error == ""


def asked(vector: Vector) -> tuple[list[str], bytes]:
    """What go's dialer proposed, and the application's bytes that it sent in the same go."""
    wire = said(vector, "go")
    application = b"hello" if wire.endswith(b"hello") else b""
    _, *names = lines(wire.removesuffix(application))
    return names, application


@pytest.mark.parametrize("name", ASKS)
def test_our_proposer_asks_as_go_does(name: str) -> None:
    vector = MULTISTREAM[name]
    names, application = asked(vector)
    if name == "dialer_wrong_answer":
        names.append("/never")  # go had a second one; it never came to that
    replay = Replay(Proposer(names)).run(vector, "go")
    assert replay.sent + application == said(vector, "go")
    failed = "go_error" in vector.expect or "read_error" in vector.expect
    assert bool(replay.error) == failed
    assert replay.machine.agreed == (None if failed else names[-1])
    assert replay.machine.leftover == bytes.fromhex(vector.expect.get("read", ""))


@pytest.mark.parametrize("name", [name for name in ASKS if name != "dialer_wrong_answer"])
def test_our_responder_answers_go_as_the_script_did(name: str) -> None:
    vector = MULTISTREAM[name]
    names, application = asked(vector)
    answers = said(vector, "peer")
    refused = answers.count(NA)
    machine = Responder(set(names[refused:]).__contains__)
    replay = Replay(machine).run(vector, "peer")
    wrote = bytes.fromhex(vector.expect.get("read", ""))  # by the protocol that was agreed on
    assert replay.sent + wrote == answers
    assert machine.leftover == (application if machine.agreed else b"")


def test_data_behind_a_lazy_proposal_that_is_refused_is_read_as_a_proposal() -> None:
    """So a lazy dialer must be sure; the responder resets the stream when it makes no sense."""
    machine = Responder(lambda _: False)
    vector = MULTISTREAM["dialer_lazy_refused"]
    machine.receive(said(vector, "go"))
    assert machine.data_to_send() == said(vector, "peer")
    assert machine.wanted == 1 + ord("h") - len(b"hello")


LIVE: Final = {v.name: v for v in vectors("live") if v.name.startswith("tcp_dialer_")}


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("tcp_dialer_default_order", ["/noise"]),
        ("tcp_dialer_tls_accepted", ["/tls/1.0.0"]),
        ("tcp_dialer_noise_only", ["/noise"]),
        ("tcp_dialer_all_refused", []),
    ],
)
def test_a_dialling_go_host_agrees_with_our_responder(name: str, ours: list[str]) -> None:
    machine = Responder(ours.__contains__)
    replay = Replay(machine).run(LIVE[name], "peer")
    assert replay.sent == said(LIVE[name], "peer")
    assert machine.agreed == (ours[0] if ours else None)


def test_a_listener_that_has_only_noise_is_offered_nothing_weaker() -> None:
    machine = Responder(["/noise"].__contains__)
    machine.receive(HEADER + line("/plaintext/2.0.0") + line("/secio/1.0.0") + line("/tls/1.0.0"))
    assert machine.data_to_send() == HEADER + NA * 3
    assert machine.agreed is None


@pytest.mark.parametrize("table", [DIFFERENT_ANSWERS, NEVER_ASKED])
def test_the_tables_name_vectors_that_exist(table: dict[str, Any]) -> None:
    assert set(table) <= set(ANSWERS)


def test_every_vector_is_replayed() -> None:
    assert sorted(itertools.chain(ANSWERS, ASKS)) == sorted(MULTISTREAM)
