"""``peerup join`` as far as the network: where the code comes from, and what is created."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from peerup.cli import join
from peerup.config.load import load_config
from peerup.config.schema import Config
from peerup.errors import NotAuthorizedError
from peerup.node.pairing import Paired
from peerup.wire.invite import Invite, decode, encode
from peerup.wire.multiaddr import Multiaddr
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, RELAY_ADDRESS

INVITE: Final = Invite(bytes(8), Multiaddr.parse(RELAY_ADDRESS), HOME)
CODE: Final = encode(INVITE)
CREW: Final = encode(Invite(bytes(8), Multiaddr.parse(RELAY_ADDRESS), HOME, "crew"))


class Joins:
    """In place of the network."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, Invite, str]] = []
        self.outcome: Exception | Paired = Paired(HOME, "home")
        self.interrupt = False

    async def __call__(self, config: Config, invite: Invite, *, name: str) -> Paired:
        self.asked.append((config.path, invite, name))
        if self.interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(10)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def joins(monkeypatch: pytest.MonkeyPatch) -> Joins:
    made = Joins()
    monkeypatch.setattr(join, "join", made)
    monkeypatch.delenv(join.VARIABLE, raising=False)
    return made


def place(home: Path) -> Path:
    return home / ".config" / "peerup"


def test_a_new_machine_gets_what_it_lacks_and_joins(
    peerup: Peerup, home: Path, joins: Joins
) -> None:
    result = peerup("join", CODE, "--name", "laptop", "--non-interactive")
    assert result.code == 0, result.err
    assert result.out == f"Joined home: {HOME}\n"
    assert "peerup ping home" in result.err
    path = place(home) / "config.yaml"
    assert joins.asked == [(path, INVITE, "laptop")]
    config = load_config(path)
    assert list(map(str, config.relay.addresses)) == [RELAY_ADDRESS]
    assert {file.name for file in place(home).iterdir()} == {
        "config.yaml",
        "identity.key",
        "authorized_keys",
    }


def test_what_was_done_before_is_said_to_be(peerup: Peerup, home: Path, joins: Joins) -> None:
    joins.outcome = Paired(HOME, "home", fresh=False)
    result = peerup("join", CODE)
    assert (result.code, result.out) == (0, f"Already joined home: {HOME}\n")


# --- where the code comes from --------------------------------------------------------


def test_words_make_one_code(peerup: Peerup, joins: Joins) -> None:
    peerup("join", *CODE.lower().replace("-", " ").split(), "--name", "laptop")
    assert joins.asked[0][1] == INVITE


def test_the_environment_is_asked_next_and_stdin_last(
    peerup: Peerup, joins: Joins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{CREW}\nand more\n"))
    monkeypatch.setenv(join.VARIABLE, f"  {CODE}\n")
    assert peerup("join", "--non-interactive").code == 0
    monkeypatch.setenv(join.VARIABLE, " ")
    other = ("--config", "crew.yaml")
    assert peerup("join", "--non-interactive", *other).code == 0
    assert [asked[1] for asked in joins.asked] == [INVITE, decode(CREW)]


def test_a_terminal_is_asked(peerup: Peerup, joins: Joins, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(f"{CODE}\n"))
    result = peerup("join")
    assert "Invite code" in result.err
    assert joins.asked[0][1] == INVITE


@pytest.mark.parametrize("words", [(), ("--non-interactive",)])
def test_without_a_code_it_says_where_to_put_one(
    peerup: Peerup,
    home: Path,
    joins: Joins,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    result = peerup("join", *words)
    assert result.code == 2
    assert join.VARIABLE in result.err
    assert not place(home).exists()


def test_endless_stdin_is_not_read_to_its_end(
    peerup: Peerup, home: Path, joins: Joins, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = io.StringIO("A" * 1_000_000)
    monkeypatch.setattr(sys, "stdin", source)
    assert peerup("join", "--non-interactive").code == 2
    assert source.tell() < 10_000


@pytest.mark.parametrize("code", ["", "AAAA", CODE[:-9], CODE + "AAAA", "\x1b[31m", "A" * 5000])
def test_a_bad_code_creates_nothing(peerup: Peerup, home: Path, joins: Joins, code: str) -> None:
    result = peerup("join", code, "--name", "laptop")
    assert result.code == 2
    assert "\x1b" not in result.err
    assert not place(home).exists()
    assert joins.asked == []


# --- what exists ----------------------------------------------------------------------


def test_w38_an_explicit_path_is_honoured_and_the_usual_one_left_alone(
    peerup: Peerup, home: Path, config: Path, joins: Joins
) -> None:
    before = config.read_bytes()
    other = home / "other" / "peerup.yaml"
    assert peerup("join", CODE, "--config", str(other)).code == 0
    assert joins.asked[0][0] == other
    assert load_config(other).identity.key_file == home / "other" / "identity.key"
    assert config.read_bytes() == before


def test_w38_nothing_that_exists_is_written_over(
    peerup: Peerup, home: Path, config: Path, joins: Joins
) -> None:
    before = {path.name: path.read_bytes() for path in config.parent.iterdir()}
    result = peerup("join", CODE, "--name", "laptop")
    assert result.code == 0
    assert "restart it" in result.err
    after = {path.name: path.read_bytes() for path in config.parent.iterdir()}
    assert {name: after[name] for name in before} == before


def test_w11_a_code_for_another_network_is_refused(
    peerup: Peerup, config: Path, joins: Joins
) -> None:
    result = peerup("join", CREW, "--name", "laptop")
    assert result.code == 2
    assert "this code is for the network crew" in result.err
    assert "the common network" in result.err
    assert "--config PATH" in result.err
    assert joins.asked == []


def test_w11_a_new_configuration_is_for_the_network_of_the_code(
    peerup: Peerup, home: Path, joins: Joins
) -> None:
    peerup("join", CREW, "--name", "laptop")
    assert load_config(place(home) / "config.yaml").discovery.network == "crew"
    result = peerup("join", CODE, "--name", "laptop")
    assert "is for the network crew" in result.err


# --- how it ends ----------------------------------------------------------------------


def test_a_refusal_is_an_error_with_its_code(peerup: Peerup, joins: Joins) -> None:
    joins.outcome = NotAuthorizedError("no", hint="peerup relay authorize 12D3KooW...")
    result = peerup("join", CODE)
    assert (result.code, result.out) == (4, "")
    assert "peerup relay authorize 12D3KooW..." in result.err


def test_ctrl_c_ends_it(peerup: Peerup, joins: Joins) -> None:
    joins.interrupt = True
    result = peerup("join", CODE)
    assert result.code == 130


def test_what_it_prints_of_a_name_is_safe(peerup: Peerup, joins: Joins) -> None:
    joins.outcome = Paired(HOME, "\x1b]0;owned\x07")
    result: Any = peerup("join", CODE)
    assert "\x1b" not in result.out + result.err
