"""docs/reference/json.md says of every command with ``--json`` what it prints, and nothing else."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from peerup.cli.commands import COMMANDS
from peerup.config.archive import archive
from peerup.node.traceroute import Hop
from peerup.relay.vouched_file import update
from peerup.relay.vouching import Pair
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, Network, PingReply, peer
from tests.docs.pages import ROOT

PAGE: Final = ROOT / "docs" / "reference" / "json.md"
ROW: Final = re.compile(r"\| `(\w+)` \| (.*) \|")
KEYS_INSIDE: Final = re.compile(r"`([a-z_]+)`")

Words = tuple[str, ...]
Shape = dict[str, str]
"""Keys of an object, and what the page says of each."""


def tables() -> dict[Words, list[Shape]]:
    """The tables of each section; a section is headed by the words of a command."""
    found: dict[Words, list[Shape]] = {}
    shapes: list[Shape] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## peerup "):
            shapes = found[tuple(line.split()[2:])] = []
        elif line == "| key | value |":
            shapes.append({})
        elif row := ROW.fullmatch(line):
            assert row[1] not in shapes[-1], f"{row[1]} stands twice"
            shapes[-1][row[1]] = row[2]
    return found


def assert_described(value: dict[str, Any], shape: Shape) -> None:
    """The keys are those of the table, in its order; so are those of objects inside."""
    assert list(value) == list(shape)
    for key, inner in value.items():
        for item in inner if isinstance(inner, list) else ():
            if isinstance(item, dict):
                named = set(KEYS_INSIDE.findall(shape[key]))
                assert set(item) <= named, f"{key}: {set(item) - named} not described"


def status(peerup: Peerup, network: Network) -> str:
    peerup("auth", "add", str(HOME))
    peerup("service", "add", "ssh", "127.0.0.1:22")
    return peerup("status", "--json").out


def resolve(peerup: Peerup, network: Network) -> str:
    return peerup("resolve", "home", "--json").out


def ping(peerup: Peerup, network: Network) -> str:
    network.replies = (PingReply(1, 1.0),)
    return peerup("ping", "home", "--json").out


def traceroute(peerup: Peerup, network: Network) -> str:
    network.hops = (Hop(1, HOME, "peerup/1", "/ip4/1.2.3.4/tcp/5", 1.0),)
    return peerup("traceroute", "home", "--json").out


def relay_info(peerup: Peerup, network: Network) -> str:
    network.signal = signal.SIGTERM
    peerup("relay", "serve", "--listen", "/ip4/127.0.0.1/tcp/7777")
    return peerup("relay", "info", "--json").out


def of(*words: str) -> Callable[[Peerup, Network], str]:
    """What a command prints that needs the files of this machine alone."""
    return lambda peerup, _network: peerup(*words, "--json").out


def auth(word: str) -> Callable[[Peerup, Network], str]:
    def run(peerup: Peerup, network: Network) -> str:
        peerup("auth", "add", str(HOME), "--file", "list")
        if word == "validate":
            with Path("list").open("a") as file:
                file.write("nonsense\n")
            return peerup("auth", "validate", "list", "--json").out
        return peerup("auth", word, "--file", "list", "--json").out

    return run


def service_list(peerup: Peerup, network: Network) -> str:
    peerup("service", "add", "ssh", "127.0.0.1:22")
    return peerup("service", "list", "--json").out


def relay_list_peers(peerup: Peerup, network: Network) -> str:
    relay_info(peerup, network)
    peerup("relay", "authorize", str(HOME))
    pairs = {Pair(HOME, peer(9), 0)}
    update(Path(".config/peerup/vouched.json").absolute(), lambda old: old | pairs)
    return peerup("relay", "list-peers", "--json").out


def about_config(*words: str) -> Callable[[Peerup, Network], str]:
    """What a command prints about a configuration of which there is something to say."""

    def run(peerup: Peerup, network: Network) -> str:
        place = Path(".config/peerup/config.yaml")
        if words[0] == "relay":
            relay_info(peerup, network)
            place = place.with_name("relay-server.yaml")
        archive(place.absolute(), place.read_text())
        new = Path("new.yaml")
        new.touch(0o600)
        new.write_text(place.read_text() + "odd: 1\n")
        return peerup(*words, *(["new.yaml"] if words[-1] == "apply" else []), "--json").out

    return run


CONFIG_WORDS: Final = ("validate", "show", "apply", "rollback")
EXAMPLES: Final[dict[Words, Callable[[Peerup, Network], str]]] = {
    ("ping",): ping,
    ("relay", "info"): relay_info,
    ("whoami",): of("whoami"),
    ("version",): of("version"),
    ("relay", "version"): of("relay", "version"),
    ("relay", "list"): of("relay", "list"),
    ("relay", "list-peers"): relay_list_peers,
    ("auth", "list"): auth("list"),
    ("auth", "validate"): auth("validate"),
    ("service", "list"): service_list,
    ("status",): status,
    ("resolve",): resolve,
    ("traceroute",): traceroute,
    **{("config", word): about_config("config", word) for word in CONFIG_WORDS},
    **{("relay", "config", word): about_config("relay", "config", word) for word in CONFIG_WORDS},
}


def test_every_command_with_json_has_its_section_and_its_example() -> None:
    with_json = {
        words
        for words, command in COMMANDS.items()
        if any("--json" in argument.flags for argument in command.arguments)
    }
    assert set(tables()) == set(EXAMPLES) == with_json


@pytest.mark.parametrize("words", EXAMPLES, ids=" ".join)
def test_what_is_printed_is_what_is_described(
    peerup: Peerup, network: Network, config: Path, words: Words
) -> None:
    lines = EXAMPLES[words](peerup, network).splitlines()
    shapes = tables()[words]
    assert len(lines) == len(shapes)
    for line, shape in zip(lines, shapes, strict=True):
        assert line.isascii()
        assert_described(json.loads(line), shape)
