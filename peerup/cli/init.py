"""``peerup init``: an identity, an empty list of peers, and a commented configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from peerup.atomic_file import create_exclusive
from peerup.cli import context, files, output
from peerup.config import authorized_keys
from peerup.config.identity import create_identity, load_identity
from peerup.config.load import parse_config, parse_relay_address
from peerup.config.paths import NODE_FILE, user_dir
from peerup.config.template import default_listen, node_template
from peerup.errors import ConfigError, UsageError
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from peerup.wire.multiaddr import Multiaddr

EXAMPLE: Final = "peerup init --non-interactive --relay /ip4/203.0.113.5/tcp/7777/p2p/12D3KooW..."


def run(args: argparse.Namespace) -> int:
    """Create what is missing; refuse when there is a configuration already."""
    if not args.non_interactive:
        raise UsageError(
            "the set-up that asks questions does not exist yet",
            hint=f"Give the answers as flags: {EXAMPLE}",
        )
    relays = _relays(args.relay or ())
    listen = _listen(args)
    path = _path(args)
    if path.exists():
        raise _already(path)
    text = node_template(generated_by="peerup init", listen=listen, relays=relays)
    config = parse_config(text, path)  # says where the other files belong
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    peer = _identity(config.identity.key_file)
    list_file = config.security.authorized_keys_file
    assert list_file is not None  # as the template names one
    created = authorized_keys.create(list_file)
    try:
        create_exclusive(path, text.encode())  # last: where it is, all the rest is too
    except FileExistsError:
        raise _already(path) from None
    output.line(f"Configuration:   {path}")
    output.line(f"Authorized keys: {list_file}{'' if created else ' (kept)'}")
    output.line(f"Peer ID:         {peer}")
    _say_what_is_next(peer)
    return 0


def _already(path: Path) -> ConfigError:
    return ConfigError(
        f"config already exists: {path}", hint="Edit it, or choose another place with --dir."
    )


def _relays(texts: Iterable[str]) -> tuple[Multiaddr, ...]:
    relays: list[Multiaddr] = []
    for text in texts:
        try:
            relays.append(parse_relay_address(text))
        except ValueError as error:
            raise UsageError(
                f"invalid relay address: {error}",
                hint="`peerup relay info` on the relay prints its addresses.",
            ) from None
    if not relays:
        raise UsageError("relay address is required", hint=f"For example: {EXAMPLE}")
    return tuple(dict.fromkeys(relays))


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


def _identity(path: Path) -> PeerId:
    """Return the identity at ``path``: the one that is there, else a new one."""
    key = load_identity(path) if path.exists() else create_identity(path)
    return PeerId.from_public_key(key.public_key)


def _say_what_is_next(peer: PeerId) -> None:
    output.progress("")
    output.progress("Next:")
    output.progress(f"  on the relay:         peerup relay authorize {peer}")
    output.progress("  to expose a service:  peerup service add ssh 127.0.0.1:22")
    output.progress("  to let a peer in:     peerup auth add ID --name NAME")
    output.progress("  to be reachable:      peerup daemon")
