"""Who does what in a recipe: the student, the teachers, the adapters to train, the sources.

{answer: {generator: {kind: openai, engine: gpt-6-luna}}, ...}
-> [Role(name="student", key="answer.generator", stage="answer", ...), Role(name="teacher annotations", ...), ...]
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from toolgen_hf.errors import ConfigError
from toolgen_hf.models import build
from toolgen_hf.models.config import (
    AnnotationsConfig,
    FileConfig,
    GeneratorConfig,
    LocalConfig,
    TeacherConfig,
    unique,
)
from toolgen_hf.recipe.recipe import Recipe
from toolgen_hf.runtime.budget import Meter
from toolgen_hf.runtime.plan import Plan, Planned

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Role:
    """One use of a generator: its name for people, its key in the recipe, the stage that asks it (None: training)."""

    name: str
    key: str
    config: GeneratorConfig | TeacherConfig
    stage: str | None
    rounds: int = 1

    @property
    def who(self) -> str:
        """The model, engine or file."""
        return self.config.model if isinstance(self.config, LocalConfig) else self.config.name


def roles_of(recipe: Recipe) -> list[Role]:
    """All of a recipe's, in the order in which they are needed."""
    roles = []
    if recipe.answer is not None:
        roles.append(Role("student", "answer.generator", recipe.answer.generator, "answer"))
        teachers, rounds = recipe.tool_api.teachers, recipe.tool_api.max_attempts
        for at, name in enumerate(unique([teacher.name for teacher in teachers])):
            role = Role(f"teacher {name}", f"tool_api.teachers.{at}", teachers[at], "tool_api", rounds)
            roles.append(role)
    for name in recipe.trained:
        tuned = recipe.finetune[name]
        base = LocalConfig(
            model=tuned.model,
            revision=tuned.revision,
            template=tuned.template,
            device=tuned.device,
            dtype=tuned.dtype,
        )
        roles.append(Role(f"adapter {name}", f"finetune.{name}", base, None))
    for name, source in recipe.sources.items():
        roles.append(Role(f"source {name}", f"sources.{name}.generator", source.generator, f"respond {name}"))
    return roles


def remarks(recipe: Recipe) -> list[str]:
    """What is valid and gives less than one may expect."""
    said = []
    if not recipe.sources:
        said.append(
            "sources: there is none, so stage 2 will hold the gold responses alone, and preference no pairs; stage 1 "
            "needs none"
        )
    for name in recipe.finetune:
        if name not in recipe.trained:
            said.append(
                f"finetune.{name}: no source has this adapter, so it is not trained: name it in a source's generator "
                f"(adapter: finetune:{name}), or leave it out"
            )
    return said


def check_models(recipe: Recipe, meter: Meter, prefix: str = "") -> dict[str, str]:
    """Find every model, adapter, template and engine before the first text is generated; warn of what gives little.

    ``prefix`` is what keys begin with in messages.
    Why only texts that are in the store can be used of a role, by its key in the recipe, for those of which this is so.

    Raises:
        ConfigError: one is not there, or a budget cannot be kept to without its price; names the recipe's key.
    """
    found: list[tuple[GeneratorConfig, str | None]] = []
    silent = {}
    for remark in remarks(recipe):
        logger.warning("%s%s", prefix, remark)
    for role in roles_of(recipe):
        if isinstance(role.config, AnnotationsConfig):
            continue
        there = (
            role.config.model_copy(update={"adapter": None}) if role.config.trained_adapter else role.config
        )
        known = [reason for config, reason in found if config == there]  # in another role
        try:
            reason = known[0] if known else _check(there, meter)
        except ConfigError as error:
            raise ConfigError(f"{prefix}{role.key}: {error}") from error
        found.append((there, reason))
        if reason is not None:
            silent[role.key] = reason
    return silent


def _check(config: GeneratorConfig, meter: Meter) -> str | None:
    generator = build(config)
    reason = generator.check()
    meter.check_price(generator)
    return reason


def planned_for(roles: Iterable[Role], plan: Plan) -> dict[str, Planned]:
    """What a plan says of each role, by the role's key; nothing where its stage is cached or it is never asked."""
    left: defaultdict[str, list[Planned]] = defaultdict(list)
    for entry in plan.entries:
        left[entry.stage].append(entry)  # of tool_api one for each teacher that is a model, in their order
    asked = [role for role in roles if role.stage and not _reads(role)]
    return {role.key: left[role.stage].pop(0) for role in asked if role.stage and left[role.stage]}


def _reads(role: Role) -> bool:
    """Whether it is a teacher that is looked up, not asked: the annotations, or a file."""
    return role.stage == "tool_api" and isinstance(role.config, AnnotationsConfig | FileConfig)


@dataclass(frozen=True, slots=True)
class Unsaid:
    """Texts that are not in the store, of a role that cannot be asked for them."""

    key: str
    reason: str
    count: str


def unsaid(recipe: Recipe, plan: Plan, silent: Mapping[str, str], prefix: str = "") -> list[Unsaid]:
    """What keeps a recipe from running where the roles at these keys cannot be asked; ``prefix`` names a mix's part."""
    planned = planned_for(roles_of(recipe), plan)
    found = []
    for key, reason in silent.items():
        entry = planned.get(key)
        if entry is None or not entry.max_requests:
            continue
        is_open = entry.is_bound or entry.max_requests > entry.requests
        count = f"up to {entry.max_requests}" if is_open else f"{entry.requests}"
        found.append(Unsaid(f"{prefix}{key}", reason, count))
    return found


def require_said(left: Iterable[Unsaid]) -> None:
    """Stop before any work where texts are wanted that nobody can be asked for.

    Raises:
        ConfigError: names each role, a reason that several share once.
    """
    told: dict[str, str] = {}  # line -> reason
    for one in left:
        why = "" if one.reason in told.values() else f", and {one.reason}"
        told[f"{one.key}: {one.count} of its texts are not in the store{why}"] = one.reason
    if told:
        raise ConfigError("\n".join(told))
