"""Edits among bad names, full disks, other editors and sudden death: all or nothing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from peerup.config import edit
from peerup.config.load import load_config, parse_config
from peerup.errors import ConfigError
from tests.config.conftest import ANNE, RELAY, RELAY_2, write_private
from tests.config.test_edit import refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.config.killed import FileSystem

HOSTILE: Final = [
    "",
    "../../x",
    "a: b",
    "x" * 10_000,
    "\u202eevil",
    "\x1b[31mred\x1b[0m",
    "a\nnames: {}",
    "\0",
    "#",
    "&a",
    "{}",
    "\ud800",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_would_be_more_than_a_name_are_refused(fresh: Path, name: str) -> None:
    changes: list[Callable[[Path], object]] = [
        lambda path: edit.add_name(path, name, ANNE),
        lambda path: edit.add_name(path, name, ANNE, rename=True),
        lambda path: edit.add_service(path, name, "localhost:22"),
        lambda path: edit.add_service(path, "ssh", f"{name}:22x"),
    ]
    for change in changes:
        error = refused(fresh, change, "invalid|allowed is HOST:PORT")
        assert str(error).isprintable()
        assert len(str(error)) < 300


@pytest.mark.parametrize("name", ["invite", "kad", "vouch", "relay-pair"])
def test_w31_names_of_protocols_are_no_services(fresh: Path, name: str) -> None:
    refused(fresh, lambda path: edit.add_service(path, name, "a:1"), "is reserved for a protocol")


def test_what_was_never_there_cannot_be_removed_whatever_its_name(fresh: Path) -> None:
    for name in HOSTILE:
        refused(fresh, lambda path, name=name: edit.remove_name(path, name), "name not found")  # type: ignore[misc]
        refused(fresh, lambda path, name=name: edit.remove_service(path, name), "service not found")  # type: ignore[misc]


BOMB: Final = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n"


@pytest.mark.parametrize("text", [BOMB, "[" * 100_000, "a: [" + "x," * 30_000 + "]", "\0"])
def test_a_file_that_is_an_attack_is_refused_in_no_time(tmp_path: Path, text: str) -> None:
    path = write_private(tmp_path / "config.yaml", text)
    started = time.monotonic()
    refused(
        path, lambda path: edit.add_name(path, "home", ANNE), r"config\.yaml:1: failed to parse"
    )
    assert time.monotonic() - started < 5


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = write_private(tmp_path / "config.yaml", "#" * (1024 * 1024 + 1))
    refused(path, lambda path: edit.add_name(path, "home", ANNE), "too large")


def test_a_configuration_from_the_future_is_not_made_worse(fresh: Path) -> None:
    text = fresh.read_text().replace("version: 1", "version: 2")
    write_private(fresh, text)
    with pytest.raises(ConfigError, match="config version too new"):
        load_config(fresh)
    edit.add_name(fresh, "home", ANNE)
    assert fresh.read_text() == text.replace("names: {}", f'names:\n  home: "{ANNE}"')


def edits(path: Path) -> list[Callable[[], object]]:
    """One of each, and what has to be there before."""
    edit.add_service(path, "old", "localhost:1")
    edit.add_name(path, "friend", ANNE)
    edit.add_relay(path, RELAY_2)
    return [
        lambda: edit.add_service(path, "ssh", "localhost:22"),
        lambda: edit.remove_service(path, "old"),
        lambda: edit.set_service_enabled(path, "old", False),
        lambda: edit.add_name(path, "home", ANNE),
        lambda: edit.remove_name(path, "friend"),
        lambda: edit.remove_relay(path, RELAY),
    ]


@pytest.mark.parametrize("number", range(6))
def test_w20_killed_at_any_step_the_file_is_the_old_or_the_new_one(
    fresh: Path, file_system: FileSystem, number: int
) -> None:
    change = edits(fresh)[number]
    before = fresh.read_text()
    change()
    after = fresh.read_text()
    assert after != before
    for step in file_system.killed_at_each_step(lambda: write_private(fresh, before), change):
        assert fresh.read_text() in (before, after), step
    assert fresh.read_text() == after


@pytest.mark.parametrize("number", range(6))
def test_w20_on_a_disk_that_is_full_it_is_the_old_one(
    fresh: Path, file_system: FileSystem, number: int
) -> None:
    change = edits(fresh)[number]
    before = fresh.read_text()
    refusals = 0

    def attempt() -> None:
        nonlocal refusals
        try:
            change()
        except ConfigError as error:
            assert "No space left on device" in str(error)  # noqa: PT017  not each step fails
            refusals += 1

    for step in file_system.refused_at_each_step(lambda: write_private(fresh, before), attempt):
        load_config(fresh)
        assert step < 20
    assert refusals >= 3


def test_w20_in_a_directory_that_is_read_only_it_says_so(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def read_only(path: Any, flags: int, *args: Any, **kw: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return opened(path, flags, *args, **kw)

    monkeypatch.setattr(os, "open", read_only)
    refused(fresh, lambda path: edit.add_name(path, "home", ANNE), "Read-only file system")


def test_w20_what_an_editor_saves_at_this_moment_is_not_overwritten(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = fresh.read_text() + "# saved by an editor\n"

    def saved_meanwhile(text: str, path: Path) -> object:
        write_private(fresh, saved)
        return parse_config(text, path)

    monkeypatch.setattr(edit, "parse_config", saved_meanwhile)
    with pytest.raises(ConfigError, match="changed by somebody else"):
        edit.add_name(fresh, "home", ANNE)
    assert fresh.read_text() == saved


EDITOR: Final = """\
import sys
from pathlib import Path
from peerup.config import edit
path = Path(sys.argv[1])
print("ready", flush=True)
while True:
    edit.add_service(path, "ssh", "localhost:22")
    edit.remove_service(path, "ssh")
"""


@pytest.mark.real_clock
def test_w20_a_process_that_is_killed_at_any_moment_leaves_a_whole_file(fresh: Path) -> None:
    before = load_config(fresh)
    for delay in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", EDITOR, str(fresh)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            end = time.monotonic() + 0.01 + 0.007 * delay
            while time.monotonic() < end:
                load_config(fresh)  # whole at any time
            process.send_signal(signal.SIGKILL)
        config = load_config(fresh)
        assert config.identity == before.identity
        assert set(config.services) <= {"ssh"}
    edit.add_name(fresh, "home", ANNE)  # no lock stays behind
    assert load_config(fresh).names == {"home": ANNE}
