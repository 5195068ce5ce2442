"""Commands that say who may connect to this machine."""

from __future__ import annotations

from typing import Final

from peerup.cli.commands.model import JSON, Argument, Command

FILE: Final = Argument(
    ("--file",), "the list, instead of the one that the configuration names", "F", complete="file"
)

ACCESS: Final = (
    Command(
        ("auth", "add"),
        "peerup.cli.auth:add",
        "let a peer in",
        "Add a peer id to authorized_keys. A running daemon sees the change within\nseconds.",
        "peerup auth add 12D3KooW... --name laptop --comment 'my old laptop'",
        (
            Argument(("peer",), "peer id, as `peerup whoami` prints it over there", "ID"),
            Argument(("--name",), "also give the peer this name, to use in place of its id", "N"),
            Argument(("--comment",), "a note kept beside the id", "C"),
            FILE,
        ),
    ),
    Command(
        ("auth", "list"),
        "peerup.cli.auth:list_peers",
        "list the peers that may connect",
        "List the peer ids in authorized_keys, with their names and comments.",
        "peerup auth list",
        (JSON, FILE),
    ),
    Command(
        ("auth", "remove"),
        "peerup.cli.auth:remove",
        "shut a peer out",
        "Remove a peer from authorized_keys. A running daemon ends its connections.",
        "peerup auth remove laptop",
        (
            Argument(
                ("peer",), "peer id, or a name from the configuration", "ID", complete="peers"
            ),
            FILE,
        ),
    ),
    Command(
        ("auth", "validate"),
        "peerup.cli.auth:validate",
        "check the list of peers",
        "Read authorized_keys and name every line that cannot be understood. Exit code 2\n"
        "if there is one.",
        "peerup auth validate",
        (
            Argument(
                ("file",),
                "the list, instead of the one that the configuration names",
                "FILE",
                nargs="?",
                complete="file",
            ),
            JSON,
        ),
    ),
)
