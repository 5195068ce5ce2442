from __future__ import annotations

import stat
from pathlib import Path

import pytest

from peerup.config.identity import load_identity
from peerup.config.load import load_config
from peerup.wire.peer_id import PeerId
from tests.cli.conftest import Peerup
from tests.cli.fake_node import RELAY, RELAY_ADDRESS

INIT = ("init", "--non-interactive", "--relay", RELAY_ADDRESS)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_init_creates_a_configuration_that_loads_a_key_and_an_empty_list(
    peerup: Peerup, home: Path
) -> None:
    result = peerup(*INIT)
    place = home / ".config" / "peerup"
    assert result.code == 0
    assert {path.name: mode(path) for path in place.iterdir()} == {
        "config.yaml": 0o600,
        "identity.key": 0o600,
        "authorized_keys": 0o600,
    }
    assert mode(place) == 0o700
    config = load_config(place / "config.yaml")
    assert list(map(str, config.relay.addresses)) == [RELAY_ADDRESS]
    assert config.warnings == ()
    peer = PeerId.from_public_key(load_identity(config.identity.key_file).public_key)
    assert str(peer) in result.out
    assert f"peerup relay authorize {peer}" in result.err
    assert peerup("auth", "list").out.startswith("No authorized peers.")


def test_init_writes_where_to_listen_as_the_flags_say(peerup: Peerup, tmp_path: Path) -> None:
    flags = {
        "default": (),
        "none": ("--no-listen",),
        "two": ("--listen", "/ip4/127.0.0.1/tcp/4001", "--listen", "/ip6/::1/tcp/0"),
    }
    listen = {}
    for name, more in flags.items():
        assert peerup(*INIT, "--dir", str(tmp_path / name), *more).code == 0
        config = load_config(tmp_path / name / "config.yaml")
        listen[name] = list(map(str, config.network.listen_addresses))
    assert listen == {
        "default": [
            "/ip4/0.0.0.0/tcp/0",
            "/ip4/0.0.0.0/udp/0/quic-v1",
            "/ip6/::/tcp/0",
            "/ip6/::/udp/0/quic-v1",
        ],
        "none": [],
        "two": ["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/tcp/0"],
    }


def test_init_takes_several_relays_once_each(peerup: Peerup, home: Path) -> None:
    other = f"/ip6/2001:db8::7/tcp/7777/p2p/{RELAY}"
    assert peerup(*INIT, "--relay", other, "--relay", RELAY_ADDRESS).code == 0
    config = load_config(home / ".config/peerup/config.yaml")
    assert list(map(str, config.relay.addresses)) == [RELAY_ADDRESS, other]


def test_init_creates_the_configuration_that_the_flag_names(peerup: Peerup, home: Path) -> None:
    assert peerup(*INIT, "--config", "here/mine.yaml").code == 0
    assert load_config(home / "here" / "mine.yaml")
    assert (home / "here" / "identity.key").exists()


def test_init_never_overwrites_a_configuration(peerup: Peerup, config: Path) -> None:
    before = {path: path.read_bytes() for path in config.parent.iterdir() if path.is_file()}
    result = peerup(*INIT)
    assert result.code == 2
    assert f"Error: config already exists: {config}" in result.err
    assert "--dir" in result.err
    assert {path: path.read_bytes() for path in before} == before


def test_init_keeps_the_identity_and_the_list_that_are_there(peerup: Peerup, config: Path) -> None:
    peer = peerup("whoami").out
    peerup("auth", "add", str(RELAY))
    config.unlink()
    result = peerup(*INIT)
    assert result.code == 0
    assert "authorized_keys (kept)" in result.out
    assert peerup("whoami").out == peer
    assert str(RELAY) in peerup("auth", "list").out


def test_init_refuses_to_build_on_a_damaged_identity(peerup: Peerup, config: Path) -> None:
    key = config.parent / "identity.key"
    key.write_bytes(b"torn")
    config.unlink()
    result = peerup(*INIT)
    assert result.code == 2
    assert f"failed to unmarshal key from {key}" in result.err
    assert key.read_bytes() == b"torn"
    assert not config.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "does not exist yet"),
        (("--relay", RELAY_ADDRESS), "does not exist yet"),
        (("--non-interactive",), "relay address is required"),
        (("--non-interactive", "--relay", "10.0.0.1:7777"), "invalid relay address"),
        (("--non-interactive", "--relay", "/ip4/10.0.0.1/tcp/1"), "ends in /p2p/"),
        ((*INIT[1:], "--listen", "/ip4/1.2.3.4"), "only TCP or QUIC"),
        ((*INIT[1:], "--listen", "/ip4/1.2.3.4/udp/1"), "only TCP or QUIC"),
        ((*INIT[1:], "--listen", "here"), "cannot listen there"),
        ((*INIT[1:], "--listen", "/ip4/0.0.0.0/tcp/1", "--no-listen"), "cannot both"),
        ((*INIT[1:], "--dir", "a", "--config", "b"), "cannot both"),
    ],
)
def test_init_says_what_it_needs_and_creates_nothing(
    peerup: Peerup, home: Path, flags: tuple[str, ...], message: str
) -> None:
    result = peerup("init", *flags)
    assert result.code == 2
    assert message in result.err
    assert list(home.iterdir()) == []
