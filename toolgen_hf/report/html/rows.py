"""The rows of the page's browser: each question with all its responses, as plain JSON data.

    {"id": "GSM8K-train-0", "split": "train", "question": "Natalia sold ...", "gold": ["72"],
     "stages": ["stage1", "stage2"], "responses": [
        {"source": "gold", "text": "calculator(48+48/2)", "verdict": "right", "answer": "72.0", "score": 20,
         "call": [0, 19]}, ...]}

``call`` is the place of the tool call in the text, in UTF-16 units, as JavaScript counts. Empty keys are left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from toolgen_hf.ask import run_tool
from toolgen_hf.errors import ToolError
from toolgen_hf.tasks import is_service
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.graders import Graders
from toolgen_hf.tools import find_calls

Row = dict[str, Any]
CUT = "cut at the token limit, calls the tool by itself, or never states its answer: counts as wrong"


def questions(tables: Mapping[str, Mapping[str, Iterable[Row]]], graders: Graders) -> list[Row]:
    """Every question of every split: those of ``raw`` in their order, then those that are only in another config.

    Args:
        tables: rows by config and split: any of ``raw``, ``stage1``, ``stage2``, ``rejected``, and ``right`` and
            ``wrong``, the student's responses.
    """
    questions: list[Row] = []
    for split in dict.fromkeys(split for config in tables.values() for split in config):
        found: dict[tuple[str, int], tuple[Row, Task]] = {}
        for config, add in _ADDED.items():
            seen: Counter[str] = (
                Counter()
            )  # a mix may repeat an id within a config: each is a question of its own
            for row in tables.get(config, {}).get(split, ()):
                empty = {"id": row["id"], "split": str(split), "question": "", "gold": [], "stages": [],
                         "responses": []}  # fmt: skip
                key, task = (row["id"], seen[row["id"]]), graders.of(row.get("task"))
                entry, _ = found.get(key, (empty, task))
                found[key] = entry, task
                seen[row["id"]] += 1
                add(entry, row, task)
        for entry, task in found.values():
            _add_target(entry, task)
            questions.append(entry)
    return questions


def response(source: str, text: str | None, answer: str | None, gold: Sequence[str], task: Task) -> Row:
    """One response: its verdict, where its call is, and why that fails if it does."""
    made: Row = {"source": source, "text": text or ""}
    made["verdict"] = "none" if not answer else "right" if task.is_correct(answer, gold) else "wrong"
    if answer:
        made["answer"] = answer
    try:
        calls = find_calls(task.tools, made["text"])
    except ToolError as error:
        return {**made, "tool": True, "error": f"{error.code}: {error}"}
    if calls:
        made |= {"tool": True, "call": [_units(made["text"][:at]) for at in (calls[0].start, calls[0].end)]}
        tools = {} if answer or is_service(task) else {tool.name: tool for tool in task.tools}
        errors = (run_tool(tools[call.tool], call.argument).error for call in calls if call.tool in tools)
        if (error_text := next(filter(None, errors), None)) is not None:
            made["error"] = error_text
    return made


def _units(text: str) -> int:
    """The length in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _add_raw(entry: Row, row: Row, task: Task) -> None:
    entry |= {"question": row["question"], "gold": row["answer"]}
    if row["solution"]:
        entry["solution"] = row["solution"]


def _add_stage1(entry: Row, row: Row, task: Task) -> None:
    entry["stages"].append("stage1")
    entry["question"] = entry["question"] or row["input"]
    entry["gold"] = entry["gold"] or row["answer"] or []
    entry["target"] = row["output"]


def _add_target(entry: Row, task: Task) -> None:
    """Add stage 1's output as a response, unless one of stage 2 has the same text."""
    target = entry.pop("target", None)
    if target is not None and all(responses["text"] != target for responses in entry["responses"]):
        answer = next(
            filter(None, map(task.normalize, entry["gold"])), None
        )  # stage 1 holds right responses alone
        entry["responses"].insert(0, response("stage 1", target, answer, entry["gold"], task))


def _add_stage2(entry: Row, row: Row, task: Task) -> None:
    entry["stages"].append("stage2")
    entry["question"] = entry["question"] or row["query"].partition("\n")[2] or row["query"]
    columns = zip(row["origin"], row["responses"], row["answer"], row["scores"], strict=True)
    entry["responses"] += [
        {**response(source, text, answer, entry["gold"], task), "score": score}
        for source, text, answer, score in columns
    ]


def _add_rejected(entry: Row, rejected: Row, task: Task) -> None:
    """Add what there is of a rejected row: the student's response, and the teachers' attempts."""
    entry["stages"].append("rejected")
    entry["reason"] = rejected["reason"]
    detail = rejected["detail"] or ""
    try:
        row = json.loads(detail)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        entry["responses"].append({"source": "detail", "text": detail, "verdict": "none"})
        return
    entry["question"] = entry["question"] or row.get("question") or ""
    entry["gold"] = entry["gold"] or row.get("answer") or []
    if row.get("response") is not None:
        _add_student(entry, row, task, bool(row.get("correct")))
    for attempt in row.get("attempts") or []:
        source = f"teacher {attempt['teacher']}"
        made = response(source, attempt["output"], attempt["result"], entry["gold"], task)
        entry["responses"].append({**made, "note": attempt["reason"]} if attempt["reason"] else made)


def _add_student(entry: Row, row: Row, task: Task, is_right: bool) -> None:
    """Add the student's response once. A right one is also stage 1's output, and so gold's response."""
    responses = entry["responses"]
    if any(one["source"] == "student" for one in responses):
        return
    for one in responses:
        if one["source"] == "gold" and one["text"] == row["response"]:
            one["note"] = "the student's own response"
            return
    made = response("student", row["response"], row["prediction"], entry["gold"], task)
    if made["verdict"] == "right" and not is_right:
        made |= {"verdict": "wrong", "note": CUT}
    responses.append(made)


_ADDED: Mapping[str, Callable[[Row, Row, Task], None]] = {
    "raw": _add_raw,
    "stage1": _add_stage1,
    "stage2": _add_stage2,
    "rejected": _add_rejected,
    "right": partial(_add_student, is_right=True),
    "wrong": partial(_add_student, is_right=False),
}
"""What each config adds to a question, in the order in which they are read."""
