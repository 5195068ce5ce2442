from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from peerup.errors import ConfigError
from peerup.node.presence import IdentityInUseError, presence


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "identity.key"
    path.write_bytes(b"key")
    return path


def test_w09_one_identity_is_in_one_place_at_a_time(key: Path) -> None:
    with presence(key):
        with pytest.raises(IdentityInUseError, match=r"identity\.key") as caught, presence(key):
            pass
        assert "Stop that one first" in caught.value.hint
        assert caught.value.exit_code == 2
    with presence(key):  # it is free again
        pass


def test_another_process_counts_and_when_it_is_killed_it_does_not(key: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from peerup.node.presence import presence\n"
        "with presence(pathlib.Path(sys.argv[1])):\n"
        "    print('here', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(key)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"here\n"
        with pytest.raises(IdentityInUseError), presence(key):
            pass
        other.kill()
        other.wait()
        with presence(key):
            pass


def test_the_key_is_only_looked_at(key: Path) -> None:
    key.chmod(0o400)
    with presence(key):
        assert key.read_bytes() == b"key"


def test_a_key_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="failed to read key"), presence(tmp_path / "none"):
        pass
