"""``peerup init``: an identity, an empty list of peers, and a commented configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from peerup.cli import context, files, output, qr, relay_address, wizard
from peerup.config.create import create_node
from peerup.config.paths import NODE_FILE, user_dir
from peerup.config.schema import DNS_LABEL_RULE, is_dns_label
from peerup.config.template import default_listen, node_template
from peerup.config.text import shown
from peerup.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import argparse

    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId

EXAMPLE: Final = "peerup init --non-interactive --relay /ip4/203.0.113.5/tcp/7777/p2p/12D3KooW..."


def run(args: argparse.Namespace) -> int:
    """Create what is missing; refuse when there is a configuration already."""
    listen, network = _listen(args), _network(args)
    path = _path(args)
    if os.path.lexists(path):
        raise _already(path)
    relays = relay_address.parse_all(args.relay or (), args.peer_id)
    if not relays:
        relays = _ask(args)
    text = node_template(generated_by="peerup init", listen=listen, relays=relays, network=network)
    try:
        made = create_node(path, text)
    except FileExistsError:
        raise _already(path) from None
    list_file = made.config.security.authorized_keys_file
    output.line(f"Configuration:   {path}")
    output.line(f"Authorized keys: {list_file}{'' if made.new_list else ' (kept)'}")
    output.line(f"Peer ID:         {made.peer}")
    qr.show(str(made.peer))
    _say_what_is_next(made.peer)
    return 0


def _already(path: Path) -> ConfigError:
    return ConfigError(
        f"config already exists: {path}", hint="Edit it, or choose another place with --dir."
    )


def _ask(args: argparse.Namespace) -> tuple[Multiaddr, ...]:
    """Return the relays that the user names when asked; here nothing has been created yet."""
    if args.non_interactive:
        raise UsageError("relay address is required", hint=f"For example: {EXAMPLE}")
    output.progress("Welcome to peerup. This creates an identity and a configuration.")
    output.progress(f"They will be in {_path(args).parent}")
    return wizard.ask_for_relays(None if args.peer_id is None else context.peer_id(args.peer_id))


def _network(args: argparse.Namespace) -> str:
    network: str | None = args.network
    if network is not None and not is_dns_label(network):
        raise UsageError(f"invalid --network value: {shown(network)}", hint=f"{DNS_LABEL_RULE}.")
    return network or ""


def _listen(args: argparse.Namespace) -> tuple[Multiaddr, ...]:
    if args.no_listen and args.listen:
        raise UsageError("--listen and --no-listen cannot both be given")
    if args.no_listen:
        return ()
    return context.listen_addresses(args.listen) if args.listen else default_listen()


def _path(args: argparse.Namespace) -> Path:
    """Return where the configuration is to be, absolute as others will read it in messages."""
    explicit = files.explicit_path(args)
    if explicit is None:
        directory = Path(args.dir) if args.dir else user_dir()
        return (directory / NODE_FILE).absolute()
    if args.dir:
        raise UsageError("--config and --dir cannot both be given")
    return explicit.absolute()


def _say_what_is_next(peer: PeerId) -> None:
    output.progress("")
    output.progress("Next:")
    output.progress(f"  on the relay:         peerup relay authorize {peer}")
    output.progress("  to expose a service:  peerup service add ssh 127.0.0.1:22")
    output.progress("  to let a machine in:  peerup invite --name NAME")
    output.progress("  to be reachable:      peerup daemon")
