"""Commands that set this machine up, and say what it is."""

from __future__ import annotations

from typing import Final

from peerup.cli.commands.model import JSON, LISTEN_HELP, PEER_ID, QR, Argument, Command

SET_UP: Final = (
    Command(
        ("init",),
        "peerup.cli.init:run",
        "create a configuration and an identity",
        "Create identity.key, authorized_keys and config.yaml in ~/.config/peerup. Asks\n"
        "for what the flags do not say. Nothing that exists is overwritten.",
        "peerup init --non-interactive --relay /ip4/203.0.113.5/tcp/7777/p2p/12D3KooW...",
        (
            Argument(
                ("--non-interactive",), "ask nothing; every answer is a flag", action="store_true"
            ),
            Argument(
                ("--relay",),
                "address of a relay: multiaddr, IP or IP:PORT; may be given several times",
                "ADDR",
                "append",
            ),
            PEER_ID,
            Argument(("--network",), "namespace of a private network, a DNS label", "NS"),
            Argument(("--listen",), LISTEN_HELP, "ADDR", "append"),
            Argument(("--no-listen",), "be reachable through relays only", action="store_true"),
            Argument(("--dir",), "directory to create the files in", "D", complete="directory"),
        ),
    ),
    Command(
        ("whoami",),
        "peerup.cli.whoami:run",
        "print this machine's peer id",
        "Print the peer id, which others authorize with `peerup auth add`. Creates\nnothing.",
        "peerup whoami",
        (JSON, QR),
    ),
    Command(
        ("completion",),
        "peerup.cli.completion:run",
        "print what makes a shell complete peerup's commands",
        "Print a script for bash, zsh or fish. Loaded by the shell, it completes\n"
        "commands, options, and the names of peers, services and relays from the\n"
        "configuration.",
        'peerup completion bash   (in ~/.bashrc: eval "$(peerup completion bash)")',
        (
            Argument(
                ("shell",),
                "bash, zsh or fish",
                "SHELL",
                nargs="?",
                choices=("bash", "zsh", "fish"),
            ),
            Argument(
                ("--names",),
                "print the names that the script offers: peers, services or relays",
                "WHAT",
                choices=("peers", "services", "relays"),
            ),
        ),
    ),
    Command(
        ("status",),
        "peerup.cli.status:run",
        "show what this machine is, knows and offers",
        "Print version, peer id, files, relays, authorized peers, services and names,\n"
        "all from the files: no network is used and nothing is created.",
        "peerup status",
        (JSON,),
    ),
    Command(
        ("version",),
        "peerup.cli.version:run",
        "print the version",
        "Print the versions of peerup and of the Python that runs it.",
        "peerup version",
        (JSON,),
    ),
)
