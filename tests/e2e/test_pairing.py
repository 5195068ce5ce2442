"""Pairing as a user does it: from nothing to the first byte, and whatever is killed on the way."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import time
from typing import Final

import pytest

from peerup.config import authorized_keys
from peerup.config.load import load_config
from peerup.relay import vouched_file
from tests.e2e.lab import Lab, Machine, Relay, Running, free_port, get, until, website

pytestmark = [pytest.mark.e2e, pytest.mark.real_clock]

MINUTE: Final = 60.0


class Pairing:
    """A relay that knows home, home, and a laptop that has nothing yet."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.relay = Relay(lab)
        self.home, self.laptop = lab.machine("home"), lab.machine("laptop")
        self.home_id = self.home.init(self.relay.address)
        self.relay.machine.peerup("relay", "authorize", self.home_id, "home").expect(0)

    def listed(self, machine: Machine) -> set[str]:
        path = machine.file("authorized_keys")
        return {str(entry.peer) for entry in authorized_keys.load(path)}

    def names(self, machine: Machine) -> dict[str, str]:
        names = load_config(machine.file("config.yaml")).names
        return {name: str(peer) for name, peer in names.items()}

    @property
    def guests(self) -> set[str]:
        file = self.relay.machine.file("vouched.json")
        return {str(pair.guest) for pair in vouched_file.load(file)}

    def are_paired(self, laptop: Machine | None = None) -> bool:
        laptop = laptop or self.laptop
        laptop_id = laptop.whoami()
        return (
            self.names(self.home) == {laptop.name: laptop_id}
            and self.names(laptop) == {"home": self.home_id}
            and self.listed(self.home) == {laptop_id}
            and self.listed(laptop) == {self.home_id}
            and self.guests == {laptop_id}
        )


@pytest.fixture
def pairing(lab: Lab) -> Pairing:
    return Pairing(lab)


def reachable(daemon: Running) -> Running:
    daemon.wait_for("reservation held")
    return daemon


def pings(laptop: Machine) -> list[str]:
    lines = laptop.peerup("ping", "home", "-c", "3", "--json").expect(0).out.splitlines()
    return [reply["path"] for reply in map(json.loads, lines) if "path" in reply]


def drain(sock: socket.socket) -> None:
    """Read until the connection is over, in order or not; TimeoutError when it stays open."""
    with contextlib.suppress(ConnectionError):
        while sock.recv(65536):
            pass


def test_w10_a_new_user_gets_to_the_first_byte_in_under_a_minute(lab: Lab) -> None:
    with website() as web:
        began = time.monotonic()
        relay, home, laptop = lab.machine("relay"), lab.machine("home"), lab.machine("laptop")
        place = f"/ip4/127.0.0.1/tcp/{free_port()}"
        serving = relay.start("relay", "serve", "--listen", place)
        info = relay.peerup("relay", "info", "--wait", "10s").expect(0)
        address = info.out.split()[-1]
        home.peerup("init", "--non-interactive", "--relay", address).expect(0)
        relay.peerup("relay", "authorize", home.whoami(), "home").expect(0)
        inviting, code = home.invite()
        joined = laptop.join(code).expect(0)
        assert joined.out == f"Joined home: {home.whoami()}\n"
        assert inviting.wait() == 0
        assert [line for line in inviting.text.splitlines() if line == code] == [code]

        home.peerup("service", "add", "web", f"localhost:{web.port}").expect(0)
        daemon = reachable(home.start("daemon"))
        assert pings(laptop) == ["RELAYED"] * 3
        port = free_port()
        proxy = laptop.start("proxy", "home", "web", str(port))
        proxy.wait_for("listening on")
        assert get(port) == web.TEXT
        assert time.monotonic() - began < MINUTE

        # ... and it stays so after every process is restarted
        for process in (proxy, daemon, serving):
            assert process.stop() == 0
        relay.start("relay", "serve", "--listen", place).wait_for("Listening on")
        daemon = reachable(home.start("daemon"))
        proxy = laptop.start("proxy", "home", "web", str(port))
        proxy.wait_for("listening on")
        assert get(port) == web.TEXT

        with socket.create_connection(("127.0.0.1", port)) as tunnel:
            tunnel.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            tunnel.recv(1)
            home.peerup("auth", "remove", laptop.whoami()).expect(0)
            tunnel.settimeout(2.0)
            drain(tunnel)
        assert proxy.wait() == 4
        laptop.peerup("ping", "home", "-c", "1").expect(4)
        assert not daemon.ended


def test_home_reaches_the_laptop_too_and_the_operator_ends_it(pairing: Pairing) -> None:
    inviting, code = pairing.home.invite()
    pairing.laptop.join(code).expect(0)
    assert inviting.wait() == 0
    assert pairing.are_paired()
    laptop = reachable(pairing.laptop.start("daemon"))
    pairing.home.peerup("ping", "laptop", "-c", "1").expect(0)

    operator, laptop_id = pairing.relay.machine, pairing.laptop.whoami()
    shown = operator.peerup("relay", "list-peers").expect(0).out
    assert f"{laptop_id}  vouched for by {pairing.home_id} (home)" in shown
    operator.peerup("relay", "deauthorize", laptop_id).expect(0)
    laptop.wait_for("no relay reservation", within=2.0)
    pairing.home.peerup("ping", "laptop", "-c", "1").expect(3)
    pairing.relay.process.wait_for(f"vouching ended.*{laptop_id}")


