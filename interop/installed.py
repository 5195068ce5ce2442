"""The foreign peers, built or installed below ``.build``; quick when nothing changed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BUILD_S: Final = 900.0  # a first build downloads modules and compiles all of go-libp2p
MISSING: Final = " is not installed: "

JS_PACKAGES: Final = ("package.json", "package-lock.json")

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD_DIR: Final = ROOT / ".build" / "interop"


class NotInstalledError(Exception):
    """The tools that a peer is built with are not on this machine."""


class BuildError(Exception):
    """The tools are there, but the peer cannot be built; the text is what they said."""


def go_peer() -> Path:
    """Build the go peer and return where its program is.

    Raises:
        NotInstalledError: there is no Go here.
        BuildError: it does not compile.
    """
    if (go := shutil.which("go")) is None:
        raise NotInstalledError(f"Go{MISSING}no `go` in PATH (1.26 or newer builds interop/go)")
    binary = BUILD_DIR / "go-peer"
    command = [go, "build", "-trimpath", "-buildvcs=false", "-o", str(binary), "."]
    with _alone("go-peer"):
        _run("the go peer does not build", command, ROOT / "interop" / "go")
    return binary


def js_peer() -> Path:
    """Install the js peer and return its folder.

    Raises:
        NotInstalledError: there is no Node or no npm here.
        BuildError: its packages cannot be installed.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotInstalledError(
            f"Node{MISSING}no `node` and `npm` in PATH (20 or newer runs interop/js)"
        )
    source, folder = ROOT / "interop" / "js", BUILD_DIR / "js"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone("js"):
        for program in source.glob("*.mjs"):
            shutil.copy(program, folder)
        wanted = b"".join((source / name).read_bytes() for name in JS_PACKAGES)
        installed = folder / "installed"
        if not installed.exists() or installed.read_bytes() != wanted:
            for name in JS_PACKAGES:
                shutil.copy(source / name, folder)
            # Exactly what the lock file says, without running anybody's scripts.
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            _run("the js peer cannot be installed", command, folder)
            installed.write_bytes(wanted)
    return folder


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let processes that want the same peer build it one after the other."""
    BUILD_DIR.mkdir(parents=True, exist_ok=True)
    with (BUILD_DIR / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(failure: str, command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"{failure}:\n{done.stderr}")
