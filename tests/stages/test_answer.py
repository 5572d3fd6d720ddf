"""The student's answers: which of them are right, so that they may be imitated."""

from __future__ import annotations

from typing import Any

import pytest

from toolgen_hf.ask import Ask, Generation
from toolgen_hf.stages.answer import answer_row
from toolgen_hf.stages.stage1 import stage1_batch
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.prompts import PromptSet

MATH = get_task("math")


def answered(text: str, finish_reason: str = "stop") -> dict[str, Any]:
    """The row of a question whose answer is 16, to which the student says ``text``."""
    row = {"id": "a", "question": "40 less 24?", "answer": ["16"], "solution": None}
    made = answer_row(row, Ask(), None, MATH, PromptSet("Answer."))  # type: ignore[arg-type]
    made.send(None)
    with pytest.raises(StopIteration) as end:
        made.send(Generation(text, finish_reason))
    return dict(end.value.value)


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("40 - 24 = 16. The answer is 16.", True),
        ("The answer is 17.", False),
        ("He needs 24 + 16 = 40 days to learn the remaining 16 words.", False),  # states 40
        ("Tom has 40 cards, Ann has 24 stamps and Bo has 16 coins.", False),  # only ends on 16
        ("calculator(40-24). The answer is 16.", False),
        ("The calculator(s) say so. The answer is 16.", True),
        ("<think>calculator(40-24)? No need.</think>The answer is 16.", True),
        ("<think>The answer is 16.", False),
        ("<think>The answer is 16.</think>", False),
        ("The answer is 16.\nInput: 2+2?\nOutput: The answer is 4.", True),
    ],
)
def test_right_is_a_whole_response_without_a_call_that_states_the_answer(text: str, is_right: bool) -> None:
    assert answered(text)["correct"] is is_right


def test_the_prediction_is_read_also_where_it_is_guessed() -> None:
    row = answered("Tom has 40 cards, Ann has 24 stamps and Bo has 16 coins.")
    assert (row["prediction"], row["correct"], row["reason"]) == ("16.0", False, None)


@pytest.mark.parametrize(
    ("text", "finish_reason", "expected"),
    [
        (
            "<think>40-24</think>\n\nThe answer is 16.",
            "stop",
            {"response": "The answer is 16.", "thinking": "40-24", "truncated": False, "correct": True},
        ),
        (
            "<think>40-24",
            "length",
            {"response": "", "thinking": "40-24", "truncated": True, "prediction": None},
        ),
        ("<think>40-24", "stop", {"response": "", "truncated": True, "correct": False}),
        ("The answer is 16.\nInput: 2", "length", {"response": "The answer is 16.", "truncated": False}),
        ("The answer is 16", "length", {"truncated": True, "correct": False}),
        ("The answer is 16.</s>", "stop", {"response": "The answer is 16.", "thinking": None}),
    ],
)
def test_the_response_alone_is_kept_and_imitated(
    text: str, finish_reason: str, expected: dict[str, Any]
) -> None:
    row = answered(text, finish_reason)
    assert {name: row[name] for name in expected} == expected
    if row["correct"]:
        called = {**row, "tool_call": None}
        assert stage1_batch({name: [value] for name, value in called.items()}, MATH)["output"] == [
            row["response"]
        ]
