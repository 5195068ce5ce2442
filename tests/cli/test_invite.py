"""``peerup invite`` as far as the network: what it takes, prints and exits with."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import pytest

from peerup.cli import invite, output
from peerup.config.schema import Config
from peerup.errors import ConfigError, RemoteProtocolError, UsageError
from peerup.node.pairing import Paired
from peerup.node.presence import IdentityInUseError
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME

CODE: Final = "AIAQ-EAYE-AUDA"


class FakeInviting:
    """In place of the network: what becomes of an invite."""

    asked: ClassVar[dict[str, Any]] = {}
    vouched: ClassVar[bool] = True
    entering: ClassVar[Exception | None] = None
    outcome: ClassVar[Exception | Paired] = Paired(HOME, "laptop")
    interrupt: ClassVar[bool] = False
    left: ClassVar[int] = 0
    code: ClassVar[str] = CODE

    def __init__(self, config: Config, *, name: str, ttl: float) -> None:
        type(self).asked = {"config": config.path, "name": name, "ttl": ttl}

    async def __aenter__(self) -> Self:
        if self.entering is not None:
            raise self.entering
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        type(self).left += 1

    async def joined(self) -> Paired:
        if self.interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(10)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeInviting]:
    made = type("Fake", (FakeInviting,), {})
    monkeypatch.setattr(invite, "Inviting", made)
    return made


def test_without_questions_stdout_is_the_code_and_nothing_else(
    peerup: Peerup, config: Path, fake: type[FakeInviting]
) -> None:
    result = peerup("invite", "--name", "home", "--non-interactive")
    assert (result.code, result.out) == (0, f"{CODE}\n")
    assert fake.asked == {"config": config, "name": "home", "ttl": 600.0}
    assert f"Peer laptop joined and is authorized: {HOME}" in result.err
    assert fake.left == 1


def test_for_people_there_is_more_around_it(
    peerup: Peerup, config: Path, fake: type[FakeInviting]
) -> None:
    result = peerup("invite", "--ttl", "1m30s")
    assert result.out == f"{CODE}\n"
    assert "=== Invite Code (expires in 1m30s) ===" in result.err
    assert "peerup join CODE" in result.err
    assert fake.asked["ttl"] == 90.0
    assert fake.asked["name"]  # the host's


def test_on_a_terminal_there_is_a_qr_code(
    peerup: Peerup, config: Path, fake: type[FakeInviting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setattr(output, "width", lambda: 80)
    shown = peerup("invite").out
    assert shown.splitlines()[0] == CODE
    assert shown.count("\u2588") > 100
    assert peerup("invite", "--non-interactive").out == f"{CODE}\n"


def test_w10_a_relay_that_cannot_vouch_comes_with_what_its_operator_types(
    peerup: Peerup, config: Path, fake: type[FakeInviting]
) -> None:
    fake.vouched = False
    result = peerup("invite", "--non-interactive")
    assert result.out == f"{CODE}\n"
    assert "peerup relay authorize ID" in result.err


@pytest.mark.parametrize(
    ("outcome", "code", "says"),
    [
        (TimeoutError("the invite has expired; nobody joined"), 3, "nobody joined"),
        (RemoteProtocolError("3 wrong codes were tried", hint="Again."), 3, "3 wrong codes"),
    ],
)
def test_an_invite_that_nobody_used_is_no_success(
    peerup: Peerup, config: Path, fake: type[FakeInviting], outcome: Exception, code: int, says: str
) -> None:
    fake.outcome = outcome
    result = peerup("invite", "--non-interactive")
    assert result.code == code
    assert says in result.err
    assert fake.left == 1


def test_w02_without_a_place_there_is_no_code(
    peerup: Peerup, config: Path, fake: type[FakeInviting]
) -> None:
    fake.entering = ConfigError("no place", hint="Do this.")
    result = peerup("invite", "--non-interactive")
    assert (result.code, result.out) == (2, "")
    assert "Do this." in result.err


def test_w09_beside_a_daemon_it_says_why_it_cannot(
    peerup: Peerup, config: Path, fake: type[FakeInviting]
) -> None:
    fake.entering = IdentityInUseError("another has the identity")
    result = peerup("invite", "--non-interactive")
    assert (result.code, result.out) == (2, "")
    assert "cannot wait beside a running `peerup daemon`" in result.err
    assert "Stop the daemon" in result.err


def test_ctrl_c_ends_it_in_order(peerup: Peerup, config: Path, fake: type[FakeInviting]) -> None:
    fake.interrupt = True
    result = peerup("invite", "--non-interactive")
    assert (result.code, fake.left) == (130, 1)
    assert "Interrupted." in result.err


@pytest.mark.parametrize("ttl", ["0", "-1s", "10", "x", "25h", "999ms"])
def test_a_time_that_makes_no_sense_is_refused(peerup: Peerup, config: Path, ttl: str) -> None:
    result = peerup("invite", "--ttl", ttl)
    assert result.code == 2
    assert "--ttl" in result.err


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "\x1b[31m", "h\u00f6me"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a name"):
        invite.own_name(argparse.Namespace(name=name))


def test_without_a_name_it_is_the_host_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "My_Box.example.org")
    assert invite.own_name(argparse.Namespace(name=None)) == "My_Box"


def test_without_a_configuration_it_says_what_makes_one(peerup: Peerup) -> None:
    result = peerup("invite")
    assert result.code == 2
    assert "peerup init" in result.err
