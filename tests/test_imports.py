"""What an import may bring along, asked of fresh interpreters.

import-linter sees what our own files import. Here counts what really gets loaded, outside packages
included. As of version 50, `cryptography` loads none of asyncio, socket and ssl for keys and
ciphers, but its `x509` loads socket (through the standard library's email package): certificates
are for transport/, not for wire/. `noiseprotocol` and `base58` load none of the three either.
Both `cryptography` and `noiseprotocol` load `random` and `threading` for themselves, so these two
are watched by import-linter alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
IO: Final = {"asyncio", "socket", "ssl", "select", "selectors", "subprocess", "logging"}
HEAVY: Final = IO | {"cryptography", "noise", "base58", "yaml", "uvloop", "argparse", "inspect"}

SCRIPT: Final = """
import importlib, json, sys
watched = set(json.loads(sys.argv[1]))
before = watched & set(sys.modules)
loaded = {}
for name in sys.argv[2:]:
    seen = set(sys.modules)
    importlib.import_module(name)
    loaded[name] = sorted(watched & set(sys.modules) - seen)
print(json.dumps([sorted(before), loaded]))
"""


def loaded_by(watched: set[str], *names: str) -> dict[str, list[str]]:
    """Import modules one after another; which of the watched ones did each bring along?"""
    command = [sys.executable, "-c", SCRIPT, json.dumps(sorted(watched)), *names]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    before, loaded = json.loads(result.stdout)
    assert not before, f"a bare interpreter already loads {before}: this test would see nothing"
    return {name: found for name, found in loaded.items() if found}


def module_names(folder: str) -> list[str]:
    paths = sorted((ROOT / folder).glob("*.py"))
    assert paths, f"{folder} is empty"
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


def test_the_wire_layer_loads_nothing_that_does_io() -> None:
    names = [name.removesuffix(".__init__") for name in module_names("peerup/wire")]
    assert loaded_by(IO, "peerup.errors", *names) == {}


def test_importing_peerup_loads_nothing_heavy() -> None:
    assert loaded_by(HEAVY, "peerup") == {}


# What costs a short command more than its work does, and which it can do without.
SLOW: Final = (
    IO
    | {"decimal", "json", "random", "shutil", "tempfile"}
    | {"ifaddr", "noise", "uvloop", "cryptography.x509"}
    | {f"cryptography.hazmat.primitives.{name}" for name in ("ciphers", "serialization")}
    | {f"cryptography.hazmat.primitives.asymmetric.{name}" for name in ("ec", "rsa", "x25519")}
)
SETTINGS: Final = {"peerup.config.load", "peerup.config.schema", "peerup.wire.multiaddr"}

RUN: Final = """
import sys
watched = set(sys.argv[1].split())
seen = set(sys.modules)
from peerup.cli.main import main
assert main(sys.argv[2:]) == 0
sys.exit(" ".join(sorted(watched & set(sys.modules) - seen)))
"""
RELAY: Final = "/ip4/203.0.113.5/tcp/7777/p2p/12D3KooWRzaGMTqQbRHNMZkAYj8ALUXoK99qSjhiFLanDoVWK9An"


def loaded_to_run(watched: set[str], *words: str) -> str:
    """Run a command in a fresh interpreter; which of the watched modules does that load?"""
    result = subprocess.run(
        [sys.executable, "-c", RUN, " ".join(sorted(watched)), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout, result.stderr
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize("word", ["--help", "version"])
def test_help_and_version_load_little_more_than_python_does(word: str) -> None:
    heavy = {"base58", "cryptography", "hashlib", "pathlib", "yaml"}
    assert loaded_to_run(SLOW | SETTINGS | heavy, word) == ""


def test_whoami_loads_what_a_key_and_its_place_need_and_no_more(tmp_path: Path) -> None:
    set_up = ("init", "--non-interactive", "--relay", RELAY, "--dir", str(tmp_path))
    assert loaded_to_run({"ssl", "yaml"}, *set_up) == "yaml"  # so the test sees what there is
    config = str(tmp_path / "config.yaml")
    assert loaded_to_run(SLOW | SETTINGS, "whoami", "--config", config) == ""


def test_names_for_a_shell_are_there_before_anybody_waits_for_them(tmp_path: Path) -> None:
    loaded_to_run(set(), "init", "--non-interactive", "--relay", RELAY, "--dir", str(tmp_path))
    words = ("completion", "--names", "relays", "--config", str(tmp_path / "config.yaml"))
    assert loaded_to_run(SLOW | SETTINGS | {"cryptography", "shtab"}, *words) == ""


def test_lists_load_what_draws_only_to_draw(tmp_path: Path) -> None:
    loaded_to_run(set(), "init", "--non-interactive", "--relay", RELAY, "--dir", str(tmp_path))
    words = ("relay", "list", "--config", str(tmp_path / "config.yaml"))
    assert loaded_to_run({"rich", "segno", "shtab", "asyncio"}, *words) == ""


@pytest.mark.parametrize("name", ["peerup.__main__", "peerup.cli.main"])
def test_the_entry_points_wait_with_asyncio_until_a_command_needs_it(name: str) -> None:
    assert loaded_by({"asyncio", "cryptography", "uvloop", "yaml", "ssl"}, name) == {}
