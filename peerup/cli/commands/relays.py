"""Commands about relays."""

from __future__ import annotations

from typing import Final

from peerup.cli.commands.model import JSON, LISTEN_HELP, PEER_ID, QR, Argument, Command

RELAY: Final = (
    Command(
        ("relay", "add"),
        "peerup.cli.relays:add",
        "use a relay",
        "Add relays to the configuration of this machine. ADDR is what\n"
        "`peerup relay info` prints over there; or an IP address, with a port if it is\n"
        "not 7777, and then --peer-id says whose it is.",
        "peerup relay add 203.0.113.5 --peer-id 12D3KooW...",
        (
            Argument(("addresses",), "address of a relay", "ADDR", nargs="+"),
            PEER_ID,
        ),
    ),
    Command(
        ("relay", "list"),
        "peerup.cli.relays:list_relays",
        "list the relays that this machine uses",
        "List the relays in the configuration of this machine.",
        "peerup relay list",
        (JSON,),
    ),
    Command(
        ("relay", "remove"),
        "peerup.cli.relays:remove",
        "use a relay no longer",
        "Remove a relay from the configuration of this machine. The last one stays.",
        "peerup relay remove /ip4/203.0.113.5/tcp/7777/p2p/12D3KooW...",
        (
            Argument(
                ("address",), "address as `peerup relay list` shows it", "ADDR", complete="relays"
            ),
        ),
    ),
    Command(
        ("relay", "serve"),
        "peerup.cli.relay_serve:run",
        "run a relay in the foreground",
        "Serve as a circuit relay v2 until stopped. The configuration is --config,\n"
        "./relay-server.yaml, ~/.config/peerup/relay-server.yaml or\n"
        "/etc/peerup/relay-server.yaml; where there is none, one is written to\n"
        "~/.config/peerup with a new key, and with only authorized peers let in.",
        "peerup relay serve --listen /ip4/0.0.0.0/tcp/7777",
        (Argument(("--listen",), LISTEN_HELP, "ADDR", "append"),),
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
        (JSON,),
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
            JSON,
            QR,
        ),
    ),
    Command(
        ("relay", "version"),
        "peerup.cli.version:relay",
        "print the version",
        "Print the versions of peerup and of the Python that runs it.",
        "peerup relay version",
        (JSON,),
    ),
)
