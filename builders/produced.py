"""Opens a produced directory: Parquet, or the JSON files of the method's published layout.

A line of ``data/stage2/GSM8K/GSM8K.json``

    {"query": "please solve it\\nJean has ...", "responses": ["calculator(3*19)", "Jean has $54."],
     "origin": ["gold", "vicuna"], "scores": [20, 15], "answer": ["57.0", "54.0"]}

gives the same row with the columns of `toolgen_hf.schemas.STAGE2`. It has no id, so it gets ``GSM8K-train-0``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
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
"""The config of one source's executed responses begins with this: ``responses-chatgpt``."""


@dataclass(frozen=True)
class FileKind:
    """The columns of a config, and the values of those that its published JSON files leave out."""

    features: Features
    description: str
    defaults: dict[str, object] = field(default_factory=dict)

    @property
    def later(self) -> dict[str, object]:
        """The columns that earlier versions did not write, as null."""
        return {name: None for name in self.features if name in schemas.LATER}

    def row(self, row: Row, where: str, new_id: str) -> Row:
        """A row with the columns of this kind, from a row of a file; other columns are left out.

        Raises:
            DataError: the row lacks a column, or a value does not fit.
        """
        row = {**row, "id": new_id if row.get("id") is None else row["id"]}
        found = {
            name: row.get(name) if name in schemas.LATER else pick(row, named(row, name), where)
            for name in self.features
        }
        fitted = {name: fit(found[name], self.features[name], name, where) for name in found}
        _split_worked(fitted)
        if "scores" in fitted:
            lengths = {name: len(fitted[name] or []) for name in ("responses", "origin", "scores", "answer")}
            if len(set(lengths.values())) > 1:
                raise fault(where, f"these must be of one length, one item a response: {lengths}")
        if "question" in fitted:
            text(fitted, "question", where)
            answers(fitted, "answer", where)
        return fitted

    def completed(self, row: Row, **defaults: object) -> Row:
        """The row with the columns that published JSON leaves out."""
        missing = {**self.later, **self.defaults, **defaults}
        return row | {name: value for name, value in missing.items() if named(row, name) not in row}


KINDS = {
    "raw": FileKind(schemas.RAW, "questions with known answers", {"solution": None}),
    "right": FileKind(schemas.ANSWERED, "answered right without a tool", {**_UNGRADED, "correct": True}),
    "wrong": FileKind(schemas.ANSWERED, "answered wrong without a tool", {**_UNGRADED, "correct": False}),
    "answered": FileKind(schemas.ANSWERED, "the student's answers without a tool"),
    "called": FileKind(schemas.CALLED, "the teachers' tool calls"),
    "stage1": FileKind(schemas.STAGE1, "behavior cloning", {"answer": None, "fewshot_overlap": None}),
    "stage1_wrong": FileKind(schemas.CALLED, "the verified tool calls", _CALL_ALONE),
    "responses": FileKind(schemas.RESPONSES, "one response a source and question", {"finish_reason": None}),
    "executed": FileKind(schemas.EXECUTED, "responses with their tool calls run"),
    "stage2": FileKind(
        schemas.STAGE2, "reinforcement learning with execution feedback", {"fewshot_overlap": None}
    ),
    "sft": FileKind(schemas.SFT, "behavior cloning as TRL's prompt-completion"),
    "tool_calling": FileKind(schemas.TOOL_CALLING, "behavior cloning as TRL's conversations with tools"),
    "preference": FileKind(schemas.PREFERENCE, "pairs for DPO and reward models"),
    "rejected": FileKind(schemas.REJECTED, "what fell out on the way, with the reason"),
}


def kind_of(config: str) -> FileKind | None:
    """The kind of a config; None if this library writes no such config."""
    return KINDS.get("executed" if config.startswith(RESPONSES) else config)


class Produced(RowsBuilder):
    """A config of a produced directory, with the features of `toolgen_hf.schemas`.

        load(Produced("stage2", data_dir="outputs/quickstart"))
        load(Produced("stage1", data_dir="outputs/quickstart", dataset_name="mix"))  # stage1/mix/mix.json
        load(Produced("responses-chatgpt", data_dir="outputs/quickstart"))  # one source's, executed

    It reads the directory's Parquet; if a config has none, or with a ``dataset_name``, the JSON exports. Columns that
    the schema lacks are left out, except a mix's ``dataset`` and ``task`` and the mark of near duplicates.

    Raises:
        ConfigError: this library writes no such config.
        DataError: the config is not there, or a row does not fit.
    """

    VERSION = "1.3.0"
    BUILDER_CONFIGS = tuple(
        RowsConfig(name=name, version="1.3.0", description=kind.description) for name, kind in KINDS.items()
    )
    may_be_empty = True  # a run may answer nothing right, or reject nothing

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
        for names, widened in (({schemas.NEAR}, schemas.with_near), ({*schemas.OF_A_MIX}, schemas.mixed)):
            if all(names <= found for found in there):
                self.kind = replace(self.kind, features=widened(self.kind.features))
        self.ids_are_unique = config_name == "raw"  # a mix may repeat rows; responses have one a source
        super().__init__(kind, inputs, cache_dir, dataset=name)

    def sample(self, ids: Collection[str]) -> dict[str, list[Row]]:
        """The rows with these ids, by split; read in one pass, and not cached."""
        self.only = frozenset(ids)
        return {
            split: [self._row(row, where, "") for path in paths for where, row in self._read(path, split)]
            for split, paths in self.inputs.items()
        }

    def _info(self) -> DatasetInfo:
        kind = self.kind
        return DatasetInfo(
            description=f"TRICE tool learning data: {kind.description}.", features=kind.features
        )

    def _as_dataset(self, split: str = "train", in_memory: bool = False) -> Dataset:
        """The same as in `datasets`, which fails on a split without rows."""
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
    """A value in the type of its feature: one answer becomes a list, a number becomes text. Null stays null.

    Raises:
        DataError: the value does not fit the feature.
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
        try:  # Parquet holds a Json column as text
            return json.loads(value) if isinstance(value, str) else value
        except ValueError as error:
            raise fault(where, f"{column!r} holds {shorten(value)}, expected JSON ({error})") from None
    if feature == Value("string"):
        return as_text(value, column, where)
    kind = {"int64": int, "bool": bool}[feature.dtype]
    if type(value) is not kind:
        raise fault(where, f"{column!r} holds {shorten(value)}, expected {kind.__name__}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise fault(where, f"{column!r} holds {shorten(value)}, which is too large for a 64-bit integer")
    return value


def _split_worked(row: Row) -> None:
    """Split an answer in GSM8K's own form, the worked solution and then ``#### 72``, into answer and solution."""
    if "scores" in row or len(row.get("answer") or []) != 1 or row["answer"][0] is None:
        return
    if is_worked(row["answer"][0]):
        solution, answer = split_answer(row["answer"][0], "")
        row["answer"] = [answer]
        if "solution" in row and row["solution"] is None:
            row["solution"] = solution
