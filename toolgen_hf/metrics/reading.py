"""Responses from what is on disk: a produced directory, or files of anybody's making.

{"id": "GSM8K-test-0", "response": "calculator(48+48/2)", "answer": "72"}     one response a row
{"query": "...", "responses": ["calculator(3*19)", ...], "origin": ["gold", ...]}     stage 2: all of a question's
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from datasets import DatasetDict

from toolgen_hf.builders import Produced, load
from toolgen_hf.builders.columns import answers, as_text, known, text
from toolgen_hf.builders.inputs import SPLITS, Inputs, from_files, from_folder, unsharded
from toolgen_hf.builders.layout import RESPONSE
from toolgen_hf.builders.produced import RESPONSES
from toolgen_hf.builders.rows import Row, fault, read_rows, shorten
from toolgen_hf.data.produced import read_manifest
from toolgen_hf.errors import DataError
from toolgen_hf.stages.execute import execute_response
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.graders import Graders
from toolgen_hf.tools.native import as_written, response_of

TEXTS = ("response", "output", "prediction", "prediction_text", "prediction text", "generated_text", "text")
"""The columns that may hold a response's text, the first that a row has."""
CALLS = ("tool_calls", "messages")
"""The columns that may hold calls, or a whole conversation, as APIs give them."""
_BOOLS = {"true": True, "1": True, "false": False, "0": False}  # as CSV spells them


class Origin(NamedTuple):
    """Where a row of a mix comes from: its dataset's and its task's name; None in any other set."""

    dataset: str | None
    task: str | None


NOWHERE = Origin(None, None)


@dataclass(frozen=True, slots=True)
class Response:
    """One response, and what its own row says of its question; None is what nothing tells.

    ``origin``: of which dataset and task the question is, where a mix says so. ``is_cut``: it reached the token limit,
    and so no answer, whatever number it ends on.
    """

    id: str
    source: str
    split: str | None
    text: str | None
    answer: list[str] | None
    needs_tool: bool | None
    where: str
    origin: Origin = NOWHERE
    is_cut: bool = False


@dataclass(slots=True)
class Responses:
    """All there are, in their order, and what a reader should know about where they come from."""

    rows: list[Response] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_produced(path: Path) -> bool:
    """Whether ``path`` holds a result of this library, with or without its manifest."""
    stage2 = (path / "stage2", path / "data" / "stage2")
    return path.is_dir() and (read_manifest(path) is not None or any(folder.is_dir() for folder in stage2))


def read_responses(target: Path, graders: Graders) -> Responses:
    """The responses of a produced directory, of a file, or of a folder with one file a split.

    Raises:
        DataError: there is none, or a row is not what it should be; names the file and line.
    """
    if is_produced(target):
        return _produced(target, graders)
    found = Responses()
    for split, path in files_of(target):
        for number, (where, row) in enumerate(read_rows(path)):
            if "responses" in row:
                found.rows += _unfold(row, f"{split or path.stem}-{number}", split, where, graders.of(None))
            else:
                found.rows.append(_one(row, path, split, where, graders.of(None)))
    if not found.rows:
        raise DataError(f"{target}: no row in this file; give one with an id and a response in every row")
    _check_ids(found.rows)
    return found


def origin_of(row: Mapping[str, Any]) -> Origin:
    """What a row of a produced set says of where it comes from."""
    return Origin(row.get("dataset"), row.get("task"))


def _produced(target: Path, graders: Graders) -> Responses:
    """Every response of a run, those to rejected questions too; else stage 2's, which are the others."""
    if not (target / "stage2").is_dir():  # published JSON alone: its stage 2 has no ids to find answers by
        return Responses(_exported(load(Produced("responses", data_dir=target)), target))
    ranked = [
        response
        for split, rows in load(Produced("stage2", data_dir=target)).items()
        for row in rows
        for response in _unfold(
            row,
            row["id"],
            str(split),
            f"{target}, stage2 {split}",
            graders.of(origin_of(row).task),
            origin_of(row),
        )
    ]
    why = "not all of stage 2's responses are among its exports"
    try:
        every = _executed(target) or _exported(load(Produced("responses", data_dir=target)), target)
    except DataError as error:
        every, why = [], str(error)
    if every and _keys(ranked) <= _keys(every):
        return Responses(every)
    if not ranked:
        raise DataError(f"{target}: stage 2 has no row; toolgen-hf show {target} --config rejected says why")
    return Responses(ranked, [f"these are stage 2's responses, without those to rejected questions: {why}"])


def _keys(rows: list[Response]) -> set[tuple[str | None, str, str]]:
    return {(row.split, row.id, row.source) for row in rows}


