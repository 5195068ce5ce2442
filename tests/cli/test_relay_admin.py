from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from peerup.cli import qr
from peerup.cli.main import main
from peerup.config.identity import load_identity
from peerup.config.load import load_relay_config
from peerup.relay import vouched_file
from peerup.relay.vouching import Pair
from peerup.wire.peer_id import PeerId
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, Network, peer

LAPTOP, PHONE = peer(9), peer(10)


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of something that accepts TCP connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def relay(peerup: Peerup, home: Path, network: Network, listener: int) -> Path:
    """The configuration of a relay that listens where ``listener`` does."""
    network.signal = signal.SIGTERM
    result = peerup("relay", "serve", "--listen", f"/ip4/127.0.0.1/tcp/{listener}")
    assert result.code == 0, result.err
    return home / ".config" / "peerup" / "relay-server.yaml"


def relay_peer(relay: Path) -> PeerId:
    key = load_identity(load_relay_config(relay).identity.key_file)
    return PeerId.from_public_key(key.public_key)


def test_a_peer_is_authorized_listed_and_deauthorized(peerup: Peerup, relay: Path) -> None:
    added = peerup("relay", "authorize", str(HOME), "my", "home", "--config", str(relay))
    assert added.code == 0
    assert added.out.splitlines() == [
        f"Authorized: {HOME}",
        "  Comment: my home",
        f"  File: {relay.parent / 'relay_authorized_keys'}",
    ]
    peerup("relay", "authorize", str(LAPTOP))
    assert peerup("relay", "list-peers").out.splitlines()[:3] == [
        f"{HOME}  # my home",
        str(LAPTOP),
        "Total: 2 peer(s)",
    ]
    assert peerup("relay", "deauthorize", str(HOME)).out.startswith(f"Deauthorized: {HOME}\n")
    assert str(HOME) not in peerup("relay", "list-peers").out


def test_w29_the_flag_for_the_configuration_is_never_taken_for_a_comment_or_a_peer(
    peerup: Peerup, relay: Path
) -> None:
    flag = ("--config", str(relay))
    assert peerup("relay", "authorize", str(HOME), *flag).out.count("Comment") == 0
    assert peerup("relay", *flag, "authorize", str(LAPTOP), "my", "laptop").code == 0
    assert peerup("relay", "deauthorize", *flag, str(HOME)).code == 0
    text = (relay.parent / "relay_authorized_keys").read_text()
    assert text.endswith(f"\n{LAPTOP}  # my laptop\n")


def test_the_list_as_json(peerup: Peerup, relay: Path) -> None:
    peerup("relay", "authorize", str(HOME), "my", "home")
    shown = json.loads(peerup("relay", "list-peers", "--json").out)
    assert shown["file"] == str(relay.parent / "relay_authorized_keys")
    assert [(peer["peer_id"], peer["comment"]) for peer in shown["peers"]] == [
        (str(HOME), "my home")
    ]


def test_an_entry_that_has_expired_is_renewed(peerup: Peerup, relay: Path) -> None:
    file = relay.parent / "relay_authorized_keys"
    file.write_text(f"{HOME} expires=2020-01-01\n")
    assert peerup("relay", "authorize", str(HOME)).out.startswith(f"Authorized: {HOME}\n")
    assert file.read_text() == f"{HOME}\n"


