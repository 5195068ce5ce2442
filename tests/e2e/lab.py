"""Machines for end-to-end tests: each is a home directory, and peerup processes that see only that.

Everything runs as a user would run it: ``python -m peerup`` with arguments, its output read as
text. Nothing sleeps for a fixed time; what takes time is waited for with a deadline.

    def test_something(lab: Lab) -> None:
        relay = lab.machine("relay")
        serving = relay.start("relay", "serve", "--listen", ANY_PORT)
        serving.wait_for("Listening on")
        ...
        assert serving.stop() == 0
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

ROOT: Final = Path(__file__).resolve().parents[2]
ANY_PORT: Final = "/ip4/127.0.0.1/tcp/0"
ANY_QUIC_PORT: Final = "/ip4/127.0.0.1/udp/0/quic-v1"
DEADLINE: Final = 20.0  # seconds for anything that a test waits for; a busy machine is slow
CODE: Final = r"(?m)^[A-Z2-7]{4}(-[A-Z2-7]{1,4}){20,}$"  # of an invite
POLL: Final = 0.02  # seconds between two looks

_POWERS: Final = "-dac_override,-dac_read_search"
_LIKE_A_USER: Final = ("setpriv", f"--bounding-set={_POWERS}", f"--inh-caps={_POWERS}")
# Whatever ends the test run, even SIGKILL, ends what it has started.
DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "COVERAGE_PROCESS_START")


def until(what: str, look: Callable[[], T], within: float = DEADLINE) -> T:
    """Look until there is something to see, and return it."""
    end = time.monotonic() + within
    while not (seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(POLL)
    return seen


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    command: str
    code: int
    out: str
    err: str

    def expect(self, code: int, *texts: str) -> Done:
        """Insist on an exit code, and on texts in what the command wrote to stderr."""
        assert self.code == code, f"{self.command}: code {self.code}, not {code}\n{self}"
        for text in texts:
            assert text in self.err, f"{self.command} does not say {text!r}\n{self}"
        assert "Traceback" not in self.err, str(self)
        return self

    def __str__(self) -> str:
        return f"$ {self.command}\n--- stdout\n{self.out}--- stderr\n{self.err}"


class Running:
    """A process that runs until it is stopped; ``log`` gets what it writes, both streams."""

    def __init__(self, command: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.command, self.process, self.log = command, process, log

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait_for(self, pattern: str, within: float = DEADLINE) -> re.Match[str]:
        """Return the first match of ``pattern`` in the output, as soon as there is one."""
        end = time.monotonic() + within
        while (found := re.search(pattern, self.text)) is None:
            code = self.process.poll()
            problem = f"ended with code {code}" if code is not None else f"{within:g} s are over"
            if code is not None or time.monotonic() > end:
                if re.search(pattern, self.text):
                    continue  # written just before it ended
                raise AssertionError(f"{self.command}: {problem}, no {pattern!r}:\n{self.text}")
            time.sleep(POLL)
        return found

    def wait(self, within: float = DEADLINE) -> int:
        """Return the exit code of a process that ends by itself."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} still runs:\n{self.text}") from None

    def stop(self, number: signal.Signals = signal.SIGTERM, within: float = 5.0) -> int:
        """Send a signal and return the exit code, which must come in time."""
        self.process.send_signal(number)
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.command} still runs {within:g} s after {number.name}:\n{self.text}"
            ) from None

    def kill(self) -> None:
        """End it without giving it a chance to say good-bye."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Machine:
    """One home directory. Commands run in it, with nothing else of the environment."""

    def __init__(self, name: str, lab: Lab) -> None:
        self.name = name
        self._lab = lab
        self.home = lab.directory / name
        self.home.mkdir(mode=0o700)
        self.config_dir = self.home / ".config" / "peerup"
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        self.env = {**kept, "HOME": str(self.home), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}

    def file(self, name: str) -> Path:
        """A file of its configuration directory."""
        return self.config_dir / name

    def peerup(self, *words: str, within: float = DEADLINE, obey_modes: bool = False) -> Done:
        """Run one command to its end; with ``obey_modes`` root may not read everything either."""
        command = f"{self.name}$ peerup {shlex.join(words)}"
        prefix = _LIKE_A_USER if obey_modes and os.geteuid() == 0 else ()
        try:
            done = subprocess.run(
                [*prefix, sys.executable, "-m", "peerup", *words],
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=within,
                check=False,
            )
        except subprocess.TimeoutExpired as why:
            raise AssertionError(f"{command} still runs after {within:g} s: {why}") from None
        return Done(command, done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> Running:
        """Start a command that runs until it is stopped."""
        return self._lab.start(
            f"{self.name}$ peerup {shlex.join(words)}",
            [sys.executable, "-m", "peerup", *words],
            cwd=self.home,
            env=self.env,
        )

    def invite(self, *flags: str) -> tuple[Running, str]:
        """Start an invite; return the process that waits, and the code."""
        inviting = self.start("invite", "--name", self.name, "--non-interactive", *flags)
        return inviting, inviting.wait_for(CODE)[0]

    def join(self, code: str, *flags: str) -> Done:
        """Join with a code."""
        return self.peerup("join", code, "--name", self.name, "--non-interactive", *flags)

    def init(self, *relays: str, listen: str | None = None) -> str:
        """Make a configuration and return the peer id."""
        where = ("--no-listen",) if listen is None else ("--listen", listen)
        flags = [word for relay in relays for word in ("--relay", relay)]
        made = self.peerup("init", "--non-interactive", *where, *flags).expect(0)
        return made.out.split()[-1]

    def whoami(self) -> str:
        return self.peerup("whoami").expect(0).out.strip()

    def snapshot(self) -> Mapping[str, tuple[str, int]]:
        """Digest and mode of every file but locks: what a failed command must not change."""
        return {
            str(path.relative_to(self.home)): (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                path.stat().st_mode,
            )
            for path in sorted(self.home.rglob("*"))
            if path.is_file() and not path.name.endswith(".lock")
        }


class Lab:
    """Where a test takes place; ``close`` kills whatever still runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: list[Running] = []

    def machine(self, name: str) -> Machine:
        return Machine(name, self)

    def start(self, name: str, words: list[str], *, cwd: Path, env: Mapping[str, str]) -> Running:
        """Start a process in a session of its own, so that all it starts can be killed with it."""
        log = self.directory / f"{len(self._running)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*DIES_WITH_US, *words],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running = Running(name, process, log)
        self._running.append(running)
        return running

    def close(self) -> None:
        for running in reversed(self._running):
            running.kill()


