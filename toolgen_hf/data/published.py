"""Files of the published layout: JSON Lines in ``.json``, each row with whatever else it brings.

{"input": "Jean has ...", "answer": 57, "type": "ratio"}      a line of somebody's GSM8K.json
given  {"id": "GSM8K-train-0", "input": "Jean has ...", "answer": 57, "type": "ratio"}
table  {"id": "GSM8K-train-0", "question": "Jean has ...", "answer": ["57"], "solution": null}
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset, DatasetDict, Features

from toolgen_hf._utils import check_apart, check_parents, digest
from toolgen_hf.builders.columns import ALIASES, known, named, nearest, pick, text
from toolgen_hf.builders.inputs import from_files
from toolgen_hf.builders.layout import REJECTED, id_of
from toolgen_hf.builders.produced import KINDS
from toolgen_hf.builders.rows import Row, fault, read_rows
from toolgen_hf.data.export import write_json_lines
from toolgen_hf.errors import ConfigError, DataError

Mode = Literal["w", "a"]

KNOWN = (
    *("id", "instruction", "question", "input", "answer", "solution"),
    *("response", "output", "tool_call", "tool"),
)
"""What is read of a row. Anything else is the row's own affair, even where it is called like a column of ours."""

WRITERS = {
    "right": "answer_questions.py",
    "wrong": "answer_questions.py",
    "stage1_wrong": "generate_tool_api.py",
    "stage1": "merge.py",
    "responses": "gold_response.py",
    "sources": "generate_response_gpt.py or generate_response_llama.py",
}
"""The scripts that write what another needs; questions come from people."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """A file's rows as they came, and as a table of a config with the same order; both have ids."""

    given: list[Row]
    table: DatasetDict

    def __len__(self) -> int:
        return len(self.given)

    def without(self, kept: Iterable[Row]) -> Rows:
        """The rows whose ids are not among those of ``kept``."""
        known = {str(row["id"]) for row in kept}
        new = [at for at, row in enumerate(self.given) if str(row["id"]) not in known]
        table = DatasetDict({split: rows.select(new) for split, rows in self.table.items()})
        return Rows([self.given[at] for at in new], table) if known else self

    def extras(self) -> list[Row]:
        """Of each row, the fields that no column of ours holds."""
        ours = {*KNOWN, "prediction", "pred"}
        return [{name: value for name, value in row.items() if name not in ours} for row in self.given]


def placed_rows(path: Path, config: str, *, may_be_empty: bool = False) -> list[tuple[str, Row]]:
    """The rows of a file, each with its place; ``config`` says what it should be (one of ``WRITERS``, ``raw``).

    Raises:
        DataError: it is missing, a folder, malformed, or without a row where that is no result.
    """
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder: give the file in it that you mean")
    from_files(path, "train")
    rows = list(read_rows(path))
    if not rows and not may_be_empty:
        raise DataError(f"{str(path)!r} holds no row{_written_by(config) or ': give the questions'}")
    return rows


def _written_by(config: str) -> str:
    return f"; {WRITERS[config]} writes it" if config in WRITERS else ""


def _check_columns(row: Row, config: str, where: str, defaults: Iterable[str]) -> None:
    """In the file's words, whatever is made of it later."""
    kind = KINDS[config]
    for name in kind.features:
        alias = ALIASES.get(name, name)
        if name in ("id", *kind.defaults, *kind.later, *defaults) or name in row or alias in row:
            continue
        wanted = repr(alias) if name in ("tool_call", alias) else f"{name!r} or {alias!r}"
        near = nearest(alias, row) or nearest(name, row)
        raise fault(where, f"no column {wanted}; there is {known(row)}{near}{_written_by(config)}")


def read(
    path: Path, config: str, *, ids_are_unique: bool = True, may_be_empty: bool = False, **defaults: object
) -> Rows:
    """The rows of a file as a config of the published layout (``raw``, ``right``, ``wrong``, ``stage1_wrong``, ...).

    Args:
        may_be_empty: the step can do without a row of it.
        defaults: columns that the file leaves out.

    Raises:
        DataError: it is missing, empty, malformed, lacks a column or repeats an id; names file and line.
    """
    kind, given, places = KINDS[config], [], dict[str, str]()
    placed = placed_rows(path, config, may_be_empty=may_be_empty)
    (split,) = from_files(path, "train")
    columns: dict[str, list[Any]] = {name: [] for name in kind.features}
    for number, (where, row) in enumerate(placed):
        new_id = id_of(path, split, number)
        told = {name: row[name] for name in KNOWN if name in row}
        _check_columns(row, config, where, defaults)
        fitted = kind.row(kind.completed(told, **defaults), where, new_id)
        if ids_are_unique and places.setdefault(fitted["id"], where) != where:
            raise fault(where, f"the id {fitted['id']!r} is already that of {places[fitted['id']]}")
        given.append(row if row.get("id") is not None else {"id": new_id, **_without_id(row)})
        for name, value in fitted.items():
            columns[name].append(value)
    return Rows(given, table(columns, kind.features, split))


