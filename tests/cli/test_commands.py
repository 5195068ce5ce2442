from __future__ import annotations

import importlib

import pytest

from peerup.cli import parser
from peerup.cli.commands import COMMANDS, COMMON, GROUPS, Command


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: " ".join(command.words))
def test_the_code_of_every_command_is_where_the_table_says(command: Command) -> None:
    module, function = command.run.split(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: " ".join(command.words))
def test_every_command_has_an_example_that_shows_it(command: Command) -> None:
    assert f"peerup {' '.join(command.words)}" in command.example
    assert command.about.endswith(".")
    assert max(map(len, command.about.splitlines())) <= parser.WIDTH


def test_every_group_is_described_and_used() -> None:
    assert {words[:-1] for words in COMMANDS if len(words) > 1} == set(GROUPS)


def test_an_option_takes_a_value_in_all_commands_or_in_none() -> None:
    seen: dict[str, bool] = {}
    for command in COMMANDS.values():
        for argument in (*command.arguments, *COMMON):
            for flag in argument.flags:
                assert seen.setdefault(flag, argument.takes_value) == argument.takes_value
