"""Measure peerup and its rivals on this machine.

    python bench/run.py [--quick] [--only NAME]...

A run of everything writes its results into bench/README.md and bench/results/latest.json; any
other run prints them. Nothing here asserts a figure.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]  # run as a file, not as a module

from stage import DemoError  # noqa: E402

from bench import dial, memory, ping, proxy, quic, report, startup, stream  # noqa: E402
from bench.contest import FULL, QUICK, Plan, Row, progress  # noqa: E402
from interop.process import CommandError, ProcessDiedError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

BENCHES: Final[dict[str, Callable[[Plan], Awaitable[list[Row]]]]] = {
    "stream": stream.measure,
    "proxy": proxy.measure,
    "ping": ping.measure,
    "dial": dial.measure,
    "memory": memory.measure,
    "quic": quic.measure,
    "startup": startup.measure,
}
LIMIT_S: Final = 900.0  # for one of them, with all its runs
FAILURES: Final = (OSError, DemoError, CommandError, ProcessDiedError, subprocess.SubprocessError)


def main() -> int:
    """Run what is asked for; return the exit code, which says whether it could be measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs, less data")
    parser.add_argument("--only", action="append", choices=BENCHES, help="may be given repeatedly")
    args = parser.parse_args()
    os.chdir(ROOT)  # where processes of ours find their modules
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    taken_on = report.machine()
    progress(f"on {taken_on}")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # scripts/stage.py shows what it starts
            plan = QUICK if args.quick else FULL
            rows = asyncio.run(measure(args.only or list(BENCHES), plan))
    except KeyboardInterrupt:
        return 130
    except FAILURES as why:
        progress(f"bench: FAILED: {why or type(why).__name__}")
        return 1
    report.show(rows)
    if not (args.quick or args.only):
        report.write(rows, taken_on)
    return 0


async def measure(names: Sequence[str], plan: Plan) -> list[Row]:
    """Run one bench after the other."""
    rows = []
    for name in names:
        progress(f"{name}:")
        async with asyncio.timeout(LIMIT_S):
            rows += await BENCHES[name](plan)
    return rows


if __name__ == "__main__":
    sys.exit(main())
