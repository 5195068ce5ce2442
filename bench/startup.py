"""How long `peerup --help` and `peerup whoami` take, beside a Python that does nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import stage

from bench import machines
from bench.contest import Plan, Row, interleave, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

NOWHERE: Final = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
PEERUP: Final = str(Path(sys.executable).with_name("peerup"))
BARE: Final = "python -c pass"
RUNS: Final = 21
TIMEOUT_S: Final = 20.0


async def measure(plan: Plan) -> list[Row]:
    """Return the rows of start-up; there are many runs, as each is short."""
    with machines.staged() as where:
        user = stage.Machine("user", where)
        user.peerup("init", "--non-interactive", "--no-listen", "--relay", NOWHERE)
        commands = {
            BARE: [sys.executable, "-c", "pass"],
            "peerup --help": [PEERUP, "--help"],
            "peerup whoami": [PEERUP, "whoami"],
        }
        turns = {name: partial(run, words, user.env) for name, words in commands.items()}
        got = await interleave(turns, plan.runs if plan.quick else RUNS)
    bare = got.pop(BARE)
    return [
        row
        for name, took in got.items()
        for row in rows(name, "ms", took, {BARE: bare}, lower_is_better=True)
    ]


async def run(command: list[str], env: Mapping[str, str]) -> float:
    """Run ``command`` to its end; return how long that took, in ms."""
    began = time.perf_counter()
    await asyncio.to_thread(
        subprocess.run,
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=TIMEOUT_S,
        check=True,
    )
    return (time.perf_counter() - began) * 1e3
