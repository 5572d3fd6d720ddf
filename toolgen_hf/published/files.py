"""Files of the published layout: JSON Lines in ``.json``, where a row keeps every field that it has.

{"input": "Jean has ...", "answer": 57, "type": "ratio"}      a line of GSM8K.json, without an id
given  {"id": "GSM8K-train-0", "input": "Jean has ...", "answer": 57, "type": "ratio"}
rows   {"id": "GSM8K-train-0", "question": "Jean has ...", "answer": ["57"], "solution": null}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets import DatasetDict, Features

from toolgen_hf import schemas
from toolgen_hf._utils import check_apart, check_parents
from toolgen_hf.builders.columns import ALIASES, known, nearest
from toolgen_hf.builders.inputs import from_files
from toolgen_hf.builders.layout import REJECTED, id_of
from toolgen_hf.builders.produced import KINDS
from toolgen_hf.builders.rows import Row, fault, read_rows
from toolgen_hf.data.export import write_json_lines
from toolgen_hf.data.tables import Table, dataset, read_kept, read_split
from toolgen_hf.errors import ConfigError, DataError

Mode = Literal["w", "a"]

_KNOWN = (
    *("id", "instruction", "question", "input", "answer", "solution"),
    *("response", "output", "tool_call", "tool"),
)
"""The fields that are read. A row may use any other name for its own data, even the name of one of our columns."""

WRITERS = {
    "right": "answer_questions.py",
    "wrong": "answer_questions.py",
    "stage1_wrong": "generate_tool_api.py",
    "stage1": "merge.py",
    "responses": "gold_response.py",
    "sources": "generate_response_gpt.py or generate_response_llama.py",
}
"""The script that writes each file; the user provides the questions."""


def _file_of(path: Path) -> tuple[str, Path]:
    """The split and the path of a file.

    Raises:
        DataError: it is missing, or a folder.
    """
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder: give the file in it that you mean")
    ((split, (file,)),) = from_files(path, "train").items()
    return split, file


def _require_rows(count: int, path: Path, config: str) -> None:
    """Raises `DataError` if a file has no row; names the script that writes it."""
    if not count:
        raise DataError(f"{str(path)!r} holds no row{_written_by(config) or ': give the questions'}")


def _written_by(config: str) -> str:
    return f"; {WRITERS[config]} writes it" if config in WRITERS else ""


def read(
    path: Path, config: str, *, ids_are_unique: bool = True, may_be_empty: bool = False, **defaults: object
) -> Table:
    """The rows of a file as a config of the published layout (``raw``, ``right``, ``wrong``, ``stage1_wrong``, ...).

    Args:
        may_be_empty: the step also works without a row.
        defaults: values of columns that the file leaves out.

    Raises:
        DataError: the file is missing, empty, malformed, lacks a column or repeats an id; names the file and the line.
    """
    kind = KINDS[config]
    split, file = _file_of(path)
    filled = {"id", *kind.defaults, *kind.later, *defaults}
    required = [name for name in kind.features if name not in filled]

    def convert(row: Row, where: str) -> Row:
        for name in required:
            _check_column(row, name, config, where)
        fields = {name: row[name] for name in _KNOWN if name in row}
        return kind.row(kind.completed(fields, **defaults), where, str(row["id"]))

    new_id = lambda path, number: id_of(path, split, number)  # noqa: E731
    found = read_split([file], split, kind.features, convert, new_id, ids_are_unique=ids_are_unique)
    if not may_be_empty:
        _require_rows(len(found), path, config)
    return found


def _check_column(row: Row, name: str, config: str, where: str) -> None:
    """Raises `DataError` if a row lacks a column under both of its names."""
    alias = ALIASES.get(name, name)
    if name not in row and alias not in row:
        wanted = repr(alias) if name in ("tool_call", alias) else f"{name!r} or {alias!r}"
        near = nearest(alias, row) or nearest(name, row)
        raise fault(where, f"no column {wanted}; there is {known(row)}{near}{_written_by(config)}")


def kept(output: Path, mode: Mode, rows: Table) -> Table | None:
    """The rows that an output has already and keeps; None in mode ``w``. Raises as ``read_kept``."""
    features = Features({name: schemas.RAW[name] for name in ("id", "question")})
    there = read_kept(output, features, {"train": rows.rows}, ids_are_unique=False) if mode == "a" else {}
    return next(iter(there.values()), None)


def extras(table: Table) -> list[Row]:
    """The fields of each row that this library does not read."""
    ours = {*_KNOWN, "prediction", "pred"}
    return [{name: value for name, value in row.items() if name not in ours} for row in table.given]


def splits_of(table: Table) -> DatasetDict:
    """The rows of a file as a stage takes them."""
    return DatasetDict({str(table.rows.split): table.rows})


def as_split(rows: Sequence[Row], features: Features) -> DatasetDict:
    """Rows with all columns of ``features`` as a stage takes them: the split ``train``."""
    return DatasetDict({"train": dataset({name: [row[name] for row in rows] for name in features}, features)})


def rows_of(splits: DatasetDict) -> Iterator[Row]:
    """The rows of every split."""
    return (row for split in splits.values() for row in split)


def rows_in(path: Path, config: str) -> list[tuple[str, Row]]:
    """The rows of a file as they are, each with its place. Raises `DataError` as ``read``."""
    rows = list(read_rows(_file_of(path)[1]))
    _require_rows(len(rows), path, config)
    return rows


@dataclass(frozen=True)
class Outcome:
    """What a step did. Its text is the step's closing line."""

    rows_in: int
    rows_out: int
    outputs: tuple[Path, ...]
    rejected: Mapping[str, int]
    rejected_path: Path
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = ", ".join(map(str, self.outputs))
        parts = [f"{self.rows_in} rows in, {self.rows_out} out to {where}"]
        parts += [f"{count} rejected ({reason})" for reason, count in self.rejected.items()]
        parts += [f"each with its reason in {self.rejected_path}"] if self.rejected else []
        return "; ".join([*parts, *self.notes])


