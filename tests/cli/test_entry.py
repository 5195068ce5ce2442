from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from peerup.cli import entry


def test_it_returns_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "main", lambda: 3)
    try:
        assert entry.entry() == 3
    finally:
        gc.unfreeze()
        gc.enable()


def test_the_module_runs_as_a_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "peerup", "version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("peerup ")
