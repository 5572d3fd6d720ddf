"""How much each role of a recipe is asked, and what that costs.

{answer: {generator: {kind: openai, engine: gpt-6-luna}}, ...}
-> RoleNeed(role="student", who="gpt-6-luna", requests=8792, stored=0, cost=4.61, ...)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolgen_hf.check.machine import Machine
from toolgen_hf.errors import ToolgenError
from toolgen_hf.flow.make import rehearse
from toolgen_hf.models import build
from toolgen_hf.models.absent import AbsentConfig
from toolgen_hf.models.config import (
    AnnotationsConfig,
    FileConfig,
    LocalConfig,
    OpenAIConfig,
)
from toolgen_hf.recipe import Recipe
from toolgen_hf.recipe.roles import Role, planned_for
from toolgen_hf.runtime.plan import Planned
from toolgen_hf.runtime.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RoleNeed:
    """How much one role is asked.

    ``requests`` at most: each question once, teachers as often as they may try. ``to_ask`` are those that are not in
    the store, ``stored`` those that are; both are None where nobody is asked, ``stored`` also where it depends on texts
    that are not there yet. Tokens and ``cost`` (US dollars, None without a price) are expected for what is to ask,
    ``max_cost`` is the most that can be.
    """

    role: str
    kind: str
    who: str
    requests: int
    to_ask: int | None = None
    stored: int | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = 0.0
    max_cost: float | None = 0.0


def usable(role: Role, machine: Machine, is_here: bool) -> tuple[Any, str | None]:
    """The config to plan a role with, and what is wrong with it, if anything is.

    Of a local model the device is left out: nobody needs to look for a GPU, and texts do not depend on it but by
    their dtype.
    """
    config = role.config
    if isinstance(config, AnnotationsConfig):
        return config, None
    if isinstance(config, OpenAIConfig):  # counts as the engine itself, and asks for no client and no key
        return AbsentConfig(config=config), None
    if isinstance(config, LocalConfig):
        stand_in = AbsentConfig(config=config, adapter=config.adapter)
        if not is_here:
            return stand_in, None
        config = config.model_copy(update={"device": "cpu", "dtype": machine.dtype(config)})
    try:
        base = config if config.trained_adapter is None else config.model_copy(update={"adapter": None})
        build(base).check()
    except ToolgenError as error:
        lost = (
            AbsentConfig(config=LocalConfig(model=config.name))
            if isinstance(config, FileConfig)
            else stand_in
        )
        return lost, f"{role.key}: {error}"
    return config, None


def counted(
    recipe: Recipe, roles: Sequence[Role], configs: Mapping[str, Any], rows: int, workspace: Workspace
) -> list[RoleNeed]:
    """How much each role is asked, by what a dry run finds with ``configs`` (by key) in the recipe's place.

    Raises:
        ConfigError, DataError: the questions cannot be used.
    """
    planned = planned_for(roles, rehearse(_with(recipe, configs), workspace))
    return [_need(role, planned.get(role.key), rows) for role in roles]


def _with(recipe: Recipe, configs: Mapping[str, Any]) -> Recipe:
    """A recipe with other generators, and nothing to train. Not validated: some of them no recipe may have."""
    changes: dict[str, Any] = {"finetune": {}}
    if recipe.answer is not None:
        changes["answer"] = recipe.answer.model_copy(update={"generator": configs["answer.generator"]})
        teachers = tuple(configs[f"tool_api.teachers.{at}"] for at in range(len(recipe.tool_api.teachers)))
        changes["tool_api"] = recipe.tool_api.model_copy(update={"teachers": teachers})
    changes["sources"] = {
        name: source.model_copy(update={"generator": configs[f"sources.{name}.generator"]})
        for name, source in recipe.sources.items()
    }
    return recipe.model_copy(update=changes)


def _need(role: Role, entry: Planned | None, rows: int) -> RoleNeed:
    """A role's row, by what the plan says of it, which is nothing where its stage is cached."""
    kind = "lora" if role.stage is None else role.config.kind
    if isinstance(role.config, AnnotationsConfig):
        return RoleNeed(role.name, kind, role.who, 0)
    if role.stage is None or isinstance(role.config, FileConfig):
        return RoleNeed(role.name, kind, role.who, 0)
    is_open = role.rounds > 1 or role.config.trained_adapter is not None
    if entry is None:
        return RoleNeed(role.name, kind, role.who, rows * role.rounds, 0, None if is_open else rows)
    return RoleNeed(
        role.name,
        kind,
        role.who,
        rows * role.rounds,
        entry.requests,
        None if is_open else rows - entry.requests,
        entry.prompt_tokens,
        entry.completion_tokens,
        entry.cost,
        entry.max_cost,
    )
