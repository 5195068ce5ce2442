"""A daemon and a relay whose configuration is changed for a while, and comes back by itself."""

from __future__ import annotations

import json
import shlex
import time
from typing import TYPE_CHECKING, Final

import pytest

from peerup.config.archive import archive
from tests.docs.pages import commands
from tests.e2e.lab import ANY_PORT, DEADLINE, ROOT, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.lab import Lab, Machine, Running

pytestmark = [pytest.mark.e2e, pytest.mark.real_clock]

RELAY: Final = "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
SHORT: Final = ("--confirm-timeout", "5s")
AGAIN: Final = "the configuration changed; starting again"


@pytest.fixture
def home(lab: Lab) -> Machine:
    machine = lab.machine("home")
    machine.init(RELAY)
    return machine


def written(machine: Machine, text: str) -> Path:
    """A private file with this text, in the home directory."""
    path = machine.home / "new.yaml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def with_service(machine: Machine, name: str) -> str:
    """The configuration in use, and a service more."""
    text = machine.file("config.yaml").read_text(encoding="utf-8")
    return f"{text}\nservices: {{{name}: {{enabled: true, local_address: '127.0.0.1:9'}}}}\n"


def up(machine: Machine) -> Running:
    daemon = machine.start("daemon")
    daemon.wait_for("Running; Ctrl-C")
    return daemon


def after(deadline: float) -> None:
    """Wait until the wall clock is past a deadline, and a daemon had time to look."""
    until("the deadline", lambda: time.time() > deadline + 2, within=DEADLINE)


def test_w01_what_is_confirmed_stays_in_a_daemon_that_goes_on(home: Machine) -> None:
    daemon = up(home)
    new = written(home, with_service(home, "ssh"))
    home.peerup("config", "apply", *SHORT, "new.yaml").expect(0, "peerup config confirm")
    deadline = time.time() + 5
    daemon.wait_for("Service: ssh")
    home.peerup("config", "confirm").expect(0)
    after(deadline)
    assert not daemon.ended
    assert daemon.text.count(AGAIN) == 1
    assert home.file("config.yaml").read_text() == new.read_text()
    assert daemon.stop() == 0


def test_what_is_not_confirmed_is_taken_back_by_the_daemon(home: Machine) -> None:
    before = home.file("config.yaml").read_text()
    daemon = up(home)
    new = written(home, with_service(home, "ssh"))
    home.peerup("config", "apply", "new.yaml", *SHORT).expect(0)
    daemon.wait_for("Service: ssh")
    daemon.wait_for("was taken back: it was not confirmed in time")
    daemon.wait_for(f"(?s){AGAIN}.*{AGAIN}.*Running; Ctrl-C")
    assert home.file("config.yaml").read_text() == before
    assert home.file(".config.replaced.yaml").read_text() == new.read_text()
    assert daemon.stop() == 0


def test_the_deadline_holds_after_death_for_a_file_that_does_not_parse(home: Machine) -> None:
    before = home.file("config.yaml").read_text()
    daemon = up(home)
    written(home, with_service(home, "ssh"))
    home.peerup("config", "apply", "new.yaml", *SHORT).expect(0)
    daemon.wait_for("Service: ssh")
    daemon.kill()
    home.file("config.yaml").write_text("torn: [")
    daemon = up(home)
    assert "was taken back" in daemon.text
    assert home.file("config.yaml").read_text() == before
    assert daemon.stop() == 0


def test_without_a_daemon_a_late_confirmation_brings_back_what_was(home: Machine) -> None:
    before = home.file("config.yaml").read_text()
    written(home, with_service(home, "ssh"))
    home.peerup("config", "apply", "new.yaml", "--confirm-timeout", "1s").expect(0)
    after(time.time() - 0.9)
    home.peerup("config", "confirm").expect(2, "not confirmed in time")
    assert home.file("config.yaml").read_text() == before


def test_a_relay_that_does_not_start_by_it_is_back_at_once(lab: Lab) -> None:
    machine = lab.machine("relay")
    other = lab.machine("other").start("relay", "serve", "--listen", ANY_PORT)
    taken = other.wait_for(r"Listening on (/ip4/127.0.0.1/tcp/\d+)/p2p")[1]
    serving = machine.start("relay", "serve", "--config", str(made(machine)))
    serving.wait_for("Listening on")
    text = machine.file("relay-server.yaml").read_text()
    written(machine, text.replace(ANY_PORT, taken))
    machine.peerup("relay", "config", "apply", "new.yaml").expect(0)
    serving.wait_for(r"(?s)was taken back: it does not start \(cannot listen on .*Listening on")
    assert machine.file("relay-server.yaml").read_text() == text
    shown = machine.peerup("relay", "config", "show", "--json").expect(0)
    assert json.loads(shown.out)["pending"] is None
    assert serving.stop() == 0


def test_every_command_of_the_guide_does_what_it_says(home: Machine) -> None:
    config = home.file("config.yaml")
    text = config.read_text()
    new = written(home, with_service(home, "ssh"))
    for number in range(3):
        archive(config, f"{text}# {number}\n")
    page = ROOT / "docs" / "guide" / "configuration.md"
    typed = [shlex.split(line)[1:] for _, line in commands(page)]
    assert len(typed) == 10
    found = {}
    for words in typed:
        home.peerup(*words).expect(0)
        found[" ".join(words[1:]).partition(" new")[0]] = config.read_text()
    expected = {
        "apply": new.read_text(),
        "confirm": new.read_text(),
        "rollback": f"{text}# 2\n",
        "rollback 2": f"{text}# 0\n",
        "rollback --undo": f"{text}# 2\n",
    }
    assert {key: found[key] for key in expected} == expected


def made(machine: Machine) -> Path:
    """The configuration that a relay writes at its first start."""
    first = machine.start("relay", "serve", "--listen", ANY_PORT)
    first.wait_for("Listening on")
    assert first.stop() == 0
    return machine.file("relay-server.yaml")
