from __future__ import annotations

import logging
import sys

import pytest

from peerup.cli import logging_setup
from peerup.errors import UsageError

log = logging.getLogger("peerup.somewhere")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment that the tests run in say nothing about levels."""
    monkeypatch.delenv(logging_setup.VARIABLE, raising=False)


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("peerup.x", logging.INFO, "x.py", 1, message, (), None)
    made.created, made.msecs = 1771761600.123, 123.0
    vars(made).update(extra)
    return made


def shown(message: str, **extra: object) -> str:
    return logging_setup.KeyValueFormatter().format(record(message, **extra))


def test_a_record_is_one_line_of_fields() -> None:
    assert shown("connection opened", peer="12D3KooWabc", path="/ip4/127.0.0.1/tcp/1", n=3) == (
        'time=2026-02-22T12:00:00.123Z level=INFO msg="connection opened" '
        "peer=12D3KooWabc path=/ip4/127.0.0.1/tcp/1 n=3"
    )


@pytest.mark.parametrize(
    ("value", "field"),
    [("two words", '"two words"'), ("a=b", '"a=b"'), ('say "hi"', r'"say \"hi\""'), ("", '""')],
)
def test_a_value_that_is_not_one_word_is_quoted(value: str, field: str) -> None:
    assert shown("m", key=value).endswith(f"key={field}")


def test_text_from_peers_cannot_forge_a_line_or_reach_the_terminal() -> None:
    text = shown("agent \x1b[31m\ntime=forged", agent="x\u202e\ny")
    assert len(text.splitlines()) == 1
    assert text.isprintable()


def test_text_from_peers_is_cut_to_a_bound() -> None:
    text = shown("m" * 100_000, agent="a" * 100_000)
    assert len(text) < logging_setup.MAX_MESSAGE + logging_setup.MAX_VALUE + 100


def test_a_traceback_follows_in_marked_lines() -> None:
    made = record("crashed")
    try:
        int("bad\x1b[0m")
    except ValueError:
        made.exc_info = sys.exc_info()
    first, *trace = logging_setup.KeyValueFormatter().format(made).splitlines()
    assert first.endswith('msg="crashed"')
    assert all(text.startswith("  | ") and text.isprintable() for text in trace)
    assert trace[-1] == r"  | ValueError: invalid literal for int() with base 10: 'bad\x1b[0m'"


def test_a_long_running_command_logs_what_goes_on(capsys: Capture) -> None:
    logging_setup.set_up(long_running=True, verbose=False)
    log.info("reservation", extra={"relay": "r"})
    log.debug("detail")
    captured = capsys.readouterr()
    assert 'level=INFO msg="reservation" relay=r' in captured.err
    assert "detail" not in captured.err
    assert captured.out == ""


def test_any_other_command_logs_only_warnings(capsys: Capture) -> None:
    logging_setup.set_up(long_running=False, verbose=False)
    log.info("reservation")
    log.warning("odd")
    captured = capsys.readouterr()
    assert "reservation" not in captured.err
    assert "odd" in captured.err


def test_setting_up_twice_does_not_log_twice(capsys: Capture) -> None:
    logging_setup.set_up(long_running=True, verbose=False)
    logging_setup.set_up(long_running=True, verbose=False)
    log.info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_verbose_shows_details(capsys: Capture) -> None:
    logging_setup.set_up(long_running=False, verbose=True)
    log.debug("detail")
    assert "detail" in capsys.readouterr().err


def test_the_environment_sets_the_level(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv(logging_setup.VARIABLE, "error")
    logging_setup.set_up(long_running=True, verbose=False)
    log.warning("odd")
    assert capsys.readouterr().err == ""


def test_an_unknown_level_is_refused_with_the_known_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(logging_setup.VARIABLE, "loud")
    with pytest.raises(UsageError, match="LOUD is not a log level") as caught:
        logging_setup.set_up(long_running=True, verbose=False)
    assert "debug, info, warning, error" in caught.value.hint
