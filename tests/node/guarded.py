"""A daemon of nothing but its configuration, kept running by a guard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from peerup.config import confirm
from peerup.errors import ConfigError
from peerup.node.self_healing import LOOK_S, Guard

START: Final = 1_770_000_000_000_000_000
TIMEOUT: Final = 300.0
SOON: Final = 3 * LOOK_S


def parse(text: str, path: Path) -> str:
    """A configuration is its text; some cannot be used."""
    if text.startswith("bad"):
        raise ConfigError(f"{path}:1: {text}", hint="Mend it.")
    return text


class Daemon:
    """What a guard keeps running: it notes with what, and may fail to start."""

    def __init__(self, path: Path) -> None:
        self.path, self.new = path, path.with_name("new.yaml")
        self.started: list[str] = []
        self.running = 0
        self.fails: dict[str, Exception] = {}
        self.ended: Exception | None = None
        self.jumped = 0.0
        self.code: int | None = None
        self.write("one")
        self.guard = Guard(path, parse, clock=self.wall)

    def wall(self) -> int:
        seconds = asyncio.get_running_loop().time() - 1000.0 + self.jumped
        return START + round(seconds * 1e9)

    def write(self, text: str, path: Path | None = None) -> None:
        path = path or self.path
        path.write_text(text)
        path.chmod(0o600)

    def apply(self, text: str, timeout: float = TIMEOUT) -> None:
        self.write(text, self.new)
        confirm.apply(self.path, self.new, lambda text, _: text, now=self.wall(), timeout=timeout)

    async def serve(self, config: str) -> int:
        if config in self.fails:
            raise self.fails[config]
        self.started.append(config)
        self.running += 1
        try:
            await self.guard.beside(self.work)
        finally:
            self.running -= 1
        return 7

    async def work(self) -> None:
        while self.ended is None:
            await asyncio.sleep(1)
        raise self.ended

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Run in the background for the body."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._run())
            await asyncio.sleep(0.5)
            yield
            task.cancel()

    async def _run(self) -> None:
        self.code = await self.guard.run(self.serve)
