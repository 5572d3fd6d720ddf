"""A manifest as it is read: checked once, and typed from then on. Whoever wrote it may be anybody.

    parse_manifest(b'{"toolgen_hf": "0.1.0", "files": {}, "summary": 5}', "out/manifest.json")
    DataError: out/manifest.json: summary: Input should be a valid dictionary, and it is 5

What the writer records is in manifest.py; what a name or a number may be is said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json

from toolgen_hf.errors import DataError
from toolgen_hf.runtime.summary import Summary

MANIFEST = "manifest.json"
_SHOWN = 3
_CLIENTS = (".cache", ".git")
"""Folders of the Hub's client and of git, which no file of a result lies in."""


def _inside(name: str) -> str:
    """A file's path below the directory of the manifest: ``../x`` must not lead out of where it is read or written."""
    parts = name.split("/")
    if (
        not name.isprintable()
        or "\\" in name
        or set(parts) & {"", ".", ".."}
        or PurePosixPath(name).is_absolute()
    ):
        raise ValueError("a file name is a relative path below the directory, with '/' and without '..'")
    if parts[0] in _CLIENTS or name == MANIFEST:
        raise ValueError(f"no file of a result is called {name!r}")
    return name


def _component(name: str) -> str:
    """A config or split, which is part of a file's name."""
    if _inside(name) != name or set(name) & set("/*?[]"):
        raise ValueError("it is part of a file name: no '/', '*', '?' or brackets")
    return name


Name = Annotated[str, AfterValidator(_component)]
FileName = Annotated[str, AfterValidator(_inside)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Score = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,6}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 53)]
Amount = Annotated[float, Field(ge=0, lt=1e15, allow_inf_nan=False)]
Counts = dict[str, Count]
Json = dict[str, Any]


def _row(row: Json) -> Json:
    """A row as an example; one of stage 2 has lists of one length."""
    lists = (
        [row.get(name) for name in ("responses", "origin", "answer", "scores")] if "responses" in row else []
    )
    for values, kind in zip(lists, (str, str, str, int), strict=False):
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            raise ValueError(
                "responses, origin and answer of an example are lists of text, scores of integers"
            )
    if len({len(values) for values in lists if values is not None}) > 1 or (
        lists and not isinstance(row.get("query"), str)
    ):
        raise ValueError(
            "an example of stage 2 has a query, and an origin, answer and score for each response"
        )
    return row


Example = Annotated[Json, AfterValidator(_row)]


