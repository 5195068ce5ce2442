from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

import pytest

from peerup.errors import ConfigError
from peerup.host.gater import Answer, Only, permits
from peerup.node.gatekeeper import DIALLED, RELAY, WATCH_INTERVAL_S, Gatekeeper
from peerup.protocols import identify, ping
from peerup.tasks import Supervisor
from peerup.wire.circuit import STOP_PROTOCOL
from peerup.wire.peer_id import PeerId
from tests.node.town import list_file, write_private
from tests.sim.clock import RunVirtual
from tests.world import peer_of

LAPTOP, RELAY_PEER, STRANGER = map(peer_of, ("laptop", "relay", "stranger"))


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


# --- verdicts -------------------------------------------------------------------------


def test_who_is_listed_may_do_everything(tmp_path: Path) -> None:
    keeper = Gatekeeper(list_file(tmp_path, "home", "laptop"))
    assert keeper.enforcing
    assert keeper.allowed == {LAPTOP}
    for inbound in (True, False):
        assert keeper.verdict(LAPTOP, inbound=inbound) is Answer.YES


def test_who_is_not_listed_does_not_get_in(tmp_path: Path) -> None:
    keeper = Gatekeeper(list_file(tmp_path, "home", "laptop"), relays=[RELAY_PEER])
    assert keeper.verdict(STRANGER, inbound=True) is Answer.NO
    assert keeper.verdict(RELAY_PEER, inbound=True) is Answer.NO  # nor a relay that calls us


def test_w00_whom_we_dialled_may_do_what_its_job_needs(tmp_path: Path) -> None:
    keeper = Gatekeeper(list_file(tmp_path, "home", "laptop"), relays=[RELAY_PEER])
    assert keeper.verdict(STRANGER, inbound=False) == Only(DIALLED)
    assert keeper.verdict(RELAY_PEER, inbound=False) == Only(RELAY)
    anybody = {identify.PROTOCOL, identify.PUSH_PROTOCOL, ping.PROTOCOL}
    assert anybody == DIALLED
    assert anybody | {STOP_PROTOCOL} == RELAY
    for protocol in (ping.PEERUP_PROTOCOL, "/peerup/ssh/1.0.0", "/libp2p/circuit/relay/0.2.0/hop"):
        assert not permits(keeper.verdict(RELAY_PEER, inbound=False), protocol)


def test_without_a_list_everybody_may_do_everything() -> None:
    keeper = Gatekeeper(None)
    assert not keeper.enforcing
    assert keeper.verdict(STRANGER, inbound=True) is Answer.YES
    assert keeper.refresh() == frozenset()


# --- starting (W-18) ------------------------------------------------------------------


def test_w18_a_missing_list_is_an_error_that_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist") as caught:
        Gatekeeper(tmp_path / "authorized_keys")
    assert "peerup auth add" in caught.value.hint


def test_w18_an_empty_list_starts_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Gatekeeper(list_file(tmp_path, "home"))
    assert keeper.verdict(LAPTOP, inbound=True) is Answer.NO
    assert "every inbound connection will be refused" in caplog.text


def test_a_command_that_only_dials_has_no_use_for_that_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Gatekeeper(list_file(tmp_path, "home"), inbound=False)
    assert not caplog.records


@pytest.mark.parametrize("line", ["no peer id", "12D3KooW", "\0"])
def test_a_damaged_list_is_an_error_with_its_line(tmp_path: Path, line: str) -> None:
    path = list_file(tmp_path, "home", "laptop")
    write_private(path, path.read_bytes() + f"{line}\n".encode())
    with pytest.raises(ConfigError, match="line 3"):
        Gatekeeper(path)


# --- following the file (W-06) --------------------------------------------------------


def test_w06_a_change_of_the_file_is_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    keeper = Gatekeeper(list_file(tmp_path, "home", "laptop"))
    assert keeper.refresh() == frozenset()
    list_file(tmp_path, "home", "laptop", "stranger")
    assert keeper.refresh() == frozenset()
    assert keeper.allowed == {LAPTOP, STRANGER}
    list_file(tmp_path, "home", "stranger")
    assert keeper.refresh() == {LAPTOP}
    assert keeper.verdict(LAPTOP, inbound=True) is Answer.NO
    told = [(record.message, vars(record).get("peer")) for record in caplog.records]
    assert told == [("peer authorized", STRANGER), ("peer revoked", LAPTOP)]


