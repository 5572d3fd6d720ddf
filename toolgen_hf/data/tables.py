"""Tables of rows in files: one reader, one writer.

    {"input": "Jean has ...", "answer": 57, "type": "ratio"}      a line of GSM8K.jsonl, without an id
    given  {"id": "GSM8K-train-0", "input": "Jean has ...", "answer": 57, "type": "ratio"}
    rows   {"id": "GSM8K-train-0", "question": "Jean has ...", "answer": ["57"], "solution": None}

A table is one file (``rows.json`` or ``rows.jsonl``: JSON Lines; ``rows.parquet``; anything that
`toolgen_hf.builders.rows` reads), or a folder with one file a split (``train.jsonl``, ``test.jsonl``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Features, List

from toolgen_hf import schemas
from toolgen_hf._utils import check_parents, column, digest, quiet_datasets, replacing
from toolgen_hf.builders.columns import answers, named, pick, text
from toolgen_hf.builders.inputs import Inputs, from_files, from_folder, is_data, listing
from toolgen_hf.builders.layout import id_of
from toolgen_hf.builders.produced import fit
from toolgen_hf.builders.rows import Row, check_new_id, fault, read_rows
from toolgen_hf.data.export import write_json_lines
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.execute import Asked, execute_texts
from toolgen_hf.tasks import TaskLike, get_task
from toolgen_hf.tasks.prompts import is_example

OPTIONAL = (
    *("solution", "response", "thinking", "calls", "finish_reason", "truncated", "fewshot_overlap"),
    *("prediction", "reason", "error", "tool_call", "teacher", "verified_by", "soundness", "attempts", "source"),
)  # fmt: skip
"""Columns that a file may leave out; null then."""

Convert = Callable[[Row, str], Row]
"""From a row of a file, which has an id, and its place to a row of the table."""


@dataclass(frozen=True)
class Table:
    """The rows of one split as the file has them, each with an id, and as a stage takes them, in the same order."""

    given: list[Row]
    rows: Dataset

    def __len__(self) -> int:
        return len(self.given)

    def without(self, ids: Collection[str]) -> Table:
        """The rows whose id is not one of ``ids``."""
        new = [at for at, key in enumerate(column(self.rows, "id")) if key not in ids]
        return self if len(new) == len(self) else Table([self.given[at] for at in new], self.rows.select(new))


def read_split(
    files: Iterable[Path],
    split: str,
    features: Features,
    convert: Convert,
    new_id: Callable[[Path, int], str] | None = None,
    *,
    ids_are_unique: bool = True,
) -> Table:
    """Read the files of one split.

    Args:
        new_id: gives the id of a row without one, by its file and its number in the split; None leaves the row as
            it is.

    Raises:
        DataError: a file is malformed, or two rows have the same id; names the file and the line.
    """
    given: list[Row] = []
    made: list[Row] = []
    places: dict[str, str] = {}
    for path, where, row in ((file, *pair) for file in files for pair in read_rows(file)):
        if row.get("id") is None and new_id is not None:
            row = {"id": new_id(path, len(given)), **{k: value for k, value in row.items() if k != "id"}}
        made.append(convert(row, where))
        if ids_are_unique:
            check_new_id(made[-1]["id"], where, places)
        given.append(row)
    return Table(given, dataset({name: [row[name] for row in made] for name in features}, features, split))


def dataset(columns: Mapping[str, list[Any]], features: Features, split: str = "train") -> Dataset:
    """One split as a dataset, with a fingerprint of its content."""
    made = Dataset.from_dict(dict(columns), features=features, split=split)
    made._fingerprint = digest([split, columns])[:32]
    return made


def read_table(
    path: Path, features: Features, split: str | None = None, optional: Collection[str] = OPTIONAL
) -> DatasetDict:
    """Read a stage's input.

    Args:
        split: the split of a single file; default by its name (``test.jsonl``), else ``train``.
        optional: columns that may be absent or empty; null then.

    Raises:
        DataError: a file is missing, malformed, empty or lacks a column, or two rows have the same id; names the file
            and the line.
    """
    tables = {}
    for split_name, files in _inputs(path, split).items():
        # responses of two sources meet by their ids, so an id is not made for them
        new_id = None if "source" in features else lambda file, number, s=split_name: id_of(file, s, number)
        made = read_split(
            files, split_name, features, lambda row, where: _stage_row(row, features, where, optional), new_id
        )
        if not made.given:
            raise DataError(f"{', '.join(map(str, files))}: no row in this file")
        tables[split_name] = made.rows
    return DatasetDict(tables)


def read_kept(
    target: Path,
    features: Features,
    rows: Mapping[str, Dataset],
    source: str | None = None,
    *,
    ids_are_unique: bool = True,
) -> dict[str, Table]:
    """Mode ``a``: the rows that an output has already and keeps, by split. The step makes only the others.

    Args:
        features: of the output; with ``id`` and ``question``.
        rows: the input by split, with ``id`` and ``question``.
        source: the source of the responses, where the output has the column.

    Raises:
        ConfigError: the output has another question under an id of the input, or responses of another source.
        DataError: the output is malformed.
    """
    if not target.exists() or (target.is_file() and not target.stat().st_size):
        return {}
    questions = {
        key: text for one in rows.values() for key, text in zip(one["id"], one["question"], strict=True)
    }

    def convert(row: Row, where: str) -> Row:
        made = _stage_row(row, features, where)
        key, way = made["id"], "give another output, or --mode w"
        if made.get("source", source) != source:
            raise ConfigError(
                f"{where}: the output holds responses of {made['source']!r}, not of {source!r}: {way}"
            )
        if questions.get(key, made["question"]) != made["question"]:
            raise ConfigError(f"{where}: another question under the id {key!r}: {way}")
        return made

    inputs = _inputs(target, next(iter(rows)) if target.is_file() else None)
    return {
        split: read_split(files, split, features, convert, ids_are_unique=ids_are_unique)
        for split, files in inputs.items()
    }


def _inputs(path: Path, split: str | None = None) -> Inputs:
    if path.is_dir():
        return from_folder(path, "train")
    return from_files({split: str(path)} if split else path, "train")


def _stage_row(row: Row, features: Features, where: str, optional: Collection[str] = OPTIONAL) -> Row:
    """A row of a file with the columns of ``features``; CSV spells null as an empty cell."""
    made: Row = {}
    for name, feature in features.items():
        found = named(row, name)
        if name in optional:
            value = row.get(found)
            missing: Any = [] if isinstance(feature, List) else None
            made[name] = missing if value in (None, "") else fit(value, feature, name, where)
        elif name in ("id", "question", "input", "query", "output"):
            made[name] = text(row, found, where)
        elif name == "answer":
            made[name] = answers(row, name, where)
        else:
            made[name] = fit(pick(row, found, where), feature, name, where)
    return made


def read_sources(folder: Path) -> dict[str, DatasetDict]:
    """The executed responses of a folder with one file a source, ``gold`` first; empty if there is no ``gold``.

    Raises:
        DataError: a file is malformed or lacks a column, or two files are of the same source.
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


