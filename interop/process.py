"""A foreign peer in a process of its own that speaks JSON lines; `go_peer` is built on it.

One request a line on its standard input; on its standard output one line for each reply, which
carries the request's number, and one for each event. ``go/main.go`` shows them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

GRACE_S: Final = 5.0  # what an answer may take beyond the time its command had
EXIT_S: Final = 5.0  # to close the host and leave, before it is killed
MAX_EVENTS: Final = 10_000  # kept unread; older ones are dropped
MAX_STDERR: Final = 16_384  # bytes kept of what the process complained about

Event = dict[str, Any]
Result = dict[str, Any]


class CommandError(Exception):
    """A command failed in the foreign peer; codes are None when its error carries none."""

    def __init__(self, failure: Mapping[str, Any]) -> None:
        super().__init__(failure["text"])
        self.reset: bool = failure["reset"]
        self.timeout: bool = failure["timeout"]
        self.stream_code: int | None = failure["stream_code"]
        self.conn_code: int | None = failure["conn_code"]
        self.relay_status: int | None = failure["relay_status"]
        self.remote: bool | None = failure["remote"]  # whether its far side reset or closed


class ProcessDiedError(Exception):
    """The process ended unasked, or badly; the text has the end of its standard error."""


class _Lines(asyncio.SubprocessProtocol):
    """Sorts what a process says: replies to their requests, events to who waits for them."""

    def __init__(self) -> None:
        self.replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self.event_came = asyncio.Event()
        self.gone = asyncio.Event()
        self.stderr = b""
        self._partial = b""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd != 1:
            self.stderr = (self.stderr + data)[-MAX_STDERR:]
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._on_message(json.loads(line))

    def _on_message(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self.events.append(message)
            self.event_came.set()
        elif (reply := self.replies.get(message["id"])) is not None and not reply.done():
            reply.set_result(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self.event_came.set()
        for reply in self.replies.values():
            reply.cancel()


class Process:
    """A running foreign peer. Every wait is bounded; times are in seconds."""

    def __init__(self, transport: asyncio.SubprocessTransport, lines: _Lines) -> None:
        self._transport = transport
        self._lines = lines
        self._numbers = itertools.count(1)
        self._asked_to_exit = False

    @classmethod
    @asynccontextmanager
    async def start(cls, *command: str | Path) -> AsyncIterator[Process]:
        """Run ``command`` for the length of the block.

        Raises:
            ProcessDiedError: it did not last until the end of the block.
        """
        loop = asyncio.get_running_loop()
        transport, lines = await loop.subprocess_exec(_Lines, *map(str, command))
        process = cls(transport, lines)
        try:
            yield process
        finally:
            await process._close()
        if transport.get_returncode() != 0 or not process._asked_to_exit:
            raise process._death()

    async def call(self, command: str, args: Mapping[str, object], *, within: float) -> Result:
        """Return the result of a command that may take ``within`` seconds.

        Raises:
            CommandError: it failed, or took too long and noticed.
            TimeoutError: no answer.
            ProcessDiedError: the process is gone.
        """
        number = next(self._numbers)
        reply = self._lines.replies[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"id": number, "cmd": command, "timeout": within, "args": args})
            async with asyncio.timeout(within + GRACE_S):
                await asyncio.wait([reply])
        except TimeoutError:
            raise TimeoutError(f"no answer to {command} in {within} s") from None
        finally:
            del self._lines.replies[number]
        if reply.cancelled():
            raise self._death()
        message = reply.result()
        if (failure := message.get("error")) is not None:
            raise CommandError(failure)
        return cast("Result", message.get("result", {}))

    async def event(self, name: str, *, within: float, **fields: object) -> Event:
        """Return, and forget, the oldest event of that name with those fields.

        Raises:
            TimeoutError: none came in ``within`` seconds.
            ProcessDiedError: the process is gone.
        """
        wanted = {"event": name, **fields}
        try:
            async with asyncio.timeout(within):
                while (event := self._take(wanted)) is None:
                    if self._lines.gone.is_set():
                        raise self._death()
                    self._lines.event_came.clear()
                    await self._lines.event_came.wait()
        except TimeoutError:
            raise TimeoutError(f"no event {wanted} in {within} s") from None
        return event

    async def kill(self) -> None:
        """End the process without a word to anybody; the block that runs it then raises."""
        self._transport.kill()
        await self._gone()

    def _take(self, wanted: Event) -> Event | None:
        for event in self._lines.events:
            if wanted.items() <= event.items():
                self._lines.events.remove(event)
                return event
        return None

    def _send(self, request: dict[str, object]) -> None:
        if self._lines.gone.is_set():
            raise self._death()
        stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        stdin.write(json.dumps(request, default=asdict).encode() + b"\n")

    def _death(self) -> ProcessDiedError:
        code, said = self._transport.get_returncode(), self._lines.stderr.decode(errors="replace")
        return ProcessDiedError(f"the peer ended with code {code}: {said or 'no word'}")

    async def _close(self) -> None:
        """End the process, by asking and then by force, and wait until it is gone."""
        try:
            if not self._lines.gone.is_set():
                self._asked_to_exit = True
                self._send({"id": 0, "cmd": "exit"})
                await self._gone()
        finally:
            self._transport.close()  # kills what still runs
            await self._gone()

    async def _gone(self) -> None:
        try:
            async with asyncio.timeout(EXIT_S):
                await self._lines.gone.wait()
        except TimeoutError:
            pass
