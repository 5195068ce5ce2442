"""What every interop test needs: the foreign peers built, and a bounded event loop."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, TypeVar

import pytest

from interop import scorecard
from interop.cells import JsLab, Lab, Transport

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

T = TypeVar("T")

REQUIRE: Final = "PEERUP_INTEROP_REQUIRE"  # peers whose absence is a failure, as in "go js"
MISSING: Final = " is not installed: "

TEST_S: Final = 60.0  # what one test may take, unless it says otherwise
BUILD_S: Final = 900.0  # a first build downloads modules and compiles all of go-libp2p

JS_PACKAGES: Final = ("package.json", "package-lock.json")

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD_DIR: Final = ROOT / ".build" / "interop"


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
    """Build the go peer, which is quick when nothing changed, and return where it is."""
    go = shutil.which("go")
    if go is None:
        unavailable("go", f"Go{MISSING}no `go` in PATH (1.26 or newer builds interop/go)")
    binary = BUILD_DIR / "go-peer"
    BUILD_DIR.mkdir(parents=True, exist_ok=True)
    with (BUILD_DIR / "go-peer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of pytest-xdist build one after the other
        build = subprocess.run(
            [go, "build", "-trimpath", "-buildvcs=false", "-o", binary, "."],
            cwd=ROOT / "interop" / "go",
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
    if build.returncode != 0:
        pytest.fail(f"the go peer does not build:\n{build.stderr}", pytrace=False)
    return binary


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
    """Install the js peer, which is quick when nothing changed, and return where it is."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        unavailable("js", f"Node{MISSING}no `node` and `npm` in PATH (20 or newer runs interop/js)")
    source, folder = ROOT / "interop" / "js", BUILD_DIR / "js"
    folder.mkdir(parents=True, exist_ok=True)
    with (BUILD_DIR / "js.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for program in source.glob("*.mjs"):
            shutil.copy(program, folder)
        wanted = [(source / name).read_bytes() for name in JS_PACKAGES]
        installed = folder / "installed"
        if not installed.exists() or installed.read_bytes() != b"".join(wanted):
            install_js(npm, source, folder)
            installed.write_bytes(b"".join(wanted))
    return folder


def install_js(npm: str, source: Path, folder: Path) -> None:
    """Install exactly what the lock file says, without running anybody's scripts."""
    for name in JS_PACKAGES:
        shutil.copy(source / name, folder)
    install = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    if install.returncode != 0:
        pytest.fail(f"the js peer cannot be installed:\n{install.stderr}", pytrace=False)


@pytest.fixture
def js_lab(js_folder: Path, transport: Transport) -> JsLab:
    """Make the peers of a cell with js, as `lab` does for go."""
    return JsLab(js_folder, (transport,))


def unavailable(peer: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where the environment insists on that peer."""
    if peer in os.environ.get(REQUIRE, "").replace(",", " ").split():
        pytest.fail(f"{reason}, but {REQUIRE} asks for it", pytrace=False)
    pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: waits for minutes; leave out with -m 'not slow'")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    scorecard.label(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the scorecard, and which peers were missing: a run without them proves little."""
    scorecard.print_tables(terminalreporter)
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", [])]
    reasons = [str(where[2]) for where in skipped if isinstance(where, tuple)]
    missing = {reason: reasons.count(reason) for reason in reasons if MISSING in reason}
    if missing:
        terminalreporter.section("interop peers that were not there")
        for reason, count in sorted(missing.items()):
            terminalreporter.line(f"{reason.removeprefix('Skipped: ')} ({count} tests skipped)")
