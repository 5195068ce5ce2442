"""Commands about the configuration file as a whole; the same five for a node and for a relay."""

from __future__ import annotations

from typing import Final

from peerup.cli.commands.model import JSON, Argument, Command

_FILE: Final = Argument(
    ("file",), "file to check (default: the one in use)", "FILE", nargs="?", complete="file"
)
_NEW: Final = Argument(
    ("file",), "file with the new configuration, mode 0600; it stays", "FILE", complete="file"
)
_TIMEOUT: Final = Argument(
    ("--confirm-timeout",), "take it back unless confirmed in this time", "5m", default="5m"
)
_GENERATION: Final = Argument(
    ("generation",), "which one: 0 is the newest, higher is older", "N", nargs="?", parse=int
)
_LIST: Final = Argument(("--list",), "only list what there is", action="store_true")
_UNDO: Final = Argument(("--undo",), "put back what was replaced last", action="store_true")


def _commands(prefix: str, code: str, what: str, daemon: str) -> tuple[Command, ...]:
    words = tuple(prefix.split())
    return (
        Command(
            (*words, "validate"),
            f"{code}validate",
            f"check {what}",
            "Say whether the configuration can be used. Unknown keys are warnings. Exit\n"
            "code 2 if it cannot.",
            f"peerup {prefix} validate",
            (_FILE, JSON),
        ),
        Command(
            (*words, "show"),
            f"{code}show",
            "print every setting and where it comes from",
            "Print each setting as it takes effect, as YAML, with the line of the file that\n"
            "says so, or what else it comes from.",
            f"peerup {prefix} show",
            (JSON,),
        ),
        Command(
            (*words, "apply"),
            f"{code}apply",
            "try a new configuration, for some minutes",
            "Replace the configuration by another file. Unless it is confirmed in time, what\n"
            f"was before comes back. A running {daemon} takes up both by itself.",
            f"peerup {prefix} apply new.yaml --confirm-timeout 10m",
            (_NEW, _TIMEOUT, JSON),
        ),
        Command(
            (*words, "confirm"),
            f"{code}confirm",
            "keep what was applied",
            "Keep the configuration that was applied, for good.",
            f"peerup {prefix} confirm",
        ),
        Command(
            (*words, "rollback"),
            f"{code}rollback",
            "go back to a configuration that ran well",
            "While something applied waits to be confirmed, take it back. Otherwise put in\n"
            "place a configuration with which everything ran well for a minute. What is\n"
            "replaced is kept.",
            f"peerup {prefix} rollback",
            (_GENERATION, _LIST, _UNDO, JSON),
        ),
    )


CONFIGURATION: Final = (
    *_commands("config", "peerup.cli.config:node_", "the configuration", "daemon"),
    *_commands("relay config", "peerup.cli.config:relay_", "a relay's configuration", "relay"),
)
