"""Proxies that stay: several at once, through an outage, and until the peer has had enough."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest

from tests.e2e.lab import free_port, get, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Family

pytestmark = [pytest.mark.e2e, pytest.mark.real_clock]


def test_several_proxies_of_one_command_serve_many_connections_at_once(family: Family) -> None:
    port = free_port()
    words = ("home", "web", str(port), family.home_id, "web", "0")
    proxy = family.laptop.start("proxy", *words)
    proxy.wait_for(rf"listening on 127\.0\.0\.1:{port} \(home web\)")
    other = int(proxy.wait_for(r"listening on 127\.0\.0\.1:(\d+) \(12D3KooW\w+ web\)")[1])
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda at=at: answers.append(get(at))) for at in (port, other) * 8
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [family.web.TEXT] * 16
    assert proxy.stop() == 0


def test_a_port_stays_open_while_the_relay_is_away_and_works_again_after(family: Family) -> None:
    proxy = family.laptop.start("proxy", "home", "web", "0")
    port = int(proxy.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])
    assert get(port) == family.web.TEXT
    try:
        family.relay.process.kill()
        proxy.wait_for(r"Lost the connection to home \(.*\); trying again")
        assert get(port) == b""  # accepted, and reset when there is no way on
        proxy.wait_for("cannot reach service web of .*refused")
    finally:
        family.restore()
    proxy.wait_for(r"Connected to home again \[RELAYED\]")
    assert get(port) == family.web.TEXT
    assert len(re.findall("Lost the connection", proxy.text)) == 1
    assert proxy.stop() == 0


def test_of_two_peers_the_one_that_still_wants_us_keeps_its_proxy(family: Family) -> None:
    office = family.lab.machine("office")
    office_id = office.init(family.relay.address)
    family.relay.authorize(office_id)
    office.peerup("auth", "add", family.laptop_id).expect(0)
    office.peerup("service", "add", "web", f"127.0.0.1:{family.web.port}").expect(0)
    daemon = office.start("daemon")
    daemon.wait_for("reservation held")
    proxy = family.laptop.start("proxy", "home", "web", "0", office_id, "web", "0")
    home_port = int(proxy.wait_for(r"listening on \S+:(\d+) \(home web\)")[1])
    port = int(proxy.wait_for(rf"listening on \S+:(\d+) \({office_id} web\)")[1])
    assert get(port) == family.web.TEXT
    office.peerup("auth", "remove", family.laptop_id).expect(0)
    proxy.wait_for(f"Error: {office_id}: .*does not authorize us")
    until("the port of that peer is closed", lambda: refused(port))
    assert get(home_port) == family.web.TEXT
    assert proxy.stop() == 0
    assert daemon.stop() == 0


def refused(port: int) -> bool:
    try:
        get(port)
    except ConnectionRefusedError:
        return True
    return False