def test_joining_again_is_fine_while_the_invite_is_open_and_after(pairing: Pairing) -> None:
    inviting, code = pairing.home.invite()
    pairing.laptop.join(code).expect(0)
    assert inviting.wait() == 0
    before = pairing.laptop.snapshot()
    again = pairing.laptop.join(code).expect(0)
    assert again.out.startswith("Already joined home: ")
    assert pairing.laptop.snapshot() == before
    assert pairing.are_paired()


def test_two_that_join_at_once(pairing: Pairing) -> None:
    phone = pairing.lab.machine("phone")
    inviting, code = pairing.home.invite()
    both = {
        machine: machine.start("join", code, "--name", machine.name, "--non-interactive")
        for machine in (pairing.laptop, phone)
    }
    codes = {machine: process.wait() for machine, process in both.items()}
    assert inviting.wait() == 0
    (winner,) = (machine for machine, code in codes.items() if code == 0)
    (loser,) = (machine for machine, code in codes.items() if code == 4)
    assert pairing.are_paired(winner)
    assert pairing.listed(loser) == set()
    assert "Traceback" not in both[loser].text


STEPS: Final = {  # what the relay's log says when the next step is about to come
    "as it comes": r"connection accepted",
    "with its ticket shown": r"ticket shown",
    "as it is connected": r"circuit opened",
    "as it is vouched for": r"peer vouched for",
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("delay", [0.0, 0.02])
def test_a_joiner_that_is_killed_joins_again_with_the_same_code(
    pairing: Pairing, step: str, delay: float
) -> None:
    inviting, code = pairing.home.invite()
    pairing.laptop.init(pairing.relay.address)
    seen = len(pairing.relay.process.text)
    joining = pairing.laptop.start("join", code, "--name", "laptop", "--non-interactive")
    log = pairing.relay.process
    until(step, lambda: len(log.text[seen:].split(step.split(maxsplit=1)[0])) > 1)
    log.wait_for(step)
    time.sleep(delay)
    joining.kill()
    for machine in (pairing.home, pairing.laptop):
        load_config(machine.file("config.yaml"))  # nothing is torn
        pairing.listed(machine)
    pairing.laptop.join(code).expect(0)
    if not inviting.ended:
        inviting.wait()
    assert pairing.are_paired()


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_an_inviter_that_is_killed_invites_again(pairing: Pairing, step: str) -> None:
    inviting, code = pairing.home.invite()
    pairing.laptop.init(pairing.relay.address)
    seen = len(pairing.relay.process.text)
    joining = pairing.laptop.start("join", code, "--name", "laptop", "--non-interactive")
    until(step, lambda: re.search(step, pairing.relay.process.text[seen:]))
    inviting.kill()
    assert joining.wait() in {0, 3, 4}
    for machine in (pairing.home, pairing.laptop):
        load_config(machine.file("config.yaml"))
        pairing.listed(machine)
    inviting, code = pairing.home.invite()
    pairing.laptop.join(code).expect(0)
    assert inviting.wait() == 0
    assert pairing.are_paired()


def test_a_relay_that_is_killed_meanwhile(pairing: Pairing) -> None:
    inviting, code = pairing.home.invite()
    port = pairing.relay.port
    pairing.relay.process.kill()
    pairing.laptop.join(code).expect(3)
    pairing.relay.serve(f"/ip4/127.0.0.1/tcp/{port}")
    pairing.relay.process.wait_for("invite opened")
    pairing.laptop.join(code).expect(0)
    assert inviting.wait() == 0
    assert pairing.are_paired()


def test_ctrl_c_leaves_a_code_that_nobody_can_use(pairing: Pairing) -> None:
    inviting, code = pairing.home.invite()
    assert inviting.stop(signal.SIGINT) == 130
    pairing.relay.process.wait_for("invite closed|connection closed")
    done = pairing.laptop.join(code)
    done.expect(4, f"peerup relay authorize {pairing.laptop.whoami()}")
    assert pairing.listed(pairing.laptop) == set()


def test_w09_beside_a_daemon_an_invite_says_why_it_cannot(pairing: Pairing) -> None:
    daemon = reachable(pairing.home.start("daemon"))
    done = pairing.home.peerup("invite", "--non-interactive")
    done.expect(2, "cannot wait beside a running `peerup daemon`", "Stop the daemon")
    assert done.out == ""
    assert not daemon.ended


def test_w02_a_relay_that_does_not_know_us_is_an_error_and_no_code(pairing: Pairing) -> None:
    pairing.relay.machine.peerup("relay", "deauthorize", pairing.home_id).expect(0)
    done = pairing.home.peerup("invite", "--non-interactive")
    done.expect(4, f"peerup relay authorize {pairing.home_id}")
    assert done.out == ""


def test_an_invite_expires(pairing: Pairing) -> None:
    inviting, code = pairing.home.invite("--ttl", "2s")
    assert inviting.wait() == 3
    assert "expired" in inviting.text
    pairing.laptop.join(code).expect(4)


@pytest.mark.parametrize("name", ["../../x", "a: b", "x" * 10_000, "\u202egnp", "\x1b[31mred"])
def test_a_name_that_is_none_is_refused_before_anything_happens(lab: Lab, name: str) -> None:
    laptop = lab.machine("laptop")
    done = laptop.peerup("join", "AAAA", "--name", name)
    assert done.code == 2
    assert "cannot be a name" in done.err
    assert len(done.err) < 500
    assert "\x1b" not in done.err
    assert not laptop.config_dir.exists()