def test_info_draws_its_first_address_when_asked_to(
    peerup: Peerup, relay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(qr, "show", drawn.append)
    last = peerup("relay", "info", "--qr").out.split()[-1]
    assert drawn == [last]
    peerup("relay", "info")
    assert len(drawn) == 1


def test_authorizing_twice_is_no_error(peerup: Peerup, relay: Path) -> None:
    peerup("relay", "authorize", str(HOME))
    again = peerup("relay", "authorize", str(HOME))
    assert (again.code, again.out.splitlines()[0]) == (0, f"Already authorized: {HOME}")


def test_deauthorizing_a_stranger_is_an_error(peerup: Peerup, relay: Path) -> None:
    result = peerup("relay", "deauthorize", str(LAPTOP))
    assert result.code == 2
    assert f"peer not found: {LAPTOP}" in result.err


def test_a_list_that_nobody_obeys_is_pointed_out(peerup: Peerup, relay: Path) -> None:
    relay.write_text(relay.read_text().replace("gating: true", "gating: false"))
    result = peerup("relay", "authorize", str(HOME))
    assert result.code == 0
    assert "Warning: gating is off" in result.err


@pytest.mark.parametrize(
    "words", [("authorize", str(HOME)), ("deauthorize", str(HOME)), ("list-peers",), ("info",)]
)
def test_without_a_relay_the_way_to_one_is_said(
    peerup: Peerup, home: Path, words: tuple[str, ...]
) -> None:
    result = peerup("relay", *words)
    assert result.code == 2
    assert "there is no relay configuration on this machine" in result.err
    assert "peerup relay serve" in result.err


def test_info_prints_what_a_client_needs(peerup: Peerup, relay: Path, listener: int) -> None:
    peerup("relay", "authorize", str(HOME))
    result = peerup("relay", "info", "--wait", "5s")
    peer_id = relay_peer(relay)
    assert result.code == 0
    assert result.out.splitlines() == [
        f"Peer ID: {peer_id}",
        "Connection gating: enabled",
        "Authorized peers: 1",
        "Multiaddrs:",
        f"  /ip4/127.0.0.1/tcp/{listener}/p2p/{peer_id}",
    ]


def test_w18_a_relay_is_gated_when_its_file_does_not_say(peerup: Peerup, relay: Path) -> None:
    relay.write_text(relay.read_text().replace("  enable_connection_gating: true\n", ""))
    assert "Connection gating: enabled" in peerup("relay", "info").out


def test_info_as_json(peerup: Peerup, relay: Path, listener: int) -> None:
    result = peerup("relay", "info", "--json")
    assert json.loads(result.out) == {
        "peer_id": str(relay_peer(relay)),
        "gating": True,
        "authorized_peers": 0,
        "addresses": [f"/ip4/127.0.0.1/tcp/{listener}/p2p/{relay_peer(relay)}"],
        "config": str(relay),
    }


def test_info_of_an_open_relay_counts_nobody(peerup: Peerup, relay: Path) -> None:
    relay.write_text(relay.read_text().replace("gating: true", "gating: false"))
    result = peerup("relay", "info")
    assert "Connection gating: DISABLED" in result.out
    assert "Authorized peers" not in result.out
    assert json.loads(peerup("relay", "info", "--json").out)["authorized_peers"] is None


def test_info_replaces_a_wildcard_by_addresses_of_this_machine(
    peerup: Peerup, home: Path, network: Network
) -> None:
    network.signal = signal.SIGTERM
    peerup("relay", "serve")
    addresses = json.loads(peerup("relay", "info", "--json").out)["addresses"]
    assert addresses
    assert not [text for text in addresses if "/0.0.0.0/" in text or "/::/" in text]
    for form in ("/tcp/7777/p2p/", "/udp/7777/quic-v1/p2p/"):
        assert [text for text in addresses if form in text]


def test_info_warns_when_nothing_in_the_file_can_be_dialled(
    peerup: Peerup, home: Path, network: Network
) -> None:
    network.signal = signal.SIGTERM
    peerup("relay", "serve", "--listen", "/ip4/127.0.0.1/tcp/0")
    result = peerup("relay", "info")
    assert result.code == 0
    assert "no address with a fixed port" in result.err


def test_info_never_creates_an_identity(peerup: Peerup, relay: Path) -> None:
    (relay.parent / "relay_node.key").unlink()
    result = peerup("relay", "info")
    assert result.code == 2
    assert "the relay has no identity yet" in result.err
    assert not (relay.parent / "relay_node.key").exists()


def test_a_missing_list_says_how_to_create_it(peerup: Peerup, relay: Path) -> None:
    (relay.parent / "relay_authorized_keys").unlink()
    result = peerup("relay", "info")
    assert result.code == 2
    assert "peerup relay authorize" in result.err


@pytest.mark.real_clock
def test_info_waits_until_the_relay_is_there(
    peerup: Peerup, home: Path, network: Network, listener: int
) -> None:
    network.signal = signal.SIGTERM
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(main, ["relay", "info", "--wait", "10s"])
        served = peerup("relay", "serve", "--listen", f"/ip4/127.0.0.1/tcp/{listener}")
        assert waiting.result() == 0
    assert served.code == 0


def test_waiting_for_a_relay_that_does_not_accept_is_exit_code_3(
    peerup: Peerup, relay: Path
) -> None:
    with socket.socket() as closed:  # bound, so that nobody else gets it, but not listening
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        text = relay.read_text()
        old = load_relay_config(relay).network.listen_addresses[0]
        relay.write_text(text.replace(str(old), f"/ip4/127.0.0.1/tcp/{port}"))
        result = peerup("relay", "info", "--wait", "0s")
    assert (result.code, result.out) == (3, "")
    assert "cannot reach the relay on this machine" in result.err
    assert "peerup relay serve" in result.err


def test_waiting_in_vain_for_a_configuration_is_exit_code_2(peerup: Peerup, home: Path) -> None:
    result = peerup("relay", "info", "--wait", "10ms")
    assert result.code == 2
    assert "there is no relay configuration" in result.err


# --- whom peers vouch for -------------------------------------------------------------


@pytest.fixture
def vouched(peerup: Peerup, relay: Path) -> Path:
    """Home is authorized, and vouches for the laptop and a phone."""
    peerup("relay", "authorize", str(HOME), "my", "home")
    file = vouched_file.beside(relay.parent / "relay_authorized_keys")
    pairs = {Pair(HOME, LAPTOP, 1_800_000_000), Pair(HOME, PHONE, 1_800_000_060)}
    vouched_file.update(file, lambda old: old | pairs)
    return file


def test_the_list_shows_who_vouches_for_whom(peerup: Peerup, vouched: Path) -> None:
    shown = peerup("relay", "list-peers").out
    assert shown.splitlines()[:2] == [f"{HOME}  # my home", "Total: 1 peer(s)"]
    assert f"  {LAPTOP}  vouched for by {HOME} (my home) since 2027-01-15T08:00:00+00:00\n" in shown
    assert f"  {PHONE}  vouched for by {HOME}" in shown
    assert "Vouched for: 2" in shown


def test_the_list_says_it_in_json_too(peerup: Peerup, vouched: Path) -> None:
    shown = json.loads(peerup("relay", "list-peers", "--json").out)
    assert [peer["peer_id"] for peer in shown["peers"]] == [str(HOME)]
    since = "2027-01-15T08:00:00+00:00"
    assert {"peer_id": str(LAPTOP), "by": str(HOME), "since": since} in shown["vouched"]
    assert len(shown["vouched"]) == 2


def test_a_guest_is_shut_out_by_its_id(peerup: Peerup, vouched: Path) -> None:
    result = peerup("relay", "deauthorize", str(LAPTOP))
    assert result.code == 0, result.err
    assert f"Deauthorized: {LAPTOP}\n  No longer vouched for by: {HOME}\n" in result.out
    assert {pair.guest for pair in vouched_file.load(vouched)} == {PHONE}
    assert str(HOME) in peerup("relay", "list-peers").out
    assert peerup("relay", "deauthorize", str(LAPTOP)).code == 2


def test_an_inviter_takes_its_guests_with_it(peerup: Peerup, vouched: Path) -> None:
    result = peerup("relay", "deauthorize", str(HOME))
    assert result.code == 0
    assert f"  So is: {LAPTOP}\n" in result.out
    assert f"  So is: {PHONE}\n" in result.out
    assert vouched_file.load(vouched) == frozenset()


def test_a_damaged_file_is_named_and_does_not_keep_a_peer_authorized(
    peerup: Peerup, vouched: Path
) -> None:
    vouched.write_text("{")
    assert "vouched.json is damaged" in peerup("relay", "list-peers").err
    result = peerup("relay", "deauthorize", str(HOME))
    assert result.code == 2
    assert "vouched.json is damaged" in result.err
    vouched.unlink()
    assert str(HOME) not in peerup("relay", "list-peers").out
