"""What a mix is made of: which questions repeat another one, and how many rows of each part are drawn."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from toolgen_hf.stages.draw import Candidate, Repeat, Take, arranged, draw, judge, quotas


def test_a_question_is_kept_in_the_split_that_is_furthest_from_training() -> None:
    test = Candidate("svamp", "test", "S-1", "What is 2 + 3?")
    train = Candidate("gsm8k", "train", "G-7", "what is 2+3 ?")
    again = Candidate("gsm8k", "test", "G-8", "What is 2 + 3?")
    leak, repeat = Repeat(test, "normalised", is_leak=True), Repeat(test, "exact", is_leak=False)
    assert judge([train, test, again]) == [leak, None, repeat]


@given(ids=st.lists(st.text(max_size=5), unique=True, max_size=20), seed=st.integers(0, 9), data=st.data())
def test_fewer_are_always_among_more_and_keep_their_order(
    ids: list[str], seed: int, data: st.DataObject
) -> None:
    few = data.draw(st.integers(0, len(ids)))
    more = data.draw(st.integers(few, len(ids)))
    assert set(draw(ids, few, seed)) <= set(draw(ids, more, seed))
    assert draw(ids, more, seed) == sorted(draw(ids, more, seed))


def test_the_seed_chooses_the_rows() -> None:
    ids = [str(n) for n in range(50)]
    assert draw(ids, 10, 0) == draw(ids, 10, 0) != draw(ids, 10, 1)


@given(
    sizes=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 300), min_size=1),
    weights=st.fixed_dictionaries({name: st.integers(1, 20) for name in "abcd"}),
)
def test_weights_give_the_largest_mix_in_which_they_hold(
    sizes: dict[str, int], weights: dict[str, int]
) -> None:
    found = quotas(sizes, {name: Take(weight=weights[name]) for name in "abcd"}, "train")
    there = [name for name, size in sizes.items() if size]
    assert all(found[name] <= size for name, size in sizes.items())
    if there:
        assert any(found[name] == sizes[name] for name in there)  # the first to run out is taken whole
        unit = min(Fraction(sizes[name], weights[name]) for name in there)
        assert all(abs(found[name] - weights[name] * unit) <= Fraction(1, 2) for name in there)


@pytest.mark.parametrize(
    ("takes", "split", "expected"),
    [
        ({}, "train", {"a": 100, "b": 10}),
        ({"a": Take(weight=2)}, "train", {"a": 20, "b": 10}),  # what has no weight has 1
        ({"a": Take(weight=0.7), "b": Take(weight=0.3)}, "train", {"a": 23, "b": 10}),
        ({"a": Take(weight={"train": 1})}, "test", {"a": 100, "b": 10}),
        ({"a": Take(weight=5), "b": Take(count=3)}, "train", {"a": 100, "b": 3}),
        ({"a": Take(count={"train": 7})}, "test", {"a": 0, "b": 10}),
        ({"a": Take(count={"test": None})}, "test", {"a": 100, "b": 10}),
        ({"b": Take(count=11)}, "test", {"a": 100, "b": 10}),  # no more than there are
    ],
)
def test_quotas(takes: dict[str, Take], split: str, expected: dict[str, int]) -> None:
    assert quotas({"a": 100, "b": 10}, {"a": Take(), "b": Take(), **takes}, split) == expected


def test_interleaved_every_stretch_has_the_proportions() -> None:
    order = [part for part, _ in arranged([40, 20, 10], "interleave")]
    for start in range(0, 70, 7):
        assert Counter(order[start : start + 7]) == {0: 4, 1: 2, 2: 1}
    assert [row for part, row in arranged([40, 20, 10], "interleave") if part == 1] == list(range(20))
    assert arranged([2, 1], "concatenate") == [(0, 0), (0, 1), (1, 0)]


@pytest.mark.parametrize(
    "take", [{"weight": 0}, {"weight": float("inf")}, {"count": -1}, {"count": 1, "weight": 1}]
)
def test_what_cannot_be_taken(take: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Take(**take)
