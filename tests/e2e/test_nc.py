"""``peerup nc`` with real processes: every byte, each order of ends, and whatever stdin may be."""

from __future__ import annotations

import hashlib
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

import pytest

from tests.e2e import services
from tests.e2e.conftest import assemble
from tests.e2e.lab import DEADLINE, DIES_WITH_US, Lab, until, website
from tests.e2e.services import noise, tcp_service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Family

pytestmark = [pytest.mark.e2e, pytest.mark.real_clock]

SIZE: Final = 6 * 1024 * 1024

Channel = int | IO[bytes]


@dataclass
class Offer:
    """The usual three, and at home the services of ``services``."""

    family: Family
    listener: services.Listener

    def nc(
        self, service: str, stdin: Channel = subprocess.PIPE, stdout: Channel = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        """Start ``peerup nc home SERVICE``; pipes where nothing else is said."""
        laptop = self.family.laptop
        return subprocess.Popen(
            [*DIES_WITH_US, sys.executable, "-m", "peerup", "nc", "home", service],
            cwd=laptop.home,
            env=laptop.env,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )


@pytest.fixture(scope="module")
def offer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offer]:
    lab, listener = Lab(tmp_path_factory.mktemp("nc")), services.Listener()
    kinds: dict[str, Callable[[socket.socket], None]] = {
        "echo": services.echo,
        "digest": services.digest,
        "source": services.source(SIZE),
        "crash": services.crash,
        "listener": listener,
    }
    with ExitStack() as stack:
        stack.callback(lab.close)
        family = assemble(lab, stack.enter_context(website()))
        for name, serve in kinds.items():
            port = stack.enter_context(tcp_service(serve))
            family.home.peerup("service", "add", name, f"127.0.0.1:{port}").expect(0)
        family.home.peerup("service", "add", "nobody", "127.0.0.1:9").expect(0)
        assert family.daemon.stop() == 0
        family.daemon = family.home.start("daemon")
        family.daemon.wait_for("reservation held")
        yield Offer(family, listener)


def talk(process: subprocess.Popen[bytes], data: bytes) -> tuple[bytes, bytes]:
    """Send ``data`` and the end; return stdout and stderr."""
    return process.communicate(data, timeout=2 * DEADLINE)


