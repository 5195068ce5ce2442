"""What is written as YAML is read back as the same text, by us and by other readers."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from peerup.config.yaml_write import Value, block, flow, item_lines, scalar

_values = st.recursive(
    st.one_of(st.booleans(), st.text(max_size=8), st.lists(st.text(max_size=8), max_size=3)),
    lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


def as_written(value: object) -> Value:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return {key: as_written(inner) for key, inner in value.items()}
    assert isinstance(value, str | bool)
    return value


@given(value=_values)
def test_any_value_on_one_line_is_read_back(value: object) -> None:
    text = flow(as_written(value))
    assert text.isprintable()
    assert yaml.safe_load(text) == value


@given(mapping=st.dictionaries(st.text(max_size=8), _values, max_size=4), step=st.integers(1, 8))
def test_any_mapping_in_lines_is_read_back(mapping: dict[str, object], step: int) -> None:
    written = {key: as_written(value) for key, value in mapping.items()}
    text = "".join(line + "\n" for line in block(written, step))
    assert (yaml.safe_load(text) or {}) == mapping


@pytest.mark.parametrize("key", ["yes", "On", "null", "y", "~", "1", "1e3", "0x1", "a b", "-", ""])
def test_a_key_that_could_be_taken_for_something_else_is_quoted(key: str) -> None:
    assert block({key: True}, 2) == [f'"{key}": true']


def test_ordinary_keys_are_not_quoted() -> None:
    assert block({"my-web.2": {"local_address": "localhost:80"}}, 2) == [
        "my-web.2:",
        '  local_address: "localhost:80"',
    ]


def test_single_values_and_lists() -> None:
    assert (scalar(True), scalar(False), scalar("no")) == ("true", "false", '"no"')
    assert item_lines(["a", "b"]) == ['- "a"', '- "b"']
    assert block({"a": (), "b": {}}, 2) == ["a: []", "b: {}"]
