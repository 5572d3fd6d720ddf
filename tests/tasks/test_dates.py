"""The task of docs/examples/dates: read, graded and annotated; and its questions, made anew."""

from __future__ import annotations

import json
import runpy
from math import inf
from pathlib import Path

import pytest

from toolgen_hf.stages.execute import execute_response
from toolgen_hf.tasks import get_task

EXAMPLE = Path(__file__).parent.parent.parent / "docs/examples/dates"
DATES = get_task(f"{EXAMPLE / 'dates.py'}:Dates")


@pytest.mark.parametrize(
    ("text", "prediction"),
    [
        ("It is 16 March 2024. The answer is 2024-03-16.", "2024-03-16"),
        ("That is on March 16th, 2024", "2024-03-16"),
        ("the 16th of March 2024", "2024-03-16"),
        ("The answer is 30 days, from 31 January 2024 on.", "30"),
        ("The answer is Saturday", "saturday"),
        ("Answer: -3", "-3"),
        ("From 2024-01-31 it is a tuesday.", "tuesday"),
        ("The answer is 31 February 2024.", None),
        ("I do not know the answer", None),
        ("", None),
        ("1,000.5", None),
    ],
)
def test_a_response_is_read(text: str, prediction: str | None) -> None:
    assert DATES.extract(text) == prediction


@pytest.mark.parametrize("answer", ["2024-03-16", "30", "Saturday", "-4"])
def test_what_is_stated_is_read_back(answer: str) -> None:
    assert DATES.extract(DATES.state(answer)) == DATES.normalize(answer)


@pytest.mark.parametrize(
    ("value", "form"),
    [("16 March 2024", "2024-03-16"), ("30 days", "30"), ("Saturday", "saturday"), ("soon", None)],
)
def test_normal_forms(value: str, form: str | None) -> None:
    assert DATES.normalize(value) == form


def test_distance_is_in_days_and_within_one_kind() -> None:
    assert DATES.distance("2024-03-18", ["2024-03-16", "2024-04-01"]) == 2
    assert DATES.distance("28", ["30"]) == 2
    assert DATES.distance("monday", ["Wednesday"]) == 2
    assert DATES.distance("28", ["2024-03-16"]) == inf
    assert DATES.distance("soon", ["2024-03-16"]) == inf


@pytest.mark.parametrize(
    ("solution", "call"),
    [
        ("2024-01-31 + 45 days = 2024-03-16.", "calendar(add_days(2024-01-31, 45))"),
        ("2024-01-31 - 1 day = 2024-01-30.", "calendar(add_days(2024-01-31, -1))"),
        ("2024-03-01 - 2024-01-31 = 30 days.", "calendar(days_between(2024-01-31, 2024-03-01))"),
        (
            "2024-01-31 + 45 days = 2024-03-16. 2024-03-16 is a Saturday.",
            "calendar(weekday(add_days(2024-01-31, 45)))",
        ),
        ("We count.", None),
    ],
)
def test_a_solution_becomes_a_call(solution: str, call: str | None) -> None:
    made = DATES.annotate("", solution, [])
    assert made.call == call
    assert (made.reason is None) == (call is not None)


def test_the_questions_are_those_of_the_script_and_every_answer_is_right() -> None:
    lines = (EXAMPLE / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows == runpy.run_path(str(EXAMPLE / "make_questions.py"))["checked"]()
    assert len({row["question"] for row in rows}) == 40
    for row in rows:
        call = DATES.annotate(row["question"], row["solution"], [row["answer"]]).call
        assert DATES.is_correct(execute_response(call, DATES).prediction, [row["answer"]])
