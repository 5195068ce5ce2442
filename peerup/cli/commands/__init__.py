"""Every command as a table: its words, its arguments, its help, and where its code is.

The code is named, not imported, so that ``peerup --help`` costs little more than Python
itself; ``parser.py`` turns the tables into one argparse tree. Each table has a file of its own,
``model.py`` says what they are made of.
"""

from __future__ import annotations

from typing import Final

from peerup.cli.commands.access import ACCESS
from peerup.cli.commands.configuration import CONFIGURATION
from peerup.cli.commands.model import Argument, Command
from peerup.cli.commands.network import NETWORK
from peerup.cli.commands.pairing import PAIRING
from peerup.cli.commands.relays import RELAY
from peerup.cli.commands.services import SERVICES
from peerup.cli.commands.set_up import SET_UP

__all__ = ["COMMANDS", "COMMON", "GROUPS", "Argument", "Command"]

COMMON: Final = (
    Argument(
        ("--config",),
        "configuration file to use, instead of the first one found",
        "PATH",
        complete="file",
    ),
    Argument(("-v", "--verbose"), "log more, to stderr", action="store_true"),
)

GROUPS: Final[dict[tuple[str, ...], str]] = {
    ("auth",): "who may connect to this machine",
    ("service",): "local TCP services that authorized peers may reach",
    ("config",): "check the configuration, try a new one, go back to an old one",
    ("relay",): "use relays; run one, and say who may use it",
    ("relay", "config"): "the same for a relay's configuration",
}

COMMANDS: Final[dict[tuple[str, ...], Command]] = {
    command.words: command
    for command in (*SET_UP, *PAIRING, *ACCESS, *SERVICES, *NETWORK, *CONFIGURATION, *RELAY)
}