def table(columns: Mapping[str, list[Any]], features: Features, split: str = "train") -> DatasetDict:
    """A table of one split for a stage, fingerprinted by its content."""
    made = Dataset.from_dict(dict(columns), features=features, split=split)
    made._fingerprint = digest([split, columns])[:32]
    return DatasetDict({split: made})


def rows_of(table: DatasetDict) -> Iterator[Row]:
    """The rows of every split."""
    return (row for split in table.values() for row in split)


def _without_id(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "id"}


def kept(output: Path, mode: Mode, rows: Rows) -> list[Row]:
    """The rows that an output has already and that stay there: none in mode ``w``.

    Raises:
        ConfigError: it holds another question under one of the ids of ``rows``.
        DataError: it is malformed.
    """
    if mode == "w" or not output.exists():
        return []
    questions = {str(row["id"]): text(row, named(row, "question"), "input") for row in rows.given}
    there = []
    for where, row in read_rows(output):
        key = str(pick(row, "id", where))
        if key in questions and text(row, named(row, "question"), where) != questions[key]:
            raise ConfigError(
                f"{where}: another question under the id {key!r}: give another output, or --mode w"
            )
        there.append(row)
    return there


@dataclass(frozen=True)
class Outcome:
    """What a step did: for its closing line, and for callers."""

    rows_in: int
    rows_out: int
    outputs: tuple[Path, ...]
    rejected: Mapping[str, int]
    aside: Path
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = ", ".join(map(str, self.outputs))
        parts = [f"{self.rows_in} rows in, {self.rows_out} out to {where}"]
        parts += [f"{count} rejected ({reason})" for reason, count in self.rejected.items()]
        parts += [f"each with its reason in {self.aside}"] if self.rejected else []
        return "; ".join([*parts, *self.notes])


def finish(
    rows_in: int,
    outputs: Mapping[Path, Sequence[Row]],
    rejected: Sequence[Row],
    beside: Path,
    notes: Sequence[str] = (),
) -> Outcome:
    """Write the outputs, each whole or not at all, and what was rejected to a file beside ``beside``.

    Raises:
        DataError: nothing came out, and there are rows that it would replace.
    """
    reasons = dict(Counter(row["reason"] for row in rejected).most_common())
    if not any(outputs.values()):
        _check_nothing_is_lost(outputs, reasons)
    for path, rows in outputs.items():
        write_json_lines(path, rows)
    aside = _aside(beside)
    if rejected:
        write_json_lines(aside, rejected)
    else:
        aside.unlink(missing_ok=True)  # an earlier run's
    return Outcome(rows_in, sum(map(len, outputs.values())), tuple(outputs), reasons, aside, tuple(notes))


def _check_nothing_is_lost(outputs: Iterable[Path], reasons: Mapping[str, int]) -> None:
    for path in outputs:
        if path.is_file() and path.stat().st_size:
            why = "; ".join(f"{count} rejected ({reason})" for reason, count in reasons.items())
            raise DataError(
                f"no row came out{f' ({why})' if why else ''}, and {str(path)!r} holds rows, which stay: "
                "is this the right input? If it is, delete the file, or give another output"
            )


def check_output(output: Path, *inputs: Path) -> None:
    """Check, before any work, that an output is no folder, and that neither it nor what is rejected, beside it, is
    written over an input.

    Raises:
        ConfigError: one would be; names the path.
    """
    if output.is_dir():
        raise ConfigError(
            f"the output {str(output)!r} is a folder: give a file, such as {str(output / 'GSM8K.json')!r}"
        )
    check_parents(output)
    outputs = {"the output": output, "where rejected rows go": _aside(output)}
    for path in inputs:
        check_apart({"an input": path}, outputs)


def _aside(beside: Path) -> Path:
    return beside.with_name(f"{beside.stem}{REJECTED}{beside.suffix}")