def test_w06_an_edit_in_place_is_seen_too(tmp_path: Path) -> None:
    path = list_file(tmp_path, "home", "laptop", "stranger")
    keeper = Gatekeeper(path)
    path.write_text(f"{STRANGER}\n")
    assert keeper.refresh() == {LAPTOP}


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    path = list_file(tmp_path, "home", "laptop")
    keeper = Gatekeeper(path)
    before = path.stat()
    path.write_bytes(b"?" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert keeper.refresh() == frozenset()
    assert keeper.allowed == {LAPTOP}


@pytest.mark.parametrize("damage", [b"garbage\n", b"\xff\xfe\n", b"# x\n\0\n"])
def test_a_damaged_list_lets_in_nobody_that_it_does_not_name_and_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    path = list_file(tmp_path, "home", "laptop")
    keeper = Gatekeeper(path)
    write_private(path, damage)
    assert keeper.refresh() == {LAPTOP}
    for _ in range(5):
        assert keeper.refresh() == frozenset()
    assert keeper.verdict(LAPTOP, inbound=True) is Answer.NO
    assert len(errors_in(caplog)) == 1
    assert "is damaged and adds nobody" in caplog.text
    list_file(tmp_path, "home", "laptop")
    assert keeper.refresh() == frozenset()
    assert keeper.allowed == {LAPTOP}


def test_w06_a_revocation_counts_whatever_is_wrong_with_other_lines(tmp_path: Path) -> None:
    path = list_file(tmp_path, "home", "laptop", "relay")
    keeper = Gatekeeper(path)
    write_private(path, f"{RELAY_PEER}\n{STRANGER}\nno-peer-id\n".encode())
    assert keeper.refresh() == {LAPTOP}
    assert keeper.allowed == {RELAY_PEER}, "nobody is added by a list that is refused"


def test_a_list_that_is_removed_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = list_file(tmp_path, "home", "laptop")
    keeper = Gatekeeper(path)
    path.unlink()
    for _ in range(5):
        assert keeper.refresh() == frozenset()
    assert keeper.allowed == {LAPTOP}
    assert len(errors_in(caplog)) == 1
    list_file(tmp_path, "home")
    assert keeper.refresh() == {LAPTOP}


def test_w06_a_revocation_counts_as_soon_as_the_file_can_be_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Mending the mode of a file leaves its time and size as they were."""
    path = list_file(tmp_path, "home", "laptop", "stranger")
    keeper = Gatekeeper(path)
    path.write_text(f"{STRANGER}\n")
    path.chmod(0o666)  # others may write to it: it is not believed
    assert keeper.refresh() == {LAPTOP}
    assert keeper.allowed == {STRANGER}
    path.write_text(f"{STRANGER}\n{LAPTOP}\n")
    assert keeper.refresh() == frozenset()
    assert keeper.allowed == {STRANGER}, "what it adds is not believed"
    path.chmod(0o600)
    assert keeper.refresh() == frozenset()
    assert keeper.allowed == {STRANGER, LAPTOP}


def in_an_hour(seconds: float = 3600.0) -> str:
    when = time.gmtime(time.time_ns() / 1e9 + seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", when)


def test_an_entry_that_has_expired_authorizes_nobody(tmp_path: Path) -> None:
    path = tmp_path / "authorized_keys"
    text = f"{LAPTOP} expires={in_an_hour(-3600)}\n{STRANGER} expires={in_an_hour()}\n"
    write_private(path, text.encode())
    assert Gatekeeper(path).allowed == {STRANGER}


@pytest.mark.parametrize("readable", [True, False])
def test_an_entry_expires_while_we_run_even_if_the_file_is_damaged_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    path = tmp_path / "authorized_keys"
    write_private(path, f"{LAPTOP} expires={in_an_hour()}\n{STRANGER}\n".encode())
    keeper = Gatekeeper(path)
    assert keeper.allowed == {LAPTOP, STRANGER}
    if not readable:
        with path.open("a") as file:
            file.write("garbage\n")
    later = time.time_ns() + 7200 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert keeper.refresh() == {LAPTOP}
    assert keeper.refresh() == frozenset()


# --- watching -------------------------------------------------------------------------


def test_w06_whoever_watches_is_told_within_2_s(run: RunVirtual, tmp_path: Path) -> None:
    async def main() -> None:
        keeper = Gatekeeper(list_file(tmp_path, "home", "laptop"))
        told: list[frozenset[PeerId]] = []
        async with Supervisor() as tasks:
            tasks.spawn(keeper.watch, told.append)
            await asyncio.sleep(3600)
            assert told == []
            list_file(tmp_path, "home", "stranger")
            await asyncio.sleep(WATCH_INTERVAL_S + 0.1)
            assert told == [{LAPTOP}]
            list_file(tmp_path, "home", "stranger", "laptop")
            await asyncio.sleep(WATCH_INTERVAL_S + 0.1)
            assert told == [{LAPTOP}, frozenset()]  # somebody was added

    assert WATCH_INTERVAL_S < 2.0
    run(main())


def test_a_change_that_changes_nobody_is_not_told(run: RunVirtual, tmp_path: Path) -> None:
    async def main() -> None:
        path = list_file(tmp_path, "home", "laptop")
        keeper = Gatekeeper(path)
        told: list[frozenset[PeerId]] = []
        async with Supervisor() as tasks:
            tasks.spawn(keeper.watch, told.append)
            write_private(path, path.read_bytes() + b"# a comment\n")
            await asyncio.sleep(10)
            assert told == []

    run(main())


def test_who_was_listed_a_moment_ago_gets_in_and_the_watcher_is_still_told(
    run: RunVirtual, tmp_path: Path
) -> None:
    async def main() -> None:
        keeper = Gatekeeper(list_file(tmp_path, "home", "laptop"))
        told: list[frozenset[PeerId]] = []
        async with Supervisor() as tasks:
            tasks.spawn(keeper.watch, told.append)
            await asyncio.sleep(WATCH_INTERVAL_S / 2)
            list_file(tmp_path, "home", "stranger")  # and no longer the laptop
            assert keeper.verdict(STRANGER, inbound=True) is Answer.YES
            assert told == []
            await asyncio.sleep(WATCH_INTERVAL_S)
            assert told == [{LAPTOP}]
            assert keeper.verdict(LAPTOP, inbound=True) is Answer.NO

    run(main())
