from __future__ import annotations

import itertools

import pytest

from peerup.cli import parser
from peerup.cli.commands import COMMANDS, GROUPS
from peerup.errors import UsageError

Capture = pytest.CaptureFixture[str]


def parsed(text: str) -> dict[str, object]:
    command, arguments = parser.parse(text.split())
    return {"command": " ".join(command.words), **vars(arguments)}


def test_flags_may_stand_before_the_command_and_around_its_positionals() -> None:
    units = (["-c", "4"], ["--json"], ["--config", "p.yaml"], ["ping"], ["home"])
    expected = parsed("ping home -c 4 --json --config p.yaml")
    assert expected["count"] == 4
    assert (expected["json"], expected["config"], expected["target"]) == (True, "p.yaml", "home")
    for order in itertools.permutations(units):
        if order.index(["ping"]) < order.index(["home"]):
            assert parsed(" ".join(itertools.chain(*order))) == expected


def test_flags_may_stand_between_the_words_of_a_command() -> None:
    expected = parsed("relay authorize ID my home --config /p")
    assert expected["comment"] == ["my", "home"]
    assert expected["config"] == "/p"
    for text in (
        "relay --config /p authorize ID my home",
        "relay authorize --config /p ID my home",
        "relay authorize ID --config=/p my home",
        "--config /p relay authorize ID my home",
    ):
        assert parsed(text) == expected


def test_a_command_may_have_three_words() -> None:
    expected = parsed("relay config rollback 2 --config /p")
    assert (expected["generation"], expected["config"]) == (2, "/p")
    assert expected["command"] == "relay config rollback"
    assert parsed("relay --config /p config rollback 2") == expected
    _, parsers = parser.build()
    assert parsers["relay", "config", "rollback"].prog == "peerup relay config rollback"
    assert "rollback" in parsers["relay", "config"].format_help()
    assert " config " in parsers["relay",].format_help()


def test_a_group_within_a_group_has_its_own_help(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        parser.parse(["relay", "config", "-h"])
    assert capsys.readouterr().out.startswith("usage: peerup relay config [-h]")
    with pytest.raises(UsageError, match="choose one of validate, show, apply, confirm, rollback"):
        parser.parse(["relay", "config"])


def test_a_value_may_look_like_a_command() -> None:
    assert parsed("--config ping auth add ID --name list")["name"] == "list"
    assert parsed("ping ping")["target"] == "ping"


def test_an_option_may_be_repeated_where_several_make_sense() -> None:
    both = parsed("init --relay /a --non-interactive --relay /b")
    assert both["relay"] == ["/a", "/b"]
    assert parsed("init")["relay"] is None


def test_words_after_two_dashes_are_positionals() -> None:
    assert parsed("ping -c 1 -- home")["target"] == "home"
    assert parsed("-- ping home")["target"] == "home"
    assert parsed("relay authorize ID -- --config x")["comment"] == ["--config", "x"]


@pytest.mark.parametrize("text", ["--version", "-V", "--verbose --version"])
def test_the_version_flag_is_the_version_command(text: str) -> None:
    assert parsed(text)["command"] == "version"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no command given; choose one of init, whoami"),
        ("--config p", "no command given"),
        ("auth", "no command given; choose one of add, list, remove"),
        ("pnig home", "unknown command: pnig; did you mean ping?"),
        ("zzz ping home", "unknown command: zzz"),
        ("auth lst", "unknown command: lst; did you mean list?"),
        ("ping", "required: T"),
        ("ping a b", "unrecognized arguments: b"),
        ("ping a --jsno", "unrecognized arguments: --jsno"),
        ("ping a --js", "unrecognized arguments: --js"),
        ("ping a -c", "expected one argument"),
        ("ping a -c many", "invalid int value: 'many'"),
        ("whoami --config", "expected one argument"),
        ("daemon start", "unrecognized arguments: start"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_explained(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")) as caught:
        parsed(text)
    assert "--help`" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["daemon --config p", "--config p daemon", "proxy a b 1 --config p", "ping -c 1 a --config p"],
)
def test_w30_the_flag_for_the_configuration_is_taken_wherever_it_stands(text: str) -> None:
    assert parsed(text)["config"] == "p"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_w30_no_command_swallows_a_flag_that_it_does_not_know(words: tuple[str, ...]) -> None:
    positionals = [one for one in COMMANDS[words].arguments if not one.flags[0].startswith("-")]
    values = [one.choices[0] if one.choices else "1" for one in positionals]
    with pytest.raises(UsageError, match="unrecognized arguments: --no-such-flag"):
        parser.parse([*words, *values, "--no-such-flag"])


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("words", [(), *GROUPS, *COMMANDS], ids=" ".join)
def test_every_command_explains_itself_with_an_example(
    words: tuple[str, ...], flag: str, capsys: Capture
) -> None:
    with pytest.raises(SystemExit) as caught:
        parser.parse([*words, flag])
    assert caught.value.code in (0, None)
    captured = capsys.readouterr()
    assert " ".join(("usage: peerup", *words)) in captured.out
    assert "example:\n  peerup" in captured.out
    assert "--config PATH" in captured.out
    assert captured.err == ""


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_parser_on_its_own_is_the_one_of_the_tree(words: tuple[str, ...]) -> None:
    _, parsers = parser.build()
    assert parser.build_command(COMMANDS[words]).format_help() == parsers[words].format_help()


def test_help_fits_a_terminal(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    _, parsers = parser.build()
    for one in parsers.values():
        one.print_help()
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100
