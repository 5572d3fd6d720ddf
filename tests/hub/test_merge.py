"""What people wrote into a card, carried over into the next generated one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.errors import HubError
from toolgen_hf.hub.merge import merge_cards, merge_lines, merge_metadata

LINES = st.lists(st.sampled_from(["a", "b", "c", "", "| 1 |"]), max_size=12)

UNLIKE = st.lists(st.sampled_from("abcdefgh"), max_size=8, unique=True)


def card(body: str, **metadata: Any) -> str:
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---\n{body}"


@pytest.mark.parametrize(
    ("base", "theirs", "ours", "merged"),
    [
        ("abc", "abXc", "abc", "abXc"),  # people wrote
        ("abc", "abc", "aYc", "aYc"),  # the card was made anew
        ("abc", "Xabc", "abcY", "XabcY"),  # both, in different places
        ("abc", "abXc", "aYc", "aYXc"),  # people wrote after a line that is new
        ("abc", "ac", "abc", "ac"),  # people took a line away
        ("abc", "ac", "aYc", "aYc"),  # which was made anew: it stays
        ("abc", "aXc", "aYc", "aYXc"),  # both changed one line: both are kept
        ("abc", "aXc", "aXc", "aXc"),  # and did it alike
        ("abc", "abcX", "Yabc", "YabcX"),
        ("", "X", "abc", "abcX"),  # a card that was not ours
        ("abc", "", "abc", ""),
        ("abcd", "aXXd", "abYcd", "aXXYd"),
    ],
)
def test_lines(base: str, theirs: str, ours: str, merged: str) -> None:
    assert "".join(merge_lines(list(base), list(theirs), list(ours))) == merged


@given(LINES, LINES)
def test_where_only_one_changed_it_is_what_that_one_wrote(base: list[str], changed: list[str]) -> None:
    assert merge_lines(base, changed, base) == changed
    assert merge_lines(base, base, changed) == changed


@given(UNLIKE, UNLIKE, st.lists(st.sampled_from(["X", "Y", "Z"]), min_size=1, max_size=3), st.data())
def test_what_people_added_is_there_once_over_many_versions(
    base: list[str], later: list[str], added: list[str], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(base)))
    merged, generated = [*base[:at], *added, *base[at:]], base
    for ours in (later, base, later):
        merged = merge_lines(generated, merged, ours)
        generated = ours
        assert [line for line in merged if line in "XYZ" and line] == added
        assert [line for line in merged if line not in ("X", "Y", "Z")] == ours


@given(LINES, LINES, LINES)
def test_nothing_that_people_wrote_is_lost(base: list[str], theirs: list[str], ours: list[str]) -> None:
    marked = [f"{line}!" if at % 3 == 0 else line for at, line in enumerate(theirs)]
    merged = merge_lines(base, marked, ours)
    assert all(line in merged for line in marked if line.endswith("!"))


@pytest.mark.parametrize(
    ("base", "theirs", "ours", "merged"),
    [
        ({"license": "mit"}, {"license": "cc0-1.0"}, {"license": "mit"}, {"license": "cc0-1.0"}),
        ({"license": "mit"}, {"license": "mit"}, {"license": "cc0-1.0"}, {"license": "cc0-1.0"}),
        ({}, {"language": ["en"]}, {}, {"language": ["en"]}),
        ({"a": 1}, {}, {"a": 1}, {}),
        ({"tags": ["a", "b"]}, {"tags": ["a", "x"]}, {"tags": ["a", "b", "c"]}, {"tags": ["a", "c", "x"]}),
        ({}, {"tags": ["x"]}, {"tags": ["a"]}, {"tags": ["a", "x"]}),
        (
            {"size_categories": ["n<1K"]},
            {"size_categories": ["x"]},
            {"size_categories": ["1K<n<10K"]},
            {"size_categories": ["1K<n<10K"]},
        ),
        (
            {"configs": [{"config_name": "a"}, {"config_name": "b"}]},
            {"configs": [{"config_name": "a", "default": True}, {"config_name": "theirs"}]},
            {"configs": [{"config_name": "a"}]},
            {"configs": [{"config_name": "a"}, {"config_name": "theirs"}]},
        ),
        (
            {"dataset_info": {"config_name": "a"}},
            {"dataset_info": [{"config_name": "a"}, {"config_name": "theirs"}]},
            {"dataset_info": {"config_name": "a", "splits": []}},
            {"dataset_info": [{"config_name": "a", "splits": []}, {"config_name": "theirs"}]},
        ),
    ],
)  # fmt: skip
def test_metadata(
    base: dict[str, Any], theirs: dict[str, Any], ours: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge_metadata(base, theirs, ours) == merged


def test_a_card_that_nobody_touched_is_the_new_one_to_the_byte() -> None:
    old, new = card("# a\n", license="mit"), card("# b", license="mit")
    assert merge_cards(old, old, new) == new
    assert merge_cards(None, None, new) == new


def test_line_ends_of_a_web_editor_are_no_change() -> None:
    old, new = card("# a\nb\n", license="mit"), card("# a\nc\n", license="mit")
    assert merge_cards(old, old.replace("\n", "\r\n"), new) == new


def test_a_card_without_a_header() -> None:
    merged = merge_cards(None, "Ours.\n", card("# a\n", license="mit"))
    assert merged == card("# a\nOurs.\n", license="mit")


def test_a_header_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(HubError, match="cannot be read, so what people wrote there would be lost"):
        merge_cards(None, "---\na: [b\n---\nOurs.\n", card("# a\n", license="mit"))