def finish(
    rows_in: int,
    outputs: Mapping[Path, Sequence[Row]],
    rejected: Sequence[Row],
    beside: Path,
    notes: Sequence[str] = (),
) -> Outcome:
    """Write the outputs, each whole or not at all, and the rejected rows to a file beside ``beside``.

    Raises:
        DataError: there is no row to write, and an output holds rows that would be lost.
    """
    reasons = dict(Counter(row["reason"] for row in rejected).most_common())
    for path in outputs if not any(outputs.values()) else ():
        if path.is_file() and path.stat().st_size:
            why = "; ".join(f"{count} rejected ({reason})" for reason, count in reasons.items())
            raise DataError(
                f"no row came out{f' ({why})' if why else ''}, and {str(path)!r} holds rows, which stay: "
                "is this the right input? If it is, delete the file, or give another output"
            )
    for path, rows in outputs.items():
        write_json_lines(path, rows)
    rejected_path = _rejected_path(beside)
    if rejected:
        write_json_lines(rejected_path, rejected)
    else:
        rejected_path.unlink(missing_ok=True)  # an earlier run's
    return Outcome(
        rows_in, sum(map(len, outputs.values())), tuple(outputs), reasons, rejected_path, tuple(notes)
    )


def check_output(output: Path, *inputs: Path) -> None:
    """Check, before any work, that an output is not a folder, and that no input is overwritten.

    Raises:
        ConfigError: the output is a folder; or the output, or the file of rejected rows beside it, is an input.
    """
    if output.is_dir():
        raise ConfigError(
            f"the output {str(output)!r} is a folder: give a file, such as {str(output / 'GSM8K.json')!r}"
        )
    check_parents(output)
    outputs = {"the output": output, "where rejected rows go": _rejected_path(output)}
    for path in inputs:
        check_apart({"an input": path}, outputs)


def _rejected_path(beside: Path) -> Path:
    return beside.with_name(f"{beside.stem}{REJECTED}{beside.suffix}")
