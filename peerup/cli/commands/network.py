"""Commands that use the network: the daemon, and tools beside it."""

from __future__ import annotations

from typing import Final

from peerup.cli.commands.model import JSON, TARGET, Argument, Command

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
        "until Ctrl-C or SIGTERM. Three more words make one more proxy. A lost connection\n"
        "is made again while the port stays open. Exit code 3 when a peer cannot be\n"
        "reached at the start, 4 when it does not let us in, then or later.",
        "peerup proxy home ssh 2222   (then: ssh -p 2222 localhost)\n"
        "  peerup proxy home ssh 2222 home web 8080 office ssh 2223",
        (
            TARGET,
            Argument(("service",), "name of the service over there", "SERVICE"),
            Argument(("port",), "local port; 0 picks a free one", "PORT"),
            Argument(("more",), "further ones: T SERVICE PORT ...", "MORE", nargs="*"),
            Argument(
                ("--listen-address",), "local address to listen on", "IP", default="127.0.0.1"
            ),
        ),
    ),
    Command(
        ("nc",),
        "peerup.cli.nc:run",
        "connect stdin and stdout to a service of a peer",
        "Send stdin to a service of the peer and write what it answers to stdout, byte\n"
        "for byte, until both have ended. The end of stdin is passed on while the answer\n"
        "goes on. A connection that breaks is exit code 3, never an ordinary end.",
        "peerup nc home ssh   (as: ssh -o ProxyCommand='peerup nc %h ssh' home)",
        (TARGET, Argument(("service",), "name of the service over there", "SERVICE")),
    ),
    Command(
        ("ssh-config",),
        "peerup.cli.ssh_config:run",
        "print what lets ssh reach your peers by name",
        "Print a Host block for each name of the configuration, for ~/.ssh/config.",
        "peerup ssh-config > ~/.ssh/peerup.conf",
        (Argument(("--service",), "name of the service that is sshd", "SERVICE", default="ssh"),),
    ),
    Command(
        ("ping",),
        "peerup.cli.ping:run",
        "measure the round trip to a peer",
        "Ping a peer until Ctrl-C, or -c times. Exit code 0 when it answered at least\n"
        "once; with --until-direct, when an answer came over a direct path.",
        "peerup ping home -c 4",
        (
            TARGET,
            Argument(("-c", "--count"), "how many pings (default: no end)", "N", parse=int),
            Argument(("--interval",), "pause between pings", "1s", default="1s"),
            Argument(
                ("--until-direct",),
                "stop at the first answer that did not come through a relay",
                action="store_true",
            ),
            Argument(("--timeout",), "stop after so long altogether (default: no end)", "30s"),
            Argument(("--json",), "one JSON object a line, statistics last", action="store_true"),
        ),
    ),
    Command(
        ("traceroute",),
        "peerup.cli.traceroute:run",
        "show the way to a peer, with the round trip to each hop",
        "Show the relay, if the path has one, and the peer, with the time to each.",
        "peerup traceroute home",
        (TARGET, JSON),
    ),
    Command(
        ("resolve",),
        "peerup.cli.resolve:run",
        "show which peer id a name stands for",
        "Look a name up in the configuration. Uses no network and creates nothing.",
        "peerup resolve home",
        (
            Argument(
                ("target",), "name from the configuration, or a peer id", "NAME", complete="peers"
            ),
            JSON,
        ),
    ),
)
