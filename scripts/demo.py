"""The main job of peerup, done for real: reach services on a machine that nobody can dial.

Three machines, each played by processes of its own with a home directory of its own:

    laptop  ──►  relay  ◄──  home ── a web server, and sshd if this machine has one

Home listens on no address at all, so every byte has to pass the relay. All that is done here is
done with the `peerup` command, as a user would; each command is shown before it runs.

Run it with `make demo`, or `make demo TRANSPORT=quic` (or tcp) for one transport alone. It needs
no internet, and ends with `demo: OK` or with the reason why not.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

import stage
from stage import DemoError, Machine, Stage, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

TIME_LIMIT: Final = 60  # seconds for everything but the clean-up
REVOKE_LIMIT: Final = 2.0  # seconds until a removed peer must be gone
PAIRING_LIMIT: Final = 10.0  # seconds from the end of `join` to that of `invite`
STOP_LIMIT: Final = 5.0  # seconds until whatever cannot go on for that has ended
NOT_AUTHORIZED: Final = 4  # exit code
CODE: Final = re.compile(r"^[A-Z2-7]{4}(-[A-Z2-7]{1,4}){20,}$", re.MULTILINE)


def start_relay(relay: Machine, transport: str) -> list[str]:
    """Start the relay; return the addresses that the others are to use.

    ``transport`` is tcp or quic, or empty for both.
    """
    port = stage.free_port()
    listen = {"tcp": f"/ip4/127.0.0.1/tcp/{port}", "quic": f"/ip4/127.0.0.1/udp/{port}/quic-v1"}
    wanted = [listen[transport]] if transport else list(listen.values())
    relay.start("relay", "serve", *(word for addr in wanted for word in ("--listen", addr)))
    info = relay.peerup("relay", "info", "--wait", "10s").stdout
    found = [word for word in info.split() if word.startswith("/ip4/") and "/p2p/" in word]
    if len(found) != len(wanted):
        raise DemoError(f"`peerup relay info` shows other addresses than it listens on:\n{info}")
    return found


def chosen_transport() -> str:
    """Return what TRANSPORT says: tcp, quic, or nothing for both."""
    chosen = os.environ.get("TRANSPORT", "")
    if chosen not in {"", "tcp", "quic"}:
        raise DemoError(f"TRANSPORT={chosen} is none of the transports: it may be tcp or quic")
    return chosen


def set_up(machine: Machine, relay_addresses: list[str]) -> str:
    """Give a machine an identity and a configuration; return its peer id."""
    relays = [word for addr in relay_addresses for word in ("--relay", addr)]
    machine.peerup("init", "--non-interactive", *relays, "--no-listen")
    return machine.peerup("whoami").stdout.strip()


def pair(home: Machine, laptop: Machine) -> None:
    """Let home invite the laptop, which has nothing yet: no configuration, no key."""
    inviting = home.start("invite", "--name", "home", "--non-interactive")
    inviting.wait_until(lambda: bool(CODE.search(inviting.output())), "showing a code", 20.0)
    found = CODE.search(inviting.output())
    assert found is not None
    stage.show(laptop.peerup("join", found[0], "--name", "laptop").stdout)
    code = inviting.process.wait(PAIRING_LIMIT)
    inviting.known_to_have_ended = True
    if code != 0:
        raise DemoError(f"`peerup invite` ended with code {code}:\n{inviting.output()}")


def introduce_by_hand(
    relay: Machine, home: Machine, laptop: Machine, relay_addresses: list[str]
) -> None:
    """Do what pairing does, for a relay that no code can name."""
    home_id, laptop_id = home.peerup("whoami").stdout.strip(), set_up(laptop, relay_addresses)
    relay.peerup("relay", "authorize", laptop_id, "laptop")
    home.peerup("auth", "add", laptop_id, "--name", "laptop")
    laptop.peerup("auth", "add", home_id, "--name", "home")


def start_home(home: Machine, services: dict[str, int]) -> None:
    """Offer local ports as services, and wait until the daemon can be reached."""
    for name, port in services.items():
        home.peerup("service", "add", name, f"127.0.0.1:{port}")
    daemon = home.start("daemon")
    daemon.wait_until(
        lambda: "reservation held" in daemon.output(), "holding a relay reservation", 20.0
    )


def measure_ping(laptop: Machine) -> str:
    """Ping three times more for the figures; return path and mean round trip in words."""
    lines = laptop.peerup("ping", "home", "-c", "3", "--json").stdout.splitlines()
    replies = [reply for reply in map(json.loads, lines) if reply.get("path")]
    paths = {reply["path"] for reply in replies}
    if len(replies) != 3 or paths != {"RELAYED"}:
        raise DemoError(f"expected 3 replies on the path RELAYED, got: {lines}")
    over = "/".join(sorted({reply["transport"] for reply in replies}))
    mean = sum(reply["rtt_ms"] for reply in replies) / 3
    return f"path RELAYED over {over}, {mean:.1f} ms round trip"


def open_proxy(laptop: Machine, service: str) -> int:
    """Make a service of home a port of the laptop; return the port."""
    port = stage.free_port()
    stage.wait_for_port(laptop.start("proxy", "home", service, str(port)), port)
    return port


def fetch(port: int, sha256: str) -> str:
    """Fetch the file as a browser would, and compare it; return the speed in words."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy of the system
    digest, size, began = hashlib.sha256(), 0, time.monotonic()
    with opener.open(f"http://127.0.0.1:{port}/{stage.FILE_NAME}", timeout=15) as answer:
        while chunk := answer.read(stage.CHUNK):
            digest.update(chunk)
            size += len(chunk)
    seconds = time.monotonic() - began
    if digest.hexdigest() != sha256:
        raise DemoError(f"the file came damaged: {size} bytes of {stage.FILE_SIZE}, other SHA-256")
    return f"{size // 2**20} MiB in {seconds:.1f} s: {size / 1e6 / seconds:.0f} MB/s"


