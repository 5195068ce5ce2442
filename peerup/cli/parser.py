"""The one argparse tree, and how a command line is read with it.

Options may stand anywhere: before the command, between its words, before or after its
positionals. argparse cannot do that with subcommands, so :func:`split` first sorts the words,
and the command's own parser gets its options and positionals in an order that it understands.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final, NoReturn

from peerup.cli.commands import COMMANDS, COMMON, GROUPS, Argument, Command
from peerup.config.text import did_you_mean
from peerup.errors import UsageError

Words = tuple[str, ...]

DESCRIPTION: Final = """\
Reach your own machines from anywhere: no account, no cloud, no port forwarding.

Results go to stdout, everything else to stderr. Exit codes: 0 fine,
1 unexpected, 2 usage or configuration, 3 cannot reach, 4 not authorized,
130 interrupted."""
EXAMPLE: Final = """\
peerup relay serve                     # on a machine that everyone can dial
  peerup init --non-interactive --relay ADDR
  peerup invite --name home              # on another machine: peerup join CODE
  peerup service add ssh 127.0.0.1:22    # then: peerup daemon
  peerup proxy home ssh 2222             # on another machine"""
WIDTH: Final = 80  # columns of help; to ask the terminal, argparse would load many modules
HELP_FLAGS: Final = ("-h", "--help")
VERSION_FLAGS: Final = ("-V", "--version")


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that raises UsageError where the stock one prints and exits."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"`{self.prog} --help` explains the command.")


def build() -> tuple[Parser, dict[Words, Parser]]:
    """Return the root of the tree, and the parser of each command and group by its words.

    It is what help lists commands from. A command line that names one needs no more than
    :func:`build_command`, in a tenth of the time.
    """
    root = Parser(**_settings((), DESCRIPTION, EXAMPLE))
    root.add_argument(*VERSION_FLAGS, action="store_true", help="print the version")
    _declare(root, COMMON)
    branches: dict[Words, argparse._SubParsersAction[Parser]]
    branches = {(): root.add_subparsers(title="commands", metavar="COMMAND")}
    parsers: dict[Words, Parser] = {(): root}
    for words, command in COMMANDS.items():
        group = words[:-1]
        for depth in range(1, len(words)):  # the groups on the way, outermost first
            if (outer := words[:depth]) not in branches:
                parsers[outer] = _add_group(branches[outer[:-1]], outer)
                branches[outer] = parsers[outer].add_subparsers(title="commands", metavar="COMMAND")
        settings = _settings(words, command.about, command.example)
        parsers[words] = branches[group].add_parser(words[-1], help=command.summary, **settings)
        _declare(parsers[words], (*command.arguments, *COMMON))
    return root, parsers


def build_command(command: Command) -> Parser:
    """Return the parser of one command, the same that it has in the tree."""
    parser = Parser(**_settings(command.words, command.about, command.example))
    _declare(parser, (*command.arguments, *COMMON))
    return parser


def _add_group(branch: argparse._SubParsersAction[Parser], group: Words) -> Parser:
    """Add a parser for words that only lead to commands, such as ``auth``."""
    summary, first = (
        GROUPS[group],
        next(c for words, c in COMMANDS.items() if words[: len(group)] == group),
    )
    settings = _settings(group, f"{summary[0].upper()}{summary[1:]}.", first.example)
    parser = branch.add_parser(group[-1], help=summary, **settings)
    _declare(parser, COMMON)
    return parser


def _settings(words: Words, description: str, example: str) -> dict[str, Any]:
    """Return what every parser of the tree is made with."""
    return {
        "prog": " ".join(("peerup", *words)),
        "description": description,
        "epilog": f"example:\n  {example}",
        "formatter_class": partial(argparse.RawDescriptionHelpFormatter, width=WIDTH),
        "allow_abbrev": False,
    }


def _declare(parser: Parser, arguments: Iterable[Argument]) -> None:
    for argument in arguments:
        options: dict[str, Any] = {"help": argument.help, "action": argument.action}
        if argument.action != "store_true":
            options |= {"metavar": argument.metavar, "default": argument.default}
            options |= {"type": argument.parse} if argument.parse else {}
        options |= {"nargs": argument.nargs} if argument.nargs else {}
        options |= {"choices": argument.choices} if argument.choices else {}
        parser.add_argument(*argument.flags, **options)


def parse(argv: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """Return the command that ``argv`` names, and its arguments.

    Raises:
        UsageError: There is no such command, or it does not take these arguments.
        SystemExit: Help was asked for and has been printed.
    """
    words, options, positionals = split(argv)
    if not words and any(flag in options for flag in VERSION_FLAGS):
        return COMMANDS["version",], argparse.Namespace(config=None, verbose=False)
    if words not in COMMANDS:
        _explain(words, options, positionals)
    parser = build_command(COMMANDS[words])
    if any(word.startswith("-") for word in positionals):
        return COMMANDS[words], parser.parse_args([*options, "--", *positionals])
    return COMMANDS[words], parser.parse_args([*positionals, *options])


def _explain(words: Words, options: list[str], positionals: list[str]) -> NoReturn:
    """Say what there is below words that are no command yet: as help, or as an error."""
    _, parsers = build()
    parser = parsers[words]
    if any(flag in options for flag in HELP_FLAGS):
        parser.print_help()
        parser.exit()
    known = [path[-1] for path in parsers if path and path[:-1] == words]
    parser.error(_what_is_missing(positionals, known))


def _what_is_missing(positionals: list[str], known: list[str]) -> str:
    """Say why the command line names none of the ``known`` commands."""
    if not positionals:
        return f"no command given; choose one of {', '.join(known)}"
    return f"unknown command: {positionals[0]}{did_you_mean(positionals[0], known)}"


def split(argv: Sequence[str]) -> tuple[Words, list[str], list[str]]:
    """Sort a command line into the words of a command or group, options, and positionals.

    An option is followed by its value, if it takes one. After ``--`` there are no more options.
    """
    words: Words = ()
    options: list[str] = []
    positionals: list[str] = []
    left = list(argv)
    only_positionals = False
    while left:
        word = left.pop(0)
        if word == "--" and not only_positionals:
            only_positionals = True
        elif len(word) > 1 and word.startswith("-") and not only_positionals:
            options.append(word)
            options += left[:1] if word in _VALUE_FLAGS else []
            left = left[1:] if word in _VALUE_FLAGS else left
        elif not positionals and (*words, word) in _PATHS:
            words = (*words, word)
        else:
            positionals.append(word)
    return words, options, positionals


_PATHS: Final = {*COMMANDS, *GROUPS}
_VALUE_FLAGS: Final = {
    flag
    for command in COMMANDS.values()
    for argument in (*command.arguments, *COMMON)
    if argument.takes_value
    for flag in argument.flags
}
