"""Death between any two steps: the process is gone at the n-th change of the file system.

Nothing that would tidy up runs either, as ``finally`` does not after SIGKILL: every further
change of the file system fails.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHANGES: Final = ("replace", "link", "unlink", "fsync", "chmod", "fchmod")
MAX_CHANGES: Final = 200


class Killed(BaseException):
    """What nobody catches."""


class FileSystem:
    """Counts the changes, and fails those that it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.fail: Callable[[int], BaseException | None] = lambda _: None
        for name in CHANGES:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, change: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **kw: object) -> object:
            self.count += 1
            if (error := self.fail(self.count)) is not None:
                raise error
            return change(*args, **kw)

        return counted

    @contextlib.contextmanager
    def failing(self, fail: Callable[[int], BaseException | None]) -> Iterator[None]:
        self.count, self.fail = 0, fail
        try:
            yield
        finally:
            self.fail = lambda _: None

    def killed_at_each_step(
        self, prepare: Callable[[], object], work: Callable[[], object]
    ) -> Iterator[int]:
        """Do ``work`` again and again, killed one step later each time; until it gets through."""
        for step in range(1, MAX_CHANGES):
            prepare()
            with (
                contextlib.suppress(Killed),
                self.failing(lambda n, last=step: Killed() if n >= last else None),  # type: ignore[misc]
            ):
                work()
            through = self.count < step
            yield step
            if through:
                assert step > 2, "nothing was written, so nothing was tested"
                return
        raise AssertionError("it never gets through")

    def refused_at_each_step(
        self, prepare: Callable[[], object], work: Callable[[], object]
    ) -> Iterator[int]:
        """The same, but the system says no to that one change, as a full disk does."""
        for step in range(1, MAX_CHANGES):
            prepare()
            full = OSError(28, "No space left on device")
            with (
                self.failing(lambda n, at=step, why=full: why if n == at else None),  # type: ignore[misc]
            ):
                work()
            through = self.count < step
            yield step
            if through:
                return
        raise AssertionError("it never gets through")
