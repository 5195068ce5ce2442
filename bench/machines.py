"""A relay, two homes and a laptop: real processes, each machine with a directory of its own.

``home`` listens nowhere and is reached through the relay, ``near`` listens on 127.0.0.1. They
offer the same service. How processes are started and stopped is up to ``scripts/stage.py``.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import stage

from bench import worker
from bench.contest import progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from interop.process import Process

SERVICE: Final = "bench"
WITHIN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Machines:
    """Who is there; ``near_addr`` is where that one can be dialled, without its id."""

    laptop: stage.Machine
    near_addr: str


@contextmanager
def staged() -> Iterator[stage.Stage]:
    """Give a place for processes, all of which end with the block."""
    with tempfile.TemporaryDirectory(prefix="peerup-bench-") as directory:
        where = stage.Stage(Path(directory))
        try:
            yield where
        except BaseException:
            where.show_logs()
            raise
        finally:
            for problem in where.stop_all():
                progress(f"   {problem}")


def start_service(where: stage.Stage) -> int:
    """Run the TCP server that every tunnel leads to; return its port."""
    port = stage.free_port()
    command = [sys.executable, "-m", "bench.rivals.raw_tcp", str(port)]
    server = where.start("TCP server", command, cwd=Path.cwd(), ends_with=(-signal.SIGTERM,))
    stage.wait_for_port(server, port)
    return port


def set_up(where: stage.Stage, target: int, *, quic: bool = False) -> Machines:
    """Start relay and homes, whose service is the local port ``target``; all on one transport."""
    names = ("relay", "home", "near", "laptop")
    relay, home, near, laptop = (stage.Machine(name, where) for name in names)
    near_addr = _loopback(quic=quic)
    relay_addr = _start_relay(relay, _loopback(quic=quic))
    home_id = _init(home, relay_addr, "--no-listen")
    near_id = _init(near, relay_addr, "--listen", near_addr)
    laptop_id = _init(laptop, relay_addr, "--no-listen")
    for peer in (home_id, near_id, laptop_id):
        relay.peerup("relay", "authorize", peer)
    for machine in (home, near):
        machine.peerup("auth", "add", laptop_id)
        machine.peerup("service", "add", SERVICE, f"127.0.0.1:{target}")
        _start_daemon(machine)
    laptop.peerup("auth", "add", home_id, "--name", "home")
    laptop.peerup("auth", "add", near_id, "--name", "near")
    return Machines(laptop, near_addr)


def _loopback(*, quic: bool) -> str:
    """Return an address to listen on."""
    port = stage.free_port()
    return f"/ip4/127.0.0.1/udp/{port}/quic-v1" if quic else f"/ip4/127.0.0.1/tcp/{port}"


def _start_relay(relay: stage.Machine, listen: str) -> str:
    """Start a relay; return its address, with its peer id."""
    relay.start("relay", "serve", "--listen", listen)
    info = relay.peerup("relay", "info", "--wait", "10s").stdout
    for word in info.split():
        if word.startswith("/ip4/") and "/p2p/" in word:
            return word
    raise stage.DemoError(f"`peerup relay info` shows no address with a peer id:\n{info}")


def _init(machine: stage.Machine, relay_addr: str, *listen: str) -> str:
    """Give a machine its identity and configuration; return its peer id."""
    machine.peerup("init", "--non-interactive", "--relay", relay_addr, *listen)
    return machine.peerup("whoami").stdout.strip()


def _start_daemon(machine: stage.Machine) -> None:
    """Start a daemon, and wait until it can be reached through the relay."""
    daemon = machine.start("daemon")
    daemon.wait_until(lambda: "reservation held" in daemon.output(), "reachable", WITHIN_S)


def start_proxy(laptop: stage.Machine) -> int:
    """Make home's service a port of the laptop, with `peerup proxy`; return the port."""
    port = stage.free_port()
    stage.wait_for_port(laptop.start("proxy", "home", SERVICE, str(port)), port)
    return port


@asynccontextmanager
async def connected_laptop(there: Machines) -> AsyncIterator[Process]:
    """Run `bench.laptop`, which has a direct connection to ``near``."""
    config = there.laptop.home / ".config" / "peerup" / "config.yaml"
    async with worker.start("bench.laptop", str(config)) as laptop:
        args = {"target": "near", "addr": there.near_addr}
        path = (await laptop.call("connect", args, within=WITHIN_S))["path"]
        if path != "DIRECT":
            raise OSError(f"the direct connection is {path}")
        yield laptop
