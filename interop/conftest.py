"""What every interop test needs: the foreign peers built, and a bounded event loop."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import pytest

from interop import installed, scorecard
from interop.cells import JsLab, Lab, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

T = TypeVar("T")

REQUIRE: Final = "PEERUP_INTEROP_REQUIRE"  # peers whose absence is a failure, as in "go js"

TEST_S: Final = 60.0  # what one test may take, unless it says otherwise


class Run(Protocol):
    """Runs a coroutine to its end, on one loop for the whole test."""

    def __call__(self, coro: Coroutine[object, object, T], *, within: float = TEST_S) -> T: ...


@pytest.fixture
def run() -> Iterator[Run]:
    """Give the test an event loop, whose every run is bounded."""
    with asyncio.Runner() as runner:

        def run_bounded(coro: Coroutine[object, object, T], *, within: float = TEST_S) -> T:
            async def bounded() -> T:
                async with asyncio.timeout(within):
                    return await coro

            return runner.run(bounded())

        yield run_bounded


@pytest.fixture(autouse=True)
def nothing_crashed(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which a task of ours ended with a bug, even if nobody noticed."""
    yield
    records = caplog.get_records("setup") + caplog.get_records("call")
    crashes = [record for record in records if record.levelno >= logging.ERROR]
    assert not crashes, "\n".join(record.getMessage() for record in crashes)


@pytest.fixture(scope="session")
def go_binary() -> Path:
    """Build the go peer and return where it is."""
    return _installed("go", installed.go_peer)


@pytest.fixture(params=list(Transport), ids=[each.value for each in Transport])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Run the test over each; `over` names those that it makes sense for."""
    chosen: Transport = request.param
    return chosen


@pytest.fixture
def lab(go_binary: Path, transport: Transport) -> Lab:
    """Make the peers of a cell with go, which meet over the transport that it is run for."""
    return Lab(go_binary, (transport,))


@pytest.fixture(scope="session")
def js_folder() -> Path:
    """Install the js peer and return where it is."""
    return _installed("js", installed.js_peer)


@pytest.fixture
def js_lab(js_folder: Path, transport: Transport) -> JsLab:
    """Make the peers of a cell with js, as `lab` does for go."""
    return JsLab(js_folder, (transport,))


def _installed(peer: str, install: Callable[[], Path]) -> Path:
    """Install a peer; without its tools skip the test, or fail it where that peer has to be."""
    try:
        return install()
    except installed.BuildError as why:
        pytest.fail(str(why), pytrace=False)
    except installed.NotInstalledError as why:
        if peer in os.environ.get(REQUIRE, "").replace(",", " ").split():
            pytest.fail(f"{why}, but {REQUIRE} asks for it", pytrace=False)
        pytest.skip(str(why))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: waits for minutes; leave out with -m 'not slow'")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    scorecard.label(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the scorecard, and which peers were missing: a run without them proves little."""
    scorecard.print_tables(terminalreporter)
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", [])]
    reasons = [str(where[2]) for where in skipped if isinstance(where, tuple)]
    missing = {reason: reasons.count(reason) for reason in reasons if installed.MISSING in reason}
    if missing:
        terminalreporter.section("interop peers that were not there")
        for reason, count in sorted(missing.items()):
            terminalreporter.line(f"{reason.removeprefix('Skipped: ')} ({count} tests skipped)")
