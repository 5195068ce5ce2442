"""A real ssh with ``peerup nc`` as its ProxyCommand, to an sshd behind a relay."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.docs.pages import ROOT, blocks
from tests.e2e.conftest import assemble
from tests.e2e.lab import DEADLINE, Lab, free_port, until, website
from tests.e2e.services import noise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Family

SSHD: Final = Path("/usr/sbin/sshd")
SIZE: Final = 4 * 1024 * 1024

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

CLIENT_CONFIG: Final = """\
Host *
  User root
  IdentityFile {here}/user
  IdentitiesOnly yes
  UserKnownHostsFile {here}/known
  BatchMode yes
"""


def why_not() -> str:
    """The reason why sshd cannot be started here; nothing if it can."""
    if not SSHD.exists():
        return f"there is no {SSHD}"
    if not (shutil.which("ssh") and shutil.which("ssh-keygen")):
        return "there is no ssh client"
    return "" if os.geteuid() == 0 else "only root can start an sshd that others may log in to"


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real_clock,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]


@dataclass
class Login:
    """The laptop, and an ssh configuration that may log in at home."""

    family: Family
    config: Path

    def ssh(self, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run ssh on the laptop; ``peerup`` is in its PATH."""
        laptop = self.family.laptop
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["ssh", "-F", str(self.config), *words],
            cwd=laptop.home,
            env={**laptop.env, "PATH": path},
            input=data,
            capture_output=True,
            timeout=2 * DEADLINE,
            check=False,
        )


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    lab = Lab(tmp_path_factory.mktemp("ssh"))
    here = lab.directory / "sshd"
    here.mkdir(mode=0o700)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd, as root, insists on it
    for key in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(here / key)]
        subprocess.run(command, check=True)
    port = free_port()
    (here / "sshd_config").write_text(SSHD_CONFIG.format(port=port, here=here))
    (here / "ssh_config").write_text(CLIENT_CONFIG.format(here=here))
    kind, text = (here / "host.pub").read_text().split()[:2]
    (here / "known").write_text(f"home {kind} {text}\n")
    try:
        with website() as web:
            words = [str(SSHD), "-D", "-e", "-f", str(here / "sshd_config")]
            lab.start("sshd", words, cwd=here, env=dict(os.environ))
            until("sshd listens", lambda: listens(port))
            family = assemble(lab, web)
            family.home.peerup("service", "add", "ssh", f"127.0.0.1:{port}").expect(0)
            assert family.daemon.stop() == 0
            family.daemon = family.home.start("daemon")
            family.daemon.wait_for("reservation held")
            yield Login(family, here / "ssh_config")
    finally:
        lab.close()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def shown_in_the_guide() -> list[str]:
    """The words of the ssh command in docs/guide/tools.md, without ``ssh`` itself."""
    guide = ROOT / "docs" / "guide" / "tools.md"
    (line,) = [one.code for one in blocks(guide) if one.code.startswith("ssh -o ProxyCommand")]
    return shlex.split(line)[1:]


def test_the_command_of_the_guide_logs_in(login: Login) -> None:
    done = login.ssh(*shown_in_the_guide(), "echo hello-from-$HOSTNAME-home")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b"hello-from-")
    assert done.stderr == b""


def test_megabytes_pass_both_ways_unchanged(login: Login) -> None:
    data = noise(SIZE, seed=7)
    done = login.ssh(*shown_in_the_guide(), "tee /dev/stderr | sha256sum", data=data)
    assert done.returncode == 0
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert done.stderr == data


def test_the_exit_code_of_the_far_command_comes_back(login: Login) -> None:
    assert login.ssh(*shown_in_the_guide(), "exit 7").returncode == 7


def test_what_ssh_config_prints_is_all_that_ssh_needs(login: Login, tmp_path: Path) -> None:
    laptop = login.family.laptop
    away = tmp_path / "a place 100%"
    away.mkdir(mode=0o700)
    for name in ("config.yaml", "identity.key", "authorized_keys"):
        shutil.copy2(laptop.file(name), away)
    printed = laptop.peerup("ssh-config", "--config", str(away / "config.yaml")).expect(0)
    config = tmp_path / "config"
    config.write_text(printed.out + login.config.read_text())
    done = Login(login.family, config).ssh("home", "echo hello")
    assert (done.stdout, done.returncode) == (b"hello\n", 0), done.stderr.decode()


def test_an_error_of_ours_is_what_the_user_of_ssh_sees(login: Login) -> None:
    words = [word.replace("home", "hmoe") for word in shown_in_the_guide()]
    done = login.ssh(*words)
    assert done.returncode == 255
    assert b"name not found: hmoe; did you mean home?" in done.stderr
