"""Commands that use the network: the daemon, and tools beside it."""

from __future__ import annotations

from typing import Final

from peerup.cli.commands.model import TARGET, Argument, Command

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
            TARGET,
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
            TARGET,
            Argument(("-c", "--count"), "how many pings (default: no end)", "N", parse=int),
            Argument(("--interval",), "pause between pings", "1s", default="1s"),
            Argument(("--json",), "one JSON object a line, statistics last", action="store_true"),
        ),
    ),
)
