"""Keeps a daemon or relay and its configuration file in step, so that mistakes mend themselves.

Before anything is read, what was applied and not confirmed in time is taken back. While all is
well the configuration that runs is archived. When another one is applied, reverted or rolled back
to meanwhile, the daemon starts anew within this process; one that does not start is taken back at
once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from peerup.config import confirm, side_files
from peerup.config.archive import archive, generations
from peerup.config.confirm_rules import Wait
from peerup.config.source import read_config
from peerup.errors import ConfigError, PeerupError
from peerup.node.presence import IdentityInUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from peerup.config.confirm import Reverted
    from peerup.config.confirm_rules import Pending

C = TypeVar("C")
log = logging.getLogger(__name__)

HEALTHY_S: Final = 60.0  # up and listening for so long: this configuration is a good one
LOOK_S: Final = 1.0  # between two looks at what is pending


class Guard(Generic[C]):
    """Watches over one configuration file, and what runs by it.

    ``await guard.run(serve)`` is the whole life of a daemon, where ``serve(config)`` starts
    what is configured, and then waits in ``guard.beside(...)``.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[str, Path], C],
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Watch over ``path``, whose text ``parse`` understands; ``clock`` tells wall time."""
        self.path = path
        self._parse, self._clock = parse, clock
        self._text = ""  # what runs
        self._taken: tuple[Pending, object] = (None, None)  # how the files were when it was read
        self._known: tuple[Pending, float] = (None, 0.0)  # a marker, and since when we know it
        self._up = self._again = False
        self._said = ""

    async def run(self, serve: Callable[[C], Coroutine[None, None, int]]) -> int:
        """Load the configuration and serve by it, anew whenever that changes; return its code.

        Raises:
            ConfigError: It cannot be used, and nothing better is at hand.
        """
        while True:
            self._up = self._again = False
            config = self.load()
            try:
                code = await serve(config)
            except IdentityInUseError:  # another daemon runs by this very configuration
                raise
            except (PeerupError, OSError) as why:
                if self._up or not self._taken_back(why):
                    raise
            else:
                if not self._again:
                    return code
                log.info("the configuration changed; starting again", extra={"file": self.path})

    def load(self) -> C:
        """Return the configuration to run by, after taking back what was not confirmed in time.

        One that is not confirmed yet and cannot be used is taken back too.

        Raises:
            ConfigError: The configuration cannot be used.
        """
        try:
            return self._loaded()
        except ConfigError as why:
            if not self._taken_back(why):
                if found := generations(self.path):
                    log.warning(
                        "config rollback can bring back one of %d that ran well", len(found)
                    )
                raise
            return self._loaded()

    def _loaded(self) -> C:
        # Before the text, so that whatever is put in place in between is news.
        self._taken = (confirm.look(self.path), side_files.replaced_stamp(self.path))
        self._text = self._settled()
        return self._parse(self._text, self.path)

    def _settled(self) -> str:
        """Return the text to run by."""
        try:
            outcome = confirm.settle(self.path, now=self._clock())
        except ConfigError as why:
            before = confirm.text_before(self.path)
            if before is None:
                raise
            log.error("what was applied cannot be reverted: %s; running by what was before", why)  # noqa: TRY400
            return before
        if isinstance(outcome, confirm.Reverted):
            self._report(outcome)
        elif outcome is not None:
            left = confirm.describe(outcome)
            log.warning("the configuration waits to be confirmed", extra={"left": left})
        return read_config(self.path)

    def _taken_back(self, why: Exception) -> bool:
        """Take back what is pending, as it does not even start; False if that does not help."""
        try:
            outcome = confirm.revert(self.path, f"it does not start ({why})")
        except ConfigError as error:
            self._complain(f"cannot take back what does not start: {error}")
            return False
        if outcome is None:
            return False
        self._report(outcome)
        return outcome.changed

    async def beside(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Call it when all is up: do ``work`` until it ends, or the configuration changes."""
        self._up = True
        async with asyncio.TaskGroup() as group:
            tasks = {group.create_task(work()), group.create_task(self._watch())}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    async def _watch(self) -> None:
        """Look again and again, and return when the configuration is another one."""
        now = asyncio.get_running_loop().time
        archive_at = now() + HEALTHY_S
        while not self._again:
            await asyncio.sleep(LOOK_S)
            try:
                self._again = await self._look(now())
                if not self._again and now() >= archive_at:
                    archive_at = now() + HEALTHY_S
                    await self._archive()
            except (ConfigError, OSError) as why:
                self._complain(str(why))

    async def _look(self, now: float) -> bool:
        """Act on what is pending; True when what is in the file is to be started now."""
        pending = confirm.look(self.path)
        if pending != self._known[0]:
            self._known = (pending, now)
        since = self._known[1]
        outcome = None
        if pending is not None:
            outcome = await asyncio.to_thread(  # as it may have to wait for the disk
                confirm.settle,
                self.path,
                now=self._clock(),
                waited=lambda found: now - since if found == pending else 0.0,
                lock_wait=0,
            )
        if isinstance(outcome, confirm.Reverted):
            self._report(outcome)
        return self._is_news(pending if isinstance(outcome, Wait) else None)

    def _is_news(self, pending: Pending) -> bool:
        """Tell whether a command has put something else in place than what runs."""
        state = (pending, side_files.replaced_stamp(self.path))
        if state == self._taken:
            return False
        if side_files.read(self.path) == self._text.encode():
            if not self._is_under_way(pending):
                self._taken = state
            return False
        try:
            self._parse(read_config(self.path), self.path)
        except ConfigError as why:  # edited by hand meanwhile: no reason to stop what runs
            self._taken = state
            if not self._taken_back(why):
                self._complain(f"still running by what was there before: {why}")
            return False
        return True

    def _is_under_way(self, pending: Pending) -> bool:
        """Tell whether what runs was put aside, and its successor is not in place yet."""
        newest = side_files.generation(self.path, side_files.REPLACED, 0)
        aside = {side_files.read_beside(self.path, newest)}
        if pending is not None:
            aside.add(side_files.read_beside(self.path, side_files.pre_confirmed(self.path)))
        return self._text.encode() in aside

    async def _archive(self) -> None:
        if await asyncio.to_thread(archive, self.path, self._text):
            log.info("the configuration is good; archived", extra={"file": self.path})

    def _report(self, outcome: Reverted) -> None:
        """Log what was reverted, at a level that nobody overlooks."""
        if outcome.changed:
            kept = f"; it is kept in {outcome.kept}" if outcome.kept else ""
            log.error("the applied configuration was taken back: %s%s", outcome.reason, kept)
        elif outcome.lost:
            log.error(
                "the applied configuration should be taken back: %s; but what was before it is "
                "gone, and so it stays: %s",
                outcome.reason,
                self.path,
            )

    def _complain(self, text: str) -> None:
        """Log what goes wrong each second, once."""
        if text != self._said:
            log.warning("self-healing: %s", text)
        self._said = text
