"""Keys, configurations and lists that cannot be used, as a user meets them.

Each is refused with code 2 and words that say which file, why, and what mends it; and nothing in
the home directory is written, whatever was wrong with it.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.lab import Lab, Machine

pytestmark = [pytest.mark.e2e, pytest.mark.real_clock]

RELAY: Final = "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
USES_THE_KEY: Final = (("whoami",), ("daemon",), ("ping", "x", "-c", "1"))


@pytest.fixture
def home(lab: Lab) -> Machine:
    """A machine with a configuration that works, as far as files go."""
    machine = lab.machine("home")
    machine.init(RELAY)
    return machine


@pytest.fixture
def relay(lab: Lab) -> Machine:
    """A machine with the files of a relay, which does not run."""
    machine = lab.machine("relay")
    serving = machine.start("relay", "serve", "--listen", "/ip4/127.0.0.1/tcp/0")
    serving.wait_for("Listening on")
    assert serving.stop() == 0
    return machine


def refused(machine: Machine, *words: str, says: tuple[str, ...], root_obeys: bool = False) -> None:
    """Run a command that must fail with code 2 and these words, and must not write anything."""
    before = machine.snapshot() if not root_obeys else {}
    machine.peerup(*words, obey_modes=root_obeys).expect(2, *says)
    assert root_obeys or machine.snapshot() == before


@pytest.mark.parametrize("words", USES_THE_KEY, ids=" ".join)
def test_a_key_that_others_may_read(home: Machine, words: tuple[str, ...]) -> None:
    key = home.file("identity.key")
    key.chmod(0o640)
    refused(home, *words, says=("insecure permissions 0640", f"chmod 600 {key}"))


def test_a_key_that_we_may_not_read(home: Machine) -> None:
    key = home.file("identity.key")
    key.chmod(0)
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and there is no setpriv to take that away")
    refused(
        home, "whoami", says=(f"failed to read key from {key}: Permission denied",), root_obeys=True
    )


def cut_short(key: Path) -> None:
    key.write_bytes(key.read_bytes()[:40])


def emptied(key: Path) -> None:
    key.write_bytes(b"")


def mixed_up(key: Path) -> None:
    data = bytearray(key.read_bytes())
    data[20] ^= 1  # the public key no longer belongs to the secret one
    key.write_bytes(data)


@pytest.mark.parametrize("damage", [cut_short, emptied, mixed_up])
def test_a_damaged_key(home: Machine, damage: Callable[[Path], None]) -> None:
    key = home.file("identity.key")
    damage(key)
    for words in USES_THE_KEY:
        refused(home, *words, says=(f"failed to unmarshal key from {key}", "Put the key back from"))


def test_a_key_that_is_gone(home: Machine) -> None:
    key = home.file("identity.key")
    key.unlink()
    refused(home, "daemon", says=(f"identity key not found: {key}", "from your backup"))
    assert not key.exists()  # a new identity would be another machine to everybody else


def test_a_configuration_that_others_may_read(home: Machine) -> None:
    config = home.file("config.yaml")
    config.chmod(0o644)
    refused(home, "daemon", says=("overly permissive mode 0644", f"chmod 600 {config}"))


def test_a_configuration_that_is_torn(home: Machine) -> None:
    config = home.file("config.yaml")
    text = config.read_text()
    config.write_text(text[: text.index("/p2p/")])  # inside a quoted address
    line = config.read_text().count("\n") + 1
    refused(home, "daemon", says=(f"{config}:{line}: failed to parse YAML", "Look at"))
    config.write_text(text[: text.index("security:")])
    refused(home, "daemon", says=("security.authorized_keys_file is required", "Gating is on"))
    config.write_text("")
    refused(home, "daemon", says=(f"{config}:1: identity.key_file is required",))


def test_there_is_no_configuration(lab: Lab) -> None:
    machine = lab.machine("new")
    refused(machine, "daemon", says=("config file not found; searched:", "peerup init"))
    refused(machine, "relay", "info", says=("no relay configuration", "peerup relay serve"))


def test_init_replaces_nothing(home: Machine) -> None:
    refused(
        home,
        *("init", "--non-interactive", "--relay", RELAY),
        says=("config already exists", "--dir"),
    )


def test_gating_is_on_and_nobody_said_who_may_come(home: Machine) -> None:
    listed = home.file("authorized_keys")
    listed.unlink()
    refused(home, "daemon", says=(f"{listed} does not exist", "peerup auth add ID"))
    assert not listed.exists()


def test_a_list_with_a_bad_line(home: Machine) -> None:
    listed = home.file("authorized_keys")
    listed.write_text(listed.read_text() + "not-a-peer\n")
    number = listed.read_text().count("\n")
    refused(home, "daemon", says=(f'invalid peer ID at line {number}: "not-a-peer"', "Mend"))


def test_a_list_that_others_may_write(home: Machine) -> None:
    listed = home.file("authorized_keys")
    listed.chmod(0o666)
    refused(home, "daemon", says=("insecure permissions 0666", f"chmod 600 {listed}"))


def test_a_relay_without_its_list(relay: Machine) -> None:
    listed = relay.file("relay_authorized_keys")
    listed.unlink()
    for words in (("relay", "serve"), ("relay", "list-peers"), ("relay", "info")):
        refused(relay, *words, says=(str(listed), "peerup relay authorize ID"))
    assert not listed.exists()


def test_a_relay_with_a_key_that_others_may_read(relay: Machine) -> None:
    key = relay.file("relay_node.key")
    key.chmod(0o644)
    for words in (("relay", "serve"), ("relay", "info")):
        refused(relay, *words, says=("insecure permissions 0644", f"chmod 600 {key}"))


def test_a_relay_with_a_damaged_key(relay: Machine) -> None:
    key = relay.file("relay_node.key")
    cut_short(key)
    for words in (("relay", "serve"), ("relay", "info")):
        refused(relay, *words, says=(f"failed to unmarshal key from {key}", "backup"))


def test_a_relay_with_a_torn_configuration(relay: Machine) -> None:
    config = relay.file("relay-server.yaml")
    text = config.read_text()
    config.write_text(text[: text.index("/ip4/") + 3])
    for words in (("relay", "serve"), ("relay", "info")):
        refused(relay, *words, says=(f"{config}:", "failed to parse YAML"))
