"""Commands that make two machines know each other."""

from __future__ import annotations

from typing import Final

from peerup.cli.commands.model import Argument, Command

NAME: Final = Argument(
    ("--name",), "what the other machine is to call this one; else its host name", "NAME"
)

PAIRING: Final = (
    Command(
        ("invite",),
        "peerup.cli.invite:run",
        "print a code with which another machine can join this one",
        "Print an invite code and wait until another machine has joined with it. Then\n"
        "each has the other's key and name. The relay has to know this machine only.",
        "peerup invite --name home",
        (
            NAME,
            Argument(("--ttl",), "how long the code is good", "10m", default="10m"),
            Argument(
                ("--non-interactive",),
                "print the code alone, on one line of stdout",
                action="store_true",
            ),
        ),
    ),
    Command(
        ("join",),
        "peerup.cli.join:run",
        "join the machine that printed an invite code",
        "Pair this machine with the one that printed the code, and create what is\n"
        "missing here: a configuration, a key, a list of peers. Nothing is overwritten.\n"
        "Without CODE, it is read from PEERUP_INVITE_CODE, then from stdin.",
        "peerup join CODE --name laptop",
        (
            Argument(("code",), "the code; blanks and dashes do not matter", "CODE", nargs="*"),
            NAME,
            Argument(("--non-interactive",), "ask nothing", action="store_true"),
        ),
    ),
)
