"""Given responses, matched with the questions that are asked.

    in   {"id": "GSM8K-train-0", "input": "Natalia sold ...", "response": "The answer is 72."}    a file's rows
    out  {"GSM8K-train-0": "The answer is 72."}, and what could not be used, each row with its reason

A row belongs to the question with its id, unless it repeats another question. Otherwise it belongs to the question with
the same words, because files may have ids of their own. Rows that belong to no question become ``schemas.REJECTED``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toolgen_hf._utils import words
from toolgen_hf.builders.columns import as_text, named, optional_text, pick
from toolgen_hf.builders.rows import Row

STAGE = "respond"
"""The stage of these rows in ``rejected``."""
MISSING = "missing"
"""The ``finish_reason`` of a question without a given response."""


@dataclass
class Given:
    """The responses of one source and their ``finish_reason``, by the question's id; and the rows that are left over.

    A response without a text (None, or blanks) counts as a response and scores 0.
    """

    source: str
    responses: dict[str, str | None] = field(default_factory=dict)
    ends: dict[str, str | None] = field(default_factory=dict)
    rejected: list[dict[str, str]] = field(default_factory=list)

    def empty(self) -> str | None:
        """A note on responses without a text; None if every response has one."""
        count = sum(not (text or "").strip() for text in self.responses.values())
        return f"{self.source}: {count} without a text, scored as no answer" if count else None

    def missing(self, questions: Mapping[str, str]) -> list[dict[str, str]]:
        """The questions without a response, as rows of ``schemas.REJECTED``."""
        return [
            rejected(key, STAGE, f"{self.source}: no response to this question", {"question": question})
            for key, question in questions.items()
            if key not in self.responses
        ]


def rejected(key: str, stage: str, reason: str, detail: Mapping[str, Any]) -> dict[str, str]:
    """A row of ``schemas.REJECTED``."""
    found = json.dumps({"id": key, **detail}, ensure_ascii=False, default=str)
    return {"id": key, "stage": stage, "reason": reason, "detail": found}


def match(
    rows: Iterable[tuple[str, Row]],
    questions: Mapping[str, str],
    source: str,
    unknown: str = "no such question",
) -> Given:
    """The responses in ``rows`` (each with its place) to ``questions`` (by id).

    Args:
        unknown: the reason of a row whose question is none of these.

    Raises:
        DataError: a row has no response, or it is no text; names file and line.
    """
    by_words: dict[str, list[str]] = defaultdict(list)
    for one, question in questions.items():
        by_words[words(question)].append(one)
    found = Given(source)
    for where, row in rows:
        own, asked = (_own(row, column, where) for column in ("id", "question"))
        value = pick(row, named(row, "response"), where)
        response = None if value is None else as_text(value, "response", where)
        key: str | None = None
        if own in questions and (asked is None or words(asked) == words(questions[str(own)])):
            key = own
        if key is None and asked is not None:
            same = by_words.get(words(asked), [])
            key = next((new for new in same if new not in found.responses), same[0] if same else None)
        if key is None:
            why = "another question under this id" if own in questions else unknown
            found.rejected.append(rejected(own or where, STAGE, f"{source}: {why}", row))
        elif key in found.responses:
            found.rejected.append(rejected(key, STAGE, f"{source}: a second response to this question", row))
        else:
            found.responses[key] = response
            found.ends[key] = optional_text(row, "finish_reason", where) if "finish_reason" in row else None
    return found


def _own(row: Row, column: str, where: str) -> str | None:
    name = named(row, column)
    return optional_text(row, name, where) if name in row else None
