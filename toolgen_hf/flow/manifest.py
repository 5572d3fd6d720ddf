"""What the manifest of a result records: the settings, models and versions, and what came of them.

A mix records what its parts record: once where all parts agree, and otherwise under the part's name.

{"models": {"student": "`SmolLM2` ..."}}                        both parts have the same student
{"models": {"gsm8k: student": ..., "svamp: student": ...}}      they have not
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolgen_hf._utils import library_version
from toolgen_hf.ask import Prompt
from toolgen_hf.models import build
from toolgen_hf.models.config import AnnotationsConfig, FileConfig, LocalConfig, unique
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
from toolgen_hf.tools import get_tool
from toolgen_hf.tools.config import FunctionConfig, engines_of

_LIBRARIES = ("datasets", "huggingface_hub", "transformers", "peft", "torch", "openai", "pyarrow")
_TRAINED = ("template", "max_steps", "batch_size", "learning_rate", "lora_r", "lora_alpha", "seed")
_BY_ROLE = ("models", "licences", "generators", "prompts")
_OF_A_PART = ("source_dataset", "homepage", "license", "task", "outside", "strategy", "source", "version")


def manifest(recipe: Recipe, facts: Mapping[str, Any], summary: Summary) -> dict[str, Any]:
    """The manifest without the result's key and the files' digests, which the writer adds.

    Args:
        facts: what `facts_of` or `facts_of_parts` gives.
    """
    return {
        "name": recipe.name,
        "description": recipe.description,
        **{
            key: facts[key] for key in ("task", "outside") if key in facts
        },  # keys keep the order of older versions
        "toolgen_hf": library_version("toolgen_hf"),
        "versions": {
            "python": platform.python_version(),
            **{name: library_version(name) for name in _LIBRARIES},
        },
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **facts,
        "summary": summary.to_dict(),
    }


def facts_of(recipe: Recipe, sources: Mapping[str, SourceConfig], origin: Origin) -> dict[str, Any]:
    """The facts about one dataset.

    Args:
        sources: the sources as they were used, with the paths of their adapters.
        origin: where the questions come from.
    """
    models = _models(recipe, sources)
    generators = {role: build(config) for role, config in models.items()}
    asked = {"student", *(role for role, config in models.items() if not isinstance(config, FileConfig))}
    return {
        "task": get_task(recipe.task).name,
        **_outside(recipe),
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
        "prompts": {role: prompt for role, prompt in _prompts(recipe).items() if role in asked},
    }


def facts_of_parts(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The facts about a mix, from the manifests of its parts by name."""

    def known(key: str) -> list[str]:
        """The different values of a key in the parts that have it."""
        return list(dict.fromkeys(str(part[key]) for part in parts.values() if part.get(key)))

    homepages, languages = known("homepage"), known("language")
    by_role: dict[str, list[Any]] = {}
    for part in parts.values():
        for role in {role: None for key in _BY_ROLE for role in part.get(key, {})}:
            by_role.setdefault(role, []).append([part.get(key, {}).get(role) for key in _BY_ROLE])
    agreed = {role for role, facts in by_role.items() if all(each == facts[0] for each in facts)}

    def labelled(part: str, role: str) -> str:
        return role if role in agreed else f"{part}: {role}"

    return {
        "task": listed(known("task")),
        "source_dataset": listed(known("source_dataset")),
        "homepage": homepages[0] if len(homepages) == 1 else "",
        "license": listed(known("license")) or "unknown",
        "language": languages[0] if len(languages) == 1 else None,
        "citation": "\n\n".join(text.strip() for text in known("citation")),
        "strategy": listed(known("strategy")),
        **{
            key: {
                labelled(name, role): value
                for name, part in parts.items()
                for role, value in part.get(key, {}).items()
            }
            for key in _BY_ROLE
        },
        "finetune": {
            f"{name}: {adapter}": {
                **tuned,
                "sources": [labelled(name, source) for source in tuned["sources"]],
            }
            for name, part in parts.items()
            for adapter, tuned in part.get("finetune", {}).items()
        },
        "parts": {
            name: {key: part[key] for key in _OF_A_PART if part.get(key)} for name, part in parts.items()
        },
    }


def listed(names: Sequence[str]) -> str:
    """``"GSM8K, SVAMP and MATH"``"""
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _outside(recipe: Recipe) -> dict[str, Any]:
    """The version of a task or tool from outside of this library, and the digest of its file."""
    task = get_task(recipe.task)
    parts: list[tuple[str, Any]] = [("task", task), *(("tool", tool) for tool in task.tools)]
    for name, config in recipe.tools.items():
        if isinstance(config, FunctionConfig):
            parts.append((f"tool {name}", get_tool(config.path)))
    found = {
        what: {"name": part.name, "version": part.version, **source.facts()}
        for what, part in parts
        if (source := source_of(part)) is not None
    }
    return {"outside": found} if found else {}


def _models(recipe: Recipe, sources: Mapping[str, SourceConfig]) -> dict[str, Any]:
    """The generators and the engines of tools by role, without the annotations, which are not a model."""
    models: dict[str, Any] = {}
    if recipe.answer is not None:
        models["student"] = recipe.answer.generator
        named = zip(_teacher_names(recipe), recipe.tool_api.teachers, strict=True)
        models |= {f"teacher {name}": t for name, t in named if not isinstance(t, AnnotationsConfig)}
    models |= {f"tool {key}": engine for key, engine in engines_of(recipe.tools).items()}
    if recipe.reader is not None:
        models["reader"] = recipe.reader
    return models | {name: config.generator for name, config in sources.items()}


def _teacher_names(recipe: Recipe) -> list[str]:
    return unique([teacher.name for teacher in recipe.tool_api.teachers])


def _finetune(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """How each adapter was trained that a source uses, and which sources use it."""
    users: dict[str, list[str]] = {}
    for source, config in recipe.sources.items():
        if (name := config.generator.trained_adapter) is not None:
            users.setdefault(name, []).append(source)
    return {
        name: {
            "sources": users[name],
            "model": LocalConfig(model=tuned.model).name,
            "checkpoint": tuned.chosen_step,
            **tuned.model_dump(mode="json", include=set(_TRAINED)),
            "template": Path(tuned.template).name,
        }
        for name, tuned in recipe.finetune.items()
        if name in users
    }


def _prompts(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """The prompt of each role that is not annotations, with ``{question}`` and ``{answer}`` in place of a row's."""
    task, used = get_task(recipe.task), {}
    if recipe.answer is not None:
        instruction = recipe.answer.instruction
        prompts = load_prompts(task, "answer") if instruction is None else PromptSet(instruction)
        used["student"] = _shown(answer_prompt(prompts, "{question}"))
        seed = recipe.tool_api.example_seed
        prompts = load_prompts(task, "tool_api").ordered(seed)
        shown = _shown(tool_api_prompt(prompts, "{question}", ["{answer}"]), len(prompts.examples), seed)
        used |= {f"teacher {name}": shown for name in _teacher_names(recipe)}
    for name, source in recipe.sources.items():
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
    """The language of a set that is known by name, if it has one; for other files it is unknown."""
    if dataset.builder not in BUILDERS or dataset.data_dir or dataset.data_files:
        return None
    builder: Any = BUILDERS[dataset.builder]
    config: Any = builder.builder_configs[dataset.config or builder.DEFAULT_CONFIG_NAME]
    return str(config.language) or None
