from __future__ import annotations

from pathlib import Path

import pytest

from peerup.cli.completion_script import script
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, RELAY_ADDRESS


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed_as_it_is(peerup: Peerup, home: Path, shell: str) -> None:
    result = peerup("completion", shell)
    assert (result.code, result.err) == (0, "")
    assert result.out == script(shell)


def test_without_a_shell_the_question_is_which(peerup: Peerup, home: Path) -> None:
    result = peerup("completion")
    assert result.code == 2
    assert "bash, zsh, fish" in result.err
    assert "invalid choice: 'cmd.exe'" in peerup("completion", "cmd.exe").err


def test_names_come_from_the_configuration_one_a_line(peerup: Peerup, config: Path) -> None:
    peerup("service", "add", "ssh", "127.0.0.1:22")
    peerup("service", "add", "web", "127.0.0.1:80")
    shown = {kind: peerup("completion", "--names", kind) for kind in ("peers", "services")}
    assert {kind: result.out for kind, result in shown.items()} == {
        "peers": "home\n",
        "services": "ssh\nweb\n",
    }
    assert peerup("completion", "--names", "relays").out == f"{RELAY_ADDRESS}\n"


def test_names_come_from_the_configuration_that_is_named(peerup: Peerup, config: Path) -> None:
    other = config.with_name("other.yaml")
    other.write_text(config.read_text().replace("  home:", "  work:"))
    other.chmod(0o600)
    assert peerup("completion", "--names", "peers", "--config", str(other)).out == "work\n"


@pytest.mark.parametrize(
    "damage", ["", "[1, 2]", "names: [", "names: 5", "names: {}", "\0", "relay: {addresses: 1}"]
)
@pytest.mark.parametrize("kind", ["peers", "services", "relays"])
def test_whatever_is_wrong_there_are_just_no_names(
    peerup: Peerup, config: Path, kind: str, damage: str
) -> None:
    config.write_text(damage)
    result = peerup("completion", "--names", kind)
    assert (result.code, result.out, result.err) == (0, "", "")


def test_without_a_configuration_there_are_no_names(peerup: Peerup, home: Path) -> None:
    result = peerup("completion", "--names", "peers")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_mistake_elsewhere_in_the_configuration_takes_no_names(
    peerup: Peerup, config: Path
) -> None:
    config.write_text(config.read_text().replace("/ip4/", "/ip5/"))
    assert peerup("completion", "--names", "peers").out == "home\n"


@pytest.mark.parametrize("name", ["$(reboot)", "`reboot`", "a b", "a;b", "a*", "\\u202e", "é", "'"])
def test_a_name_that_a_shell_could_expand_is_not_offered(
    peerup: Peerup, config: Path, name: str
) -> None:
    config.write_text(config.read_text() + f'  "{name}": "{HOME}"\n')
    assert peerup("completion", "--names", "peers").out == "home\n"