class _Record(BaseModel):
    """Keys that are not known here are kept: another version may have written them."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="allow", allow_inf_nan=False, protected_namespaces=()
    )


class _Used(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)
    texts: Count = 0
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cost: Amount | None = 0.0


class _Stage(_Record):
    stage: str
    split: str
    rows_in: Count
    rows_out: Count
    rejected: Counts
    cached: bool
    seconds: Amount
    generated: Count = 0
    reused: Count = 0


class _Asked(_Record):
    asked: Count
    correct: Count
    truncated: Count


class _Student(_Record):
    splits: dict[str, _Asked]


class _Responses(_Record):
    responses: Count
    tool: Count
    failed: Count
    correct: Count
    need_known: Count
    need_agreed: Count


class _Source(_Responses):
    splits: dict[str, _Responses]
    scores: dict[Score, Count]


class _Mixed(_Record):
    """The questions of a part in a split, by what became of them."""

    questions: Count
    before: Count
    rejected: Count
    undrawn: Count
    rows: Count


class _MixPart(_Record):
    dataset: str
    task: str
    weight: Amount | dict[str, Amount | None] | None = None
    count: Count | dict[str, Count | None] | None = None
    splits: dict[str, _Mixed]


class _Repeat(_Record):
    part: str
    split: str
    of: str
    of_split: str
    match: Literal["id", "exact", "normalised", "near"]
    dropped: bool
    count: Count


class _Mix(_Record):
    order: Literal["interleave", "concatenate"] = "interleave"
    seed: int = 0
    parts: dict[str, _MixPart] = Field(default_factory=dict)
    repeats: list[_Repeat] = Field(default_factory=list)

    @model_validator(mode="after")
    def _whole(self) -> _Mix:
        if self.model_fields_set and not set(type(self).model_fields) <= self.model_fields_set:
            raise ValueError("a mix has order, seed, parts and repeats")
        return self


class _Near(_Record):
    """Questions of a split with a near duplicate in another one; ``example``: such a question's id and the other's."""

    split: str
    of_split: str
    count: Count
    rows: Count
    example: Annotated[list[str], Field(min_length=2, max_length=2)]


class _Summary(_Record):
    name: str
    stages: list[_Stage]
    student: _Student
    calls_needed: Count
    teachers: Counts
    rejected: Counts
    sources: dict[str, _Source]
    examples: dict[str, Example]
    generated: Count
    reused: Count
    prompt_tokens: Count
    completion_tokens: Count
    cost: Amount | None
    transforms_run: Count
    configs: dict[Name, dict[Name, Count]]
    seconds: Amount = 0.0
    up_to_date: bool = False
    fewshot_overlap: Counts = Field(default_factory=dict)
    calls: dict[str, Counts] = Field(default_factory=dict)
    used: _Used = _Used()
    mix: _Mix = _Mix()
    near_duplicates: list[_Near] | None = None
    moved: Count = 0


class _Adapter(_Record):
    sources: list[str]
    model: str
    template: str
    learning_rate: Amount


class _Prompt(_Record):
    system: str
    user: str
    examples: Count
    example_seed: int | None


class _Place(_Record):
    """Which version of which set the questions were taken from."""

    source_dataset: str | None = None
    config: str | None = None
    revision: str | None = None
    commit: str | None = None
    models: dict[str, str] = Field(default_factory=dict)


class _Part(_Record):
    source_dataset: str = ""
    homepage: str = ""
    license: str = "unknown"
    source: _Place | None = None


class Manifest(_Record):
    """What ``manifest.json`` says. ``files``: SHA-256 by path. ``version`` is None of a result that was not pushed."""

    toolgen_hf: str
    files: dict[FileName, Digest]
    recorded: _Summary = Field(alias="summary")
    key: str | None = None
    version: str | None = None
    created_at: str | None = None
    name: str = ""
    description: str = ""
    task: str | None = None
    source_dataset: str = ""
    homepage: str = ""
    license: str = ""
    language: str | None = None
    citation: str = ""
    strategy: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    models: dict[str, str] = Field(default_factory=dict)
    licences: dict[str, str] = Field(default_factory=dict)
    generators: dict[str, Json] = Field(default_factory=dict)
    finetune: dict[str, _Adapter] = Field(default_factory=dict)
    prompts: dict[str, _Prompt] = Field(default_factory=dict)
    outside: dict[str, Json] = Field(default_factory=dict)
    source: _Place | None = None
    parts: dict[str, _Part] = Field(default_factory=dict)

    _data: dict[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Manifest:
        """From plain JSON data. Raises pydantic's ``ValidationError``."""
        made = cls.model_validate(data)
        made._data = data
        return made

    @property
    def data(self) -> dict[str, Any]:
        """All of it as plain JSON data, as it was written."""
        return self._data

    @cached_property
    def summary(self) -> Summary:
        """What the run did."""
        return Summary.from_dict(self._data["summary"])

    @property
    def rows(self) -> dict[str, int]:
        """Rows by config, all splits together."""
        return {config: sum(splits.values()) for config, splits in self.recorded.configs.items()}


def parse_manifest(text: bytes, where: str) -> Manifest:
    """The manifest in a file that may hold anything.

    Args:
        where: what the file is called in the message.

    Raises:
        DataError: it is no JSON, or not of a manifest's form; names the first things that are wrong.
    """
    try:
        return Manifest.of(from_json(text))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False)
        listed = "; ".join(_said(one) for one in wrong[:_SHOWN])
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise DataError(f"{where}: {listed}{more}") from error
    except ValueError as error:
        raise DataError(f"{where}: it is no JSON ({error})") from error


def _said(wrong: Mapping[str, Any]) -> str:
    """One thing that is wrong: where, what, and what stands there, on one line."""
    parts = [str(part) for part in wrong["loc"] if part != "[key]"]
    place = (
        "".join(f".{part}" if part.isidentifier() else f"[{part!r}]" for part in parts).lstrip(".")
        or "all of it"
    )
    what = str(wrong["msg"]).removeprefix("Value error, ").partition(" or instance of ")[0]
    if wrong["type"] == "missing":
        return f"{_short(place)}: it is missing"
    return f"{_short(place)}: {what}, and it is {_short(repr(wrong['input']))}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
