"""An edit changes exactly the setting that is meant; comments and order stay."""

from __future__ import annotations

import copy
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from peerup.config.yaml_edit import Document
from peerup.config.yaml_reader import compose
from peerup.errors import ConfigError
from tests.config.documents import Plain, documents, marks, places, plain

if TYPE_CHECKING:
    from peerup.config.yaml_write import Value

FILE: Final = Path("config.yaml")
VALUES: Final[tuple[Value, ...]] = (
    "text: # not a comment",
    True,
    ("one", "two"),
    {"enabled": True, "local_address": "localhost:22"},
)


def meaning(text: str) -> Plain:
    return plain(compose(text, FILE))


def as_plain(value: Value) -> Plain:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return list(value)
    return {key: as_plain(inner) for key, inner in value.items()}


def holder(found: Plain, keys: tuple[str, ...]) -> dict[str, Plain]:
    """Return the mapping that the last of ``keys`` is in, made where it is missing."""
    for key in keys[:-1]:
        assert isinstance(found, dict)
        if found.get(key) is None:
            found[key] = {}
        found = found[key]
    assert isinstance(found, dict)
    return found


def in_order(found: Plain) -> object:
    """Return ``found`` in a form whose comparison looks at the order of keys too."""
    if isinstance(found, dict):
        return [(key, in_order(value)) for key, value in found.items()]
    return [in_order(item) for item in found] if isinstance(found, list) else found


def assert_kept(before: str, after: str) -> None:
    """All comments, all line ends, and all lines but at most one are as they were."""
    assert marks(after) == marks(before)
    if "\r\n" in before:
        assert "\n" not in after.replace("\r\n", "")
    changed = Counter(before.splitlines()) - Counter(after.splitlines())
    assert changed.total() <= 1


def is_cut_out_of(text: str, rest: str) -> bool:
    """Tell whether ``text`` without one piece of it is ``rest``."""
    return any(
        text.startswith(rest[:cut]) and text.endswith(rest[cut:]) for cut in range(len(rest) + 1)
    )


@given(text=documents(), data=st.data())
def test_put_adds_or_replaces_exactly_one_setting(text: str, data: st.DataObject) -> None:
    before = meaning(text)
    keys, found = data.draw(st.sampled_from(list(places(before))), label="place")
    value = data.draw(st.sampled_from(VALUES), label="value")
    if found is None or isinstance(found, dict):
        keys = (*keys, *data.draw(st.sampled_from((("new",), ("new", "deep"), ())), label="more"))
    wanted = copy.deepcopy(before)
    assume(keys[-1] == "new" or "deep" in keys or not isinstance(found, dict))
    try:
        after = Document(text, FILE).put(keys, value)
    except ConfigError:
        assert isinstance(found, list) or not isinstance(value, str | bool)
        return
    holder(wanted, keys)[keys[-1]] = as_plain(value)
    assert in_order(meaning(after)) == in_order(wanted)
    assert_kept(text, after)


@given(text=documents(), data=st.data())
def test_remove_takes_one_setting_and_the_comments_inside_it(
    text: str, data: st.DataObject
) -> None:
    before = meaning(text)
    keys, _ = data.draw(st.sampled_from(list(places(before))), label="place")
    after = Document(text, FILE).remove(keys)
    wanted = copy.deepcopy(before)
    del holder(wanted, keys)[keys[-1]]
    assert in_order(meaning(after)) == in_order(wanted)
    gone = [int(mark[1:-1]) for mark in marks(text) if mark not in marks(after)]
    assert gone == list(range(gone[0], gone[-1] + 1)) if gone else True


@given(text=documents(flow=False), data=st.data())
def test_in_block_style_lines_outside_the_removed_ones_do_not_change(
    text: str, data: st.DataObject
) -> None:
    keys, _ = data.draw(st.sampled_from(list(places(meaning(text)))), label="place")
    after = Document(text, FILE).remove(keys)
    # A mapping that became empty got braces; without them, one piece is cut out, no more.
    braces = re.finditer(r"(?<=:) \{\}", after)
    without = [after, *(after[: found.start()] + after[found.end() :] for found in braces)]
    assert any(is_cut_out_of(text, rest) for rest in without)


