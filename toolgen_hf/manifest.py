"""What the manifest of a result records: what was asked, with which models and versions, and what came of it."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from toolgen_hf.generators import build
from toolgen_hf.generators.config import AnnotationsConfig, GeneratorConfig
from toolgen_hf.questions import Origin
from toolgen_hf.recipe import Recipe
from toolgen_hf.stages.respond import SourceConfig
from toolgen_hf.summary import Summary

LIBRARIES = ("datasets", "huggingface_hub", "transformers", "peft", "torch", "openai", "pyarrow")


def manifest_facts(
    recipe: Recipe, sources: Mapping[str, SourceConfig], origin: Origin, summary: Summary
) -> dict[str, Any]:
    """Everything but the content's key and the files' digests, which the writer adds."""
    models: dict[str, GeneratorConfig] = {}
    if recipe.answer is not None:
        models["student"] = recipe.answer.generator
        models |= {
            f"teacher {t.name}": t for t in recipe.tool_api.teachers if not isinstance(t, AnnotationsConfig)
        }
    models |= {name: config.generator for name, config in sources.items()}
    generators = {role: build(config) for role, config in models.items()}
    return {
        "name": recipe.name,
        "description": recipe.description,
        "toolgen_hf": library_version("toolgen_hf"),
        "versions": {
            "python": platform.python_version(),
            **{name: library_version(name) for name in LIBRARIES},
        },
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "source_dataset": origin.name,
        **({} if origin.source is None else {"source": dict(origin.source)}),
        "homepage": origin.homepage,
        "license": origin.license,
        "citation": origin.citation,
        "strategy": recipe.score.strategy,
        "models": {role: generator.describe() for role, generator in generators.items()},
        "generators": {role: dict(generator.identity()) for role, generator in generators.items()},
        "summary": summary.to_dict(),
    }


def library_version(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
