from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from peerup.config.edit import add_name
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> str:
    """Pretend that the installed command was started."""
    monkeypatch.setattr(sys, "argv", ["/opt/peer up/100%/peerup", "ssh-config"])
    return "'/opt/peer up/100%%/peerup'"


def test_each_name_gets_a_host_with_an_absolute_command(
    peerup: Peerup, config: Path, started: str
) -> None:
    add_name(config, "Office", HOME)
    result = peerup("ssh-config")
    assert result.code == 0
    assert result.out.splitlines() == [
        "Host Office",
        f"    ProxyCommand {started} nc Office ssh",
        "Host home",
        f"    ProxyCommand {started} nc home ssh",
    ]
    assert "~/.ssh/config" in result.err
    assert "Include peerup.conf" in result.err
    assert "Then: ssh Office" in result.err


def test_python_dash_m_is_run_in_the_same_way(
    peerup: Peerup, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/src/peerup/__main__.py", "ssh-config"])
    assert f"ProxyCommand {sys.executable} -m peerup nc home ssh" in peerup("ssh-config").out


def test_another_configuration_is_named_and_quoted(
    peerup: Peerup, config: Path, home: Path, started: str
) -> None:
    odd = home / "my $(touch x) 'conf' 5%"
    shutil.copytree(config.parent, odd)
    result = peerup("ssh-config", "--config", f"{odd}/config.yaml")
    line = result.out.splitlines()[1]
    command = line.partition("ProxyCommand ")[2].replace("%%", "%")
    assert "%" not in line.replace("%%", "")
    shown = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == [
        "/opt/peer up/100%/peerup",
        "--config",
        f"{odd}/config.yaml",
        "nc",
        "home",
        "ssh",
    ]


def test_a_file_that_is_found_only_here_is_named(peerup: Peerup, config: Path, home: Path) -> None:
    shutil.move(config.parent, home / "here")
    shutil.copy(home / "here" / "config.yaml", home / "peerup.yaml")
    assert f"--config {home}/peerup.yaml nc home ssh" in peerup("ssh-config").out


def test_a_path_that_ssh_cannot_hold_is_refused(peerup: Peerup, config: Path, home: Path) -> None:
    shutil.copytree(config.parent, home / "two\nlines")
    result = peerup("ssh-config", "--config", str(home / "two\nlines" / "config.yaml"))
    assert (result.code, result.out) == (2, "")
    assert "control characters" in result.err


@pytest.mark.parametrize("name", ["*", "!home", "-oProxyCommand", "a b", "x;y", "a,b", "é", "a\nb"])
def test_a_name_that_ssh_would_take_for_something_else_is_left_out(
    peerup: Peerup, config: Path, name: str
) -> None:
    text = config.read_text()
    quoted = '"' + name.encode("unicode_escape").decode() + '"'
    config.write_text(text.replace("home:", f"{quoted}: {HOME}\n  home:", 1))
    result = peerup("ssh-config")
    assert result.code == 0, result.err
    assert [line for line in result.out.splitlines() if "Host" in line] == ["Host home"]
    assert "cannot be a Host of ssh" in result.err


def test_another_service_can_be_the_one(peerup: Peerup, config: Path) -> None:
    assert peerup("ssh-config", "--service", "ssh-2").out.endswith("nc home ssh-2\n")
    assert peerup("ssh-config", "--service", "$(x)").code == 2


def test_without_names_it_says_how_to_make_one(peerup: Peerup, config: Path) -> None:
    text = config.read_text()
    config.write_text(text[: text.index("  home:")])
    result = peerup("ssh-config")
    assert (result.code, result.out) == (0, "")
    assert "peerup auth add ID --name NAME" in result.err


def test_w30_the_option_may_stand_anywhere(peerup: Peerup, config: Path) -> None:
    words = ["ssh-config", "--service", "git"]
    assert (
        peerup("--config", str(config), *words).out == peerup(*words, "--config", str(config)).out
    )
