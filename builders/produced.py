"""What this project wrote, opened again: Parquet, or the JSON files of the method's published layout.

A line of ``data/stage2/GSM8K/GSM8K.json``

    {"query": "please solve it\\nJean has ...", "responses": ["calculator(3*19)", "Jean has $54."],
     "origin": ["gold", "vicuna"], "scores": [20, 15], "answer": ["57.0", "54.0"]}

gives the same row with the columns of `toolgen_hf.schemas.STAGE2`. It brings no id: ``GSM8K-train-0``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from datasets import Dataset, DatasetInfo, Features, Json, List, Value

from toolgen_hf import schemas
from toolgen_hf.builders.base import RowsBuilder, RowsConfig
from toolgen_hf.builders.columns import answers, as_text, named, pick, text
from toolgen_hf.builders.gsm8k import is_worked, split_answer
from toolgen_hf.builders.inputs import StrPath
from toolgen_hf.builders.layout import locate, source_of
from toolgen_hf.builders.rows import Row, columns, fault, shorten

if TYPE_CHECKING:
    from pathlib import Path

_UNGRADED = dict.fromkeys(
    ("solution", "response", "thinking", "truncated", "prediction", "fewshot_overlap", "reason")
)
_CALL_ALONE: dict[str, object] = {**_UNGRADED, "correct": False, "teacher": None, "attempts": []}


RESPONSES = "responses-"
"""Begins the name of the config of one source's executed responses: ``responses-chatgpt``."""


@dataclass(frozen=True)
class Kind:
    """The columns of a config, those that its published JSON files leave out, and those that older versions lack."""

    features: Features
    description: str
    defaults: dict[str, object] = field(default_factory=dict)

    @property
    def later(self) -> dict[str, object]:
        """The columns that data sets of earlier versions lack, null."""
        return {name: None for name in self.features if name in schemas.LATER}

    def row(self, row: Row, where: str, new_id: str) -> Row:
        """A row of this kind, from one of a file; columns that the schema does not know are left out.

        Raises:
            DataError: it lacks a column, or a value does not fit.
        """
        row = {**row, "id": new_id if row.get("id") is None else row["id"]}
        found = {
            name: row.get(name) if name in schemas.LATER else pick(row, named(row, name), where)
            for name in self.features
        }
        fitted = {name: fit(found[name], self.features[name], name, where) for name in found}
        _split_worked(fitted)
        if "scores" in fitted:
            _check_lengths(fitted, where)
        if "question" in fitted:
            text(fitted, "question", where)
            answers(fitted, "answer", where)
        return fitted

    def completed(self, row: Row, **defaults: object) -> Row:
        """With the columns that published JSON leaves out."""
        missing = {**self.later, **self.defaults, **defaults}
        return row | {name: value for name, value in missing.items() if named(row, name) not in row}


KINDS = {
    "raw": Kind(schemas.RAW, "questions with known answers", {"solution": None}),
    "right": Kind(schemas.ANSWERED, "answered right without a tool", {**_UNGRADED, "correct": True}),
    "wrong": Kind(schemas.ANSWERED, "answered wrong without a tool", {**_UNGRADED, "correct": False}),
    "answered": Kind(schemas.ANSWERED, "the student's answers without a tool"),
    "called": Kind(schemas.CALLED, "the teachers' tool calls"),
    "stage1": Kind(schemas.STAGE1, "behavior cloning", {"answer": None, "fewshot_overlap": None}),
    "stage1_wrong": Kind(schemas.CALLED, "the verified tool calls", _CALL_ALONE),
    "responses": Kind(schemas.RESPONSES, "one response a source and question", {"finish_reason": None}),
    "executed": Kind(schemas.EXECUTED, "responses with their tool calls run"),
    "stage2": Kind(
        schemas.STAGE2, "reinforcement learning with execution feedback", {"fewshot_overlap": None}
    ),
    "sft": Kind(schemas.SFT, "behavior cloning as TRL's prompt-completion"),
    "tool_calling": Kind(schemas.TOOL_CALLING, "behavior cloning as TRL's conversations with tools"),
    "preference": Kind(schemas.PREFERENCE, "pairs for DPO and reward models"),
    "rejected": Kind(schemas.REJECTED, "what fell out on the way, with the reason"),
}


def kind_of(config: str) -> Kind | None:
    """What is known of a config of this name; None for one that this library does not write."""
    return KINDS.get("executed" if config.startswith(RESPONSES) else config)


