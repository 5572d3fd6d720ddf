"""Which generator does what in a recipe: the student, the teachers, the adapters to train, the sources.

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
from toolgen_hf.tools.config import EngineConfig, engines_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Role:
    """One use of a generator in a recipe."""

    name: str
    """For messages: ``teacher gpt-6-luna``."""
    key: str
    """The generator's key in the recipe."""
    config: GeneratorConfig | TeacherConfig | EngineConfig
    stage: str | None
    """The stage that asks it; None for an adapter that is trained."""
    rounds: int = 1
    """How often it may be asked about one question."""

    @property
    def who(self) -> str:
        """The model, engine or file."""
        return self.config.model if isinstance(self.config, LocalConfig) else self.config.name


def roles_of(recipe: Recipe) -> list[Role]:
    """All roles of a recipe, in the order in which they are needed."""
    roles, rounds = [], 1
    if recipe.answer is not None:
        roles.append(Role("student", "answer.generator", recipe.answer.generator, "answer"))
        teachers, rounds = recipe.tool_api.teachers, recipe.tool_api.max_attempts
        for at, name in enumerate(unique([teacher.name for teacher in teachers])):
            roles.append(Role(f"teacher {name}", f"tool_api.teachers.{at}", teachers[at], "tool_api", rounds))
    for key, engine in engines_of(recipe.tools).items():
        roles.append(Role(f"tool {key}", f"tools.{key}", engine, "tool_api", rounds))
    if recipe.reader is not None:
        roles.append(Role("reader", "reader", recipe.reader, "tool_api", rounds))
    for name in recipe.trained:
        settings = recipe.finetune[name].model_dump(
            include={"model", "revision", "template", "device", "dtype"}
        )
        roles.append(Role(f"adapter {name}", f"finetune.{name}", LocalConfig(**settings), None))
    for name, source in recipe.sources.items():
        roles.append(Role(f"source {name}", f"sources.{name}.generator", source.generator, f"respond {name}"))
    return roles


def remarks(recipe: Recipe) -> list[str]:
    """Warnings about settings that are valid but give less than one may expect."""
    found = []
    if not recipe.sources:
        found.append(
            "sources: there is none, so stage 2 will hold the gold responses alone, and preference no pairs; stage 1 "
            "needs none"
        )
    return found + [
        f"finetune.{name}: no source has this adapter, so it is not trained: name it in a source's generator "
        f"(adapter: finetune:{name}), or leave it out"
        for name in recipe.finetune
        if name not in recipe.trained
    ]


def check_models(recipe: Recipe, meter: Meter, prefix: str = "") -> dict[str, str]:
    """Check that every model, adapter, template and engine exists, before the first text is generated.

    Args:
        prefix: what the recipe's keys begin with in messages; see `key_prefix`.

    Returns:
        Roles that cannot generate new text, by key, each with the reason (for example, a missing API key).

    Raises:
        ConfigError: one does not exist, or has no price although there is a budget; names the recipe's key.
    """
    for remark in remarks(recipe):
        logger.warning("%s%s", prefix, remark)
    try:
        recipe.equipped.require()
    except ConfigError as error:
        raise ConfigError(f"{prefix}{error}") from error
    checked: list[tuple[GeneratorConfig | EngineConfig, str | None]] = []
    unavailable = {}
    for role in roles_of(recipe):
        config = role.config
        if isinstance(config, AnnotationsConfig):
            continue
        if not isinstance(config, EngineConfig) and config.trained_adapter:
            config = config.model_copy(update={"adapter": None})
        known = [reason for other, reason in checked if other == config]  # the same in another role
        try:
            reason = known[0] if known else _check(config, meter)
        except ConfigError as error:
            raise ConfigError(f"{prefix}{role.key}: {error}") from error
        checked.append((config, reason))
        if reason is not None:
            unavailable[role.key] = reason
    return unavailable


def _check(config: GeneratorConfig | EngineConfig, meter: Meter) -> str | None:
    generator = build(config)
    reason = generator.check()
    meter.check_price(generator)
    return reason


def planned_for(roles: Iterable[Role], plan: Plan) -> dict[str, Planned]:
    """The entries of a plan by the role's key. A role is missing if its stage is cached or it is never asked."""
    left: defaultdict[str, list[Planned]] = defaultdict(list)
    for entry in plan.entries:
        left[entry.stage].append(entry)  # tool_api has one for each teacher that is a model, in their order
    looked_up = (AnnotationsConfig, FileConfig)
    asked = [role for role in roles if not (role.stage == "tool_api" and isinstance(role.config, looked_up))]
    return {role.key: left[role.stage].pop(0) for role in asked if role.stage and left[role.stage]}


def missing_texts(
    recipe: Recipe, plan: Plan, unavailable: Mapping[str, str], prefix: str = ""
) -> list[tuple[str, str]]:
    """The texts that a recipe needs from roles that cannot generate new ones.

    Args:
        unavailable: what `check_models` gives.

    Returns:
        For each such role a line about its texts, and the reason: ``("answer.generator: 12 of its texts are not in
        the store", "there is no key ...")``.
    """
    planned = planned_for(roles_of(recipe), plan)
    found = []
    for key, reason in unavailable.items():
        entry = planned.get(key)
        if entry is not None and entry.max_requests:
            is_open = entry.is_bound or entry.max_requests > entry.requests
            count = f"up to {entry.max_requests}" if is_open else f"{entry.requests}"
            found.append((f"{prefix}{key}: {count} of its texts are not in the store", reason))
    return found


def require_texts(missing: Iterable[tuple[str, str]]) -> None:
    """Stop if texts are missing that no role can generate.

    Raises:
        ConfigError: names each role; a reason that several roles share is given once.
    """
    lines: list[str] = []
    given: set[str] = set()
    for line, reason in missing:
        lines.append(line if reason in given else f"{line}, and {reason}")
        given.add(reason)
    if lines:
        raise ConfigError("\n".join(lines))
