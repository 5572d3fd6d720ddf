"""The recipe of a mix: several datasets as one set, as one YAML file.

name: math-mix
mix:
  parts:
    gsm8k: {recipe: {...}, weight: 2}                  # a whole recipe, run as part of this one
    svamp: {recipe: svamp.yaml, set: {dataset.rows: {train: 40}}, weight: 1}     # a file, or one that ships
    older: {source: "hub:user/set@v1.0.0", count: {train: 100}}   # what was made before: nothing is run
  order: interleave
  seed: 0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from toolgen_hf.hub.repo import HUB, RepoRef
from toolgen_hf.models.config import Config, Reach
from toolgen_hf.recipe.files import Draft, read_recipe
from toolgen_hf.recipe.mistakes import validated
from toolgen_hf.recipe.permission import require_allowed
from toolgen_hf.recipe.recipe import NAME, Recipe, load_tasks
from toolgen_hf.stages.draw import MixConfig, Take

__all__ = ["MixRecipe", "PartConfig", "load_recipe"]


class PartConfig(Take):
    """One part: where it comes from, and how much of it is taken."""

    recipe: Recipe | None = None
    """Run as part of the mix. In YAML also the name of one that ships or a path, with ``set`` beside it."""
    source: Annotated[str | None, Reach.SET] = None
    """A produced set instead: a directory, or ``hub:user/repo@v1.0.0`` (without a version: the newest)."""

    @field_validator("source")
    @classmethod
    def _a_whole_set(cls, source: str | None) -> str | None:
        if source is not None and "#" in source:
            raise ValueError("a part is a whole produced set: leave out what stands after '#'")
        if source is not None and source.startswith(HUB):
            RepoRef.parse(source)
        return source

    @model_validator(mode="after")
    def _from_somewhere(self) -> Self:
        if (self.recipe is None) == (self.source is None):
            raise ValueError("give either a recipe to run, or the source of a set that is there already")
        return self


class MixSettings(MixConfig):
    """The parts, and how they become one set."""

    parts: Mapping[Annotated[str, Field(pattern=NAME)], PartConfig] = Field(min_length=1)


class MixRecipe(Config):
    """What to mix, and how."""

    name: str = Field(pattern=NAME)
    """Names the result: letters, digits, ``.``, ``_`` and ``-``."""
    description: str = ""
    """For the card."""
    mix: MixSettings
    """What is mixed, and how."""
    output: Annotated[str | None, Reach.OUTPUT] = None
    """Default ``outputs/{name}``. A part's own ``output`` is not used: it is written as part of the mix."""

    @property
    def output_dir(self) -> Path:
        """Where the result goes unless the caller says otherwise."""
        return Path(self.output or f"outputs/{self.name}")

    @property
    def recipes(self) -> dict[str, Recipe]:
        """The recipes that are run, by part."""
        return {name: part.recipe for name, part in self.mix.parts.items() if part.recipe is not None}

    @classmethod
    def load(cls, name_or_path: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read the recipe of a mix: one that ships, by name, or a YAML file.

        Args:
            overrides: ``"mix.parts.gsm8k.weight=3"``, ``"mix.parts.gsm8k.recipe.score.strategy=consistency"``: also
                within a recipe that is given by its name.

        Raises:
            ConfigError: there is no such recipe, or it is not valid; names every problem at once.
        """
        return cls.from_draft(read_recipe(name_or_path, overrides))

    @classmethod
    def from_draft(cls, draft: Draft) -> Self:
        """A recipe that was read; as `Recipe.from_draft`.

        Raises:
            ConfigError: names every problem, and for an unknown key the nearest known one.
        """
        saying = f"{draft.where} is not a valid recipe of a mix"
        mix = validated(cls, draft.data, saying)
        require_allowed(mix, draft)
        return load_tasks(mix, mix._by_task_key(), saying)

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str = "recipe") -> Self:
        """The recipe of a mix from plain data, which is the caller's own: the parts' tasks are loaded.

        Raises:
            ConfigError: names every problem, and for an unknown key the nearest known one.
        """
        saying = f"{where} is not a valid recipe of a mix"
        mix = validated(cls, data, saying)
        return load_tasks(mix, mix._by_task_key(), saying)

    def _by_task_key(self) -> dict[str, Recipe]:
        return {f"mix.parts.{name}.recipe.task": recipe for name, recipe in self.recipes.items()}

    def to_yaml(self) -> str:
        """The recipe with every default filled in, and every part's recipe written out."""
        data = self.model_dump(mode="json")
        for name, part in data["mix"]["parts"].items():
            unused = [key for key in ("recipe", "source", "weight", "count") if part[key] is None]
            data["mix"]["parts"][name] = {key: value for key, value in part.items() if key not in unused}
        for name, recipe in self.recipes.items():
            data["mix"]["parts"][name]["recipe"] = yaml.safe_load(recipe.to_yaml())
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def settings(data: Mapping[str, Any]) -> MixConfig:
    """How parts become one set, from plain data.

    Raises:
        ConfigError: names every problem.
    """
    return validated(MixConfig, data, "the parts cannot be mixed so")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe | MixRecipe:
    """A recipe of either kind: that of a mix has the key ``mix``.

    Raises:
        ConfigError: there is no such recipe, or it is not valid.
    """
    draft = read_recipe(name_or_path, overrides)
    return (MixRecipe if "mix" in draft.data else Recipe).from_draft(draft)
