"""The scripts, in the shells that they are for; a shell that is not installed is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from peerup.cli import parser
from peerup.cli.commands import COMMANDS
from peerup.cli.completion_script import SHELLS, script
from peerup.errors import UsageError
from tests.cli.conftest import Peerup

BIN: Final = str(Path(sys.executable).parent)

# Each prints what a shell would offer for the line "$@", whose last word is being typed.
OFFERED: Final = {
    "bash": """
source "$SCRIPT"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
_shtab_peerup peerup "${@: -1}" && printf '%s\\n' "${COMPREPLY[@]}"
""",
    "fish": "source $SCRIPT; complete -C (string join ' ' -- $argv)",
}
# Types the line and Tab in an interactive shell, and prints what the line is then.
ZSH: Final = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "autoload -U compinit; compinit -u -D; eval \\"\\$(<$SCRIPT)\\"
  show() { zle -I; print -r -- \\"LINE<\\$BUFFER>\\" }; zle -N show; bindkey '^Xs' show
  bindkey '^I' complete-word; stty columns 500; print REA''DY"
zpty -r shell out '*READY*'
zpty -w -n shell "$*"$'\\t\\C-Xs'
zpty -r shell out '*LINE<*>*'
print -r -- "${${out##*LINE<}%%>*}"
zpty -d shell
"""


def run(shell: str, code: str, script_file: Path, *words: str) -> str:
    """What a shell prints that is run on ``code`` with these words."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    flags = {"bash": ["--norc"], "fish": ["--no-config"], "zsh": ["-f"]}[shell]
    name = [] if shell == "fish" else [shell]  # what it calls $0
    done = subprocess.run(
        [shell, *flags, "-c", code, *name, "peerup", *words],
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "SCRIPT": str(script_file)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def complete(shell: str, script_file: Path, *words: str) -> list[str]:
    """What the shell offers for the last of ``words``."""
    shown = run(shell, OFFERED[shell], script_file, *words)
    return sorted({line.split("\t")[0] for line in shown.split("\n") if line})


@pytest.fixture(params=list(OFFERED))
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def loaded(tmp_path: Path, shell: str) -> Path:
    """The script of this shell, as a file."""
    path = tmp_path / f"completion.{shell}"
    path.write_text(script(shell))
    return path


@pytest.mark.real_clock
def test_every_command_is_offered(home: Path, shell: str, loaded: Path) -> None:
    assert complete(shell, loaded, "") == sorted({words[0] for words in COMMANDS})
    relay = sorted(words[1] for words in COMMANDS if words[0] == "relay" and len(words) == 2)
    assert set(relay) <= set(complete(shell, loaded, "relay", ""))
    assert complete(shell, loaded, "ser") == ["service"]


@pytest.mark.real_clock
def test_the_options_of_a_command_are_offered(home: Path, shell: str, loaded: Path) -> None:
    assert complete(shell, loaded, "ping", "--c") == ["--config", "--count"]
    assert complete(shell, loaded, "completion", "--names", "s") == ["services"]
    assert complete(shell, loaded, "completion", "f") == ["fish"]


@pytest.mark.real_clock
def test_names_are_offered_wherever_flags_stand(
    peerup: Peerup, config: Path, shell: str, loaded: Path
) -> None:
    peerup("service", "add", "web", "127.0.0.1:80")
    assert complete(shell, loaded, "ping", "h") == ["home"]
    assert complete(shell, loaded, "ping", "-c", "3", "") == ["home"]
    assert complete(shell, loaded, "ping", "--json", "") == ["home"]
    assert complete(shell, loaded, "service", "disable", "") == ["web"]


@pytest.mark.real_clock
def test_names_come_from_the_configuration_on_the_line(
    config: Path, shell: str, loaded: Path
) -> None:
    other = config.with_name("other.yaml")
    other.write_text(config.read_text().replace("  home:", "  work:"))
    other.chmod(0o600)
    assert complete(shell, loaded, "ping", "--config", str(other), "") == ["work"]
    assert complete(shell, loaded, "--config", str(other), "ping", "") == ["work"]


@pytest.mark.real_clock
def test_paths_are_offered_where_they_are_wanted(home: Path, shell: str, loaded: Path) -> None:
    (home / "folder").mkdir()
    assert [p.strip("/") for p in complete(shell, loaded, "init", "--dir", "fol")] == ["folder"]


@pytest.mark.real_clock
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("au", "auth"),
        ("relay serv", "relay serve"),
        ("ping h", "ping home"),
        ("ping --json ", "ping --json home"),
        ("ping --config other.yaml ", "ping --config other.yaml work"),
        ("--config other.yaml ping ", "--config other.yaml ping work"),
        ("completion --names se", "completion --names services"),
        ("init --dir fol", "init --dir folder/"),
    ],
)
def test_tab_in_zsh(config: Path, home: Path, typed: str, completed: str) -> None:
    path = home / "completion.zsh"
    path.write_text(script("zsh"))
    (home / "folder").mkdir()
    other = home / "other.yaml"
    other.write_text(config.read_text().replace("  home:", "  work:"))
    other.chmod(0o600)
    assert run("zsh", ZSH, path, typed).strip() == f"peerup {completed}"


@pytest.mark.parametrize("one", SHELLS)
def test_every_script_knows_every_command_and_option(one: str) -> None:
    text = script(one)
    assert text.isascii()
    for words, command in COMMANDS.items():
        assert words[-1] in text
        for argument in command.arguments:
            for flag in argument.flags:
                assert not flag.startswith("--") or flag[2:] in text


@pytest.mark.parametrize("one", SHELLS)
def test_no_script_depends_on_the_terminal_or_on_chance(
    one: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = script(one)
    monkeypatch.setenv("COLUMNS", "40")
    assert script(one) == text


def test_the_help_of_the_tree_is_left_alone() -> None:
    before = parser.build()[0].format_help()
    script("bash")
    assert parser.build()[0].format_help() == before


def test_other_shells_are_refused() -> None:
    with pytest.raises(UsageError, match="no completion for tcsh"):
        script("tcsh")