class Relay:
    """A machine that serves as a relay."""

    def __init__(self, lab: Lab, name: str = "relay", *, listen: str = ANY_PORT) -> None:
        self.machine = lab.machine(name)
        self.serve(listen)

    def serve(self, listen: str) -> None:
        """Start serving; ``address`` is where, from then on."""
        self.process = self.machine.start("relay", "serve", "--listen", listen)
        self.address = self.process.wait_for(r"Listening on (\S+)\n")[1]

    @property
    def peer(self) -> str:
        return self.address.rpartition("/p2p/")[2]

    @property
    def port(self) -> int:
        found = re.search(r"/tcp/(\d+)/", self.address)
        assert found is not None
        return int(found[1])

    def authorize(self, *peers: str) -> None:
        """Let peers in as an editor would, and wait until the running relay knows."""
        with self.machine.file("relay_authorized_keys").open("a", encoding="utf-8") as listed:
            listed.writelines(f"{peer}\n" for peer in peers)
        for peer in peers:
            self.process.wait_for(f"peer authorized.*{peer}")


class Website(http.server.ThreadingHTTPServer):
    """A web server of this process on a free port; says ``TEXT`` to everybody."""

    TEXT: Final = b"hello from home\n"
    daemon_threads = True

    def __init__(self) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(Website.TEXT)))
                self.end_headers()
                self.wfile.write(Website.TEXT)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return self.server_port

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that was cut is what some tests are about."""


@contextlib.contextmanager
def website() -> Iterator[Website]:
    """Serve for as long as the block runs."""
    with Website() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def get(port: int, within: float = DEADLINE) -> bytes:
    """What the web server on a port of this machine says, b"" when the connection breaks."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), within)) as sock:
        try:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := sock.recv(65536):
                answer += piece
        except ConnectionError:
            return b""
        return answer.partition(b"\r\n\r\n")[2]
