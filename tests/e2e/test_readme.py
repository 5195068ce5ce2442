"""The commands of README.md and the guides, run as they stand there.

Ports and addresses are replaced, so that tests can run side by side; nothing else is.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.docs.pages import ROOT, blocks, commands
from tests.e2e.conftest import assemble
from tests.e2e.lab import CODE, Relay, free_port, get, until, website
from tests.e2e.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.lab import Lab, Machine, Running

pytestmark = [pytest.mark.e2e, pytest.mark.real_clock]

README: Final = ROOT / "README.md"
WALK: Final = "By hand, on three terminals"
PORTS: Final = ("7777", "8000", "8080", "2222", "2223")


def walk() -> list[tuple[tuple[int, ...], list[str]]]:
    """The lines of the walk-through, and on which terminals they are typed."""
    found: list[tuple[tuple[int, ...], list[str]]] = []
    for block in blocks(README):
        if block.section == WALK:
            number = re.search(r"\*\*Terminal (\d)", block.above)
            where = (int(number[1]),) if number else (1, 2, 3)
            found.append((where, block.code.splitlines()))
    return found


def bin_path() -> str:
    """PATH with the peerup and the python of these tests first."""
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def knocked(port: str) -> bool:
    """Whether somebody answers on a port."""
    try:
        get(int(port))
    except ConnectionRefusedError:
        return False
    return True


class Walker:
    """Types what the README says, and fills in what the reader is told to fill in."""

    def __init__(self, terminals: dict[int, Terminal]) -> None:
        self.terminals = terminals
        self.values = {port: str(free_port()) for port in PORTS}

    def fill_in(self, line: str) -> str:
        for name, value in self.values.items():
            line = re.sub(rf"\b{name}\b", value, line)
        return line

    def enter(self, number: int, line: str) -> str:
        """Type a line; what a reader needs a second for is waited for."""
        terminal = self.terminals[number]
        if line.startswith("peerup invite"):
            terminal.type(line.partition("#")[0])
            self.values["CODE"] = terminal.wait_for(CODE)[0]
            return ""
        if line.strip() == "peerup daemon":
            terminal.type(line)
            terminal.wait_for("reservation held")
            return ""
        if line.startswith("curl "):
            until("something listens", lambda: knocked(self.values["8080"]))
        shown = terminal.enter(self.fill_in(line))
        if "peerup relay info" in line:
            self.values["ADDRESS_OF_THE_RELAY"] = re.findall(r"/ip4/\S+/p2p/\w+", shown)[-1]
        if "peerup whoami" in line:
            assert number == 2
            self.values["ID_OF_HOME"] = re.findall(r"^12D3KooW\w+$", shown, re.MULTILINE)[-1]
        return shown


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[dict[int, Terminal]]:
    kept = {key: os.environ[key] for key in ("LANG", "LC_ALL") if key in os.environ}
    env = {**kept, "PATH": bin_path(), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    with ExitStack() as stack:
        yield {
            number: stack.enter_context(
                closing(Terminal(tmp_path / f"{number}.log", cwd=ROOT, env=env))
            )
            for number in (1, 2, 3)
        }


@pytest.mark.skipif(not shutil.which("curl"), reason="the README uses curl")
def test_the_walk_through_on_three_terminals(terminals: dict[int, Terminal]) -> None:
    walker = Walker(terminals)
    steps = [(number, line) for where, lines in walk() for number in where for line in lines]
    assert len(steps) > 15
    shown = {line: walker.enter(number, line) for number, line in steps}

    assert shown["peerup ping home -c 3"].count("path=[RELAYED]") == 3
    assert "Directory listing" in shown["curl http://127.0.0.1:8080/"]

    # "To shut the laptop out again, at once, `peerup auth remove laptop` at home (with the same
    # HOME, if you use another terminal)."
    home = terminals[2].wait_for(r"Configuration: (\S+)/\.config/peerup/config\.yaml")[1]
    terminals[1].enter(f"HOME={home} peerup auth remove laptop")
    # "Its proxy ends then, with exit code 4."
    terminals[3].wait_for("Error: home: .*does not authorize us")
    until("the port is closed", lambda: not knocked(walker.values["8080"]), within=5.0)
    terminals[3].enter("wait %1; test $? = 4")

    # Ctrl-C stops the daemon, and "kill %1" what runs in the background.
    terminals[2].ctrl_c()
    terminals[2].ended("peerup daemon")
    for number in (1, 2):
        terminals[number].enter("kill %1 && { wait; true; }")
    assert terminals[1].text.count("Stopped.") == 1


class Reader:
    """Runs the commands of a page, each on the machine where its reader would be."""

    READY: Final[Mapping[tuple[str, ...], str]] = {
        ("invite",): CODE,
        ("daemon",): "reservation held",
        ("proxy",): "listening on",
        ("relay", "serve"): "Listening on",
    }

    def __init__(self, relay: Machine, home: Machine, laptop: Machine, **values: str) -> None:
        self._relay, self._home, self._laptop = relay, home, laptop
        self.values = {port: str(free_port()) for port in PORTS} | values
        self._running: list[Running] = []

    def read(self, page: str) -> None:
        """Do what the page says; each command has to succeed, and what runs on, to end well."""
        lines = [line for _, line in commands(ROOT / "docs" / page)]
        assert lines, f"no commands in {page}"
        for line in lines:
            self._run(self._machine(line), line)
        for running in reversed(self._running):
            waiting = " invite " in running.command and not running.ended
            assert running.stop(signal.SIGINT if waiting else signal.SIGTERM) == 130 * waiting

    def _machine(self, line: str) -> Machine:
        first = line.split()[1]
        if first == "relay":
            return self._relay
        tools = {"proxy", "ping", "nc", "traceroute", "resolve", "ssh-config", "status"}
        at_laptop = first in {"join", *tools}
        return self._laptop if at_laptop else self._home

    def _run(self, machine: Machine, line: str) -> None:
        for name, value in self.values.items():
            line = re.sub(rf"\b{name}\b", value, line)
        words = shlex.split(line.replace("0.0.0.0", "127.0.0.1"))[1:]
        for beginning, ready in self.READY.items():
            if tuple(words[: len(beginning)]) == beginning:
                running = machine.start(*words)
                found = running.wait_for(ready)
                self._running.append(running)
                if words[0] == "invite":
                    self.values["CODE"] = found[0]
                return
        shown = machine.peerup(*words).expect(3 if "--until-direct" in words else 0).out
        if words[:2] == ["relay", "info"]:
            self.values["ADDRESS_OF_THE_RELAY"] = shown.split()[-1]
        if words == ["whoami"]:
            self.values[f"ID_OF_{machine.name.upper()}"] = shown.strip()
        if words[0] == "join":  # and so the invite ends by itself
            assert self._running[-1].wait() == 0


def test_the_five_minutes_of_the_first_page(lab: Lab) -> None:
    reader = Reader(lab.machine("relay"), lab.machine("home"), lab.machine("laptop"))
    reader.read("index.md")


def test_the_guide_to_installing(lab: Lab) -> None:
    home = lab.machine("home")
    friend = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
    lines = [line for _, line in commands(ROOT / "docs" / "guide" / "install.md")]
    assert len(lines) > 4
    for line in lines:
        done = home.peerup(*shlex.split(line.replace("ID_OF_THE_RELAY", friend))[1:])
        if line == "peerup init":  # nobody answers its questions here: see test_wizard.py
            done.expect(2, "relay address is required")
        else:
            done.expect(0)


def test_the_guide_to_a_relay(lab: Lab) -> None:
    operator = lab.machine("relay")
    friend = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
    Reader(operator, operator, operator, PEER_ID=friend).read("guide/relay.md")


def test_the_guide_to_pairing(lab: Lab) -> None:
    relay, home, laptop = Relay(lab), lab.machine("home"), lab.machine("laptop")
    relay.authorize(home.init(relay.address))
    reader = Reader(relay.machine, home, laptop, ID_OF_LAPTOP=laptop.init(relay.address))
    reader.read("guide/pairing.md")


def test_the_guide_to_services(lab: Lab) -> None:
    with website() as web:
        family = assemble(lab, web)
        assert family.daemon.stop() == 0  # the guide starts one
        family.home.peerup("service", "remove", "web").expect(0)  # and adds this one
        reader = Reader(family.relay.machine, family.home, family.laptop, PEER_ID=family.laptop_id)
        reader.read("guide/services.md")


def test_the_guide_to_the_tools(lab: Lab) -> None:
    with website() as web:
        family = assemble(lab, web)
        family.home.peerup("service", "add", "ssh", f"127.0.0.1:{web.port}").expect(0)
        assert family.daemon.stop() == 0
        family.daemon = family.home.start("daemon")
        family.daemon.wait_for("reservation held")
        # There is no direct path to find: nobody tells others of an address on loopback.
        values = {"30s": "1s"}
        Reader(family.relay.machine, family.home, family.laptop, **values).read("guide/tools.md")
