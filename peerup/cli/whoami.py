"""``peerup whoami``: this machine's peer id, for scripts and for other people's lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.cli import files, output, qr
from peerup.config.identity import load_identity
from peerup.config.source import load_key_file
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Print the peer id and nothing else. Never creates a key.

    It is all that counts, so a mistake elsewhere in the configuration does not matter here.
    """
    key = load_identity(load_key_file(files.node_file(args)))
    peer = str(PeerId.from_public_key(key.public_key))
    if args.json:
        output.ascii_line(f'{{"peer_id":"{peer}"}}')  # letters and digits: no need to load json
        return 0
    output.line(peer)
    if args.qr:
        qr.show(peer)
    return 0
