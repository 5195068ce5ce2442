"""A lab for each test, and one that a whole module shares where starting it takes time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.lab import (
    ANY_PORT,
    ANY_QUIC_PORT,
    Lab,
    Machine,
    Relay,
    Running,
    Website,
    until,
    website,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Machines of this test alone."""
    here = Lab(tmp_path)
    try:
        yield here
    finally:
        here.close()


@dataclass
class Family:
    """A gated relay, home behind it with a web server, and a laptop that home lets in."""

    lab: Lab
    relay: Relay
    home: Machine
    laptop: Machine
    home_id: str
    laptop_id: str
    daemon: Running
    web: Website

    def restore(self) -> None:
        """Start again what a test has stopped, and wait until home can be reached."""
        if self.relay.process.ended:
            self.relay.serve(f"/ip4/127.0.0.1/tcp/{self.relay.port}")
        if self.daemon.ended:
            self.daemon = self.home.start("daemon")
        until("a place at the relay", lambda: self._reachable)

    @property
    def _reachable(self) -> bool:
        """Whether the last that the daemon says of its place is that it has it."""
        states = re.findall(r"(no relay reservation|relay reservation held)", self.daemon.text)
        return states[-1:] == ["relay reservation held"]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Family]:
    """The usual three, up and running; a test leaves them as it found them."""
    here = Lab(tmp_path_factory.mktemp("family"))
    try:
        with website() as web:
            yield assemble(here, web)
    finally:
        here.close()


def assemble(lab: Lab, web: Website, *, quic: bool = False) -> Family:
    """Start the usual three; ``home`` offers ``web``, and is known to the laptop by that name."""
    relay = Relay(lab, listen=ANY_QUIC_PORT if quic else ANY_PORT)
    home, laptop = lab.machine("home"), lab.machine("laptop")
    home_id, laptop_id = home.init(relay.address), laptop.init(relay.address)
    relay.authorize(home_id, laptop_id)
    home.peerup("auth", "add", laptop_id, "--name", "laptop").expect(0)
    laptop.peerup("auth", "add", home_id, "--name", "home").expect(0)
    home.peerup("service", "add", "web", f"127.0.0.1:{web.port}").expect(0)
    daemon = home.start("daemon")
    daemon.wait_for("reservation held")
    return Family(lab, relay, home, laptop, home_id, laptop_id, daemon, web)