def read_candidates(path: Path, task: TaskLike, workspace: Workspace) -> DatasetDict:
    """Rows of the published form (``query, responses, origin``); every response is executed.

        {"query": "Given a math problem, ...", "responses": ["calculator(3*19)", ...], "origin": ["gold", ...]}

    The gold response comes first; its answer is the accepted one.

    Raises:
        DataError: a file is malformed, the first response is not gold's, or that response has no answer.
    """
    grader = get_task(task)

    def convert(row: Row, where: str) -> Row:
        read = Features({name: schemas.CANDIDATES[name] for name in ("query", "responses", "origin")})
        made = _stage_row(row, read, where, ())
        responses, origin = made["responses"] or [], made["origin"]
        if not origin or origin[0] != "gold" or len(origin) != len(responses):
            raise fault(
                where,
                f"origin is {origin!r}: it must name each of the {len(responses)} responses, gold first",
            )
        question = made["query"].partition("\n")[2]
        ran = execute_texts([Asked(response, question) for response in responses], task, workspace)
        if ran[0].prediction is None:
            raise fault(
                where,
                f"the gold response {responses[0]!r} has no answer: {ran[0].error or 'none is stated'}",
            )
        return {
            **made,
            "id": str(row["id"]),
            "responses": [r.response.text if r.response else None for r in ran],
            "answer": [ran[0].prediction],
            "predictions": [r.prediction for r in ran],
            "uses_tool": [r.uses_tool for r in ran],
            "fewshot_overlap": is_example(grader, question),
        }

    tables = {}
    for split, files in _inputs(path).items():
        new_id = lambda _, number, s=split: f"{s}-{number}"  # noqa: E731
        tables[split] = read_split(
            files, split, schemas.CANDIDATES, convert, new_id, ids_are_unique=False
        ).rows
    return DatasetDict(tables)


def check_table_target(splits: Sequence[str], path: Path) -> None:
    """Check, before any work, that a table of these splits can be written to ``path``.

    Raises:
        ConfigError: as ``check_path``; or a file is given for several splits; or the folder holds data files of
            another table, which a later run would read as part of this one.
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
    """Check, before any work, that a table may be written to ``path``, whatever its splits.

    Raises:
        ConfigError: the suffix is unknown, ``path`` is a file where a folder is due or a folder where a file is due,
            or a folder above it is a file.
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
    """Write a stage's output in the form that the suffix of ``path`` names; without a suffix, a folder of JSON Lines.

    Raises:
        ConfigError: as ``check_table_target``.
        OSError: it cannot be written; an earlier file stays as it is.
    """
    check_table_target([str(split) for split in table], path)
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


def show_row(row: Mapping[str, Any]) -> str:
    """One row as indented JSON for the terminal; the JSON text in a rejected row's ``detail`` is expanded."""
    shown = dict(row)
    with suppress(KeyError, TypeError, ValueError):  # the column is missing, null, or holds other text
        shown["detail"] = json.loads(shown["detail"])
    return json.dumps(shown, indent=2, ensure_ascii=False, default=str)
