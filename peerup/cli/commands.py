"""Every command as a table: its words, its arguments, its help, and where its code is.

The code is named, not imported, so that ``peerup --help`` costs little more than Python
itself; ``parser.py`` turns the table into one argparse tree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

# Named tuples, as importing `dataclasses` would take a quarter of the time of `peerup --help`.


class Argument(NamedTuple):
    """A positional (``ID``) or an option (``--name``), in argparse's terms.

    ``parse`` turns the text into a number; anything richer is parsed by the command, which
    can say what mends it.
    """

    flags: tuple[str, ...]
    help: str
    metavar: str | None = None
    action: Literal["store", "store_true", "append"] = "store"
    nargs: Literal["?", "*"] | None = None
    parse: Callable[[str], int] | None = None
    default: str | None = None

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


COMMON: Final = (
    Argument(("--config",), "configuration file to use, instead of the first one found", "PATH"),
    Argument(("-v", "--verbose"), "log more, to stderr", action="store_true"),
)

GROUPS: Final[dict[tuple[str, ...], str]] = {
    ("auth",): "who may connect to this machine",
    ("service",): "local TCP services that authorized peers may reach",
    ("relay",): "run a relay, and say who may use it",
}

_TARGET: Final = Argument(("target",), "peer id, or a name from the configuration", "T")
_LISTEN_HELP: Final = "multiaddr to listen on; may be given several times"
_SERVICE: Final = Argument(("name",), "name of the service", "NAME")
_JSON: Final = Argument(("--json",), "machine-readable output", action="store_true")

SET_UP: Final = (
    Command(
        ("init",),
        "peerup.cli.init:run",
        "create a configuration and an identity",
        "Create identity.key, authorized_keys and config.yaml in ~/.config/peerup.\n"
        "Nothing that exists is overwritten.",
        "peerup init --non-interactive --relay /ip4/203.0.113.5/tcp/7777/p2p/12D3KooW...",
        (
            Argument(
                ("--non-interactive",), "ask nothing; every answer is a flag", action="store_true"
            ),
            Argument(
                ("--relay",),
                "multiaddr of a relay, with its /p2p/ID; may be given several times",
                "ADDR",
                "append",
            ),
            Argument(("--listen",), _LISTEN_HELP, "ADDR", "append"),
            Argument(("--no-listen",), "be reachable through relays only", action="store_true"),
            Argument(("--dir",), "directory to create the files in", "D"),
        ),
    ),
    Command(
        ("whoami",),
        "peerup.cli.whoami:run",
        "print this machine's peer id",
        "Print the peer id, which others authorize with `peerup auth add`. Creates\nnothing.",
        "peerup whoami",
    ),
    Command(
        ("version",),
        "peerup.cli.version:run",
        "print the version",
        "Print the versions of peerup and of the Python that runs it.",
        "peerup version",
    ),
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
        ),
    ),
    Command(
        ("auth", "list"),
        "peerup.cli.auth:list_peers",
        "list the peers that may connect",
        "List the peer ids in authorized_keys, with their names and comments.",
        "peerup auth list",
    ),
    Command(
        ("auth", "remove"),
        "peerup.cli.auth:remove",
        "shut a peer out",
        "Remove a peer from authorized_keys. A running daemon ends its connections.",
        "peerup auth remove laptop",
        (Argument(("peer",), "peer id, or a name from the configuration", "ID"),),
    ),
)

SERVICES: Final = (
    Command(
        ("service", "add"),
        "peerup.cli.service:add",
        "expose a local TCP service",
        "Let authorized peers reach a TCP service of this machine by name.",
        "peerup service add ssh 127.0.0.1:22",
        (
            _SERVICE,
            Argument(("address",), "where the service listens on this machine", "HOST:PORT"),
        ),
    ),
    Command(
        ("service", "list"),
        "peerup.cli.service:list_services",
        "list the configured services",
        "List the services of the configuration and whether they are enabled.",
        "peerup service list",
    ),
    Command(
        ("service", "remove"),
        "peerup.cli.service:remove",
        "forget a service",
        "Remove a service from the configuration.",
        "peerup service remove ssh",
        (_SERVICE,),
    ),
    Command(
        ("service", "enable"),
        "peerup.cli.service:enable",
        "expose a disabled service again",
        "Set a configured service to enabled.",
        "peerup service enable ssh",
        (_SERVICE,),
    ),
    Command(
        ("service", "disable"),
        "peerup.cli.service:disable",
        "keep a service but do not expose it",
        "Set a configured service to disabled.",
        "peerup service disable ssh",
        (_SERVICE,),
    ),
)

RELAY: Final = (
    Command(
        ("relay", "serve"),
        "peerup.cli.relay_serve:run",
        "run a relay in the foreground",
        "Serve as a circuit relay v2 until stopped. The configuration is --config,\n"
        "./relay-server.yaml, ~/.config/peerup/relay-server.yaml or\n"
        "/etc/peerup/relay-server.yaml; where there is none, one is written to\n"
        "~/.config/peerup with a new key, and with only authorized peers let in.",
        "peerup relay serve --listen /ip4/0.0.0.0/tcp/7777",
        (Argument(("--listen",), _LISTEN_HELP, "ADDR", "append"),),
    ),
    Command(
        ("relay", "authorize"),
        "peerup.cli.relay_admin:authorize",
        "let a peer use the relay",
        "Add a peer id to the relay's list. A running relay sees the change within\nseconds.",
        "peerup relay authorize 12D3KooW... my home server",
        (
            Argument(("peer",), "peer id, as `peerup whoami` prints it over there", "ID"),
            Argument(("comment",), "a note kept beside the id", "COMMENT", nargs="*"),
        ),
    ),
    Command(
        ("relay", "deauthorize"),
        "peerup.cli.relay_admin:deauthorize",
        "shut a peer out of the relay",
        "Remove a peer id from the relay's list. A running relay ends its connections.",
        "peerup relay deauthorize 12D3KooW...",
        (Argument(("peer",), "peer id", "ID"),),
    ),
    Command(
        ("relay", "list-peers"),
        "peerup.cli.relay_admin:list_peers",
        "list the peers that may use the relay",
        "List the peer ids in the relay's list, with their comments.",
        "peerup relay list-peers",
    ),
    Command(
        ("relay", "info"),
        "peerup.cli.relay_admin:info",
        "print the relay's peer id and addresses",
        "Print what clients need to know of this relay, addresses last and ready to\n"
        "paste after `peerup init --relay`.",
        "peerup relay info --wait 10s",
        (
            Argument(("--wait",), "wait this long for the relay to be there and to accept", "10s"),
            _JSON,
        ),
    ),
)

NETWORK: Final = (
    Command(
        ("daemon",),
        "peerup.cli.daemon:run",
        "make this machine reachable, in the foreground",
        "Stay connected to the relays and serve the configured services to authorized\n"
        "peers, until Ctrl-C or SIGTERM.",
        "peerup daemon",
    ),
    Command(
        ("proxy",),
        "peerup.cli.proxy:run",
        "reach a service of a peer through a local port",
        "Listen on a local TCP port and carry each connection to a service of the peer,\n"
        "until Ctrl-C or SIGTERM.",
        "peerup proxy home ssh 2222   (then: ssh -p 2222 localhost)",
        (
            _TARGET,
            Argument(("service",), "name of the service over there", "SERVICE"),
            Argument(("port",), "local port; 0 picks a free one", "PORT", parse=int),
            Argument(
                ("--listen-address",), "local address to listen on", "IP", default="127.0.0.1"
            ),
        ),
    ),
    Command(
        ("ping",),
        "peerup.cli.ping:run",
        "measure the round trip to a peer",
        "Ping a peer until Ctrl-C, or -c times. Exit code 0 when it answered at least\nonce.",
        "peerup ping home -c 4",
        (
            _TARGET,
            Argument(("-c", "--count"), "how many pings (default: no end)", "N", parse=int),
            Argument(("--interval",), "pause between pings", "1s", default="1s"),
            Argument(("--json",), "one JSON object a line, statistics last", action="store_true"),
        ),
    ),
)

COMMANDS: Final[dict[tuple[str, ...], Command]] = {
    command.words: command for command in (*SET_UP, *ACCESS, *SERVICES, *NETWORK, *RELAY)
}
