"""The generated part of a card between its markers, and what people wrote outside of them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.errors import HubError
from toolgen_hf.hub.card import BEGIN, END, generated_part, split_card, update_card

OLD, NEW = "# a\n\nold\n\n```\ncode\n```\n", "# a\n\nnew\n"
PROSE = st.lists(st.sampled_from(["mine", "# a", "", "```", "old", "---", "| 1 |"]), max_size=8).map(
    "\n".join
)


def card(body: str, **metadata: Any) -> str:
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---\n{body}"


def body_of(text: str) -> str:
    return split_card(text)[1]


@pytest.mark.parametrize(
    ("there", "unmarked", "expected"),
    [
        (None, None, "{}"),  # there is none
        ("old card", None, "old card\n\n{}"),  # it is not ours
        (OLD, OLD, "{}"),  # an older version of this library wrote it, and nobody edited it
        (OLD.replace("\n", "\r\n"), OLD, "{}"),  # nor did an editor that changed the ends of lines
        (f"mine\n{OLD}\nmore\n", OLD, "mine\n\nmore\n\n{}"),
        (OLD.replace("old", "ours"), OLD, "ours\n\n{}"),
        (f"{BEGIN}\nold\n{END}\n", None, "{}"),
        (f"mine\n\n{BEGIN}\nold\n{END}\nmore\n", None, "mine\n\n{}\n\nmore"),
        (f"mine\n{BEGIN}\nold\n", None, "mine\n\nold\n\n{}"),  # a marker was lost: all is kept
        (f"mine\nold\n{END}\nmore\n", None, "mine\nold\n\nmore\n\n{}"),
        (f"mine\r\n{BEGIN}\r\nold\r\n{END}\r\nmore\r\n", None, "mine\n\n{}\n\nmore"),
        (f"{BEGIN}\nold\n{END}\nmine\n{BEGIN}\nold\n{END}\n", None, "{}\n\nmine\n\nold"),
        (f"Write no {BEGIN} here.\n", None, f"Write no {BEGIN} here.\n\n{{}}"),
    ],
)
@pytest.mark.parametrize("header", [{}, {"license": "mit"}])
def test_prose(there: str | None, unmarked: str | None, expected: str, header: dict[str, Any]) -> None:
    before, base = (
        card(text, **header) if text is not None and header else text for text in (there, unmarked)
    )
    updated = update_card(card(NEW, license="mit"), before, base)
    expected = expected.replace("{}", f"{BEGIN}\n# a\n\nnew\n{END}") + "\n"
    while "\n\n\n" in body_of(updated):
        updated = updated.replace("\n\n\n", "\n\n")
    assert body_of(updated) == expected
    assert split_card(updated)[0] == {"license": "mit"}
    assert generated_part(updated) == card(NEW, license="mit")
    assert update_card(card(NEW, license="mit"), updated) == updated


@given(PROSE, PROSE, st.booleans())
def test_what_people_write_is_kept_over_many_versions(above: str, below: str, marked: bool) -> None:
    text = f"{above}\n\n{BEGIN}\n{OLD}{END}\n\n{below}" if marked else f"{above}\n{OLD}{below}"
    there = card(text, license="mit")
    for new in (NEW, OLD, NEW):
        there = update_card(card(new, license="mit"), there, None if marked else card(OLD, license="mit"))
        kept = body_of(there).replace(f"{BEGIN}\n{new}{END}", "").split("\n")
        if marked:
            assert [line for line in kept if line] == [
                line for line in (*above.split("\n"), *below.split("\n")) if line
            ]
        assert kept.count("mine") == f"{above}\n{below}".split("\n").count("mine")


def test_markers_in_generated_text_do_not_end_it() -> None:
    evil = card(f"# a\n\n```\n{END}\n{BEGIN}\n```\n")
    there = update_card(evil, None)
    assert update_card(evil, there) == there
    assert body_of(update_card(card(NEW), there)) == f"{BEGIN}\n{NEW}{END}\n"


@pytest.mark.parametrize(
    ("theirs", "ours", "merged"),
    [
        ({"license": "cc0-1.0"}, {"license": "mit"}, {"license": "mit"}),
        ({"license": "cc0-1.0"}, {"license": "unknown"}, {"license": "cc0-1.0"}),
        ({"license": "other", "license_name": "own"}, {"license": "mit"}, {"license": "mit"}),
        ({"license": "other", "license_name": "x"}, {"license": "unknown"}, {"license": "other", "license_name": "x"}),
        ({"language": ["en"]}, {}, {"language": ["en"]}),
        ({"pretty_name": "x", "viewer": False}, {"pretty_name": "a"}, {"pretty_name": "a", "viewer": False}),
        ({"tags": ["a", "x"]}, {"tags": ["a", "b"]}, {"tags": ["a", "b", "x"]}),
        ({"tags": "x"}, {"tags": ["a"]}, {"tags": ["a"]}),
        ({"size_categories": ["x"]}, {"size_categories": "n<1K"}, {"size_categories": "n<1K"}),
        (
            {"configs": [{"config_name": "a", "default": True}, {"config_name": "gone"}, {"config_name": "theirs"}]},
            {"configs": [{"config_name": "a"}]},
            {"configs": [{"config_name": "a"}, {"config_name": "theirs"}]},
        ),
        (
            {"dataset_info": [{"config_name": "a"}, {"config_name": "theirs"}]},
            {"dataset_info": {"config_name": "a", "splits": []}},
            {"dataset_info": [{"config_name": "a", "splits": []}, {"config_name": "theirs"}]},
        ),
        ({"configs": 5}, {"configs": [{"config_name": "a"}]}, {"configs": [{"config_name": "a"}]}),
    ],
)  # fmt: skip
def test_header(theirs: dict[str, Any], ours: dict[str, Any], merged: dict[str, Any]) -> None:
    updated = update_card(card(NEW, **ours), card("mine", **theirs), configs=["a", "gone"])
    assert split_card(updated)[0] == merged


def test_a_byte_order_mark_before_the_header() -> None:
    header, body = split_card(update_card(card(NEW), "\ufeff" + card("mine\n", viewer=False)))
    assert (header, body.startswith("mine\n")) == ({"viewer": False}, True)


def test_a_header_with_keys_and_values_of_any_kind() -> None:
    odd = "---\n1: a\nno: 2024-01-01\nmine: &x [1, *x]\nlicense: 5\ntags: {a: 1}\nconfigs: [5, {config_name: 7}]\n---\n"
    updated = update_card(card(NEW, license="mit", tags=["a"], configs=[]), odd, "---\na: [\n---\nx\n")
    header, _ = split_card(updated)
    assert (header[1], header["license"], header["tags"]) == ("a", "mit", ["a"])
    assert header["configs"] == [{"config_name": 7}]


def test_a_header_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(HubError, match="cannot be read, so what people wrote there would be lost"):
        update_card(card(NEW), "---\na: [b\n---\nOurs.\n")
