"""``peerup nc``: a service of a peer on stdin and stdout, as ssh's ProxyCommand wants it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from peerup.cli import context, output, runner
from peerup.errors import UsageError
from peerup.node.node import Node
from peerup.node.proxies import carry
from peerup.transport.descriptor_stream import DescriptorStream

if TYPE_CHECKING:
    import argparse
    from typing import TextIO

    from peerup.config.schema import Config


def run(args: argparse.Namespace) -> int:
    """Carry bytes both ways until both have ended; nothing else is written to stdout."""
    context.check_service(args.service)
    config = context.node_config(args)
    source, target = _descriptor(sys.stdin), _descriptor(sys.stdout)
    if target is None:
        raise UsageError("stdout is closed", hint="There has to be a place for what the peer says.")
    return runner.run_once(lambda: _carry(config, args, source, _take_over(target)), args)


async def _carry(config: Config, args: argparse.Namespace, source: int | None, target: int) -> int:
    # When something goes wrong, stdout stays open to the end: ssh hangs up on us as soon as it is
    # closed, and its user would never read what the matter was.
    console = DescriptorStream(source, target)
    async with Node(config, listen=False) as node:
        peer = node.resolve(args.target)
        await node.connect(peer)  # who is absent now is absent: no second attempt
        try:
            await carry(node, peer, args.service, console)
        except BrokenPipeError as why:
            raise output.ReaderGoneError from why
    return 0


def _descriptor(stream: TextIO | None) -> int | None:
    """Return the number below a standard stream; None if we were started without it."""
    return None if stream is None else stream.fileno()


def _take_over(stdout: int) -> int:
    """Return stdout under another number; under its own, nothing can spoil what a program reads."""
    ours = os.dup(stdout)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stdout)
    os.close(nowhere)
    return ours
