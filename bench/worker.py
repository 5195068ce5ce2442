"""The far end of ``interop.process.Process``: a process of ours that does as it is told.

One JSON request a line on standard input, one reply a line on standard output, one after the
other. It ends at "exit", and at the end of its input, so nothing outlives who started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from interop.process import Process
from peerup.errors import PeerupError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextlib import AbstractAsyncContextManager

    from interop.process import Result

Command = Callable[..., Awaitable[Mapping[str, object]]]

LOOPS: Final[Mapping[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}


def start(module: str, *args: str) -> AbstractAsyncContextManager[Process]:
    """Run ``python -m module``, which calls ``run`` and ``serve``, for the length of a block."""
    return Process.start(sys.executable, "-m", module, *args)


def run(main: Coroutine[object, object, None], loop: str) -> None:
    """Run a worker to its end, on the event loop of that name."""
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main)


def resident(pid: str = "self") -> int:
    """Return how many bytes of a process are in memory."""
    pages = Path("/proc", pid, "statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


async def serve(*commands: Command) -> None:
    """Answer requests, which name ``commands``, until there are no more."""
    known = {command.__name__: command for command in commands}
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(requests), sys.stdin
    )
    while line := await requests.readline():
        request = json.loads(line)
        if request["cmd"] == "exit":
            return
        reply = await _answer(known[request["cmd"]], request)
        sys.stdout.write(json.dumps({"id": request["id"], **reply}) + "\n")
        sys.stdout.flush()


async def _answer(command: Command, request: Result) -> Result:
    try:
        async with asyncio.timeout(request["timeout"]):
            return {"result": dict(await command(**request["args"]))}
    except (PeerupError, OSError) as why:  # a TimeoutError is an OSError
        text = f"{request['cmd']}: {why or type(why).__name__}"
        codes = dict.fromkeys(("stream_code", "conn_code", "relay_status", "remote"))
        return {"error": {"text": text, "reset": False, "timeout": False, **codes}}
