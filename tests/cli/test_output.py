from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerup.cli import output
from tests.cli.conftest import Answers

Capture = pytest.CaptureFixture[str]

ROOT = Path(__file__).resolve().parents[2]


def test_results_go_to_stdout_and_all_else_to_stderr(capsys: Capture) -> None:
    output.line("a result")
    output.progress("on our way")
    output.warning("look out")
    output.error("it broke", "mend it")
    captured = capsys.readouterr()
    assert captured.out == "a result\n"
    assert captured.err == "on our way\nWarning: look out\nError: it broke\nmend it\n"


def test_no_text_reaches_the_terminal_with_control_characters(capsys: Capture) -> None:
    evil = "\x1b[2J\u202e\r\n\x07"
    output.line(evil)
    output.progress(evil)
    output.warning(evil)
    output.error(evil, evil)
    captured = capsys.readouterr()
    shown = set(captured.out + captured.err)
    assert not shown & set("\x1b\u202e\r\x07")
    assert r"\x1b[2J\u202e\x0d\x0a\x07" in captured.out


def test_the_further_lines_of_an_error_cannot_pass_for_lines_of_their_own(
    capsys: Capture,
) -> None:
    output.error("not found; searched:\n  /a\nError: forged")
    assert capsys.readouterr().err == "Error: not found; searched:\n  /a\n  Error: forged\n"


def test_an_error_has_a_bounded_number_of_lines(capsys: Capture) -> None:
    output.error("line\n" * 1000)
    assert len(capsys.readouterr().err.splitlines()) == output.MAX_ERROR_LINES


def test_an_error_without_text_is_still_one(capsys: Capture) -> None:
    output.error("")
    assert capsys.readouterr().err == "Error: \n"


def test_a_line_of_ascii_is_printed_whole(capsys: Capture) -> None:
    text = "x\\u001b" * output.MAX_LINE
    output.ascii_line(text)
    assert capsys.readouterr().out == f"{text}\n"


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2J", "é", "\u202e"])
def test_what_is_not_plain_ascii_is_no_such_line(text: str) -> None:
    with pytest.raises(ValueError, match="ASCII"):
        output.ascii_line(text)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_terminal_that_cannot_show_a_letter_gets_its_escape() -> None:
    code = "from peerup.cli import output; output.line('caf\\u00e9 \\u6771')"
    assert run_python(code, PYTHONIOENCODING="ascii").stdout == "caf\\xe9 \\u6771\n"


def test_a_closed_stdout_or_stderr_is_no_reason_to_crash() -> None:
    code = (
        "import sys; sys.stdout = sys.stderr = None\n"
        "from peerup.cli import output\n"
        "output.line('x'); output.progress('y'); output.flush()"
    )
    assert run_python(code).returncode == 0


def test_a_reader_that_went_away_is_reported_once_and_quietly() -> None:
    code = (
        "import os, sys\n"
        "from peerup.cli import output\n"
        "reading, writing = os.pipe(); os.close(reading); os.dup2(writing, 1)\n"
        "try: output.line('x')\n"
        "except output.ReaderGoneError: output.line('y'); sys.exit(7)\n"
    )
    result = run_python(code)
    assert (result.returncode, result.stderr) == (7, "")


def test_a_reader_of_stderr_that_went_away_stops_nothing() -> None:
    code = (
        "import os\n"
        "from peerup.cli import output\n"
        "reading, writing = os.pipe(); os.close(reading); os.dup2(writing, 2)\n"
        "output.progress('x'); output.error('y'); output.line('done')\n"
    )
    assert run_python(code).stdout == "done\n"


def test_a_question_goes_to_stderr_and_its_answer_comes_back_stripped(
    answers: Answers, capsys: Capture
) -> None:
    answers(" yes \nno")
    assert output.ask("Well? \x1b[2J") == "yes"
    assert output.ask("And? ") == "no"  # the last line needs no line end
    assert output.ask("Else? ") is None
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "Well? \\x1b[2JAnd? \nElse? \n"


def test_an_answer_is_bounded_and_may_be_any_bytes(answers: Answers) -> None:
    answers(b"\xff\xfe\n" + b"x" * (output.MAX_ANSWER + 5))
    assert output.ask("") == "\ufffd\ufffd"
    assert output.ask("") == "x" * output.MAX_ANSWER
    assert output.ask("") == "x" * 5


def test_without_a_stdin_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert output.ask("Well? ") is None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("term", "drawn"), [("xterm", True), ("dumb", False)])
def test_one_can_draw_on_a_terminal_that_is_not_dumb(
    monkeypatch: pytest.MonkeyPatch, term: str, drawn: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    assert not output.on_terminal()
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert output.on_terminal() is drawn
    monkeypatch.setattr(sys, "stdout", None)
    assert not output.on_terminal()


def test_what_has_no_width_counts_as_80_columns() -> None:
    assert output.width() == output.DEFAULT_WIDTH


@pytest.mark.parametrize(("value", "coloured"), [("", True), ("1", False), ("0", False)])
def test_no_color_counts_unless_it_is_empty(
    monkeypatch: pytest.MonkeyPatch, value: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", value)
    assert output.colours() is coloured


def test_a_drawing_is_printed_as_it_is(capsys: Capture) -> None:
    output.drawing("\x1b[1mName\x1b[0m\nweb\n")
    assert capsys.readouterr().out == "\x1b[1mName\x1b[0m\nweb\n"


@pytest.fixture
def terminal() -> Iterator[int]:
    """The descriptor of a terminal of 33 columns at which somebody has pressed Ctrl-D."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 33, 0, 0))
    os.write(ours, b"\x04")
    yield theirs
    os.close(theirs)
    os.close(ours)


def test_a_terminal_says_how_wide_it_is(monkeypatch: pytest.MonkeyPatch, terminal: int) -> None:
    with open(terminal, "w", closefd=False) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert output.width() == 33


def test_ctrl_d_at_a_terminal_interrupts(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, terminal: int
) -> None:
    with open(terminal, closefd=False) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(KeyboardInterrupt):
            output.ask("Well? ")
    assert capsys.readouterr().err == "Well? \n"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_pipe_without_a_reader_matters_on_stdout_only(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        monkeypatch.setattr(sys, name, stream)
        output.progress("x")
        if name == "stdout":
            with pytest.raises(output.ReaderGoneError):
                output.line("x")
        output.line("y")  # goes nowhere, and says no more about it


def test_a_closed_descriptor_is_written_to_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    output.line("x")
    output.flush()
