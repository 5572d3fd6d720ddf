"""Responses and accepted answers from disk: a produced directory, or any file with ids.

{"id": "GSM8K-test-0", "response": "calculator(48+48/2)", "answer": "72"}     one response a row
{"query": "...", "responses": ["calculator(3*19)", ...], "origin": ["gold", ...]}     stage 2: all of a question's
{"id": "GSM8K-test-0", "answer": "72"}     a reference
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from toolgen_hf.builders import Produced, load
from toolgen_hf.builders.columns import answers, as_text, known, text
from toolgen_hf.builders.inputs import SPLITS, from_files, from_folder, unsharded
from toolgen_hf.builders.layout import RESPONSE
from toolgen_hf.builders.produced import RESPONSES
from toolgen_hf.builders.rows import Row, fault, read_rows, shorten
from toolgen_hf.data.produced import read_manifest
from toolgen_hf.errors import DataError
from toolgen_hf.stages.execute import Execution, calls_tool, execute_response
from toolgen_hf.tasks import is_service
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.graders import Graders
from toolgen_hf.tools.native import as_written, response_of

_TEXTS = ("response", "output", "prediction", "prediction_text", "prediction text", "generated_text", "text")
"""The columns that may hold a response's text; the first one that a row has is used."""
_CALLS = ("tool_calls", "messages")
"""The columns that may hold calls, or a whole conversation, as APIs give them."""
_BOOLS = {"true": True, "1": True, "false": False, "0": False}  # as CSV spells them


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is known about a question; None if unknown. ``dataset`` and ``task``: its own, in a mix."""

    id: str
    where: str
    split: str | None = None
    question: str | None = None
    answer: list[str] | None = None
    needs_tool: bool | None = None
    dataset: str | None = None
    task: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response(Reference):
    """A response, and what its own row says about its question.

    ``is_cut``: it reached the token limit, so it has no answer, whatever number it ends on. ``recorded``: what came of
    it in the run that made it.
    """

    source: str
    text: str | None
    is_cut: bool = False
    recorded: Execution | None = None


def is_produced(path: Path) -> bool:
    """Whether ``path`` holds a result of this library, with or without its manifest."""
    stage2 = (path / "stage2", path / "data" / "stage2")
    return path.is_dir() and (read_manifest(path) is not None or any(folder.is_dir() for folder in stage2))


def read_responses(target: Path, graders: Graders) -> tuple[list[Response], list[str]]:
    """The responses of a produced directory, of a file, or of a folder with one file a split; and notes for the reader.

    Raises:
        DataError: there is none, or a row cannot be used; names the file and line.
    """
    if is_produced(target):
        return _of_produced(target, graders)
    found: list[Response] = []
    task = graders.of(None)
    for split, path in _files(target):
        for number, (where, row) in enumerate(read_rows(path)):
            if "responses" in row:
                place = {"id": str(row.get("id") or f"{split or path.stem}-{number}"), "split": split}
                found += _unfold(row, task, {**place, "where": where})
            else:
                found.append(_of_row(row, path, split, where, task))
    if not found:
        raise DataError(f"{target}: no row in this file; give one with an id and a response in every row")
    places: dict[tuple[str, str | None, str], str] = {}
    for one in found:
        key = (one.source, one.split, one.id)
        if key in places:
            raise fault(
                one.where,
                f"source {one.source!r} has a second response to {one.id!r}, the first being {places[key]}; "
                "keep one, or tell them apart in a column 'source'",
            )
        places[key] = one.where
    return found, []


def read_references(path: Path, graders: Graders) -> dict[str, Reference]:
    """The accepted answers by id, and which questions need the tool: from a produced directory or a file.

    A question needs the tool if its output in stage 1 calls it. A file may say it in a column ``needs_tool``.

    Raises:
        DataError: an id comes twice, or a row has no id or answer; names the file and line.
    """
    found: dict[str, Reference] = {}
    if not is_produced(path):
        for split, file in _files(path):
            for where, row in read_rows(file):
                key = _id(row, where)
                if key in found:
                    raise fault(
                        where, f"the id {key!r} is already that of {found[key].where}; ids must be unique"
                    )
                need, accepted = _need(row, where, graders.of(None)), answers(row, "answer", where)
                question = as_text(row["question"], "question", where) if row.get("question") else None
                found[key] = Reference(
                    id=key, where=where, split=split, question=question, answer=accepted, needs_tool=need
                )
        return found
    stage1 = _table(path, "stage1")
    needs = {
        row["id"]: calls_tool(row["output"], graders.of(row.get("task")))
        for rows in (stage1 or {}).values()
        for row in rows
    }
    raw = _table(path, "raw")
    for split, rows in (raw or stage1 or {}).items():
        for row in rows:
            place = _place(row, split, f"{path}, {'raw' if raw else 'stage1'}")
            key = row["id"]  # a mix may repeat a row, and the published form of stage 1 has no answers
            if key not in found and row["answer"] is not None:
                accepted = answers(row, "answer", place["where"])
                asked = row["question" if raw else "input"]
                found[key] = Reference(**place, question=asked, answer=accepted, needs_tool=needs.get(key))
    return found


def _table(path: Path, config: str) -> DatasetDict | None:
    try:
        builder = Produced(config, data_dir=path)
    except DataError:
        return None
    return load(builder)


def _place(row: Mapping[str, Any], split: object, where: str) -> dict[str, Any]:
    """The fields of a `Reference` that every row of a produced directory has."""
    return {
        "id": row["id"],
        "split": str(split),
        "where": f"{where} {split}",
        "dataset": row.get("dataset"),
        "task": row.get("task"),
    }


def _of_produced(target: Path, graders: Graders) -> tuple[list[Response], list[str]]:
    """Every response of a run; if files are missing, those in stage 2, which lacks the ones to rejected questions."""
    if not (target / "stage2").is_dir():  # published JSON alone: its stage 2 has no ids to find answers by
        return _executed(target, ["responses"]), []
    ranked: list[Response] = []
    for split, rows in load(Produced("stage2", data_dir=target)).items():
        for row in rows:
            ranked += _unfold(row, graders.of(row.get("task")), _place(row, split, f"{target}, stage2"))
    configs = sorted(path.name for path in target.glob(f"{RESPONSES}*") if path.is_dir())
    why = "not all of stage 2's responses are among its exports"
    try:
        every = _executed(target, configs) or _executed(target, ["responses"])
    except DataError as error:
        every, why = [], str(error)
    keys, wanted = ({(one.split, one.id, one.source) for one in part} for part in (every, ranked))
    if every and wanted <= keys:
        return every, []
    if not ranked:
        raise DataError(f"{target}: stage 2 has no row; toolgen-hf show {target} --config rejected says why")
    return ranked, [f"these are stage 2's responses, without those to rejected questions: {why}"]


def _executed(target: Path, configs: Iterable[str]) -> list[Response]:
    """The responses as they were executed: a config for each source, or ``responses`` for the published files."""
    return [
        Response(
            **_place(row, split, f"{target}, responses"),
            source=row["source"],
            text=row["response"],
            question=row["question"],
            answer=row["answer"],
            is_cut=row.get("finish_reason") == "length",
            recorded=_recorded(row),
        )
        for config in configs
        for split, rows in load(Produced(config, data_dir=target)).items()
        for row in rows
    ]


def _recorded(row: Row) -> Execution | None:
    """What came of a response in its run; None for the published files, which do not say it."""
    if "uses_tool" not in row:
        return None
    return Execution(row["uses_tool"], prediction=row["prediction"], error=row["error"])


def _unfold(row: Mapping[str, Any], task: Task, place: Mapping[str, Any]) -> Iterator[Response]:
    """The responses of a stage 2 row. Gold's call shows the need; gold's answer is accepted if no other is known."""
    where = place["where"]
    responses, origin = row.get("responses"), row.get("origin")
    if not isinstance(responses, list) or not isinstance(origin, list) or len(responses) != len(origin):
        raise fault(where, "'responses' and 'origin' must be lists of one length, one item a response")
    gold = None
    if origin[:1] == ["gold"] and not is_service(task):  # else the answers of raw are those that count
        gold = execute_response(responses[0], task)
    predictions = row.get("answer")
    if not isinstance(predictions, list) or len(predictions) != len(responses):
        predictions = [None] * len(responses)
    for source, response, prediction in zip(origin, responses, predictions, strict=True):
        yield Response(
            **place,
            source=as_text(source, "origin", where),
            text=as_written(None if response is None else as_text(response, "responses", where), task.tool),
            answer=[gold.prediction] if gold is not None and gold.prediction is not None else None,
            needs_tool=None if gold is None else gold.uses_tool,
            is_cut=prediction == "",
        )


def _of_row(row: Row, path: Path, split: str | None, where: str, task: Task) -> Response:
    column = next((name for name in _TEXTS if name in row), None)
    if column is None and not any(row.get(name) for name in _CALLS):
        raise fault(
            where,
            f"no column with a response: one of {known([*_TEXTS, *_CALLS])}; there is {known(row)}. Rename yours",
        )
    value = None if column is None else row[column]
    written = None if column is None or value is None else as_text(value, column, where)
    source = unsharded(path)  # GSM8K_vicuna_response.json has the responses of vicuna
    source = source.removesuffix(RESPONSE).rpartition("_")[2] if source.endswith(RESPONSE) else source
    return Response(
        id=_id(row, where),
        where=where,
        split=split,
        source=as_text(row["source"], "source", where) if row.get("source") else source,
        text=response_of(row, written, task.tool),
        answer=answers(row, "answer", where) if row.get("answer") not in (None, "") else None,
        needs_tool=_flag(row, where),
        question=as_text(row["question"], "question", where) if row.get("question") else None,
        is_cut=row.get("finish_reason") == "length",
    )


def _id(row: Row, where: str) -> str:
    if "id" not in row:
        raise fault(where, f"no column 'id', by which a response finds its answer; there is {known(row)}")
    return text(row, "id", where)


def _need(row: Row, where: str, task: Task) -> bool | None:
    """Whether a question needs the tool: the column ``needs_tool``; in a stage 1 row, whether its output calls it."""
    if "needs_tool" not in row and {"instruction", "output"} <= row.keys() and row["output"] is not None:
        return calls_tool(as_text(row["output"], "output", where), task)
    return _flag(row, where)


def _flag(row: Row, where: str) -> bool | None:
    value = row.get("needs_tool")
    if value is None or isinstance(value, bool):
        return value
    if str(value).strip().lower() in _BOOLS:
        return _BOOLS[str(value).strip().lower()]
    if value == "":
        return None
    raise fault(where, f"'needs_tool' is {shorten(value)}; write true, false, or leave it empty")


def _files(path: Path) -> Iterator[tuple[str | None, Path]]:
    """The files of a table, each with the split that it is named after, None if none.

    In a folder in the published layout, only the files of responses: the others are made from these.
    """
    inputs = from_folder(path, "train") if path.is_dir() else from_files(path, "train")
    there = [file for files in inputs.values() for file in files]
    for file in [file for file in there if unsharded(file).endswith(RESPONSE)] or there:
        yield (unsharded(file) if unsharded(file) in SPLITS else None), file
