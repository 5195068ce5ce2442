from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from peerup.errors import DialError, NotAuthorizedError, ServiceError, StreamResetError
from peerup.transport.base import ByteStream
from tests.cli.conftest import Peerup, Result
from tests.cli.fake_node import HOME, Network

pytestmark = [pytest.mark.usefixtures("config"), pytest.mark.real_clock]


class Standard:
    """A standard stream of which only the number is asked for."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number


@dataclass
class Console:
    """Pipes in place of the standard streams, seen from the other side."""

    keyboard: int
    screen: int
    stdin: Standard | None
    stdout: Standard | None

    def type(self, data: bytes) -> None:
        """Write to stdin, and end it."""
        os.write(self.keyboard, data)
        os.close(self.keyboard)
        self.keyboard = -1

    def shown(self) -> bytes:
        """All that was written to stdout; after an error it is not closed before the process."""
        os.set_blocking(self.screen, False)
        parts = []
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.screen, 65536):
                parts.append(piece)
        return b"".join(parts)


@pytest.fixture
def console() -> Iterator[Console]:
    (source, keyboard), (screen, target) = os.pipe(), os.pipe()
    ours = Console(keyboard, screen, Standard(source), Standard(target))
    yield ours
    for number in (source, ours.keyboard, ours.screen, target):
        if number >= 0:
            os.close(number)


Nc = Callable[..., Result]


@pytest.fixture
def nc(peerup: Peerup, console: Console, monkeypatch: pytest.MonkeyPatch) -> Nc:
    """Run ``peerup nc`` on the console; while a test is set up, pytest has its own in place."""

    def run(*words: str) -> Result:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", console.stdin)
            patch.setattr(sys, "stdout", console.stdout)
            return peerup("nc", *words)

    return run


async def echo(local: ByteStream) -> None:
    while data := await local.read():
        await local.write(data)
    local.close_write()


def test_stdin_goes_to_the_service_and_its_answer_to_stdout(
    nc: Nc, network: Network, console: Console
) -> None:
    network.carry = echo
    console.type(b"\x00\xff\x1b[2J\r\n")
    result = nc("home", "ssh")
    assert (result.code, result.err) == (0, "")
    assert console.shown() == b"\x00\xff\x1b[2J\r\n"
    assert network.asked == [("node", False), ("connect", HOME), ("carry", HOME, "ssh")]
    assert network.running == 0


def test_nothing_else_can_reach_stdout(nc: Nc, network: Network, console: Console) -> None:
    async def careless(local: ByteStream) -> None:
        assert console.stdout is not None
        os.write(console.stdout.fileno(), b"a stray line\n")
        await local.write(b"bytes of the service")
        local.close_write()

    network.carry = careless
    assert nc("home", "ssh").code == 0
    assert console.shown() == b"bytes of the service"


def test_a_reader_that_went_away_is_the_code_of_a_broken_pipe(
    nc: Nc, network: Network, console: Console
) -> None:
    network.carry = echo
    console.type(b"hello")
    os.close(console.screen)
    console.screen = -1
    result = nc("home", "ssh")
    assert (result.code, result.err) == (141, "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServiceError("home broke off"), 3),
        (StreamResetError(by_peer=True), 3),
        (NotAuthorizedError("home does not let us"), 4),
    ],
)
def test_w36_what_breaks_is_an_error(
    nc: Nc, network: Network, console: Console, error: Exception, code: int
) -> None:
    async def breaks(local: ByteStream) -> None:
        await local.write(b"half")
        raise error

    network.carry = breaks
    result = nc("home", "ssh")
    assert result.code == code
    assert f"Error: {error}" in result.err
    assert console.shown() == b"half"


def test_a_peer_that_is_absent_is_exit_code_3_without_another_attempt(
    nc: Nc, network: Network, console: Console
) -> None:
    network.connect_error = DialError("home", {})
    result = nc("home", "ssh")
    assert result.code == 3
    assert network.asked == [("node", False), ("connect", HOME)]


def test_ctrl_c_is_an_interruption(nc: Nc, network: Network, console: Console) -> None:
    async def interrupted(local: ByteStream) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await local.read()

    network.carry = interrupted
    result = nc("home", "ssh")
    assert (result.code, result.err) == (130, "Interrupted.\n")


def test_without_stdin_there_is_only_the_answer(nc: Nc, network: Network, console: Console) -> None:
    console.stdin = None
    network.carry = echo
    assert nc("home", "ssh").code == 0
    assert console.shown() == b""


def test_without_stdout_there_is_nothing_to_do(nc: Nc, network: Network, console: Console) -> None:
    console.stdout = None
    result = nc("home", "ssh")
    assert result.code == 2
    assert "stdout is closed" in result.err
    assert network.asked == []


@pytest.mark.parametrize("service", ["SSH", "kad", "../x", "a b"])
def test_a_service_that_nobody_can_have_is_exit_code_2(
    nc: Nc, network: Network, console: Console, service: str
) -> None:
    assert nc("home", service).code == 2
    assert network.asked == []