def end_of(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Wait for the end; return exit code and stderr."""
    code = process.wait(DEADLINE)
    assert process.stderr is not None
    with process.stderr as err:
        said = err.read().decode()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    return code, said


def pipe_of(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def test_every_byte_passes_both_ways_and_nothing_else(offer: Offer) -> None:
    process = offer.nc("echo")
    data = noise(SIZE)
    out, err = talk(process, data)
    assert (out == data, err, process.returncode) == (True, b"", 0)


def test_the_end_of_stdin_is_passed_on_and_the_answer_still_comes(offer: Offer) -> None:
    process = offer.nc("digest")
    data = noise(SIZE, seed=2)
    out, _ = talk(process, data)
    assert (out.decode(), process.returncode) == (hashlib.sha256(data).hexdigest(), 0)


def test_the_end_of_the_service_ends_it_though_stdin_stays_open(offer: Offer) -> None:
    process = offer.nc("source")
    assert pipe_of(process.stdout).read() == noise(SIZE)
    assert end_of(process) == (0, "")


def test_what_stdin_still_has_is_sent_to_a_service_that_ended_its_own_half(
    offer: Offer, tmp_path: Path
) -> None:
    data = noise(SIZE, seed=3)
    (tmp_path / "in").write_bytes(data)
    with (tmp_path / "in").open("rb") as file:
        process = offer.nc("listener", stdin=file)
        assert pipe_of(process.stdout).read() == b"go on"
    assert end_of(process) == (0, "")
    assert offer.listener.done.wait(DEADLINE)
    assert offer.listener.heard == data


def test_w36_a_service_that_breaks_off_is_an_error_and_never_an_end(offer: Offer) -> None:
    process = offer.nc("crash")
    out, err = talk(process, b"x")
    assert process.returncode == 3
    assert b"broke off the connection" in err
    assert b"half of an answer".startswith(out)


def test_w36_a_relay_that_dies_is_an_error_and_never_an_end(offer: Offer) -> None:
    process = offer.nc("echo")
    stdin, stdout = pipe_of(process.stdin), pipe_of(process.stdout)
    stdin.write(b"hello")
    stdin.flush()
    assert stdout.read(5) == b"hello"
    try:
        offer.family.relay.process.kill()
        code, err = end_of(process)
        assert code == 3
        assert "Error:" in err
    finally:
        offer.family.restore()


def test_a_file_in_and_a_file_out(offer: Offer, tmp_path: Path) -> None:
    data = noise(SIZE, seed=4)
    (tmp_path / "in").write_bytes(data)
    with (tmp_path / "in").open("rb") as file, (tmp_path / "out").open("wb") as out:
        assert end_of(offer.nc("echo", stdin=file, stdout=out)) == (0, "")
    assert (tmp_path / "out").read_bytes() == data


def test_a_socket_in_and_out_stays_as_it_was(offer: Offer) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE)
    data = noise(SIZE, seed=5)
    with ours, theirs:
        process = offer.nc("echo", stdin=theirs.fileno(), stdout=theirs.fileno())
        sender = threading.Thread(target=send, args=(ours, data))
        sender.start()
        received = b""
        while len(received) < len(data):
            received += ours.recv(65536)
        sender.join()
        assert end_of(process) == (0, "")
        assert received == data
        assert theirs.getblocking()


def send(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def test_a_terminal_in_and_out_stays_as_it_was(offer: Offer) -> None:
    keyboard, terminal = pty.openpty()
    try:
        process = offer.nc("digest", stdin=terminal, stdout=terminal)
        os.write(keyboard, b"hello\n\x04")  # a line, and Ctrl-D
        assert end_of(process) == (0, "")
        shown = until("the answer", lambda: os.read(keyboard, 4096))
        while b"hello" not in shown or len(shown) < 64:
            shown += os.read(keyboard, 4096)
        assert hashlib.sha256(b"hello\n").hexdigest().encode() in shown
        assert os.get_blocking(terminal)
    finally:
        os.close(keyboard)
        os.close(terminal)


def test_a_reader_that_goes_away_is_the_exit_code_of_a_broken_pipe(offer: Offer) -> None:
    process = offer.nc("source")
    pipe_of(process.stdout).read(1000)
    pipe_of(process.stdout).close()
    process.stdout = None
    assert end_of(process) == (141, "")


def test_a_slow_reader_holds_the_service_back(offer: Offer) -> None:
    process = offer.nc("source")
    stdout, got = pipe_of(process.stdout), b""
    for _ in range(5):
        time.sleep(0.1)  # slower than the source by far
        got += stdout.read(200_000)
    got += stdout.read()
    assert got == noise(SIZE)
    assert end_of(process) == (0, "")


@pytest.mark.parametrize(
    ("service", "code", "text"),
    [
        ("nothing", 3, "offers no service 'nothing'"),
        ("nobody", 3, "broke off the connection"),
        ("kad", 2, "reserved"),
    ],
)
def test_a_service_that_is_not_there_is_an_error_with_its_cause(
    offer: Offer, service: str, code: int, text: str
) -> None:
    process = offer.nc(service, stdin=subprocess.DEVNULL)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (code, b"")
    assert text in err.decode()


def test_ctrl_c_ends_it(offer: Offer) -> None:
    process = offer.nc("echo")
    pipe_of(process.stdin).write(b"x")
    pipe_of(process.stdin).flush()
    assert pipe_of(process.stdout).read(1) == b"x"
    process.send_signal(signal.SIGINT)
    assert end_of(process) == (130, "Interrupted.\n")


def test_without_stdin_only_the_answer_counts(offer: Offer) -> None:
    laptop = offer.family.laptop
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m peerup nc home digest <&-"],
        cwd=laptop.home,
        env=laptop.env,
        capture_output=True,
        timeout=DEADLINE,
        check=True,
    )
    assert done.stdout.decode() == hashlib.sha256(b"").hexdigest()


def test_without_stdout_there_is_nothing_to_do(offer: Offer) -> None:
    laptop = offer.family.laptop
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m peerup nc home digest >&-"],
        cwd=laptop.home,
        env=laptop.env,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 2
    assert b"stdout is closed" in done.stderr


def test_a_revocation_while_it_runs_is_exit_code_4(offer: Offer) -> None:
    family = offer.family
    process = offer.nc("echo")
    pipe_of(process.stdin).write(b"x")
    pipe_of(process.stdin).flush()
    assert pipe_of(process.stdout).read(1) == b"x"
    try:
        family.home.peerup("auth", "remove", family.laptop_id).expect(0)
        code, err = end_of(process)
        assert code == 4
        assert "does not authorize us" in err
    finally:
        family.home.peerup("auth", "add", family.laptop_id).expect(0)
    again = offer.nc("echo")
    assert talk(again, b"back") == (b"back", b"")
