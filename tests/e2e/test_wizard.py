"""`peerup init` as a person meets it: on a terminal, with second thoughts."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.lab import DEADLINE, POLL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.lab import Lab, Machine

pytestmark = [pytest.mark.e2e, pytest.mark.real_clock]

RELAY: Final = "12D3KooWRzaGMTqQbRHNMZkAYj8ALUXoK99qSjhiFLanDoVWK9An"
QUESTION: Final = r"Address of a relay \(multiaddr, IP:PORT\): "


class Screen:
    """A command on a terminal of its own, 40 lines of 100 columns."""

    def __init__(self, machine: Machine, *words: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        plain = {key: value for key, value in machine.env.items() if key != "NO_COLOR"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "peerup", *words],
            cwd=machine.home,
            env={**plain, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._shown = b""

    @property
    def text(self) -> str:
        """What is on the screen so far; a letter may be there by half."""
        return self._shown.decode("utf-8", "replace").replace("\r\n", "\n")

    def wait_for(self, pattern: str) -> None:
        """Read until the pattern is on the screen, after what was waited for before."""
        end, seen = time.monotonic() + DEADLINE, len(self.text)
        while not re.search(pattern, self.text[seen:]):
            assert time.monotonic() < end, f"no {pattern!r}:\n{self.text}"
            assert self._read(), f"ended, no {pattern!r}:\n{self.text}"

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Read to the end, and return the exit code."""
        end = time.monotonic() + DEADLINE
        while self._read():
            assert time.monotonic() < end, f"no end:\n{self.text}"
        return self.process.wait(DEADLINE)

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], POLL)[0]:
            return True
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # Linux says so when the last who had the other side is gone
            return False
        self._shown += data
        return bool(data)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@contextlib.contextmanager
def screen(machine: Machine, *words: str, **environment: str) -> Iterator[Screen]:
    with contextlib.closing(Screen(machine, *words, **environment)) as there:
        yield there


@pytest.fixture
def machine(lab: Lab) -> Machine:
    return lab.machine("home")


def test_the_wizard_from_the_first_question_to_the_qr_code(machine: Machine) -> None:
    with screen(machine, "init") as shown:
        shown.wait_for(QUESTION)
        shown.type("relay.example\n")
        shown.wait_for(QUESTION)
        assert 'Invalid relay address: found "relay.example"' in shown.text
        shown.type("203.0.113.5\n")
        shown.wait_for("Peer ID of the relay: ")
        shown.type(f"{RELAY}\n")
        shown.wait_for("another relay")
        shown.type("\n")
        assert shown.end() == 0
    assert f"Relay: /ip4/203.0.113.5/tcp/7777/p2p/{RELAY}\n" in shown.text
    assert f"Peer ID:         {machine.whoami()}\n" in shown.text
    assert "▄▄▄▄▄" in shown.text
    assert "peerup service add" in shown.text


@pytest.mark.parametrize("answered", [False, True])
def test_ctrl_d_leaves_nothing_behind(machine: Machine, answered: bool) -> None:
    with screen(machine, "init") as shown:
        shown.wait_for(QUESTION)
        if answered:
            shown.type("203.0.113.5\n")
            shown.wait_for("Peer ID of the relay: ")
        shown.type("\x04")
        assert shown.end() == 130
    assert "\nInterrupted.\n" in shown.text
    assert list(machine.home.iterdir()) == []


def test_ctrl_c_leaves_nothing_behind(machine: Machine) -> None:
    with screen(machine, "init") as shown:
        shown.wait_for(QUESTION)
        shown.process.send_signal(signal.SIGINT)
        assert shown.end() == 130
    assert "\nInterrupted.\n" in shown.text
    assert "Traceback" not in shown.text
    assert list(machine.home.iterdir()) == []


def test_lists_are_tables_on_a_terminal_only(machine: Machine) -> None:
    machine.init(f"/ip4/203.0.113.5/tcp/7777/p2p/{RELAY}")
    note = "[red]mine[/red] :smile:"
    machine.peerup("auth", "add", RELAY, "--name", "relay", "--comment", note).expect(0)
    assert f"  {RELAY}  relay  # {note}\n" in machine.peerup("auth", "list").out
    with screen(machine, "auth", "list") as shown:
        assert shown.end() == 0
    assert "\x1b[1mPeer ID" in shown.text
    assert f"\n{RELAY}  relay  {note}\n" in shown.text
    with screen(machine, "auth", "list", TERM="dumb") as shown:
        assert shown.end() == 0
    assert "\x1b" not in shown.text
