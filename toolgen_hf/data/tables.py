"""Stage tables as files, for people who run one stage at a time.

A table is one file (``rows.json`` or ``rows.jsonl``: JSON Lines; ``rows.parquet``; anything that
`toolgen_hf.builders.rows` reads), or a folder with one file a split (``train.jsonl``, ``test.jsonl``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Features, List

from toolgen_hf import schemas
from toolgen_hf._utils import check_parents, digest, quiet_datasets, replacing
from toolgen_hf.builders.columns import answers, named, pick, text
from toolgen_hf.builders.inputs import Inputs, from_files, from_folder, is_data, listing
from toolgen_hf.builders.layout import id_of
from toolgen_hf.builders.produced import fit
from toolgen_hf.builders.rows import Row, fault, read_rows
from toolgen_hf.data.export import write_json_lines
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.runtime.runner import Batch
from toolgen_hf.stages.execute import execute_response
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.prompts import is_example

OPTIONAL = (
    "solution",
    "response",
    "thinking",
    "calls",
    "finish_reason",
    "truncated",
    "fewshot_overlap",
    "prediction",
    "reason",
    "error",
    "tool_call",
    "teacher",
    "verified_by",
    "soundness",
    "attempts",
    "source",
)
"""Columns that may be absent from a file; null then."""


def read_table(
    path: Path, features: Features, split: str | None = None, optional: Collection[str] = OPTIONAL
) -> DatasetDict:
    """Read a stage's input.

    Args:
        split: what a single file's split is called; default after the file (``test.jsonl``), else ``train``.
        optional: columns that may be absent or empty; null then.

    Raises:
        DataError: a file is missing, malformed or lacks a column; names the file and line.
    """
    inputs = _inputs(path, split)
    return DatasetDict(
        {split: _read_split(split, files, features, optional) for split, files in inputs.items()}
    )


def _inputs(path: Path, split: str | None = None) -> Inputs:
    if path.is_dir():
        return from_folder(path, "train")
    return from_files({split: str(path)} if split else path, "train")


def _read_split(
    split: str, files: tuple[Path, ...], features: Features, optional: Collection[str]
) -> Dataset:
    columns: Batch = {name: [] for name in features}
    places: dict[str, str] = {}
    given = ((path, *pair) for path in files for pair in read_rows(path))
    for number, (path, where, row) in enumerate(given):
        if row.get("id") is None and "source" not in features:  # two sources' rows meet by their ids
            row = {**row, "id": id_of(path, split, number)}
        for name in features:
            columns[name].append(_value(row, name, features, where, optional))
        key = text({"id": columns["id"][-1]}, "id", where)
        if key in places:
            raise fault(where, f"the id {key!r} is already that of {places[key]}; ids must be unique")
        places[key] = where
    if not places:
        raise DataError(f"{', '.join(map(str, files))}: no row in this file")
    rows = Dataset.from_dict(columns, features=features, split=split)
    rows._fingerprint = digest([split, columns])[:32]
    return rows


def _value(row: Row, name: str, features: Features, where: str, optional: Collection[str] = OPTIONAL) -> Any:
    """A column's value as its feature has it; CSV spells null as an empty cell."""
    found = named(row, name)
    if name in optional:
        value = row.get(found)
        missing: Any = [] if isinstance(features[name], List) else None
        return missing if value in (None, "") else fit(value, features[name], name, where)
    if name in ("question", "input", "query", "output"):
        return text(row, found, where)
    if name == "answer":
        return answers(row, name, where)
    return fit(pick(row, found, where), features[name], name, where)


def check_target(splits: Sequence[str], path: Path) -> None:
    """Check, before any work, that a table of these splits can be written there.

    Raises:
        ConfigError: several splits are to go into one file, the suffix is unknown, or the folder holds
            data files of another table, which whoever reads the folder would take for this one's.
    """
    check_path(path)
    if path.suffix and len(splits) != 1:
        raise ConfigError(
            f"{str(path)!r} is one file, but there are the splits {list(splits)}; give a folder (no suffix)"
        )
    if not path.suffix and path.is_dir():
        ours = {f"{split}.jsonl" for split in splits}
        others = [old.name for old in listing(path) if is_data(old) and old.name not in ours]
        if others:
            raise ConfigError(
                f"{str(path)!r} holds files of another table: {', '.join(others)}; choose another folder"
            )


