"""Which file is taken, and which is not trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from peerup.config import paths
from peerup.config.paths import check_directory, find_config, find_relay_config
from peerup.errors import ConfigError

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own working directory ``work``, home ``home`` and system directory ``etc``."""
    for name in ("work", "home/.config/peerup", "etc"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(paths, "system_dir", lambda: tmp_path / "etc")
    return tmp_path


def touch(path: Path) -> Path:
    path.touch()
    return path


def test_the_users_directory_is_below_home_whatever_xdg_says(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert paths.user_dir() == places / "home/.config/peerup"


def test_the_first_that_exists_is_taken(places: Path) -> None:
    system = touch(places / "etc/config.yaml")
    assert find_config(None) == system
    user = touch(places / "home/.config/peerup/config.yaml")
    assert find_config(None) == user
    local = touch(places / "work/peerup.yaml")
    assert find_config(None) == local


def test_without_any_the_error_says_where_it_looked(places: Path) -> None:
    with pytest.raises(ConfigError, match=r"^config file not found; searched:\n") as caught:
        find_config(None)
    assert str(caught.value).splitlines()[1:] == [
        "  peerup.yaml",
        f"  {places}/home/.config/peerup/config.yaml",
        f"  {places}/etc/config.yaml",
    ]
    assert "peerup init" in caught.value.hint


def test_an_explicit_path_is_that_one_or_an_error(places: Path) -> None:
    touch(places / "home/.config/peerup/config.yaml")
    other = touch(places / "work/other.yaml")
    assert find_config(Path("other.yaml")) == other
    for find in (find_config, find_relay_config):
        with pytest.raises(ConfigError, match=r"config file not found: missing\.yaml"):
            find(Path("missing.yaml"))


def test_a_relay_looks_for_its_own_file(places: Path) -> None:
    touch(places / "work/peerup.yaml")
    assert find_relay_config(None) is None
    system = touch(places / "etc/relay-server.yaml")
    assert find_relay_config(None) == system
    user = touch(places / "home/.config/peerup/relay-server.yaml")
    assert find_relay_config(None) == user
    local = touch(places / "work/relay-server.yaml")
    assert find_relay_config(None) == local


@ROOT_ONLY
def test_w41_a_file_that_somebody_else_left_here_is_not_used_unasked(places: Path) -> None:
    local = touch(places / "work/peerup.yaml")
    os.chown(local, 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user") as caught:
        find_config(None)
    assert "--config peerup.yaml" in caught.value.hint
    assert find_config(Path("peerup.yaml")) == local


@ROOT_ONLY
def test_w41_nor_is_their_link_to_a_file_of_ours(places: Path) -> None:
    ours = touch(places / "etc/config.yaml")
    link = places / "work/relay-server.yaml"
    link.symlink_to(ours)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    with pytest.raises(ConfigError, match="belongs to another user"):
        find_relay_config(None)


def test_a_link_that_leads_nowhere_is_an_error_and_not_passed_over(places: Path) -> None:
    touch(places / "home/.config/peerup/config.yaml")
    (places / "work/peerup.yaml").symlink_to("missing")
    with pytest.raises(ConfigError, match="failed to read config file"):
        find_config(None)


def test_a_directory_where_everybody_may_write_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(ConfigError, match="everybody may write") as caught:
        check_directory(directory)
    assert f"chmod go-w {directory}" in caught.value.hint
    directory.chmod(0o1777)  # as /tmp: others cannot replace what is ours
    check_directory(directory)


def test_without_a_home_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ConfigError, match="home directory"):
        paths.user_dir()


# --- where a new one goes -------------------------------------------------------------


def test_w38_an_explicit_path_counts_whether_it_exists_or_not(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.yaml"
    assert paths.place_config(path) == path
    path.touch()
    assert paths.place_config(path) == path


def test_a_new_configuration_goes_to_the_user_s_directory(places: Path) -> None:
    default = places / "home" / ".config" / "peerup" / "config.yaml"
    assert paths.place_config(None) == default
    local = places / "work" / "peerup.yaml"
    local.touch()
    assert paths.place_config(None) == local
