"""This library: the whole ``tool_api`` stage, which does more than send.

Every text goes into the durable store, every call is executed and checked against the gold answer, and the
stage's output is cached. What is written is the verified call, so a text that did not verify is missing.
"""

from __future__ import annotations

import driver  # first: it starts the clock

# isort: split
import openai.resources.chat  # noqa: F401  # this and the stream are else imported with the first request
from datasets import Dataset, DatasetDict

import toolgen_hf.models.openai.stream  # noqa: F401
from toolgen_hf import OpenAIConfig, Workspace, schemas, tool_api


def answered(rows: list[driver.Row]) -> DatasetDict:
    """The questions as a student left them who got none right."""
    left = dict.fromkeys(schemas.ANSWERED) | {"response": "", "truncated": False, "correct": False}
    asked = ("id", "question", "answer")
    wrong = [left | {name: row[name] for name in asked} for row in rows]
    return DatasetDict(train=Dataset.from_list(wrong, features=schemas.ANSWERED))


def prepare(job: driver.Job) -> driver.Work:
    teacher = OpenAIConfig(
        engine=job.model, base_url=job.base_url, max_tokens=job.max_tokens, concurrency=job.concurrency
    )

    def work() -> list[tuple[str, str]]:
        with Workspace(cache_dir="workspace", progress=False) as workspace:
            called = tool_api(answered(job.rows), [teacher], workspace, max_attempts=1)["train"]
        return list(zip(called["id"], called["tool_call"], strict=True))

    return work


if __name__ == "__main__":
    driver.drive(prepare)
