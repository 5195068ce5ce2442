from __future__ import annotations

import stat
from pathlib import Path

import pytest

from peerup.config.identity import load_identity
from peerup.config.load import load_config
from peerup.wire.peer_id import PeerId
from tests.cli.conftest import Answers, Peerup
from tests.cli.fake_node import RELAY, RELAY_ADDRESS
from tests.config.conftest import belongs_to_another

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
        (("--non-interactive",), "relay address is required"),
        (("--non-interactive", "--relay", "home.example:7777"), "invalid relay address"),
        (("--non-interactive", "--relay", "10.0.0.1:7777"), "requires --peer-id flag"),
        ((*INIT[1:], "--peer-id", "nonsense"), "invalid peer ID"),
        ((*INIT[1:], "--network", "My Crew"), 'invalid --network value: "My Crew"'),
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


def test_init_takes_a_short_address_and_whose_it_is(peerup: Peerup, home: Path) -> None:
    flags = ("--relay", "203.0.113.5", "--relay", "[2001:db8::7]:9000", "--peer-id", str(RELAY))
    assert peerup("init", "--non-interactive", *flags).code == 0
    config = load_config(home / ".config/peerup/config.yaml")
    assert list(map(str, config.relay.addresses)) == [
        RELAY_ADDRESS,
        f"/ip6/2001:db8::7/tcp/9000/p2p/{RELAY}",
    ]


def test_init_writes_the_network_that_the_flag_names(peerup: Peerup, home: Path) -> None:
    assert peerup(*INIT, "--network", "my-crew").code == 0
    assert load_config(home / ".config/peerup/config.yaml").discovery.network == "my-crew"


def test_with_all_answers_as_flags_nothing_is_asked(peerup: Peerup, home: Path) -> None:
    result = peerup("init", "--relay", RELAY_ADDRESS)
    assert result.code == 0
    assert "Address" not in result.err


def files(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*"))


def test_the_wizard_asks_and_creates_what_the_flags_would(
    peerup: Peerup, home: Path, answers: Answers
) -> None:
    answers(f"{RELAY_ADDRESS}\n\n")
    result = peerup("init")
    assert result.code == 0
    assert "Address of a relay (multiaddr, IP:PORT): " in result.err
    assert "Address" not in result.out
    place = home / ".config" / "peerup"
    by_wizard = (place / "config.yaml").read_text()
    assert peerup(*INIT, "--dir", str(home / "other")).code == 0
    assert (home / "other" / "config.yaml").read_text() == by_wizard
    assert f"Peer ID:         {peerup('whoami').out}" in result.out
    assert "peerup relay authorize" in result.err


def test_the_last_line_of_the_answers_needs_no_line_end(
    peerup: Peerup, home: Path, answers: Answers
) -> None:
    answers(f"203.0.113.5:7777\n{RELAY}")
    assert peerup("init").code == 0
    config = load_config(home / ".config/peerup/config.yaml")
    assert list(map(str, config.relay.addresses)) == [RELAY_ADDRESS]


@pytest.mark.parametrize("given", ["", "\n", "nonsense\n", "203.0.113.5\n", "203.0.113.5\n\n"])
def test_answers_that_end_too_early_leave_nothing_behind(
    peerup: Peerup, home: Path, answers: Answers, given: str
) -> None:
    answers(given)
    result = peerup("init")
    assert result.code == 2
    assert "is required" in result.err
    assert "--relay" in result.err
    assert files(home) == []


def test_a_configuration_that_is_there_is_refused_before_any_question(
    peerup: Peerup, config: Path, answers: Answers
) -> None:
    answers(f"{RELAY_ADDRESS}\n")
    result = peerup("init")
    assert result.code == 2
    assert f"config already exists: {config}" in result.err
    assert "Address" not in result.err


@pytest.mark.parametrize("thing", ["link", "directory", "garbage"])
def test_w15_init_replaces_nothing_that_has_the_name_of_the_key(
    peerup: Peerup, home: Path, thing: str
) -> None:
    place = home / ".config" / "peerup"
    place.mkdir(parents=True)
    key = place / "identity.key"
    if thing == "link":
        key.symlink_to(home / "nowhere")
    elif thing == "directory":
        key.mkdir()
    else:
        key.write_bytes(b"\x08\x01\x12\x40")
        key.chmod(0o600)
    before = files(home)
    assert peerup(*INIT).code == 2
    assert files(home) == before
    assert not (home / "nowhere").exists()


def test_w15_a_key_of_somebody_else_is_neither_used_nor_replaced(
    peerup: Peerup, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.unlink()
    key = config.parent / "identity.key"
    before = key.read_bytes()
    belongs_to_another(key, monkeypatch)
    result = peerup(*INIT)
    assert result.code == 2
    assert f"{key} belongs to another user" in result.err
    assert "chown" in result.err
    assert key.read_bytes() == before
    assert not config.exists()


def test_a_place_where_nothing_can_be_made_is_said_so(peerup: Peerup, home: Path) -> None:
    (home / "file").touch()
    result = peerup(*INIT, "--dir", str(home / "file" / "x"))
    assert result.code == 2
    assert f"cannot create {home / 'file' / 'x'}: Not a directory" in result.err
    assert "--config" in result.err
    assert files(home) == ["file"]
