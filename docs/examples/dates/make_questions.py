"""Writes questions.jsonl: 40 questions about dates with their answers, from a seed.

    python docs/examples/dates/make_questions.py

Every answer is computed twice: with Python's ``datetime``, and by the tool from the worked solution (dates.py). The two
must be equal. Each question occurs once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random

from toolgen_hf.tasks import get_task

HERE = Path(__file__).parent
COUNT = 40
EVENTS = ("A parcel is sent", "A lease starts", "A seed is planted", "A ship leaves port", "A course begins")
ENDS = ("arrives", "ends", "sprouts", "is due in the next port", "ends")


def questions(seed: int = 0) -> Iterator[dict[str, str]]:
    """An endless stream of rows: four kinds of question in turn."""
    random = Random(seed)
    while True:
        for kind in (after, between, weekday_after, before):
            start = date(1990, 1, 1) + timedelta(days=random.randrange(14_000))
            yield kind(random, start, random.randrange(8, 400))


def after(random: Random, start: date, days: int) -> dict[str, str]:
    at, end = random.randrange(len(EVENTS)), start + timedelta(days=days)
    question = f"{EVENTS[at]} on {prose(start)} and {ENDS[at]} {days} days later. On which date is that?"
    return row(question, end.isoformat(), f"{start} + {days} days = {end}.")


def between(random: Random, start: date, days: int) -> dict[str, str]:
    end = start + timedelta(days=days)
    question = (
        f"A visa is valid from {prose(start)} until {prose(end)}. How many days after the first is the last?"
    )
    return row(question, str((end - start).days), f"{end} - {start} = {(end - start).days} days.")


def weekday_after(random: Random, start: date, days: int) -> dict[str, str]:
    at, end = random.randrange(len(EVENTS)), start + timedelta(days=days)
    question = (
        f"{EVENTS[at]} on {prose(start)} and {ENDS[at]} {days} days later. On which day of the week is that?"
    )
    return row(question, f"{end:%A}", f"{start} + {days} days = {end}. {end} is a {end:%A}.")


def before(random: Random, start: date, days: int) -> dict[str, str]:
    end = start - timedelta(days=days)
    question = (
        f"An exam is on {prose(start)}. Ann starts to study {days} days before it. On which date is that?"
    )
    return row(question, end.isoformat(), f"{start} - {days} days = {end}.")


def prose(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def row(question: str, answer: str, solution: str) -> dict[str, str]:
    return {"question": question, "answer": answer, "solution": solution}


def checked(count: int = COUNT) -> list[dict[str, str]]:
    """The first ``count`` rows, after the tool confirmed each answer."""
    task = get_task(f"{HERE / 'dates.py'}:Dates")
    rows: dict[str, dict[str, str]] = {}
    for made in questions():
        if len(rows) == count:
            return list(rows.values())
        call = task.annotate(made["question"], made["solution"], [made["answer"]]).call or ""
        result = task.tool.run(call.removeprefix("calendar(")[:-1])
        if not task.is_correct(task.normalize(result), [made["answer"]]):
            raise AssertionError(f"{call} gives {result}: {made}")
        rows.setdefault(made["question"], made)
    raise AssertionError("there are always more")


if __name__ == "__main__":
    text = "".join(json.dumps(made, ensure_ascii=False) + "\n" for made in checked())
    (HERE / "questions.jsonl").write_text(text, encoding="utf-8")
