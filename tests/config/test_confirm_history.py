"""Any sequence of apply, confirm, rollback, undo and restarts ends where the rules say."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peerup.config import confirm, side_files
from peerup.config.archive import archive, generations, rollback, undo
from peerup.errors import ConfigError
from tests.config.conftest import write_private

START: Final = 1_770_000_000_000_000_000
SECOND: Final = 10**9


def parse(text: str, _path: Path) -> str:
    return text


class History(RuleBasedStateMachine):
    """Knows what is in force, what waits until when, and what was ever in force."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.path = write_private(self.directory / "config.yaml", "0")
        self.now = START
        self.count = 0
        self.config = "0"
        self.before: str | None = None  # what comes back unless it is confirmed
        self.deadline = 0
        self.good: list[str] = []

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    @property
    def pending(self) -> bool:
        return self.before is not None

    @property
    def late(self) -> bool:
        return self.pending and self.now >= self.deadline

    def back(self) -> None:
        assert self.before is not None
        self.config, self.before = self.before, None

    @rule(seconds=st.integers(1, 400))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(timeout=st.integers(1, 300))
    def apply(self, timeout: int) -> None:
        self.count += 1
        new = write_private(self.directory / "new.yaml", str(self.count))
        try:
            done = confirm.apply(self.path, new, parse, now=self.now, timeout=timeout)
        except ConfigError:
            assert self.pending
            assert not self.late
            self.count -= 1  # it was never in force
            return
        assert done.reverted == self.late
        if self.pending:
            self.back()
        self.before, self.config = self.config, str(self.count)
        self.deadline = self.now + timeout * SECOND

    @rule()
    def confirm(self) -> None:
        try:
            confirm.confirm(self.path, now=self.now)
        except ConfigError:
            assert self.late or not self.pending
            if self.pending:
                self.back()
        else:
            assert self.pending
            self.before = None

    @rule()
    def a_daemon_starts(self) -> None:
        outcome = confirm.settle(self.path, now=self.now)
        assert isinstance(outcome, confirm.Reverted) == self.late
        if self.late:
            self.back()

    @rule()
    def take_back(self) -> None:
        assert (confirm.revert(self.path, "by hand") is not None) == self.pending
        if self.pending:
            self.back()

    @rule()
    def all_is_well_for_a_while(self) -> None:
        made = archive(self.path, self.config)
        if self.pending or self.good[:1] == [self.config]:
            assert not made
            return
        assert made
        others = [text for text in self.good if text != self.config]
        self.good = [self.config, *others][: side_files.MAX_GENERATIONS]

    @precondition(lambda self: self.good)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.good) - 1))
        try:
            rollback(self.path, parse, number)
        except ConfigError:
            assert self.pending
        else:
            assert not self.pending
            self.config = self.good[number]

    @rule()
    def undo(self) -> None:
        kept = [each.path.read_text() for each in side_files.generations(self.path, "replaced")]
        try:
            undo(self.path, parse)
        except ConfigError:
            assert self.pending or not kept
        else:
            assert not self.pending
            self.config = kept[0]

    @invariant()
    def the_files_say_so(self) -> None:
        assert self.path.read_text() == self.config
        assert (confirm.look(self.path) is not None) == self.pending
        assert confirm.text_before(self.path) == self.before
        kept = [each.path.read_text() for each in side_files.generations(self.path, "replaced")]
        known = {self.config, self.before, *kept, *self.good}
        assert {str(each) for each in range(self.count - 5, self.count) if each > 0} <= known
        assert [each.path.read_text() for each in generations(self.path)] == self.good
        assert len(kept) <= side_files.MAX_GENERATIONS


TestHistory = History.TestCase
