"""``peerup ping``: does a peer answer, how fast, and over which path."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peerup.cli import context, json_output, output, runner
from peerup.errors import PeerupError, UsageError
from peerup.node.diagnostics import PingReply, PingStatistics, PingTally, ping
from peerup.node.node import Node

if TYPE_CHECKING:
    import argparse

    from peerup.config.schema import Config
    from peerup.wire.peer_id import PeerId

CANNOT_REACH: Final = 3  # the exit code when no ping was answered
NO_END: Final = 0  # the count that means: until stopped
MIN_INTERVAL: Final = 0.01  # seconds


def run(args: argparse.Namespace) -> int:
    """Ping until the count is reached, the time is over, or a signal comes.

    0 if any was answered (with --until-direct: directly), else 3.
    """
    if args.count is not None and args.count < 1:
        raise UsageError("-c takes a number of at least 1", hint="Without it there is no end.")
    interval = context.duration(args.interval, "--interval")
    if interval < MIN_INTERVAL:
        raise UsageError(f"--interval {args.interval} is too short", hint="At least 10ms, please.")
    limit = None if args.timeout is None else context.duration(args.timeout, "--timeout")
    plan = _Plan(args.count or NO_END, interval, limit, until_direct=args.until_direct)
    config = context.node_config(args)
    report = _Report(args.target, json=args.json)
    try:
        runner.run_once(lambda: _ping(config, plan, report), args)
    except (KeyboardInterrupt, _TimeIsUpError):
        if not report.tally.sent:
            raise
    finally:  # also when the connection breaks: what was measured counts
        report.finish()
    if args.until_direct and report.tally.received and not report.direct:
        raise NoDirectPathError(
            f"no direct path to {args.target} yet: every answer came through a relay",
            hint="Wait longer, or use it as it is: services work over the relay too.",
        )
    return 0 if report.tally.received else CANNOT_REACH


@dataclass(frozen=True, slots=True)
class _Plan:
    """How many pings, how far apart, and how long altogether; in seconds."""

    count: int
    interval: float
    limit: float | None
    until_direct: bool


class NoDirectPathError(PeerupError):
    """The peer answers, but only through a relay."""

    exit_code = CANNOT_REACH


class _TimeIsUpError(PeerupError):
    """What ``--timeout`` allows is over."""

    exit_code = CANNOT_REACH


async def _ping(config: Config, plan: _Plan, report: _Report) -> int:
    async with Node(config, listen=False) as node:
        peer = node.resolve(report.target)
        report.start(peer)
        try:
            async with asyncio.timeout(plan.limit):
                await _measure(node, peer, plan, report)
        except TimeoutError:
            if plan.limit is None:
                raise
            raise _TimeIsUpError(f"no answer within {plan.limit:g} s") from None
    return 0


async def _measure(node: Node, peer: PeerId, plan: _Plan, report: _Report) -> None:
    await node.connect(peer)
    replies = ping(
        node, peer, count=plan.count, interval=plan.interval, until_direct=plan.until_direct
    )
    async for reply in replies:
        report.add(peer, reply)


class _Report:
    """Prints replies as they come, as text or as JSON lines, and statistics at the end."""

    def __init__(self, target: str, *, json: bool) -> None:
        self.target = target
        self.tally = PingTally()
        self.direct = False  # whether any answer took a direct path
        self._json = json

    def start(self, peer: PeerId) -> None:
        if not self._json:
            output.line(f"PING {self.target} ({peer.short})")
        output.progress("Connecting...")

    def add(self, peer: PeerId, reply: PingReply) -> None:
        self.tally.add(reply)
        self.direct = self.direct or reply.is_direct
        if self._json:
            json_output.json_line(_reply_json(peer, reply))
        elif reply.rtt_ms is None:
            output.line(f"seq={reply.seq} error={reply.error}")
        else:
            took = f"rtt={reply.rtt_ms:.1f}ms"
            over = f" transport={reply.transport}" if reply.transport else ""
            output.line(f"seq={reply.seq} {took} path=[{reply.path}]{over}")

    def finish(self) -> None:
        """Print the statistics, if there is anything to print them of."""
        if not self.tally.sent:
            return
        statistics = self.tally.statistics()
        if self._json:
            json_output.json_line(_statistics_json(statistics))
            return
        output.line()
        output.line(f"--- {self.target} ping statistics ---")
        output.line(_statistics_text(statistics))


def _reply_json(peer: PeerId, reply: PingReply) -> dict[str, object]:
    """Return one reply; the fields are those of the daemon's API, and ``address``."""
    return {
        "seq": reply.seq,
        "peer_id": str(peer),
        "rtt_ms": None if reply.rtt_ms is None else round(reply.rtt_ms, 3),
        "path": reply.path,
        "address": reply.address,
        "transport": reply.transport,
        "error": reply.error,
    }


def _statistics_json(statistics: PingStatistics) -> dict[str, object]:
    return {
        "sent": statistics.sent,
        "received": statistics.received,
        "lost": statistics.lost,
        "loss_pct": round(statistics.loss_pct, 3),
        "min_ms": round(statistics.min_ms, 3),
        "avg_ms": round(statistics.avg_ms, 3),
        "max_ms": round(statistics.max_ms, 3),
    }


def _statistics_text(statistics: PingStatistics) -> str:
    rtt = f"{statistics.min_ms:.1f}/{statistics.avg_ms:.1f}/{statistics.max_ms:.1f}"
    return (
        f"{statistics.sent} sent, {statistics.received} received, "
        f"{statistics.loss_pct:.0f}% loss, rtt min/avg/max = {rtt} ms"
    )