@given(text=documents(), data=st.data())
def test_append_adds_one_item_at_the_end(text: str, data: st.DataObject) -> None:
    before = meaning(text)
    lists = [keys for keys, found in places(before) if found is None or isinstance(found, list)]
    keys = data.draw(st.sampled_from([*lists, ("new", "list")]), label="list")
    after = Document(text, FILE).append(keys, "a: #b")
    wanted = copy.deepcopy(before)
    mapping = holder(wanted, keys)
    items = mapping.get(keys[-1])
    mapping[keys[-1]] = [*(items if isinstance(items, list) else []), "a: #b"]
    assert in_order(meaning(after)) == in_order(wanted)
    assert_kept(text, after)


@given(text=documents(), data=st.data())
def test_an_appended_item_can_be_removed_again(text: str, data: st.DataObject) -> None:
    before = meaning(text)
    lists = [(keys, found) for keys, found in places(before) if isinstance(found, list) and found]
    assume(lists)
    keys, found = data.draw(st.sampled_from(lists), label="list")
    added = Document(text, FILE).append(keys, "item")
    removed = Document(added, FILE).remove_item(keys, len(found))
    assert removed in {text, text + "\n", text + "\r\n"}


@given(text=documents(), data=st.data())
def test_remove_item_removes_exactly_one(text: str, data: st.DataObject) -> None:
    before = meaning(text)
    lists = [(keys, found) for keys, found in places(before) if isinstance(found, list) and found]
    assume(lists)
    keys, found = data.draw(st.sampled_from(lists), label="list")
    index = data.draw(st.integers(0, len(found) - 1), label="index")
    after = Document(text, FILE).remove_item(keys, index)
    wanted = copy.deepcopy(before)
    holder(wanted, keys)[keys[-1]] = found[:index] + found[index + 1 :]
    assert in_order(meaning(after)) == in_order(wanted)


@given(text=documents(flow=False))
def test_a_new_section_is_removed_without_a_trace(text: str) -> None:
    added = Document(text, FILE).put(("new", "key"), "value")
    removed = Document(added, FILE).remove(("new",))
    assert removed.rstrip("\r\n") == text.rstrip("\r\n")


