"""``peerup traceroute``: the relay and the peer, and how far away each is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerup.cli import context, json_output, output, runner
from peerup.node.node import Node
from peerup.node.traceroute import Hop, Route, find_route, traceroute

if TYPE_CHECKING:
    import argparse

    from peerup.config.schema import Config
    from peerup.wire.peer_id import PeerId

CANNOT_REACH: Final = 3  # the exit code when the last hop, which is the peer, did not answer


def run(args: argparse.Namespace) -> int:
    """Print the hops to a peer; 0 when the peer itself answered, else 3."""
    config = context.node_config(args)
    return runner.run_once(lambda: _trace(config, args), args)


async def _trace(config: Config, args: argparse.Namespace) -> int:
    async with Node(config, listen=False) as node:
        peer = node.resolve(args.target)
        if not args.json:
            output.line(f"traceroute to {args.target} ({peer.short})")
        output.progress("Connecting...")
        route = await find_route(node, peer)
        hops: list[Hop] = []
        async for hop in traceroute(node, route):
            hops.append(hop)
            if not args.json:
                output.line(_hop_text(hop))
        if args.json:
            json_output.json_line(_json(args.target, peer, route, hops))
        else:
            output.line(f"--- path: [{route.path}] ---")
        return CANNOT_REACH if hops[-1].rtt_ms is None else 0


def _hop_text(hop: Hop) -> str:
    name = f" ({hop.name})" if hop.name else ""
    start = f" {hop.hop}  {hop.peer.short}{name}  {hop.address}"
    return f"{start}  * {hop.error}" if hop.rtt_ms is None else f"{start}  {hop.rtt_ms:.1f}ms"


def _json(target: str, peer: PeerId, route: Route, hops: list[Hop]) -> dict[str, object]:
    """Return the object of the daemon's API."""
    return {
        "target": target,
        "target_id": str(peer),
        "path": route.path,
        "hops": [_hop_json(hop) for hop in hops],
    }


def _hop_json(hop: Hop) -> dict[str, object]:
    return {
        "hop": hop.hop,
        "peer_id": str(hop.peer),
        "name": hop.name,
        "address": hop.address,
        "rtt_ms": None if hop.rtt_ms is None else round(hop.rtt_ms, 3),
        "error": hop.error,
    }