def check_path(path: Path) -> None:
    """Check, before any work, that a table may be written to a path, whatever its splits.

    Raises:
        ConfigError: the suffix is unknown, it is a file where it should be a folder or the reverse, or a folder above
            it is a file.
    """
    if path.suffix.lower() not in ("", ".json", ".jsonl", ".parquet"):
        raise ConfigError(f"{str(path)!r}: unknown suffix {path.suffix!r}; known are .json, .jsonl, .parquet")
    check_parents(path)
    if path.suffix and path.is_dir():
        raise ConfigError(
            f"the output {str(path)!r} is a folder: give a file, such as {str(path / 'rows.jsonl')!r}"
        )
    if not path.suffix and path.is_file():
        raise ConfigError(f"the output {str(path)!r} is a file: give one with a suffix (.jsonl), or a folder")


def write_table(table: DatasetDict, path: Path) -> None:
    """Write a stage's output, by the suffix of ``path``; a path without one is a folder of JSON Lines.

    Raises:
        ConfigError: as ``check_target`` says.
        OSError: it cannot be written; what was there before is untouched.
    """
    check_target([str(split) for split in table], path)
    if not path.suffix:
        for split, rows in table.items():
            write_json_lines(path / f"{split}.jsonl", rows)
        return
    (rows,) = table.values()
    if path.suffix.lower() in (".json", ".jsonl"):
        write_json_lines(path, rows)
    else:
        with replacing(path) as scratch, quiet_datasets():
            rows.to_parquet(scratch)


def read_sources(folder: Path) -> dict[str, DatasetDict]:
    """The executed responses of a folder with one file a source, ``gold`` among them; empty if it is none.

    Raises:
        DataError: a file is malformed or lacks a column, or two are of one source.
    """
    files: dict[str, Path] = {}
    for path in listing(folder) if folder.is_dir() else ():
        if path.name.startswith("."):  # such as .DS_Store
            continue
        other = files.setdefault(path.stem, path)
        if other != path:
            raise DataError(
                f"{str(folder)!r}: {other.name!r} and {path.name!r} are both of the source {path.stem!r}; "
                "delete or rename one"
            )
    if "gold" not in files:
        return {}
    ordered = {"gold": files["gold"]} | dict(sorted(files.items()))
    return {name: read_table(path, schemas.EXECUTED, "train") for name, path in ordered.items()}


def read_candidates(path: Path, task: str | Task) -> DatasetDict:
    """Rows of the published form (``query, responses, origin``), every response executed.

        {"query": "Given a math problem, ...", "responses": ["calculator(3*19)", ...], "origin": ["gold", ...]}

    The gold response comes first; its answer is the accepted one.

    Raises:
        DataError: a file is malformed, gold is not first, or its response has no answer.
    """
    grader = get_task(task)
    inputs = _inputs(path)
    made: dict[str, Dataset] = {}
    for split, files in inputs.items():
        columns: Batch = {name: [] for name in schemas.CANDIDATES}
        for number, (where, row) in enumerate(pair for file in files for pair in read_rows(file)):
            for name in ("query", "responses", "origin"):
                columns[name].append(_value(row, name, schemas.CANDIDATES, where))
            responses, origin = columns["responses"][-1] or [], columns["origin"][-1]
            if not origin or origin[0] != "gold" or len(origin) != len(responses):
                raise fault(
                    where,
                    f"origin is {origin!r}: it must name each of the {len(responses)} responses, gold first",
                )
            ran = [execute_response(response, grader) for response in responses]
            if ran[0].prediction is None:
                raise fault(
                    where,
                    f"the gold response {responses[0]!r} has no answer: {ran[0].error or 'none is stated'}",
                )
            columns["responses"][-1] = [r.response.text if r.response else None for r in ran]
            columns["id"].append(str(row.get("id", f"{split}-{number}")))
            columns["answer"].append([ran[0].prediction])
            columns["predictions"].append([r.prediction for r in ran])
            columns["uses_tool"].append([r.uses_tool for r in ran])
            columns["fewshot_overlap"].append(is_example(grader, row["query"].partition("\n")[2]))
        made[split] = Dataset.from_dict(columns, features=schemas.CANDIDATES, split=split)
        made[split]._fingerprint = digest(columns)[:32]
    return DatasetDict(made)


def show_row(row: Mapping[str, Any]) -> str:
    """One row as indented JSON, for the terminal; so is a rejected row's ``detail``, which is JSON in a text."""
    shown = dict(row)
    with suppress(KeyError, TypeError, ValueError):  # no such column, none in this row, or of another hand
        shown["detail"] = json.loads(shown["detail"])
    return json.dumps(shown, indent=2, ensure_ascii=False, default=str)
