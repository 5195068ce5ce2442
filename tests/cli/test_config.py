from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from peerup.config import archive, confirm
from peerup.config.load import load_config
from tests.cli.conftest import Peerup
from tests.cli.fake_node import HOME, Network


@pytest.fixture
def new(config: Path, home: Path) -> Path:
    """A configuration that differs from the one in use, elsewhere."""
    path = home / "new.yaml"
    path.write_text(config.read_text() + "\n# the new one\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def relay(peerup: Peerup, network: Network) -> Path:
    """The configuration of a relay, as its first start writes it."""
    import signal  # noqa: PLC0415

    network.signal = signal.SIGTERM
    assert peerup("relay", "serve").code == 0
    return Path.home() / ".config/peerup/relay-server.yaml"


def parsed(text: str) -> dict[str, Any]:
    (line,) = text.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_good_configuration_is_ok(peerup: Peerup, config: Path) -> None:
    result = peerup("config", "validate")
    assert (result.code, result.out, result.err) == (0, f"OK: {config} is valid\n", "")
    assert parsed(peerup("config", "validate", "--json").out) == {
        "file": str(config),
        "valid": True,
        "error": None,
        "hint": "",
        "warnings": [],
    }


def test_a_typo_is_a_warning_with_line_and_suggestion(peerup: Peerup, config: Path) -> None:
    config.write_text(config.read_text() + "\nservces: {}\n")
    line = config.read_text().splitlines().index("servces: {}") + 1
    result = peerup("config", "validate")
    assert result.code == 0
    assert f'Warning: {config}:{line}: unknown key "servces"' in result.err
    assert "did you mean services?" in result.err
    (warning,) = parsed(peerup("config", "validate", "--json").out)["warnings"]
    assert "servces" in warning


def test_a_bad_one_fails_with_code_2_the_line_and_a_hint(peerup: Peerup, config: Path) -> None:
    config.write_text("identity: [\n")
    result = peerup("config", "validate")
    assert result.code == 2
    assert result.out.startswith(f"FAIL: {config}:")
    assert "failed to parse YAML" in result.out
    assert "indentation" in result.err
    report = parsed(peerup("config", "validate", "--json").out)
    assert report["valid"] is False
    assert report["error"].startswith(f"{config}:")
    config.write_text("version: 3\nidentity: {key_file: k}\n")
    result = peerup("config", "validate")
    assert "config version too new: version 3" in result.out
    assert result.err == ""


def test_another_file_may_be_named(peerup: Peerup, config: Path, new: Path) -> None:
    new.write_text("version: 2")
    assert peerup("config", "validate", "new.yaml").out.startswith(f"FAIL: {new}:1: version")
    assert peerup("config", "validate", "--config", "new.yaml").code == 2
    assert peerup("--config", str(config), "config", "validate").code == 0


def test_a_missing_configuration_is_code_2(peerup: Peerup, home: Path) -> None:
    for words in (["validate"], ["show"], ["apply", "x"], ["confirm"], ["rollback"]):
        result = peerup("config", *words)
        assert (result.code, result.out) == (2, "")
        assert "config file not found" in result.err
        result = peerup("relay", "config", *words)
        assert (result.code, result.out) == (2, "")
        assert "no relay configuration" in result.err
    assert list(home.iterdir()) == []


def test_show_names_the_origin_of_each_setting(peerup: Peerup, config: Path) -> None:
    config.write_text(config.read_text() + "\nservces: {}\n")
    result = peerup("config", "show")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == f"# Resolved config from {config}"
    assert lines[-1] == "# Last-known-good configurations: 0"
    assert re.search(r"^version: 1 +# config\.yaml:\d+$", result.out, re.MULTILINE)
    assert re.search(r"^  resource_limits_enabled: false +# default$", result.out, re.MULTILINE)
    assert re.search(r"^  bootstrap_peers: +# derived: relay.addresses$", result.out, re.MULTILINE)
    assert "servces" in result.err
    assert "servces" not in result.out


def test_show_as_json_has_the_same_and_what_there_is_to_go_back_to(
    peerup: Peerup, config: Path, new: Path
) -> None:
    archive.archive(config, config.read_text())
    peerup("config", "apply", "new.yaml")
    report = parsed(peerup("config", "show", "--json").out)
    assert report["file"] == str(config)
    by_name = {each["name"]: each for each in report["settings"]}
    assert by_name["network.resource_limits_enabled"] == {
        "name": "network.resource_limits_enabled",
        "value": False,
        "source": "default",
        "line": None,
    }
    assert (
        by_name["relay.addresses"]["source"] == f"config.yaml:{by_name['relay.addresses']['line']}"
    )
    assert [each["number"] for each in report["last_good"]] == [0]
    assert report["last_good"][0]["file"] == str(config.with_name(".config.last-good.yaml"))
    assert re.fullmatch(r"4m\d+s remaining|5m0s remaining", report["pending"])
    shown = peerup("config", "show").out
    assert "# Commit-confirmed pending: 4m59s remaining" in shown
    assert re.search(r"# Last-known-good configurations: 1, the newest of 20\d\d-.*Z", shown)


def test_show_tells_of_what_has_run_out(peerup: Peerup, config: Path, new: Path) -> None:
    peerup("config", "apply", "new.yaml")
    marker = config.with_name(".config.pending")
    marker.write_text(marker.read_text().replace('"deadline":"2', '"deadline":"1'))
    assert "expired (will revert on next start)" in peerup("config", "show").out
    marker.write_text("half a ma")
    assert "will revert on next start) (Expecting value" in peerup("config", "show").out


def test_w01_what_is_applied_waits_to_be_confirmed_and_then_stays(
    peerup: Peerup, config: Path, new: Path
) -> None:
    result = peerup("config", "apply", "new.yaml")
    assert result.code == 0, result.err
    assert result.out.startswith(f"Applied: new.yaml\n  Config: {config}\n  Confirm until: 20")
    assert "peerup config confirm\n" in result.err
    assert "peerup config rollback\n" in result.err
    assert "`peerup daemon`" in result.err
    assert config.read_text() == new.read_text()
    result = peerup("config", "confirm")
    assert (result.code, result.out) == (0, f"Confirmed: {config}\n")
    assert confirm.look(config) is None
    result = peerup("config", "confirm")
    assert result.code == 2
    assert "Error: confirm failed: no commit-confirmed pending" in result.err


@pytest.mark.parametrize(
    "words",
    [
        ("config", "apply", "new.yaml", "--confirm-timeout", "10m"),
        ("config", "apply", "--confirm-timeout", "10m", "new.yaml"),
        ("--confirm-timeout=10m", "config", "apply", "new.yaml"),
    ],
)
def test_w30_flags_count_wherever_they_stand(
    peerup: Peerup, config: Path, new: Path, words: tuple[str, ...]
) -> None:
    report = parsed(peerup(*words, "--json").out)
    assert report["timeout_ms"] == 600_000
    assert report["file"] == str(config)
    assert peerup("config", "show").out.endswith("# Commit-confirmed pending: 9m59s remaining\n")


def test_what_is_to_be_typed_next_names_the_same_file(
    peerup: Peerup, config: Path, new: Path, home: Path
) -> None:
    spaced = home / "my config.yaml"
    config.rename(spaced)
    result = peerup("config", "apply", "new.yaml", "--config", str(spaced))
    assert f"peerup config confirm --config '{spaced}'\n" in result.err


@pytest.mark.parametrize(
    ("text", "timeout", "says"),
    [
        ("a: [", "5m", "apply failed: new config is invalid: "),
        (None, "soon", "--confirm-timeout soon is not a duration"),
        (None, "0s", "apply failed: 0s is no time to confirm in"),
        (None, "9999h", "allowed is 1s to 168h0m0s"),
    ],
)
def test_what_cannot_be_applied_changes_nothing(
    peerup: Peerup, config: Path, new: Path, text: str | None, timeout: str, says: str
) -> None:
    before = config.read_text()
    if text is not None:
        new.write_text(text)
    result = peerup("config", "apply", "new.yaml", "--confirm-timeout", timeout)
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert config.read_text() == before
    assert confirm.look(config) is None


def test_a_second_apply_is_refused_and_says_what_mends_it(
    peerup: Peerup, config: Path, new: Path
) -> None:
    peerup("config", "apply", "new.yaml")
    result = peerup("config", "apply", "new.yaml")
    assert result.code == 2
    assert "apply failed: commit-confirmed already pending: " in result.err


def test_an_apply_after_one_that_ran_out_says_that_it_was_reverted(
    peerup: Peerup, config: Path, new: Path
) -> None:
    before = config.read_text()
    peerup("config", "apply", "new.yaml")
    marker = config.with_name(".config.pending")
    marker.write_text(marker.read_text().replace('"deadline":"2', '"deadline":"1'))
    new.write_text(before + "# newer\nx: 1\n")
    result = peerup("config", "apply", "new.yaml")
    assert result.code == 0
    assert "Warning: an earlier one had not been confirmed in time" in result.err
    assert 'unknown key "x"' in result.err
    assert config.with_name(".config.pre-confirmed.yaml").read_text() == before


def test_rollback_takes_back_what_waits_to_be_confirmed(
    peerup: Peerup, config: Path, new: Path
) -> None:
    before = config.read_text()
    peerup("config", "apply", "new.yaml")
    result = peerup("config", "rollback")
    assert result.code == 0
    assert result.out == f"Restored: what was there before the last apply\n  Config: {config}\n"
    assert "A running `peerup daemon` starts again with it" in result.err
    assert config.read_text() == before
    assert peerup("config", "rollback", "--undo").code == 0
    assert config.read_text() == new.read_text()


def test_w21_rollback_goes_to_any_generation_and_back(peerup: Peerup, config: Path) -> None:
    good = config.read_text()
    archive.archive(config, good + "# older\n")
    archive.archive(config, good)
    config.write_text("broken: [")
    listed = peerup("config", "rollback", "--list").out.splitlines()
    assert [line.split()[0] for line in listed] == ["0", "1"]
    assert listed[0].endswith(str(config.with_name(".config.last-good.yaml")))
    assert [
        each["number"]
        for each in parsed(peerup("config", "rollback", "--list", "--json").out)["last_good"]
    ] == [0, 1]
    result = peerup("config", "rollback")
    assert result.code == 0
    assert re.match(r"Restored: generation 0 of 20\d\d-\d\d-\d\dT\S+Z\n", result.out)
    assert "A running `peerup daemon` starts again with it" in result.err
    assert config.read_text() == good
    assert parsed(peerup("config", "rollback", "1", "--json").out)["restored"].startswith(
        "generation 1"
    )
    assert config.read_text() == good + "# older\n"
    assert peerup("config", "rollback", "--undo").code == 0
    assert config.read_text() == good


def test_rollback_brings_back_a_file_that_was_deleted(peerup: Peerup, config: Path) -> None:
    archive.archive(config, config.read_text())
    config.unlink()
    assert peerup("config", "rollback").code == 0
    assert load_config(config)
    config.unlink()
    assert peerup("config", "rollback", "--config", str(config)).code == 0
    assert load_config(config)


def test_rollback_without_anything_to_go_back_to(peerup: Peerup, config: Path) -> None:
    result = peerup("config", "rollback")
    assert result.code == 2
    assert "rollback failed: no last-known-good config archive found: " in result.err
    assert peerup("config", "rollback", "--list").out == (
        f"No last-known-good configurations of {config}.\n"
    )
    assert "rollback failed: nothing to undo" in peerup("config", "rollback", "--undo").err
    result = peerup("config", "rollback", "--undo", "1")
    assert (result.code, result.out) == (2, "")
    assert "cannot both be given" in result.err


def test_the_relay_has_the_same_commands(peerup: Peerup, relay: Path, home: Path) -> None:
    assert peerup("relay", "config", "validate").out == f"OK: {relay} is valid\n"
    shown = peerup("relay", "config", "show").out
    assert re.search(
        r"^  # session_duration: no limit +# derived: connection gating is on$", shown, re.MULTILINE
    )
    new = home / "new.yaml"
    new.write_text(relay.read_text() + "# new\n")
    new.chmod(0o600)
    result = peerup("relay", "config", "apply", "new.yaml")
    assert result.code == 0
    assert "peerup relay config confirm" in result.err
    assert "`peerup relay serve`" in result.err
    assert relay.with_name(".relay-server.pending").exists()
    assert peerup("relay", "config", "confirm").code == 0
    assert relay.read_text() == new.read_text()
    archive.archive(relay, new.read_text())
    relay.write_text("resources: {session_duration: -1s}\n")
    assert peerup("relay", "config", "validate").out.startswith("FAIL: ")
    assert peerup("relay", "config", "rollback").code == 0
    assert relay.read_text() == new.read_text()


@pytest.mark.parametrize("name", ["../../x", "a: b", "\u202eevil", "\x1b[31mred", "x" * 10_000])
def test_names_cannot_reach_the_terminal_raw(peerup: Peerup, config: Path, name: str) -> None:
    quoted = json.dumps(name)
    text = config.read_text().replace("names:\n", f"names:\n  {quoted}: {HOME}\n")
    assert quoted in text
    config.write_text(text + f"\n{quoted}: 1\nextra: {quoted}\n")
    for words in (["validate"], ["show"], ["show", "--json"], ["validate", "--json"]):
        result = peerup("config", *words)
        assert result.code == (0 if len(name) < 1024 else 2)  # no key of YAML is that long
        for text in (result.out, result.err):
            assert all(line.isprintable() for line in text.splitlines())
