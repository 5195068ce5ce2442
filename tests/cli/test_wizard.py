from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.cli import output, wizard
from peerup.errors import UsageError
from tests.cli.conftest import Answers
from tests.cli.fake_node import RELAY, RELAY_ADDRESS

Capture = pytest.CaptureFixture[str]
OTHER = f"/dns4/relay.example/udp/7777/quic-v1/p2p/{RELAY}"


def test_a_whole_address_is_taken_as_it_is(answers: Answers) -> None:
    answers(f"{RELAY_ADDRESS}\n\n")
    assert list(map(str, wizard.ask_for_relays())) == [RELAY_ADDRESS]


def test_several_relays_are_taken_once_each_in_their_order(answers: Answers) -> None:
    answers(f"{OTHER}\n{RELAY_ADDRESS}\n{OTHER}\n")
    assert list(map(str, wizard.ask_for_relays())) == [OTHER, RELAY_ADDRESS]


@pytest.mark.parametrize("short", ["203.0.113.5", "203.0.113.5:7777", "[203.0.113.5]"])
def test_a_short_form_is_followed_by_the_question_for_the_peer_id(
    answers: Answers, capsys: Capture, short: str
) -> None:
    answers(f"{short}\n  {RELAY}  \n")
    assert list(map(str, wizard.ask_for_relays())) == [RELAY_ADDRESS]
    assert f"Relay: {RELAY_ADDRESS}\n" in capsys.readouterr().err


def test_a_peer_id_that_is_known_is_not_asked_for(answers: Answers, capsys: Capture) -> None:
    answers("203.0.113.5\n")
    assert list(map(str, wizard.ask_for_relays(RELAY))) == [RELAY_ADDRESS]
    assert "Peer ID" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("", "A relay address is required"),
        ("relay.example", 'Invalid relay address: found "relay.example"'),
        ("203.0.113.5:0", "found port 0"),
        ("/ip4/203.0.113.5/tcp/7777", "ends in /p2p/"),
        ("/ip4/203.0.113.5/tcp/x", "Invalid relay address"),
        (f"203.0.113.5\n\n{RELAY}x", "The relay's peer ID is required"),
        ("203.0.113.5\nnonsense", "Invalid Peer ID"),
        ("\x1b[2J\u202e", "Invalid relay address"),
    ],
)
def test_a_wrong_answer_gets_its_reason_and_another_try(
    answers: Answers, capsys: Capture, wrong: str, reason: str
) -> None:
    asks_for_id = wrong.startswith("203.0.113.5\n")
    answers(f"{wrong}\n{RELAY if asks_for_id else RELAY_ADDRESS}\n")
    assert list(map(str, wizard.ask_for_relays())) == [RELAY_ADDRESS]
    captured = capsys.readouterr()
    assert reason in captured.err
    assert captured.out == ""
    assert not set(captured.err) & {"\x1b", "\u202e"}


@pytest.mark.parametrize(
    ("given_answers", "missing"),
    [("", "relay address is required"), ("203.0.113.5\n", "relay Peer ID is required")],
)
def test_the_end_of_the_answers_says_what_was_missing(
    answers: Answers, given_answers: str, missing: str
) -> None:
    answers(given_answers)
    with pytest.raises(UsageError, match=missing) as caught:
        wizard.ask_for_relays()
    assert "--relay" in caught.value.hint


def test_it_does_not_ask_for_ever(answers: Answers) -> None:
    answers("nonsense\n" * (wizard.MAX_QUESTIONS + 1))
    with pytest.raises(UsageError, match="relay address is required"):
        wizard.ask_for_relays()
    answers("203.0.113.5\n" + "nonsense\n" * (wizard.MAX_QUESTIONS + 1))
    with pytest.raises(UsageError, match="relay Peer ID is required"):
        wizard.ask_for_relays()


def test_it_takes_a_bounded_number_of_relays(answers: Answers) -> None:
    ports = range(1, wizard.MAX_RELAYS + 5)
    answers("".join(f"203.0.113.5:{port}\n" for port in ports))
    assert len(wizard.ask_for_relays(RELAY)) == wizard.MAX_RELAYS


def test_ctrl_c_at_a_question_leaves_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    class Stdin:
        buffer: Stdin

        def readline(self, _size: int) -> bytes:
            raise KeyboardInterrupt

    stdin = Stdin()
    stdin.buffer = stdin
    monkeypatch.setattr("sys.stdin", stdin)
    with pytest.raises(KeyboardInterrupt):
        output.ask("Well? ")
    assert capsys.readouterr().err == "Well? \n"


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_answers_end_in_relays_or_in_an_error(lines: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        left = [line.decode("utf-8", "replace").strip() for line in lines]
        patch.setattr(output, "ask", lambda _question: left.pop(0) if left else None)
        patch.setattr(output, "progress", lambda _text: None)
        try:
            assert wizard.ask_for_relays()
        except UsageError:
            assert not left