def run_over_ssh(port: int, client_config: Path) -> str:
    """Run one command at home; return what it printed."""
    command = ["ssh", "-F", str(client_config), "-p", str(port), "home", "echo hello-from-home"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
    )
    if done.stdout.strip() != "hello-from-home":
        raise DemoError(f"ssh through the tunnel failed: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def revoke(home: Machine, port: int) -> float:
    """Take the laptop's permission away while it has a connection to the web server open.

    Returns:
        Seconds from the end of the command to the end of that connection.
    """
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as tunnel:
        tunnel.request("HEAD", f"/{stage.FILE_NAME}")
        tunnel.getresponse().read()  # the server keeps the connection for the next request
        sock = tunnel.sock
        home.peerup("auth", "remove", "laptop")
        began = time.monotonic()
        sock.settimeout(REVOKE_LIMIT)
        try:
            if sock.recv(1):
                raise DemoError("the web server spoke without being asked")
        except ConnectionError:
            pass  # cut, rather than closed: as good
        except TimeoutError:
            raise DemoError(f"the connection was still open {REVOKE_LIMIT:g} s later") from None
        return time.monotonic() - began


def perform(where: Stage) -> None:
    """Play all acts; DemoError when one of them goes wrong."""
    relay, home, laptop = (Machine(name, where) for name in ("relay", "home", "laptop"))

    say("1. A relay: the only machine that others can dial. It serves those it knows.")
    relay_addresses = start_relay(relay, chosen_transport())

    say("\n2. Home gets an identity, learns which relay to use, and the relay gets to know it.")
    home_id = set_up(home, relay_addresses)
    relay.peerup("relay", "authorize", home_id, "home")

    if chosen_transport() == "quic":
        say("\n3. Codes name relays by TCP, and this one has QUIC alone. So home and laptop get to")
        say("   know each other by hand, and the relay gets to know the laptop.")
        introduce_by_hand(relay, home, laptop, relay_addresses)
    else:
        say("\n3. Home invites the laptop, which has nothing yet and is a stranger to the relay.")
        pair(home, laptop)

    say("\n4. Home offers a web server with a file of 64 MiB, and sshd. It listens on no address:")
    say("   it can be reached through the relay and in no other way.")
    web = stage.start_web_server(where)
    no_ssh = stage.why_no_ssh()
    ssh = None if no_ssh else stage.start_ssh_server(where)
    start_home(home, {"web": web.port} | ({"ssh": ssh.port} if ssh else {}))

    say("\n5. The laptop pings home.")
    stage.show(laptop.peerup("ping", "home", "-c", "3").stdout)
    say(f"   => {measure_ping(laptop)}")

    say("\n6. The laptop makes home's web server a port of its own, and fetches the file.")
    web_port = open_proxy(laptop, "web")
    say(f"   => {fetch(web_port, web.sha256)}, with the same SHA-256 as at home")

    say("\n7. The same with ssh: one command, run at home.")
    if ssh:
        said = run_over_ssh(open_proxy(laptop, "ssh"), ssh.client_config)
        say(f"   => {said}")
    else:
        say(f"   SKIPPED: {no_ssh}")

    say("\n8. Home takes the permission back while the laptop has a connection open.")
    seconds = revoke(home, web_port)
    for child in where.children:
        if child.name.startswith("peerup proxy"):
            child.ended_with(NOT_AUTHORIZED, STOP_LIMIT)
    say(f"   => it was cut {seconds:.1f} s later, the laptop's proxies have ended with exit code")
    say(f"      {NOT_AUTHORIZED}, and a new ping gets no further:")
    stage.show(laptop.peerup("ping", "home", "-c", "1", exit_code=NOT_AUTHORIZED).stderr)


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Whatever the block waits for, after this time it raises DemoError."""

    def expire(signum: int, frame: FrameType | None) -> None:
        raise DemoError(f"it took longer than {seconds} s")

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def attempt(where: Stage) -> list[str]:
    """Play, stop all processes, and return what went wrong."""
    problems = []
    try:
        with time_limit(TIME_LIMIT):
            perform(where)
    except (
        DemoError,
        OSError,
        http.client.HTTPException,
        subprocess.SubprocessError,
        LookupError,
        ValueError,
    ) as why:
        problems.append(str(why) or repr(why))
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the clean-up is short, and not to be cut
        problems += where.stop_all()
    if problems:
        where.show_logs()
    return problems


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Be stopped by SIGTERM as by Ctrl-C."""
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo; return the exit code."""
    signal.signal(signal.SIGTERM, interrupt)
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="peerup-demo-") as directory:
            problems = attempt(Stage(Path(directory)))
    except KeyboardInterrupt:
        say("\ndemo: interrupted, everything is stopped and removed")
        return 130
    if problems:
        say("\ndemo: FAILED: " + "\n".join(problems))
        return 1
    say(f"\nAll of it in {time.monotonic() - began:.0f} s.\ndemo: OK")
    return 0


if __name__ == "__main__":
    sys.exit(main())