@given(text=st.text("ab:-{}[],#\"'|>&*!~ \n\t", max_size=60))
def test_any_text_is_changed_right_or_refused(text: str) -> None:
    try:
        after = Document(text, FILE).put(("a", "b"), "value")
    except ConfigError:
        return
    wanted = copy.deepcopy(meaning(text))
    if wanted is None:  # a document that is null, such as "---"
        wanted = {}
    holder(wanted, ("a", "b"))["b"] = "value"
    assert in_order(meaning(after)) == in_order(wanted)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("", 'a:\n  b: "v"\n', id="empty file"),
        pytest.param("# c", '# c\na:\n  b: "v"\n', id="only a comment"),
        pytest.param("x: 1\n", 'x: 1\n\na:\n  b: "v"\n', id="new section"),
        pytest.param("x: 1\n\n", 'x: 1\n\na:\n  b: "v"\n', id="blank line is there"),
        pytest.param("x: 1", 'x: 1\n\na:\n  b: "v"\n', id="no line end at the end"),
        pytest.param("x: 1\r\n", 'x: 1\r\n\r\na:\r\n  b: "v"\r\n', id="CRLF"),
        pytest.param("x: 1\n...\n", 'x: 1\n\na:\n  b: "v"\n...\n', id="end of document"),
        pytest.param("# a:\n#   b: 1\nx: 1\n", None, id="commented out"),
        pytest.param("a: {}\n", 'a:\n  b: "v"\n', id="empty braces"),
        pytest.param("a: {}  # c\n", 'a:  # c\n  b: "v"\n', id="empty braces and comment"),
        pytest.param("a: {} \nx: 1\n", 'a: \n  b: "v"\nx: 1\n', id="empty braces, more"),
        pytest.param("a: { # c\n }\n", 'a: {b: "v" # c\n }\n', id="comment in braces"),
        pytest.param("a: {c: 1}\n", 'a: {c: 1, b: "v"}\n', id="braces"),
        pytest.param("a: {c: 1,}\n", 'a: {c: 1, b: "v",}\n', id="comma at the end"),
        pytest.param("a:\n", 'a:\n  b: "v"\n', id="null"),
        pytest.param("a:  # c\n  # d\n", 'a:  # c\n  b: "v"\n  # d\n', id="null and comments"),
        pytest.param("a: ~  # c\n", 'a:  # c\n  b: "v"\n', id="written null"),
        pytest.param("a:\n    c: 1\n", 'a:\n    c: 1\n    b: "v"\n', id="indented by four"),
        pytest.param("x:\n   c: 1\na: {}\n", 'x:\n   c: 1\na:\n   b: "v"\n', id="by three"),
        pytest.param("a:\n  c: 1 # c\n  # d\n", 'a:\n  c: 1 # c\n  b: "v"\n  # d\n', id="last"),
        pytest.param("a:\n  c:\n    d: 1\n    # e\n", None, id="comment of the one before"),
        pytest.param("a:\n  b: old # c\n", 'a:\n  b: "v" # c\n', id="replaced"),
        pytest.param("a:\n  b: # c\n", 'a:\n  b: "v" # c\n', id="replaced null"),
        pytest.param("a:\n  b: 'o''ld'\n", 'a:\n  b: "v"\n', id="replaced quoted"),
        pytest.param("a:\n  b: old\n    text\n", 'a:\n  b: "v"\n', id="replaced two lines"),
        pytest.param("{x: 1}\n", '{x: 1, a: {b: "v"}}\n', id="all in braces"),
        pytest.param('{"a": {"b": 1}}\n', '{"a": {"b": "v"}}\n', id="JSON"),
        pytest.param("--- # c\nx: 1\n", '--- # c\nx: 1\n\na:\n  b: "v"\n', id="start of document"),
    ],
)
def test_put_writes_what_a_person_would(before: str, after: str | None) -> None:
    expected = after or before + {
        "#": '\na:\n  b: "v"\n',
        "a": '  b: "v"\n',
    }.get(before[0], "")
    assert Document(before, FILE).put(("a", "b"), "v") == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a:\n  b: 1\n  c: 2\n", "a:\n  c: 2\n"),
        ("a:\n  b: 1\nx: 2\n", "a: {}\nx: 2\n"),
        ("a: # c\n  b: 1\n", "a: {} # c\n"),
        ("a:\n  # c\n  b:\n    d: 1 # e\n    # f\n\n  # g\n  c: 2\n", None),
        ("a: {b: 1, c: 2}\n", "a: {c: 2}\n"),
        ("a: {c: 2, b: 1}\n", "a: {c: 2}\n"),
        ("a: {b: 1,}\n", "a: {}\n"),
        ("a: {b: {x: 1}}  # c\n", "a: {}  # c\n"),
        ("a:\n  b:\n  c: 2", "a:\n  c: 2"),
    ],
)
def test_remove_leaves_what_a_person_would(before: str, after: str | None) -> None:
    expected = after or "a:\n  # c\n\n  # g\n  c: 2\n"
    assert Document(before, FILE).remove(("a", "b")) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("l:\n  - x # c\n  # d\n", 'l:\n  - x # c\n  - "i"\n  # d\n'),
        ("l:\n- x\nm: 1\n", 'l:\n- x\n- "i"\nm: 1\n'),
        ("l: []  # c\n", 'l:  # c\n  - "i"\n'),
        ("l: [x]\n", 'l: [x, "i"]\n'),
        ("l: [\n  x, # c\n]\n", 'l: [\n  x, "i", # c\n]\n'),
        ("l:\n", 'l:\n  - "i"\n'),
        ("{l: []}\n", '{l: ["i"]}\n'),
        ("{l: }\n", '{l: ["i"] }\n'),
        ("x: 1\n", 'x: 1\nl:\n  - "i"\n'),
    ],
)
def test_append_writes_what_a_person_would(before: str, after: str) -> None:
    assert Document(before, FILE).append(("l",), "i") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("l:\n  - x\n  - y # c\n", "l:\n  - x\n"),
        ("l: [x, y]\n", "l: [x]\n"),
        ("l: [x, y,]\n", "l: [x,]\n"),
    ],
)
def test_remove_item_leaves_what_a_person_would(before: str, after: str) -> None:
    assert Document(before, FILE).remove_item(("l",), 1) == after


