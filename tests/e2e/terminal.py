"""A shell that is typed into line by line, as a reader of our pages would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

from tests.e2e.lab import DEADLINE, DIES_WITH_US, POLL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARK: Final = "--- ended with"


class Terminal:
    """One terminal window: a shell, and what it has shown so far."""

    def __init__(self, log: Path, *, cwd: Path, env: Mapping[str, str]) -> None:
        self._log = log
        with log.open("wb") as out:
            self._shell = subprocess.Popen(
                [*DIES_WITH_US, "bash"],
                cwd=cwd,
                env=env,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._entered = 0

    @property
    def text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def type(self, line: str) -> None:
        """Enter a line and do not wait for its end."""
        assert self._shell.stdin is not None
        self._entered += 1
        self._shell.stdin.write(f"{line}\necho '{MARK}' $? '({self._entered})'\n".encode())
        self._shell.stdin.flush()

    def enter(self, line: str) -> str:
        """Enter a line that must succeed, and return what was shown until it ended."""
        before = len(self.text)
        self.type(line)
        self.ended(line)
        return self.text[before:]

    def ended(self, line: str, code: int = 0) -> None:
        """Wait until the line that was entered last has ended, with this exit code."""
        found = self.wait_for(rf"{MARK} (\d+) \({self._entered}\)")
        assert int(found[1]) == code, f"{line}: code {found[1]}\n{self.text}"

    def wait_for(self, pattern: str, within: float = DEADLINE) -> re.Match[str]:
        """Return the first match of ``pattern`` in what was shown, as soon as there is one."""
        end = time.monotonic() + within
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < end, f"{within:g} s are over, no {pattern!r}:\n{self.text}"
            time.sleep(POLL)
        return found

    def ctrl_c(self) -> None:
        """Interrupt what runs in the foreground; what runs in the background does not notice."""
        os.killpg(self._shell.pid, signal.SIGINT)

    def close(self) -> None:
        """Kill the shell and all that it has started."""
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        if self._shell.stdin is not None:
            self._shell.stdin.close()