class Produced(RowsBuilder):
    """A config of a produced directory, with the features of `toolgen_hf.schemas`.

        load(Produced("stage2", data_dir="outputs/quickstart"))
        load(Produced("stage1", data_dir="outputs/quickstart", dataset_name="mix"))  # stage1/mix/mix.json
        load(Produced("responses-chatgpt", data_dir="outputs/quickstart"))  # one source's, executed

    The directory's Parquet is read; where a config has none, or a ``dataset_name`` is given, its JSON exports
    are. Columns that the schema does not know are left out, but for a mix's ``dataset`` and ``task`` and the mark of
    near duplicates. Raises `DataError` for a config that is not there and for a row that does not fit.
    """

    VERSION = "1.3.0"
    BUILDER_CONFIGS = tuple(
        RowsConfig(name=name, version="1.3.0", description=kind.description) for name, kind in KINDS.items()
    )
    may_be_empty = True  # a run may well answer nothing right, or reject nothing

    def __init__(
        self,
        config_name: str,
        *,
        data_dir: StrPath,
        dataset_name: str | None = None,
        cache_dir: StrPath | None = None,
    ) -> None:
        kind = "executed" if config_name.startswith(RESPONSES) else config_name
        self.known_config(kind)
        self.kind = KINDS[kind]
        inputs, name = locate(data_dir, config_name, dataset_name)
        there = [columns(path) for paths in inputs.values() for path in paths]
        if kind == "stage2" and all("correct" in found for found in there):
            self.kind = replace(self.kind, features=schemas.SCORED)
        for names, widened in (({schemas.NEAR}, schemas.marked), ({*schemas.MIXED}, schemas.mixed)):
            if all(names <= found for found in there):
                self.kind = replace(self.kind, features=widened(self.kind.features))
        self.ids_are_unique = config_name == "raw"  # a mix may repeat rows; responses have one a source
        super().__init__(kind, inputs, cache_dir, dataset=name)

    def _info(self) -> DatasetInfo:
        kind = self.kind
        return DatasetInfo(
            description=f"TRICE tool learning data: {kind.description}.", features=kind.features
        )

    def _as_dataset(self, split: str = "train", in_memory: bool = False) -> Dataset:
        """As in `datasets`, which writes a split without rows but cannot open it."""
        if str(split) in self.info.splits and not self.info.splits[str(split)].num_examples:
            columns: dict[str, list[object]] = {name: [] for name in self.info.features}
            return Dataset.from_dict(columns, self.info.features, self.info.copy(), split)
        return super()._as_dataset(split, in_memory)

    def _read(self, path: Path, split: str) -> Iterator[tuple[str, Row]]:
        if path.suffix == ".parquet":
            return ((where, {**self.kind.later, **row}) for where, row in super()._read(path, split))
        of_source = {}
        if self.config.name == "responses":
            of_source = {"source": source_of(path, self.config.dataset, split)}
        return ((where, self.kind.completed(row, **of_source)) for where, row in super()._read(path, split))

    def _row(self, row: Row, where: str, new_id: str) -> Row:
        return self.kind.row(row, where, new_id)


def fit(value: Any, feature: Any, column: str, where: str) -> Any:
    """A value as its feature has it: a lone answer becomes a list, a number text where text is due.

    Null stays null. Raises `DataError` for anything else that is not of the feature's type.
    """
    if value is None:
        return None
    if isinstance(feature, List):
        items = value if isinstance(value, list) or isinstance(feature.feature, dict) else [value]
        return [fit(item, feature.feature, column, where) for item in items]
    if isinstance(feature, dict):
        if not isinstance(value, dict):
            raise fault(
                where, f"{column!r} is {shorten(value)}, expected an object with {', '.join(feature)}"
            )
        return {name: fit(value.get(name), feature[name], f"{column}.{name}", where) for name in feature}
    if feature == Json():
        return _from_json(value, column, where)
    if feature == Value("string"):
        return as_text(value, column, where)
    kind = {"int64": int, "bool": bool}[feature.dtype]
    if type(value) is not kind:
        raise fault(where, f"{column!r} holds {shorten(value)}, expected {kind.__name__}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise fault(where, f"{column!r} holds {shorten(value)}, which is too large for a 64-bit integer")
    return value


def _from_json(value: Any, column: str, where: str) -> Any:
    """A value of a Json column, which Parquet holds as text."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise fault(where, f"{column!r} holds {shorten(value)}, expected JSON ({error})") from None


def _split_worked(row: Row) -> None:
    """GSM8K's own form of an answer, the worked solution and then ``#### 72``, as answer and solution."""
    if "scores" in row or len(row.get("answer") or []) != 1 or row["answer"][0] is None:
        return
    if is_worked(row["answer"][0]):
        solution, answer = split_answer(row["answer"][0], "")
        row["answer"] = [answer]
        if "solution" in row and row["solution"] is None:
            row["solution"] = solution


def _check_lengths(row: Row, where: str) -> None:
    """One origin, score and answer to each response."""
    lengths = {name: len(row[name] or []) for name in ("responses", "origin", "scores", "answer")}
    if len(set(lengths.values())) > 1:
        raise fault(where, f"these must be of one length, one item a response: {lengths}")
