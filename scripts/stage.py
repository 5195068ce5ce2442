"""Where scripts/demo.py takes place: processes, machines with a home directory each, and servers.

Nothing in here knows anything of peerup but how to start its command.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FILE_NAME: Final = "holiday.bin"
FILE_SIZE: Final = 64 * 1024 * 1024
CHUNK: Final = 1024 * 1024
STOP_LIMIT: Final = 5.0  # seconds a process may take to end after SIGTERM
LOG_TAIL: Final = 15  # lines of each process that are shown when the demo fails
SSHD: Final = "/usr/sbin/sshd"

SSHD_CONFIG: Final = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {here}/host
PidFile none
AuthorizedKeysFile {here}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""

SSH_CONFIG: Final = """\
Host home
  HostName 127.0.0.1
  User root
  IdentityFile {here}/user
  IdentitiesOnly yes
  UserKnownHostsFile {here}/known
  HostKeyAlias home
  BatchMode yes
"""


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def say(text: str = "") -> None:
    """Print, and let nobody wait for it."""
    print(text, flush=True)


def show(printed: str) -> None:
    """Print what a command printed, so that one can tell it from our own words."""
    for line in printed.strip().splitlines():
        say(f"   | {line}")


@dataclass
class Child:
    """A process that runs until the demo stops it; what it prints goes to ``log``."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    ends_with: tuple[int, ...] = (0,)  # exit codes that are fine after SIGTERM
    known_to_have_ended: bool = False

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, happened: Callable[[], bool], what: str, limit: float) -> None:
        """Look every 50 ms; give up when the process ends or ``limit`` seconds are over."""
        end = time.monotonic() + limit
        while not happened():
            if self.process.poll() is not None:
                self.known_to_have_ended = True
                code = self.process.returncode
                raise DemoError(f"{self.name} ended with code {code}, before {what}")
            if time.monotonic() > end:
                raise DemoError(f"{self.name} is running, but after {limit:g} s not yet {what}")
            time.sleep(0.05)

    def ended_with(self, expected: int, limit: float) -> None:
        """Wait until the process ends by itself, as it should, with this exit code."""
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise DemoError(f"{self.name} is still running after {limit:g} s") from None
        self.known_to_have_ended = True
        if code != expected:
            raise DemoError(f"{self.name} ended with code {code}, not {expected}")

    def stop(self) -> str:
        """Ask the process to end; return what was wrong with the way it did, or nothing."""
        if self.process.poll() is not None:
            code = self.process.returncode
            return "" if self.known_to_have_ended else f"{self.name} ended by itself, code {code}"
        self.process.terminate()
        try:
            code = self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return f"{self.name} was still running {STOP_LIMIT:g} s after SIGTERM"
        if code not in self.ends_with:
            return f"{self.name} ended with code {code} after SIGTERM"
        return ""


class Stage:
    """Where the demo takes place: a directory, and the processes that run in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.children: list[Child] = []

    def start(
        self,
        name: str,
        command: list[str],
        *,
        cwd: Path,
        env: dict[str, str] | None = None,
        ends_with: tuple[int, ...] = (0,),
    ) -> Child:
        """Start a process of its own session, so that Ctrl-C reaches only the demo itself."""
        log = self.directory / f"{len(self.children)}-{name.replace(' ', '-')}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name, process, log, ends_with)
        self.children.append(child)
        return child

    def stop_all(self) -> list[str]:
        """Stop what was started, the last first; return what went wrong."""
        return [problem for child in reversed(self.children) if (problem := child.stop())]

    def show_logs(self) -> None:
        for child in self.children:
            say(f"\n--- the last lines of {child.name} ---")
            say("\n".join(child.output().splitlines()[-LOG_TAIL:]) or "(nothing)")


class Machine:
    """One of the three machines: a home directory, and `peerup` commands that see only that."""

    def __init__(self, name: str, stage: Stage) -> None:
        self.name, self.stage = name, stage
        self.home = stage.directory / name
        self.home.mkdir(mode=0o700)
        keep = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
        self.env = {**keep, "HOME": str(self.home), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}

    def _command(self, words: tuple[str, ...]) -> list[str]:
        say(f"   {self.name}$ peerup {shlex.join(words)}")
        return [sys.executable, "-m", "peerup", *words]

    def peerup(self, *words: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, and insist on its exit code."""
        command = self._command(words)
        done = subprocess.run(
            command, cwd=self.home, env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode != exit_code:
            said = (done.stdout + done.stderr).strip() or "(nothing)"
            raise DemoError(
                f"`peerup {shlex.join(words)}` on {self.name} ended with code {done.returncode},"
                f" not {exit_code}. It said:\n{said}"
            )
        return done

    def start(self, *words: str) -> Child:
        """Start a command that runs until it is stopped."""
        name = f"peerup {words[0]} at {self.name}"
        return self.stage.start(name, self._command(words), cwd=self.home, env=self.env)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(child: Child, port: int, limit: float = 15.0) -> None:
    """Wait until ``child`` accepts connections on a port of 127.0.0.1."""

    def accepts() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return True
        return False

    child.wait_until(accepts, f"listening on port {port}", limit)


@dataclass(frozen=True)
class WebServer:
    """A web server with one big file of random bytes."""

    port: int
    sha256: str


def start_web_server(stage: Stage) -> WebServer:
    site = stage.directory / "site"
    site.mkdir()
    digest = hashlib.sha256()
    with (site / FILE_NAME).open("wb") as file:
        for _ in range(FILE_SIZE // CHUNK):
            chunk = os.urandom(CHUNK)
            digest.update(chunk)
            file.write(chunk)
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    command += ["--protocol", "HTTP/1.1"]  # it may keep connections open
    # Python's own server knows no better end than the signal.
    server = stage.start("web server", command, cwd=site, ends_with=(-signal.SIGTERM,))
    wait_for_port(server, port)
    return WebServer(port, digest.hexdigest())


@dataclass(frozen=True)
class SshServer:
    """An sshd with keys of its own, and the configuration of a client that may log in."""

    port: int
    client_config: Path


def why_no_ssh() -> str:
    """The reason why the ssh part cannot be shown here; nothing if it can."""
    if not Path(SSHD).exists():
        return f"there is no {SSHD} on this machine (Debian: apt-get install openssh-server)"
    if not (shutil.which("ssh") and shutil.which("ssh-keygen")):
        return "there is no ssh client on this machine (Debian: apt-get install openssh-client)"
    if os.geteuid() != 0:
        return "only root can start an sshd that others may log in to"
    return ""


def start_ssh_server(stage: Stage) -> SshServer:
    here = stage.directory / "sshd"
    here.mkdir(mode=0o700)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd, as root, insists on it
    for key in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(here / key)]
        subprocess.run(command, check=True)
    port = free_port()
    (here / "sshd_config").write_text(SSHD_CONFIG.format(port=port, here=here))
    (here / "ssh_config").write_text(SSH_CONFIG.format(here=here))
    kind, key_text = (here / "host.pub").read_text().split()[:2]
    (here / "known").write_text(f"home {kind} {key_text}\n")
    command = [SSHD, "-D", "-e", "-f", str(here / "sshd_config")]
    server = stage.start("sshd", command, cwd=here, ends_with=(0, 255))
    wait_for_port(server, port)
    return SshServer(port, here / "ssh_config")
