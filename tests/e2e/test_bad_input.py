"""Names, addresses, relays and services that lead nowhere, as a user meets them.

What is wrong with files is in test_bad_files.py. Exit codes: 2 usage or configuration, 3 cannot
reach, 4 not authorized. A daemon does not end for what may mend itself; it says so in its log.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.lab import Relay, free_port, get

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Family
    from tests.e2e.lab import Lab, Machine, Running

pytestmark = [pytest.mark.e2e, pytest.mark.real_clock]


@pytest.fixture
def newcomer(lab: Lab, family: Family) -> Machine:
    """A machine that names the family's relay, and that nobody knows yet."""
    machine = lab.machine("newcomer")
    machine.init(family.relay.address)
    return machine


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of 127.0.0.1 that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def proxy(machine: Machine, target: str, service: str) -> tuple[Running, int]:
    """Start a proxy on a free port; return it and the port."""
    running = machine.start("proxy", target, service, "0")
    return running, int(running.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])


@pytest.fixture
def second_home(lab: Lab, family: Family) -> tuple[Machine, str]:
    """Another home behind the family's relay, which lets the laptop in; and its peer id."""
    home = lab.machine("second")
    home_id = home.init(family.relay.address)
    family.relay.authorize(home_id)
    home.peerup("auth", "add", family.laptop_id).expect(0)
    return home, home_id


def warning_of(daemon: Running) -> str:
    """The first warning of a daemon that holds no place at its relay."""
    return daemon.wait_for(r"level=WARNING msg=\"(no relay reservation: .*)\" relay=")[1]


# --- peers ----------------------------------------------------------------------------


def test_a_name_that_nobody_has(family: Family) -> None:
    for words in (("ping", "hmoe", "-c", "1"), ("proxy", "hmoe", "web", "0")):
        done = family.laptop.peerup(*words)
        done.expect(2, "name not found: hmoe", "config.yaml: home", "peerup auth add ID --name")


def test_a_text_that_is_neither_name_nor_id(family: Family) -> None:
    done = family.laptop.peerup("auth", "add", "12D3KooW")
    done.expect(2, "invalid peer ID", "`peerup whoami` on the other machine")


def test_a_peer_that_is_not_there(family: Family, newcomer: Machine) -> None:
    absent = newcomer.whoami()
    for words in (("ping", absent, "-c", "1"), ("proxy", absent, "web", "0")):
        done = family.laptop.peerup(*words)
        done.expect(3, f"cannot reach {absent}", "NO_RESERVATION", "Is `peerup daemon` running")


def test_another_peer_at_the_address(family: Family, lab: Lab) -> None:
    machine = lab.machine("misled")
    wrong = family.relay.address.replace(family.relay.peer, family.home_id)
    machine.init(wrong)
    says = f"expected peer {family.home_id}, but {family.relay.peer} answered"
    hint = "Check the address and the peer id"
    machine.peerup("ping", family.laptop_id, "-c", "1").expect(3, says, hint)
    daemon = machine.start("daemon")
    warning = warning_of(daemon)
    assert says in warning
    assert hint in warning
    assert daemon.stop() == 0


def test_a_peer_that_does_not_authorize_us(family: Family, newcomer: Machine) -> None:
    family.relay.authorize(newcomer.whoami())
    for words in (("ping", family.home_id, "-c", "1"), ("proxy", family.home_id, "web", "0")):
        newcomer.peerup(*words).expect(
            4, "the peer does not authorize us", "`peerup auth add` with the id that"
        )


# --- relays ---------------------------------------------------------------------------


def test_a_relay_that_cannot_be_reached(family: Family, lab: Lab) -> None:
    port = free_port()
    machine = lab.machine("lonely")
    machine.init(f"/ip4/127.0.0.1/tcp/{port}/p2p/{family.relay.peer}")
    says = f"cannot reach {family.relay.peer} (/ip4/127.0.0.1/tcp/{port}: Connection refused)"
    hint = "Is the relay running at this address"
    for words in (("ping", family.home_id, "-c", "1"), ("proxy", family.home_id, "web", "0")):
        machine.peerup(*words).expect(3, says, hint)
    daemon = machine.start("daemon")
    warning = warning_of(daemon)
    assert says in warning
    assert hint in warning
    assert daemon.stop() == 0


def test_a_relay_that_refuses_us(family: Family, newcomer: Machine) -> None:
    says = f"relay {family.relay.peer} does not authorize us"
    hint = "Ask its operator to run `peerup relay authorize`"
    for words in (("ping", family.home_id, "-c", "1"), ("proxy", family.home_id, "web", "0")):
        newcomer.peerup(*words).expect(4, says, hint)
    daemon = newcomer.start("daemon")
    warning = warning_of(daemon)
    assert says in warning
    assert hint in warning
    assert daemon.stop() == 0


