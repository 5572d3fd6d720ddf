"""What the page's browser shows: each question with everything that was said to it, as plain JSON data.

    {"id": "GSM8K-train-0", "split": "train", "question": "Natalia sold ...", "gold": ["72"],
     "stages": ["stage1", "stage2"], "responses": [
        {"source": "gold", "text": "calculator(48+48/2)", "verdict": "right", "answer": "72.0", "score": 20,
         "call": [0, 19]}, ...]}

``call`` is where the tool call stands in the text, counted as JavaScript counts (in UTF-16 units). What a key would
have nothing to say about is left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from toolgen_hf.errors import CallSyntaxError
from toolgen_hf.stages.execute import execute_response
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.graders import Graders

Row = dict[str, Any]
Tables = Mapping[str, Mapping[str, Sequence[Row]]]
"""Rows by config and split."""


def questions(tables: Tables, graders: Graders) -> list[Row]:
    """Every question of every split, in the order of ``raw``; what only another config knows comes after.

    Args:
        tables: ``raw``, ``stage1``, ``stage2``, ``rejected`` and the student's ``right`` and ``wrong`` responses,
            as far as there are any.
    """
    splits = dict.fromkeys(split for config in tables.values() for split in config)
    found: list[Row] = []
    for split in splits:
        rows = {config: table.get(split, ()) for config, table in tables.items()}
        found += _split(str(split), rows, graders)
    return found


def _split(split: str, tables: Mapping[str, Sequence[Row]], graders: Graders) -> Iterable[Row]:
    """A split's questions. A mix may repeat an id within a config, which counts anew."""
    found: dict[tuple[str, int], Row] = {}
    tasks: dict[str, Task] = {}
    for config, add in ADDED.items():
        seen: Counter[str] = Counter()
        for row in tables.get(config, ()):
            name = row["id"]
            entry = found.setdefault((name, seen[name]), _empty(name, split))
            seen[name] += 1
            tasks[name] = graders.of(row.get("task"))
            add(entry, row, tasks[name])
    for entry in found.values():
        _settle_target(entry, tasks[entry["id"]])
    return found.values()


def _empty(name: str, split: str) -> Row:
    return {"id": name, "split": split, "question": "", "gold": [], "stages": [], "responses": []}


def _add_raw(entry: Row, row: Row, task: Task) -> None:
    entry |= {"question": row["question"], "gold": row["answer"]}
    if row["solution"]:
        entry["solution"] = row["solution"]


def _add_stage1(entry: Row, row: Row, task: Task) -> None:
    entry["stages"].append("stage1")
    entry["question"] = entry["question"] or row["input"]
    entry["gold"] = entry["gold"] or row["answer"] or []
    entry["target"] = row["output"]


def _add_stage2(entry: Row, row: Row, task: Task) -> None:
    entry["stages"].append("stage2")
    entry["question"] = entry["question"] or row["query"].partition("\n")[2] or row["query"]
    said = zip(row["origin"], row["responses"], row["answer"], row["scores"], strict=True)
    entry["responses"] += [
        {**response(source, text, answer, entry["gold"], task), "score": score}
        for source, text, answer, score in said
    ]


def _settle_target(entry: Row, task: Task) -> None:
    """Stage 1's output as a response of its own, unless it is there already."""
    target = entry.pop("target", None)
    if target is None or any(said["text"] == target for said in entry["responses"]):
        return
    answer = execute_response(target, task).prediction
    entry["responses"].insert(0, response("stage 1", target, answer, entry["gold"], task))


def response(source: str, text: str | None, answer: str | None, gold: Sequence[str], task: Task) -> Row:
    """One response: its verdict, where its call is, and why that fails if it does."""
    made: Row = {"source": source, "text": text or ""}
    made["verdict"] = "none" if not answer else "right" if task.is_correct(answer, gold) else "wrong"
    if answer:
        made["answer"] = answer
    try:
        call = task.tool.find_call(made["text"])
    except CallSyntaxError as error:
        return {**made, "tool": True, "error": str(error)}
    if call is not None:
        made |= {"tool": True, "call": [_units(made["text"][: call.start]), _units(made["text"][: call.end])]}
        if not answer and (error_text := execute_response(made["text"], task).error):
            made["error"] = error_text
    return made


def _units(text: str) -> int:
    """The length in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _add_rejected(entry: Row, rejected: Row, task: Task) -> None:
    """What there was of a rejected row: the student's response and the teachers' attempts."""
    entry["stages"].append("rejected")
    entry["reason"] = rejected["reason"]
    detail = rejected["detail"]
    try:
        row = json.loads(detail or "")
    except ValueError:
        row = None
    if not isinstance(row, dict):
        entry["responses"].append({"source": "detail", "text": detail or "", "verdict": "none"})
        return
    entry["question"] = entry["question"] or row.get("question") or ""
    entry["gold"] = entry["gold"] or row.get("answer") or []
    if row.get("response") is not None:
        _add_student(entry, row, task, bool(row.get("correct")))
    for attempt in row.get("attempts") or []:
        made = response(
            f"teacher {attempt['teacher']}", attempt["output"], attempt["result"], entry["gold"], task
        )
        entry["responses"].append({**made, "note": attempt["reason"]} if attempt["reason"] else made)


def _add_student(entry: Row, row: Row, task: Task, is_right: bool) -> None:
    """The student's response, unless it is there already: where it is right, it is stage 1's output."""
    text = row["response"]
    if any(said["source"] == "student" for said in entry["responses"]):
        return
    same = next(
        (said for said in entry["responses"] if said["source"] == "gold" and said["text"] == text), None
    )
    if same is not None:
        same["note"] = "the student's own response"
        return
    made = response("student", text, row["prediction"], entry["gold"], task)
    if made["verdict"] == "right" and not is_right:
        made |= {
            "verdict": "wrong",
            "note": "cut at the token limit, calls the tool by itself, or never states its answer: counts as wrong",
        }
    entry["responses"].append(made)


ADDED: Mapping[str, Callable[[Row, Row, Task], None]] = {
    "raw": _add_raw,
    "stage1": _add_stage1,
    "stage2": _add_stage2,
    "rejected": _add_rejected,
    "right": partial(_add_student, is_right=True),
    "wrong": partial(_add_student, is_right=False),
}
"""What each config adds to what is known of a question, in the order in which they are read."""
