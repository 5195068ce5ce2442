"""Services, names and relays change in the file; nothing else does, and nothing is lost."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.config import edit
from peerup.config.load import load_config
from peerup.config.schema import Service
from peerup.config.template import node_template
from peerup.errors import ConfigError
from peerup.wire.multiaddr import Multiaddr
from tests.config.conftest import ANNE, BOB, RELAY, RELAY_2, write_private

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerup.wire.peer_id import PeerId

GO_STYLE = """\
identity:
    key_file: identity.key  # mine
relay:
    addresses:
    # the first one
    - {relay}
services:
    # terminal
    ssh:
        enabled: true # always
        local_address: localhost:22

    # pages
    web: {{enabled: false, local_address: "localhost:80"}}
security: {{authorized_keys_file: authorized_keys}}
names: {{home: {anne}}} # family
"""


@pytest.fixture
def go_style(tmp_path: Path) -> Path:
    return write_private(tmp_path / "config.yaml", GO_STYLE.format(relay=RELAY, anne=ANNE))


def comments(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("#")]


def refused(path: Path, change: Callable[[Path], object], match: str) -> ConfigError:
    """Check that ``change`` is refused and leaves every byte; return the error."""
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=match) as caught:
        change(path)
    assert path.read_bytes() == before
    return caught.value


def test_w03_service_add_on_a_fresh_config(fresh: Path) -> None:
    before = fresh.read_text()
    assert edit.add_service(fresh, "ssh", "localhost:22")
    assert edit.add_service(fresh, "web", "[::1]:8080")
    assert fresh.read_text() == before + (
        "\nservices:\n"
        '  ssh:\n    enabled: true\n    local_address: "localhost:22"\n'
        '  web:\n    enabled: true\n    local_address: "[::1]:8080"\n'
    )
    assert load_config(fresh).services == {
        "ssh": Service("ssh", True, "localhost:22"),
        "web": Service("web", True, "[::1]:8080"),
    }


def test_w03_service_add_where_the_list_is_in_braces(fresh: Path) -> None:
    text = fresh.read_text() + "services: {}\n"
    write_private(fresh, text)
    edit.add_service(fresh, "ssh", "localhost:22")
    assert list(load_config(fresh).services) == ["ssh"]


def test_w04_joining_the_same_peer_twice_writes_its_name_once(fresh: Path) -> None:
    assert edit.add_name(fresh, "home", ANNE) == "home"
    after_one = fresh.read_bytes()
    assert edit.add_name(fresh, "home", ANNE) == "home"
    assert edit.add_name(fresh, "home", ANNE, rename=True) == "home"
    assert fresh.read_bytes() == after_one
    assert load_config(fresh).names == {"home": ANNE}


def test_w04_another_peer_with_the_same_name_replaces_nobody(fresh: Path) -> None:
    edit.add_name(fresh, "home", ANNE)
    error = refused(fresh, lambda path: edit.add_name(path, "home", BOB), "already belongs to")
    assert str(ANNE) in str(error)
    assert "another name" in error.hint


def test_w04_a_clash_is_resolved_when_asked_for(fresh: Path) -> None:
    edit.add_name(fresh, "home", ANNE)
    assert edit.add_name(fresh, "home", BOB, rename=True) == "home-2"
    assert edit.add_name(fresh, "home", BOB, rename=True) == "home-2"
    assert load_config(fresh).names == {"home": ANNE, "home-2": BOB}


def test_a_renamed_name_keeps_within_its_length(fresh: Path) -> None:
    longest = "x" * 64
    edit.add_name(fresh, longest, ANNE)
    assert edit.add_name(fresh, longest, BOB, rename=True) == "x" * 62 + "-2"


@pytest.mark.parametrize(
    "name", ["", "a b", "a: b", "../x", "x" * 65, "b\u00fcro", "home\n", str(BOB)]
)
def test_a_name_that_could_be_mistaken_is_refused(fresh: Path, name: str) -> None:
    refused(fresh, lambda path: edit.add_name(path, name, ANNE), "invalid name")


@pytest.mark.parametrize("name", ["yes", "null", "123", "1e3", "on", "-", ".", "~x"[1:]])
def test_a_name_that_yaml_could_take_for_something_else_stays_text(fresh: Path, name: str) -> None:
    edit.add_name(fresh, name, ANNE)
    assert load_config(fresh).names == {name: ANNE}


def test_names_and_comments_of_a_fresh_config_stay_together(fresh: Path) -> None:
    before = fresh.read_text()
    edit.add_name(fresh, "home", ANNE)
    assert fresh.read_text() == before.replace("names: {}\n", f'names:\n  home: "{ANNE}"\n')
    edit.remove_name(fresh, "home")
    assert fresh.read_text() == before


def test_a_service_is_added_once(fresh: Path) -> None:
    edit.add_service(fresh, "ssh", "localhost:22")
    before = fresh.read_bytes()
    assert not edit.add_service(fresh, "ssh", "localhost:22")
    assert fresh.read_bytes() == before
    error = refused(
        fresh,
        lambda path: edit.add_service(path, "ssh", "localhost:2222"),
        r'service already registered: ssh \("localhost:22"\)',
    )
    assert "service remove ssh" in error.hint


def test_adding_a_disabled_service_enables_it(go_style: Path) -> None:
    assert edit.add_service(go_style, "web", "localhost:80")
    assert load_config(go_style).services["web"].enabled


@pytest.mark.parametrize(
    ("name", "address", "problem"),
    [
        ("SSH", "localhost:22", "invalid service name"),
        ("invite", "localhost:22", "reserved"),
        ("a/b", "localhost:22", "invalid service name"),
        ("ssh", "localhost", "HOST:PORT"),
        ("ssh", "localhost:0", "1 to 65535"),
        ("ssh", 'a:1"\n  b: c', "HOST:PORT"),
    ],
)
def test_a_service_that_is_not_allowed_is_not_written(
    fresh: Path, name: str, address: str, problem: str
) -> None:
    refused(fresh, lambda path: edit.add_service(path, name, address), problem)


def test_a_service_is_disabled_and_enabled_in_place(go_style: Path) -> None:
    before = go_style.read_text()
    assert edit.set_service_enabled(go_style, "ssh", False)
    changed = before.replace("enabled: true # always", "enabled: false # always")
    assert go_style.read_text() == changed
    assert not edit.set_service_enabled(go_style, "ssh", False)
    assert edit.set_service_enabled(go_style, "ssh", True)
    assert go_style.read_text() == before


def test_a_service_without_the_key_is_enabled_too(fresh: Path) -> None:
    write_private(fresh, fresh.read_text() + "services:\n  ssh:\n    local_address: a:1\n")
    assert edit.set_service_enabled(fresh, "ssh", True)
    assert load_config(fresh).services["ssh"].enabled


def test_a_removed_service_leaves_the_others_and_the_comments(go_style: Path) -> None:
    edit.remove_service(go_style, "ssh")
    text = go_style.read_text()
    assert "# terminal" in text
    assert "localhost:22" not in text
    edit.remove_service(go_style, "web")
    assert load_config(go_style).services == {}
    assert "# pages" in go_style.read_text()
    assert "# family" in go_style.read_text()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda path: edit.remove_service(path, "x"), "service not found: x"),
        (lambda path: edit.set_service_enabled(path, "x", True), "service not found: x"),
        (lambda path: edit.remove_name(path, "x"), "name not found: x"),
        (lambda path: edit.remove_relay(path, RELAY_2), "relay address not found in config: /dns4"),
        (lambda path: edit.remove_relay(path, RELAY), "cannot remove the last relay address"),
        (
            lambda path: edit.add_relay(path, Multiaddr.parse("/ip4/192.0.2.1/tcp/1")),
            "ends in /p2p/",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(
    go_style: Path, change: Callable[[Path], object], problem: str
) -> None:
    refused(go_style, change, problem)


def test_a_relay_is_added_after_the_others_and_removed_again(go_style: Path) -> None:
    before = go_style.read_text()
    assert edit.add_relay(go_style, RELAY_2)
    assert not edit.add_relay(go_style, RELAY_2)
    assert go_style.read_text() == before.replace(
        f"    - {RELAY}\n", f'    - {RELAY}\n    - "{RELAY_2}"\n'
    )
    edit.remove_relay(go_style, RELAY)
    assert load_config(go_style).relay.addresses == (RELAY_2,)
    assert "# the first one" in go_style.read_text()


def test_a_relay_written_twice_is_removed_twice(fresh: Path) -> None:
    edit.add_relay(fresh, RELAY_2)
    text = fresh.read_text().replace(f'    - "{RELAY}"\n', f"    - {RELAY}\n    - '{RELAY}'\n")
    write_private(fresh, text)
    edit.remove_relay(fresh, RELAY)
    assert load_config(fresh).relay.addresses == (RELAY_2,)


def test_the_first_relay_goes_into_an_empty_list(tmp_path: Path) -> None:
    text = node_template(generated_by="a test", listen=[], relays=[])
    path = write_private(tmp_path / "config.yaml", text)
    edit.add_relay(path, RELAY)
    assert load_config(path).relay.addresses == (RELAY,)
    assert comments(path.read_text()) == comments(text)


def test_w20_mode_and_link_stay(fresh: Path, tmp_path: Path) -> None:
    fresh.chmod(0o400)
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "config.yaml"
    link.symlink_to("../config.yaml")
    edit.add_service(link, "ssh", "localhost:22")
    assert link.is_symlink()
    assert fresh.stat().st_mode & 0o777 == 0o400
    assert load_config(fresh).services


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_w20_the_owner_stays(fresh: Path) -> None:
    os.chown(fresh, 12345, 23456)
    edit.add_service(fresh, "ssh", "localhost:22")
    assert (fresh.stat().st_uid, fresh.stat().st_gid) == (12345, 23456)


def test_w20_a_full_disk_loses_nothing(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused(
        fresh, lambda path: edit.add_service(path, "ssh", "a:1"), "failed to write .*No space left"
    )
    assert {path.name for path in fresh.parent.iterdir()} == {"config.yaml", ".config.yaml.lock"}


def test_w20_changes_at_the_same_time_are_all_there(fresh: Path) -> None:
    def change(number: int) -> None:
        edit.add_service(fresh, f"s{number}", "localhost:22")
        edit.add_name(fresh, f"n{number}", ANNE)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(8)))
    config = load_config(fresh)
    assert set(config.services) == {f"s{number}" for number in range(8)}
    assert set(config.names) == {f"n{number}" for number in range(8)}


def test_of_many_peers_with_one_name_each_gets_its_own(fresh: Path) -> None:
    def join(peer: PeerId) -> str:
        return edit.add_name(fresh, "home", peer, rename=True)

    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(join, [ANNE, BOB, ANNE, BOB]))
    assert load_config(fresh).names == dict(zip(names, [ANNE, BOB, ANNE, BOB], strict=True))
    assert set(names) == {"home", "home-2"}


def test_byte_order_mark_and_crlf_stay(fresh: Path) -> None:
    text = "\ufeff" + fresh.read_text().replace("\n", "\r\n")
    write_private(fresh, text)
    edit.add_name(fresh, "home", ANNE)
    expected = text.replace("names: {}\r\n", f'names:\r\n  home: "{ANNE}"\r\n')
    assert fresh.read_bytes() == expected.encode()


def test_a_change_that_would_make_the_file_unusable_is_refused(fresh: Path) -> None:
    text = fresh.read_text() + "services:\n  ssh:\n    enabled: false\n"
    write_private(fresh, text)
    refused(
        fresh,
        lambda path: edit.set_service_enabled(path, "ssh", True),
        "would be unusable: .*local_address cannot be empty",
    )


def test_a_file_that_is_unusable_already_can_be_mended(fresh: Path) -> None:
    write_private(fresh, fresh.read_text() + "services:\n  SSH:\n    enabled: true\n")
    edit.remove_service(fresh, "SSH")
    assert load_config(fresh).services == {}


@pytest.mark.parametrize("text", ["names: x\n", "names:\n  - a\n", "names: &a {}\n", "a: [\n"])
def test_a_file_that_cannot_be_changed_safely_stays(tmp_path: Path, text: str) -> None:
    path = write_private(tmp_path / "config.yaml", text)
    refused(path, lambda path: edit.add_name(path, "home", ANNE), r"config\.yaml")


def test_a_name_whose_peer_id_is_broken_belongs_to_somebody_else(fresh: Path) -> None:
    write_private(fresh, fresh.read_text().replace("names: {}", "names: {home: 12D3broken}"))
    refused(fresh, lambda path: edit.add_name(path, "home", ANNE), "already belongs to another")


def test_a_relay_list_with_a_broken_address_can_be_mended(go_style: Path) -> None:
    write_private(
        go_style, go_style.read_text().replace(f"- {RELAY}", f"- nonsense\n    - {RELAY}")
    )
    edit.add_relay(go_style, RELAY_2)
    edit.remove_relay(go_style, RELAY)
    assert f'- nonsense\n    - "{RELAY_2}"\n' in go_style.read_text()


def test_a_missing_file_is_said_so_and_leaves_no_lock(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="config file not found"):
        edit.add_name(tmp_path / "config.yaml", "home", ANNE)
    assert list(tmp_path.iterdir()) == []


_changes = st.one_of(
    st.tuples(st.just("service"), st.sampled_from(["ssh", "web", "x"])),
    st.tuples(st.just("remove service"), st.sampled_from(["ssh", "web", "x"])),
    st.tuples(st.just("toggle"), st.sampled_from(["ssh", "web", "x"])),
    st.tuples(st.just("name"), st.sampled_from(["home", "yes", "1"])),
    st.tuples(st.just("remove name"), st.sampled_from(["home", "yes", "1"])),
)


@given(changes=st.lists(_changes, max_size=8), template=st.booleans())
def test_any_sequence_of_changes_ends_where_it_should(
    changes: list[tuple[str, str]], template: bool
) -> None:
    text = GO_STYLE.format(relay=RELAY, anne=ANNE)
    if template:
        text = node_template(generated_by="a test", listen=[], relays=[RELAY])
    with tempfile.TemporaryDirectory() as directory:
        path = write_private(Path(directory) / "config.yaml", text)
        config = load_config(path)
        services = {name: service.enabled for name, service in config.services.items()}
        names = set(config.names)
        for change, name in changes:
            apply(path, change, name, services, names)
        config = load_config(path)
        assert {name: found.enabled for name, found in config.services.items()} == services
        assert set(config.names) == names
        assert config.relay.addresses == (RELAY,)
        assert comments(path.read_text()) == comments(text)


def apply(path: Path, change: str, name: str, services: dict[str, bool], names: set[str]) -> None:
    """Make one change to the file and to what we expect of it."""
    if change == "name":
        edit.add_name(path, name, ANNE)
        names.add(name)
    elif change == "remove name" and name in names:
        edit.remove_name(path, name)
        names.remove(name)
    elif change == "service" and name not in services:
        edit.add_service(path, name, "localhost:1")
        services[name] = True
    elif change == "remove service" and name in services:
        edit.remove_service(path, name)
        del services[name]
    elif change == "toggle" and name in services:
        services[name] = not services[name]
        edit.set_service_enabled(path, name, services[name])