def test_a_relay_that_is_full(lab: Lab) -> None:
    relay = Relay(lab)
    assert relay.process.stop() == 0
    config = relay.machine.file("relay-server.yaml")
    config.write_text(config.read_text() + "resources:\n  max_reservations: 1\n")
    relay.serve(f"/ip4/127.0.0.1/tcp/{relay.port}")
    first, second = lab.machine("first"), lab.machine("second")
    ids = [machine.init(relay.address) for machine in (first, second)]
    relay.authorize(*ids)
    first.start("daemon").wait_for("reservation held")
    warning = warning_of(second.start("daemon"))
    assert f"relay {relay.peer} answered RESERVATION_REFUSED" in warning
    assert "its operator can raise max_reservations" in warning
    first.peerup("ping", ids[1], "-c", "1").expect(3, "NO_RESERVATION")


def test_an_address_that_is_none(lab: Lab) -> None:
    machine = lab.machine("new")
    for address in ("/ip4/203.0.113.5/tcp/7777", "relay.example:7777"):
        done = machine.peerup("init", "--non-interactive", "--relay", address)
        done.expect(2, "invalid relay address", "peerup relay info")
    done = machine.peerup("init", "--non-interactive", "--relay", "203.0.113.5:7777")
    done.expect(2, "requires --peer-id flag", "peerup relay info")
    assert machine.snapshot() == {}


# --- services -------------------------------------------------------------------------


def test_a_service_that_is_not_offered(family: Family) -> None:
    done = family.laptop.peerup("proxy", "home", "nosuch", "0")
    done.expect(3, "offers no service 'nosuch'", "`peerup service list` over there")


def test_a_service_whose_program_does_not_run(
    family: Family, second_home: tuple[Machine, str]
) -> None:
    home, home_id = second_home
    gone = free_port()
    home.peerup("service", "add", "gone", f"127.0.0.1:{gone}").expect(0)
    daemon = home.start("daemon")
    daemon.wait_for("reservation held")
    running, port = proxy(family.laptop, home_id, "gone")
    assert get(port) == b""
    running.wait_for("broke off the connection.*Does the service run over there")
    daemon.wait_for(f"/peerup/gone/1.0.0.*127.0.0.1:{gone} does not answer|{gone}.*refused")


def test_a_service_that_is_for_others(family: Family, second_home: tuple[Machine, str]) -> None:
    home, home_id = second_home
    home.peerup("service", "add", "web", f"127.0.0.1:{family.web.port}").expect(0)
    config = home.file("config.yaml")
    config.write_text(config.read_text() + f'    allowed_peers: ["{family.home_id}"]\n')
    daemon = home.start("daemon")
    daemon.wait_for("reservation held")
    running, port = proxy(family.laptop, home_id, "web")
    assert get(port) == b""
    running.wait_for("does not let us use /peerup/web/1.0.0.*allowed_peers")
    daemon.wait_for(f"service refused.*{family.laptop_id}")


def test_a_peer_that_may_come_no_longer(family: Family, second_home: tuple[Machine, str]) -> None:
    home, home_id = second_home
    home.peerup("service", "add", "web", f"127.0.0.1:{family.web.port}").expect(0)
    home.start("daemon").wait_for("reservation held")
    running, port = proxy(family.laptop, home_id, "web")
    assert get(port) == family.web.TEXT
    home.peerup("auth", "remove", family.laptop_id).expect(0)
    assert running.wait(within=5.0) == 4
    running.wait_for("Error: .* does not authorize us\n.*`peerup auth add`")


# --- ports ----------------------------------------------------------------------------


def test_the_port_of_a_proxy_is_taken(family: Family, taken_port: int) -> None:
    done = family.laptop.peerup("proxy", "home", "web", str(taken_port))
    done.expect(
        2,
        f"cannot listen on 127.0.0.1:{taken_port}: Address already in use\n",
        "Choose another local port",
    )


def test_a_port_that_does_not_exist(family: Family) -> None:
    for port in ("65536", "-1"):
        family.laptop.peerup("proxy", "home", "web", port).expect(2, f"no port {port}")


def test_a_relay_is_served_twice(family: Family) -> None:
    port = family.relay.port
    done = family.relay.machine.peerup("relay", "serve", "--listen", f"/ip4/127.0.0.1/tcp/{port}")
    done.expect(2, f"/tcp/{port}: Address already in use", "Is another peerup")


def test_the_port_of_a_daemon_is_taken(lab: Lab, family: Family, taken_port: int) -> None:
    machine = lab.machine("unlucky")
    machine.init(family.relay.address, listen=f"/ip4/127.0.0.1/tcp/{taken_port}")
    machine.peerup("daemon").expect(2, f"/tcp/{taken_port}: Address already in use", "Choose")


def test_an_address_that_is_not_ours(lab: Lab, family: Family) -> None:
    machine = lab.machine("elsewhere")
    machine.init(family.relay.address, listen="/ip4/192.0.2.1/tcp/4001")
    machine.peerup("daemon").expect(2, "cannot listen on /ip4/192.0.2.1/tcp/4001: Cannot assign")
