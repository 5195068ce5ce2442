from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from peerup.cli.main import main
from peerup.cli.output import ReaderGoneError
from peerup.errors import (
    ConfigError,
    DialError,
    NotAuthorizedError,
    PeerupError,
    ServiceError,
    UsageError,
)
from tests.cli.conftest import Peerup

ROOT = Path(__file__).resolve().parents[2]


class Failing:
    """A command that raises what the test says."""

    error: BaseException

    def run(self, _args: object) -> int:
        raise self.error


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Stands in the place of ``peerup whoami``."""
    command = Failing()
    module = ModuleType("peerup.cli.whoami")
    vars(module)["run"] = command.run
    monkeypatch.setitem(sys.modules, "peerup.cli.whoami", module)
    return command


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (PeerupError("odd"), 1, "Error: odd\n"),
        (ConfigError("bad file", hint="Mend it."), 2, "Error: bad file\nMend it.\n"),
        (UsageError("no sense"), 2, "Error: no sense\n"),
        (ServiceError("refused"), 3, "Error: refused\n"),
        (DialError("home", {}), 3, "Error: cannot reach home (no addresses known)\n"),
        (NotAuthorizedError("no"), 4, f"Error: no\n{NotAuthorizedError.hint}\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "Error: No space left on device\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "Error: /x: Permission"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (ReaderGoneError(), 141, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_becomes_a_message_with_its_cure_and_an_exit_code(
    peerup: Peerup, failing: Failing, error: BaseException, code: int, message: str
) -> None:
    failing.error = error
    result = peerup("whoami")
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith(message)


def test_a_bug_is_not_dressed_up_as_an_error(peerup: Peerup, failing: Failing) -> None:
    failing.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        main(["whoami"])


def test_text_in_errors_cannot_touch_the_terminal(peerup: Peerup, failing: Failing) -> None:
    failing.error = ServiceError("\x1b[2Jpeer says hi", hint="\u202e")
    assert peerup("whoami").err == "Error: \\x1b[2Jpeer says hi\n\\u202e\n"


def test_help_is_a_result_and_no_error(peerup: Peerup) -> None:
    result = peerup("--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("usage: peerup")


def test_no_command_is_a_usage_error(peerup: Peerup) -> None:
    result = peerup()
    assert (result.code, result.out) == (2, "")
    assert "no command given" in result.err
    assert "peerup --help" in result.err


def run_peerup(
    *words: str, stdout: int | None = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "peerup", *words],
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_words_come_from_the_process_and_the_code_goes_to_it() -> None:
    version = run_peerup("version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("peerup ")
    assert run_peerup("nonsense").returncode == 2


@pytest.mark.parametrize("word", ["version", "--help"])
def test_a_reader_that_goes_away_gets_no_traceback(word: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = run_peerup(word, stdout=writing)
    finally:
        os.close(writing)
    assert result.stderr == ""
    assert result.returncode in (0, 141)
