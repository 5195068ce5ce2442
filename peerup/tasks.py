"""The only module that starts asyncio tasks.

A plain ``TaskGroup`` is right when one failure should stop the others (the two directions of
a splice). A ``Supervisor`` is right when it should not (one connection of many).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, ParamSpec, Self

from peerup.errors import PeerupError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

P = ParamSpec("P")
log = logging.getLogger(__name__)


class Supervisor:
    """Children that fail alone; leaving the ``async with`` block cancels and awaits them all."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._children: set[asyncio.Task[None]] = set()
        self._open = False

    def spawn(
        self, work: Callable[P, Awaitable[object]], *args: P.args, **kw: P.kwargs
    ) -> asyncio.Task[None] | None:
        """Run ``work(*args)``. Takes a function, as a task may be cancelled before it starts.

        Returns the task, so that its owner may cancel it early, or None when the supervisor
        is already closing, in which case nothing runs.
        """
        if not self._open:
            return None
        child = self._group.create_task(self._contain(work, *args, **kw))
        self._children.add(child)
        child.add_done_callback(self._children.discard)
        return child

    def __len__(self) -> int:
        return len(self._children)

    async def _contain(
        self, work: Callable[P, Awaitable[object]], *args: P.args, **kw: P.kwargs
    ) -> None:
        name = getattr(work, "__qualname__", repr(work))
        try:
            await work(*args, **kw)
        except (PeerupError, OSError, TimeoutError) as why:  # expected: peers and networks fail
            log.debug("%s ended: %s", name, str(why) or type(why).__name__)
        except Exception:  # a bug of ours: keep serving the others, but loudly
            log.exception("%s crashed", name)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._open = False
        try:
            # A child that was spawned a moment ago gets its first step: one that is cancelled
            # before it never reaches the ``finally`` that lets go of what it was given.
            await asyncio.sleep(0)
        finally:
            for child in tuple(self._children):
                child.cancel()
            # Children never raise, so the caller's own exception passes through unwrapped.
            await self._group.__aexit__(None, None, None)


def contained(work: Callable[[], object], on_crash: Callable[[], object]) -> None:
    """Run ``work`` from a callback of the event loop, where an error would reach nobody.

    A bug is logged loudly, and ``on_crash`` cleans up after it.
    """
    try:
        work()
    except Exception:
        log.exception("%s crashed", getattr(work, "__qualname__", work))
        on_crash()