def test_the_last_item_leaves_an_empty_list() -> None:
    assert Document("l: # c\n  - x\n", FILE).remove_item(("l",), 0) == "l: [] # c\n"


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\n",  # not a mapping
        "a: [1]\n",
        "a:\n  b:\n    c: 1\n",  # would drop what is there
        "a:\n  b: |\n    text\n",
        "- a\n",
        "a: !!map\n",
    ],
)
def test_what_cannot_be_changed_safely_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"safely|allowed") as caught:
        Document(text, FILE).put(("a", "b"), "v")
    assert "Nothing was changed" in caught.value.hint


def test_a_line_that_holds_more_than_the_setting_is_not_removed() -> None:
    with pytest.raises(ConfigError, match="safely"):
        Document("? a\n: b: 1\n  c: 2\n", FILE).remove(("a", "b"))


def test_a_comment_where_the_comma_goes_is_not_lost() -> None:
    with pytest.raises(ConfigError, match="safely"):
        Document("a: [x, # c\n  y]\n", FILE).remove_item(("a",), 1)


@pytest.mark.parametrize("odd", ["\r", "\x85", "\u2028"])
def test_odd_line_ends_are_refused_with_their_line(odd: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:2: "):
        Document(f"a: 1\nb: 2{odd}c: 3\n", FILE)


@pytest.mark.parametrize("keys", [("x",), ("a", "x"), ("a", "b", "x")])
def test_what_is_not_there_cannot_be_removed(keys: tuple[str, ...]) -> None:
    document = Document("a:\n  b: 1\n", FILE)
    with pytest.raises(ConfigError, match="cannot change"):
        document.remove(keys)
    with pytest.raises(ConfigError, match="cannot change"):
        document.remove_item(keys, 0)


def test_a_document_can_be_asked() -> None:
    document = Document("a:\n  b: 1\n  c:\n", FILE)
    found = document.get(("a", "b"))
    assert found is not None
    assert found.value == "1"
    assert document.get(("a", "c")) is None
    assert document.has(("a", "c"))
    assert not document.has(("a", "d"))


def test_text_in_several_lines_is_kept_and_not_replaced() -> None:
    text = "a:\n  b: |\n    one # not a comment\n    two\n  # c\n"
    assert Document(text, FILE).put(("a", "x"), "v") == text.replace("  # c", '  x: "v"\n  # c')
    with pytest.raises(ConfigError, match="safely"):
        Document(text, FILE).put(("a", "b"), "v")
    with pytest.raises(ConfigError, match="safely"):  # it would get a line end of its own
        Document("a: |\n  b", FILE).put(("x",), "v")


def test_only_lists_have_items() -> None:
    document = Document("a: {b: 1}\n", FILE)
    with pytest.raises(ConfigError, match="safely"):
        document.append(("a",), "i")
    with pytest.raises(ConfigError, match="safely"):
        document.remove_item(("a",), 0)
    with pytest.raises(ConfigError, match="safely"):
        document.put(("a",), "v")


def test_a_null_may_become_a_section_or_a_list() -> None:
    assert Document("a: # c\n", FILE).put(("a",), ("x",)) == 'a: # c\n  - "x"\n'
    assert Document("a: ~\n", FILE).put(("a",), {"b": True}) == "a:\n  b: true\n"
    assert Document("{a: ~}\n", FILE).put(("a",), {"b": True}) == "{a: {b: true}}\n"