def _executed(target: Path) -> list[Response]:
    """The responses as they were executed, one config a source; none in a set of published files alone."""
    configs = sorted(path.name for path in target.glob(f"{RESPONSES}*") if path.is_dir())
    return [row for config in configs for row in _exported(load(Produced(config, data_dir=target)), target)]


def _exported(splits: DatasetDict, target: Path) -> list[Response]:
    return [
        Response(
            row["id"],
            row["source"],
            str(split),
            row["response"],
            row["answer"],
            None,
            f"{target}, responses {split}",
            origin_of(row),
            row.get("finish_reason") == "length",
        )
        for split, rows in splits.items()
        for row in rows
    ]


def _unfold(
    row: Mapping[str, Any], new_id: str, split: str | None, where: str, task: Task, of: Origin = NOWHERE
) -> Iterator[Response]:
    """A stage 2 row's responses; gold's call says the need, and gold's answer is right if no other is known."""
    responses, origin = row.get("responses"), row.get("origin")
    if not isinstance(responses, list) or not isinstance(origin, list) or len(responses) != len(origin):
        raise fault(where, "'responses' and 'origin' must be lists of one length, one item a response")
    gold = execute_response(responses[0], task) if origin[:1] == ["gold"] else None
    answer = None if gold is None or gold.prediction is None else [gold.prediction]
    stated = row.get("answer")
    stated = stated if isinstance(stated, list) and len(stated) == len(responses) else [None] * len(responses)
    for source, response, prediction in zip(origin, responses, stated, strict=True):
        yield Response(
            str(row.get("id") or new_id),
            as_text(source, "origin", where),
            split,
            as_written(None if response is None else as_text(response, "responses", where), task.tool),
            answer,
            None if gold is None else gold.uses_tool,
            where,
            of,
            prediction == "",
        )


def _one(row: Row, path: Path, split: str | None, where: str, task: Task) -> Response:
    column = next((name for name in TEXTS if name in row), None)
    if column is None and not any(row.get(name) for name in CALLS):
        raise fault(
            where,
            f"no column with a response: one of {known([*TEXTS, *CALLS])}; there is {known(row)}. Rename yours",
        )
    value = None if column is None else row[column]
    told = None if column is None or value is None else as_text(value, column, where)
    return Response(
        id_of_row(row, where),
        as_text(row["source"], "source", where) if row.get("source") else _source_of(path),
        split,
        response_of(row, told, task.tool),
        answers(row, "answer", where) if row.get("answer") not in (None, "") else None,
        flag(row, where),
        where,
        is_cut=row.get("finish_reason") == "length",
    )


def _source_of(path: Path) -> str:
    """Who responds in a file: ``vicuna`` in ``GSM8K_vicuna_response.json``, else the file's name."""
    name = unsharded(path)
    return name.removesuffix(RESPONSE).rpartition("_")[2] if name.endswith(RESPONSE) else name


def id_of_row(row: Row, where: str) -> str:
    """A row's ``id``. Raises `DataError` if it has none."""
    if "id" not in row:
        raise fault(where, f"no column 'id', by which a response finds its answer; there is {known(row)}")
    return text(row, "id", where)


def flag(row: Row, where: str) -> bool | None:
    """A row's ``needs_tool``, None where it is left empty. Raises `DataError` if it is something else."""
    value = row.get("needs_tool")
    if value is None or isinstance(value, bool):
        return value
    if str(value).strip().lower() in _BOOLS:
        return _BOOLS[str(value).strip().lower()]
    if value == "":
        return None
    raise fault(where, f"'needs_tool' is {shorten(value)}; write true, false, or leave it empty")


def files_of(path: Path) -> Iterator[tuple[str | None, Path]]:
    """The files of a table with their splits; None for one that is called after no split.

    Of a folder in the published layout, the files of responses alone: what else is there is made of these.
    """
    inputs: Inputs = from_folder(path, "train") if path.is_dir() else from_files(path, "train")
    there = [file for files in inputs.values() for file in files]
    published = [file for file in there if unsharded(file).endswith(RESPONSE)]
    for file in published or there:
        yield (unsharded(file) if unsharded(file) in SPLITS else None), file


def _check_ids(rows: list[Response]) -> None:
    places: dict[tuple[str, str | None, str], str] = {}
    for row in rows:
        key = (row.source, row.split, row.id)
        if key in places:
            raise fault(
                row.where,
                f"source {row.source!r} has a second response to {row.id!r}, the first being {places[key]}; "
                "keep one, or tell them apart in a column 'source'",
            )
        places[key] = row.where
