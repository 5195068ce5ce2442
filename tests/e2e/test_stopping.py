"""Ctrl-C and SIGTERM: whatever is open, a command that runs for long ends in order, and soon."""

from __future__ import annotations

import logging
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Family
    from tests.e2e.lab import Lab, Running

log = logging.getLogger(__name__)

pytestmark = [pytest.mark.e2e, pytest.mark.real_clock]

SOON: Final = 5.0  # seconds
STREAMS: Final = 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
@pytest.mark.parametrize("what", ["proxy", "daemon", "relay serve"])
def test_it_ends_in_order_with_connections_open(
    family: Family, what: str, number: signal.Signals
) -> None:
    proxy = family.laptop.start("proxy", "home", "web", "0")
    port = int(proxy.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])
    tunnels = [open_tunnel(port) for _ in range(STREAMS)]
    try:
        began = time.monotonic()
        assert running(family, proxy, what).stop(number, within=SOON) == 0
        log.warning("%s: ended %.2f s after %s", what, time.monotonic() - began, number.name)
        assert all(map(ended, tunnels))
    finally:
        for tunnel in tunnels:
            tunnel.close()
        proxy.kill()
        family.restore()


def running(family: Family, proxy: Running, what: str) -> Running:
    processes = {"proxy": proxy, "daemon": family.daemon, "relay serve": family.relay.process}
    return processes[what]


def open_tunnel(port: int) -> socket.socket:
    """A connection to home's web server that has been used, and is kept by both sides."""
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while b"hello from home" not in answer:
        answer += sock.recv(4096)
    return sock


def ended(tunnel: socket.socket) -> bool:
    """Whether the other side closes the connection; TimeoutError if it never does."""
    try:
        return tunnel.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_a_daemon_ends_while_it_looks_for_a_relay(lab: Lab, number: signal.Signals) -> None:
    machine = lab.machine("home")
    machine.init("/ip4/127.0.0.1/tcp/9/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN")
    daemon = machine.start("daemon")
    daemon.wait_for("no relay reservation")
    assert daemon.stop(number) == 0


def test_a_ping_that_is_interrupted_shows_what_it_has(family: Family) -> None:
    ping = family.laptop.start("ping", "home", "--interval", "50ms")
    ping.wait_for("seq=2")
    assert ping.stop(signal.SIGINT) == 0
    assert "0% loss" in ping.text
