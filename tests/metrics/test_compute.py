"""The figures from plain lists."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.metrics import SHARES, path, tool_use, wilson

RIGHT, WRONG = "The answer is 57.", "The answer is 58."
CALL, BAD, OPEN = "calculator(3*19)", "calculator(3/0)", "calculator(3*"


def shares(*responses: str | None, needs: list[bool | None] | None = None) -> list[float | None]:
    found = tool_use(list(responses), [["57"]] * len(responses), needs)
    return [found[name] for name in SHARES]


@pytest.mark.parametrize(
    ("responses", "needs", "expected"),
    [
        ([RIGHT], None, [1.0, 0.0, None, None]),
        ([RIGHT, WRONG], [False, True], [0.5, 0.0, None, 0.5]),
        ([CALL, BAD, OPEN, RIGHT], [True, True, False, False], [0.5, 0.75, 1 / 3, 0.75]),
        ([CALL], [None], [1.0, 1.0, 1.0, None]),
        ([CALL, RIGHT], [None, True], [1.0, 0.5, 1.0, 0.0]),
        ([None, ""], [True, False], [0.0, 0.0, None, 0.5]),
        (
            ["So calculator(50+7), not 58."],
            None,
            [1.0, 1.0, 1.0, None],
        ),  # the call's result, not the text's number
        (["I have no calculator."], None, [0.0, 0.0, None, None]),  # the bare word is no call
        ([f"The calculator(s) agree. {RIGHT}"], None, [1.0, 0.0, None, None]),  # nor is a mention
        ([f"<think>{CALL}? {WRONG}</think>{RIGHT}"], None, [1.0, 0.0, None, None]),
        ([f"{RIGHT}\nInput: And 3/0?\nOutput: {BAD}"], None, [1.0, 0.0, None, None]),
        ([f"{CALL} and {BAD}"], None, [0.0, 1.0, 0.0, None]),  # one call that fails is enough
    ],
)
def test_the_shares(responses: list[str], needs: list[bool | None], expected: list[float | None]) -> None:
    assert shares(*responses, needs=needs) == expected


def test_a_response_without_an_answer_is_never_right() -> None:
    """In the published evaluation it counts as the answer 0.0."""
    assert tool_use(["I do not know."], [["0"]])["accuracy"] == 0.0


def test_counts_add_up_by_source_and_the_result_is_json() -> None:
    found = tool_use([CALL, BAD, RIGHT], ["57", ["57"], ["1", "57"]], [True, True, None], ["a", "b", "a"])
    counts = ("responses", "correct", "calls", "failed", "need_known", "need_agreed", "ungradable")
    assert [found[name] for name in counts] == [3, 2, 2, 1, 2, 2, 0]
    assert list(found["by_source"]) == ["a", "b"]
    for name in counts:
        assert sum(part[name] for part in found["by_source"].values()) == found[name]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_reference_that_is_no_answer_is_counted() -> None:
    found = tool_use([RIGHT, RIGHT], [["plenty"], ["57"]])
    assert (found["accuracy"], found["ungradable"]) == (0.5, 1)


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),  # as statsmodels' proportion_confint(method="wilson") and R's binom say
    [
        (8, 10, 0.490162, 0.943318),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (1, 2, 0.094531, 0.905469),
    ],
)
def test_the_interval(part: int, whole: int, low: float, high: float) -> None:
    assert wilson(part, whole) == pytest.approx([low, high], abs=1e-6)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_holds_the_share_and_stays_within_0_and_1(part: int, more: int) -> None:
    low, high = wilson(part, part + more) or [1, 0]
    assert 0 <= low <= part / (part + more) <= high <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "predictions is empty.*at least one"),
        ((["a"], [["1"], ["2"]]), "references has 2 items, predictions has 1"),
        ((["a"], [["1"]], [True, False]), "needs_tool has 2 items"),
        ((["a"], [["1"]], None, ["x", "y"]), "sources has 2 items"),
        ((["a"], [[]]), r"references\[0\] is \[\]"),
        ((["a"], [57]), r"references\[0\] is 57.*as text"),
        (([57], [["57"]]), r"predictions\[0\] is 57"),
        (("The answer is 57.", ["57"]), "predictions is the text"),
        ((["a"], [["1"]], ["yes"]), r"needs_tool\[0\] is 'yes'.*True, False, or None"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        tool_use(*arguments)


def test_an_unknown_task_or_metric_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown task 'chess'.*math"):
        tool_use(["a"], ["1"], task="chess")
    with pytest.raises(ConfigError, match=r"unknown metric 'bleu'.*tool_use"):
        path("bleu")
