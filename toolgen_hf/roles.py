"""Who does what in a recipe: the student, the teachers, the adapters to train, the sources.

{answer: {generator: {kind: openai, engine: gpt-6-luna}}, ...}
-> [Role(name="student", key="answer.generator", stage="answer", ...), Role(name="teacher annotations", ...), ...]
"""

from __future__ import annotations

from dataclasses import dataclass

from toolgen_hf.errors import ConfigError
from toolgen_hf.generators import build
from toolgen_hf.generators.config import (
    AnnotationsConfig,
    GeneratorConfig,
    LocalConfig,
    TeacherConfig,
    unique,
)
from toolgen_hf.meter import Meter
from toolgen_hf.recipe import Recipe


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
    for name, tuned in recipe.finetune.items():
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


def check_models(recipe: Recipe, meter: Meter) -> None:
    """Find every model, adapter, template and engine before the first text is generated.

    Raises:
        ConfigError: one is not there, or a budget cannot be kept to without its price; names the recipe's key.
    """
    found: list[GeneratorConfig] = []
    for role in roles_of(recipe):
        if isinstance(role.config, AnnotationsConfig):
            continue
        there = (
            role.config.model_copy(update={"adapter": None}) if role.config.trained_adapter else role.config
        )
        if there in found:  # in another role
            continue
        found.append(there)
        try:
            generator = build(there)
            generator.check()
            meter.check_price(generator)
        except ConfigError as error:
            raise ConfigError(f"{role.key}: {error}") from error
