"""The facts that the manifest of a result records: prompts, models, versions, licences, and the summary."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolgen_hf._utils import library_version
from toolgen_hf.ask import Prompt
from toolgen_hf.models import build
from toolgen_hf.models.config import AnnotationsConfig, FileConfig, GeneratorConfig, LocalConfig, unique
from toolgen_hf.plugins import source_of
from toolgen_hf.recipe import DatasetConfig, Recipe
from toolgen_hf.recipe.questions import BUILDERS, Origin
from toolgen_hf.runtime.summary import Summary
from toolgen_hf.stages.respond import SourceConfig
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.prompts import (
    PromptSet,
    answer_prompt,
    load_prompts,
    respond_prompt,
    tool_api_prompt,
)

LIBRARIES = ("datasets", "huggingface_hub", "transformers", "peft", "torch", "openai", "pyarrow")
TRAINED = ("template", "max_steps", "batch_size", "learning_rate", "lora_r", "lora_alpha", "seed")


def manifest_facts(
    recipe: Recipe, sources: Mapping[str, SourceConfig], origin: Origin, summary: Summary
) -> dict[str, Any]:
    """All facts except the key of the content and the digests of the files, which are added later."""
    generators = {role: build(config) for role, config in _models(recipe, sources).items()}
    return {
        "name": recipe.name,
        "description": recipe.description,
        "task": get_task(recipe.task).name,
        **_outside(recipe),
        **stamp(),
        "source_dataset": origin.name,
        **({} if origin.source is None else {"source": dict(origin.source)}),
        "homepage": origin.homepage,
        "license": origin.license,
        "language": _language(recipe.dataset),
        "citation": origin.citation,
        "strategy": recipe.score.strategy,
        "models": {role: generator.describe() for role, generator in generators.items()},
        "licences": {role: generator.terms() for role, generator in generators.items()},
        "generators": {role: dict(generator.identity()) for role, generator in generators.items()},
        "finetune": _finetune(recipe),
        "prompts": prompts_used(recipe),
        "summary": summary.to_dict(),
    }


def stamp() -> dict[str, Any]:
    """The time, and the versions of this library and of those that it uses."""
    return {
        "toolgen_hf": library_version("toolgen_hf"),
        "versions": {
            "python": platform.python_version(),
            **{name: library_version(name) for name in LIBRARIES},
        },
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _outside(recipe: Recipe) -> dict[str, Any]:
    """A task and tool from outside this library: their versions, and the digests of their files."""
    task = get_task(recipe.task)
    found = {
        what: {"name": part.name, "version": part.version, **source.facts()}
        for what, part in (("task", task), ("tool", task.tool))
        if (source := source_of(part)) is not None
    }
    return {"outside": found} if found else {}


def _models(recipe: Recipe, sources: Mapping[str, SourceConfig]) -> dict[str, GeneratorConfig]:
    """The generators by role."""
    models: dict[str, GeneratorConfig] = {}
    if recipe.answer is not None:
        models["student"] = recipe.answer.generator
        teachers = recipe.tool_api.teachers
        named = zip(unique([teacher.name for teacher in teachers]), teachers, strict=True)
        models |= {f"teacher {name}": t for name, t in named if not isinstance(t, AnnotationsConfig)}
    return models | {name: config.generator for name, config in sources.items()}


def _finetune(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """How each adapter that a source uses was trained, and which sources use it."""
    users: dict[str, list[str]] = {}
    for source, config in recipe.sources.items():
        if (name := config.generator.trained_adapter) is not None:
            users.setdefault(name, []).append(source)
    return {
        name: {
            "sources": users[name],
            "model": LocalConfig(model=tuned.model).name,
            "checkpoint": tuned.chosen_step,
            **tuned.model_dump(mode="json", include=set(TRAINED)),
            "template": Path(tuned.template).name,
        }
        for name, tuned in recipe.finetune.items()
        if name in users
    }


def prompts_used(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """The prompt of each role, with ``{question}`` and ``{answer}`` in place of a row's."""
    task, used = get_task(recipe.task), {}
    if recipe.answer is not None:
        instruction = recipe.answer.instruction
        prompts = load_prompts(task, "answer") if instruction is None else PromptSet(instruction)
        used["student"] = _shown(answer_prompt(prompts, "{question}"))
        shown_none = (AnnotationsConfig, FileConfig)
        teachers = [t.name for t in recipe.tool_api.teachers if not isinstance(t, shown_none)]
        seed = recipe.tool_api.example_seed
        prompts = load_prompts(task, "tool_api").ordered(seed)
        shown = _shown(tool_api_prompt(prompts, "{question}", ["{answer}"]), len(prompts.examples), seed)
        used |= {f"teacher {name}": shown for name in teachers}
    for name, source in recipe.sources.items():
        if isinstance(source.generator, FileConfig):
            continue  # no model was asked
        if source.prompt == "instruction":
            used[name] = _shown(Prompt(task.instruction, "{question}"))
        else:
            prompts = load_prompts(task, "respond").ordered(source.example_seed)
            count = min(source.examples, len(prompts.examples))
            used[name] = _shown(
                respond_prompt(prompts, "{question}", source.examples), count, source.example_seed
            )
    return used


def _shown(prompt: Prompt, examples: int = 0, seed: int | None = None) -> dict[str, Any]:
    return {"system": prompt.system, "user": prompt.user, "examples": examples, "example_seed": seed}


def _language(dataset: DatasetConfig) -> str | None:
    """The language of questions that ship with the library; None for other files."""
    if dataset.builder not in BUILDERS or dataset.data_dir or dataset.data_files:
        return None
    builder: Any = BUILDERS[dataset.builder]
    config: Any = builder.builder_configs[dataset.config or builder.DEFAULT_CONFIG_NAME]
    return str(config.language) or None
