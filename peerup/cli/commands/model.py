"""What the tables of commands are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

# Named tuples, as importing `dataclasses` would take a quarter of the time of `peerup --help`.


class Argument(NamedTuple):
    """A positional (``ID``) or an option (``--name``), in argparse's terms.

    ``parse`` turns the text into a number; anything richer is parsed by the command, which
    can say what mends it. ``complete`` is what a shell offers for it on Tab, names from the
    configuration or paths.
    """

    flags: tuple[str, ...]
    help: str
    metavar: str | None = None
    action: Literal["store", "store_true", "append"] = "store"
    nargs: Literal["?", "*", "+"] | None = None
    parse: Callable[[str], int] | None = None
    default: str | None = None
    choices: tuple[str, ...] | None = None
    complete: Literal["peers", "services", "relays", "file", "directory"] | None = None

    @property
    def takes_value(self) -> bool:
        """Whether this is an option whose value may be the next word of the command line."""
        return self.flags[0].startswith("-") and self.action != "store_true"


class Command(NamedTuple):
    """One command: ``run`` is ``module:function``, a function from Namespace to exit code.

    ``summary`` is its line in the list of commands, ``about`` what its own help says: lines of
    at most 80 characters, as they are printed.
    """

    words: tuple[str, ...]
    run: str
    summary: str
    about: str
    example: str
    arguments: tuple[Argument, ...] = ()


TARGET: Final = Argument(
    ("target",), "peer id, or a name from the configuration", "T", complete="peers"
)
LISTEN_HELP: Final = "multiaddr to listen on; may be given several times"
PEER_ID: Final = Argument(
    ("--peer-id",), "the relay's peer id, where an address does not end in /p2p/ID", "ID"
)
SERVICE: Final = Argument(("name",), "name of the service", "NAME", complete="services")
QR: Final = Argument(("--qr",), "on a terminal, a QR code as well", action="store_true")
JSON: Final = Argument(("--json",), "machine-readable output", action="store_true")
