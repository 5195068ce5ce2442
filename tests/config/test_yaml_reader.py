"""YAML is read as Go's yaml.v3 reads it; what is hostile or wrong ends in a bounded error."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yaml.nodes import ScalarNode

from peerup.config.yaml_reader import (
    MAX_DEPTH,
    MAX_VALUES,
    Section,
    compose,
    decode,
    is_null,
)
from peerup.errors import ConfigError

FILE: Final = Path("config.yaml")


def section(text: str) -> Section:
    return Section.of(compose(text, FILE), FILE)


@pytest.mark.parametrize(
    ("yaml", "text"),
    [
        ("0123", "0123"),
        ("12:30", "12:30"),
        ("yes", "yes"),
        ("1.50", "1.50"),
        ("2026-01-02", "2026-01-02"),
        ('"0x10"', "0x10"),
        ("'it''s'", "it's"),
        ("/ip4/192.0.2.1/tcp/1 # c", "/ip4/192.0.2.1/tcp/1"),
        ("'~'", "~"),
        ("!!str 5", "5"),
        ("!!str", ""),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_a_text_field_takes_what_was_written(yaml: str, text: str) -> None:
    found = section(f"a: {yaml}").text("a")
    assert found is not None
    assert found.text == text


@pytest.mark.parametrize("yaml", ["", "~", "null", "Null", "NULL", "# c"])
def test_null_is_absence(yaml: str) -> None:
    root = section(f"a: {yaml}")
    assert root.text("a") is None
    assert root.string("a", "default") == "default"
    assert root.texts("a") == ()
    assert root.flag("a", default=True)
    assert root.integer("a", default=7, maximum=9) == 7
    assert list(root.section("a").keys()) == []


@pytest.mark.parametrize("yaml", ["true", "True", "TRUE", "yes", "Y", "on", '"yes"', "'On'"])
def test_yes_in_a_field_for_it(yaml: str) -> None:
    assert section(f"a: {yaml}").flag("a", default=False)


@pytest.mark.parametrize("yaml", ["false", "False", "FALSE", "no", "N", "off", '"no"', "'Off'"])
def test_no_in_a_field_for_it(yaml: str) -> None:
    assert not section(f"a: {yaml}").flag("a", default=True)


@pytest.mark.parametrize("yaml", ['"true"', "'false'", "1", "0", "yep", "tRUE", "''", "[true]"])
def test_anything_else_is_neither(yaml: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:2: a: found .*, allowed"):
        section(f"\na: {yaml}").flag("a", default=True)


@pytest.mark.parametrize(("yaml", "number"), [("0", 0), ("128", 128), ("1_000", 1000), ("007", 7)])
def test_a_whole_number(yaml: str, number: int) -> None:
    assert section(f"a: {yaml}").integer("a", default=5, maximum=1000) == number


@pytest.mark.parametrize("yaml", ["-1", "1001", "1.5", '"5"', "x", "1e2", "٣", "9" * 5000, "{}"])
def test_what_is_no_such_number_is_refused(yaml: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:1: a: found .*, allowed"):
        section(f"a: {yaml}").integer("a", default=5, maximum=1000)


def test_a_list_says_where_each_item_stands() -> None:
    items = section("a:\n  - x\n\n  - 5\n  -\n").texts("a")
    assert [item.text for item in items] == ["x", "5", ""]
    assert [item.place for item in items] == [
        "config.yaml:2: a[0]",
        "config.yaml:4: a[1]",
        "config.yaml:5: a[2]",
    ]


@pytest.mark.parametrize("yaml", ["a: x", "a: {b: c}", "a: [[x]]", "a: [{b: c}]"])
def test_what_is_no_list_of_single_values_is_refused(yaml: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:1: a.*: found .*, allowed is a"):
        section(yaml).texts("a")


@pytest.mark.parametrize("yaml", ["a: x", "a: [b]"])
def test_what_is_no_mapping_is_refused(yaml: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:1: a: found .*, allowed are keys"):
        section(yaml).section("a")


@pytest.mark.parametrize("yaml", ["x", "- a", "5"])
def test_a_file_that_is_no_mapping_is_refused(yaml: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:1: found .*, allowed are keys"):
        section(yaml)


@pytest.mark.parametrize("yaml", ["", "# c\n", "---\n", "---\n...\n", "~"])
def test_a_file_without_settings_is_empty(yaml: str) -> None:
    assert list(section(yaml).keys()) == []


@pytest.mark.parametrize(
    ("yaml", "path"), [("b.key", "/etc/b.key"), ("../b", "/etc/../b"), ("/b", "/b"), ("''", None)]
)
def test_a_file_is_in_the_directory_of_the_configuration(yaml: str, path: str | None) -> None:
    root = Section.of(compose(f"a: {yaml}", FILE), Path("/etc/config.yaml"))
    assert root.file("a") == (None if path is None else Path(path))
    assert root.file("absent") is None


def test_a_file_whose_name_no_file_can_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:1: a: found .*, allowed is the path"):
        section('a: "x\\0"').file("a")


def test_unknown_keys_are_named_with_what_may_be_meant() -> None:
    root = section("network:\n  listen_adresses: []\nzzz: 1\n")
    root.section("network").texts("listen_addresses")
    root.section("relay")
    assert list(root.warnings()) == [
        'config.yaml:3: unknown key "zzz" is ignored',
        'config.yaml:2: unknown key "network.listen_adresses" is ignored; '
        "did you mean listen_addresses?",
    ]


def test_a_remark_is_a_warning_with_its_place() -> None:
    root = section("a:\n  b: 1\n")
    inner = root.section("a")
    inner.string("b")
    inner.remark("b", "is odd")
    assert list(root.warnings()) == ["config.yaml:2: a.b: is odd"]


@pytest.mark.parametrize(
    ("yaml", "number"),
    [("0x1F", 31), ("0o17", 15), ("017", 15), ("0b101", 5), ("+5", 5), ("1_0", 10), ("00", 0)],
)
def test_whole_numbers_are_those_of_go(yaml: str, number: int) -> None:
    assert section(f"a: {yaml}").integer("a", default=7, maximum=1000) == number


@pytest.mark.parametrize("yaml", ["018", "0x", "_", "++5", "-0", "1e3", "5.0", "0b2", "٣"])
def test_what_is_no_whole_number_is_refused(yaml: str) -> None:
    with pytest.raises(ConfigError, match="allowed is a whole number"):
        section(f"a: {yaml}").integer("a", default=7, maximum=1000)


def test_an_unknown_key_cannot_write_to_the_terminal() -> None:
    (warning,) = section('"\\e[31m": 1').warnings()
    assert warning.isprintable()


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("yaml", "line", "problem"),
    [
        (bomb(40), 1, "anchors and aliases are not supported"),
        ("a: 1\nb: *x", 2, "anchors and aliases are not supported"),
        ("a: &a [*a]", 1, "anchors and aliases are not supported"),
        ("a: 1\nb: 2\na: 3", 3, 'mapping key "a" already defined at line 1'),
        ("a:\n  b: 1\n  'b': 2", 3, 'mapping key "b" already defined at line 2'),
        ("a: {b: 1,\n  b: 2}", 2, 'mapping key "b" already defined'),
        ("[" * 100_000, 1, "nested too deep"),
        ("{a: " * 1000, 1, "nested too deep"),
        ("- " * 1000, 1, "nested too deep"),
        ("? " * 1000, 1, "nested too deep"),
        ("a: [" + "x," * (MAX_VALUES + 1) + "]", 1, "too many values"),
        ("a: [", 1, "while parsing"),
        ("a: 1\n\tb: 2", 2, "cannot start any token"),
        ("a: 1\n b: 2", 2, "mapping values are not allowed here"),
        ("a: 1\n---\nb: 2", 2, "single document"),
        ("a: !!python/object/apply:os.system [x]", 1, "unknown tag"),
        ("a: !!binary aGk=", 1, "unknown tag"),
        ("? [a]\n: b", 1, "a key has to be plain text"),
        ("a: 1\nb: \0", 2, "found the character"),
        ('a: "\\ud800"', 1, "half of a surrogate pair"),
        ('a: "\\UFFFFFFFF"', 1, "failed to parse YAML"),
        ("%YAML 1." + "1" * 5000 + "\n---\na: 1", 1, "failed to parse YAML"),
    ],
)
def test_what_is_broken_or_hostile_is_refused_with_its_line(
    yaml: str, line: int, problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(yaml, FILE)
    assert str(caught.value).startswith(f"config.yaml:{line}: failed to parse YAML: ")
    assert problem in str(caught.value)


def test_the_depth_that_is_allowed_is_more_than_enough() -> None:
    assert compose("[" * MAX_DEPTH + "]" * MAX_DEPTH, FILE) is not None


@given(text=st.one_of(st.text(max_size=80), st.text("ab:-{}[],#\"'|>&*!%? \n\t", max_size=80)))
def test_any_text_is_a_tree_or_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        compose(text, FILE)


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    assert decode("ü: 1".encode(), FILE) == "ü: 1"
    with pytest.raises(ConfigError, match=r"config\.yaml:2: .*not UTF-8"):
        decode(b"a: 1\nb: \xff", FILE)


def test_a_value_that_its_parser_refuses_is_named_with_its_place() -> None:
    found = section("a:\n  b: x").section("a").text("b")
    assert found is not None
    with pytest.raises(ConfigError, match=r"^config\.yaml:2: a\.b: invalid literal"):
        found.parsed(int)


def test_only_nothing_is_null() -> None:
    assert not is_null(ScalarNode("tag:yaml.org,2002:str", ""))
    assert is_null(ScalarNode("tag:yaml.org,2002:null", "~"))
