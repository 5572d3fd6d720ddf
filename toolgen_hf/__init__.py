"""Training data that teaches a language model when and how to call a tool.

from toolgen_hf import Recipe, run

result = run(Recipe.load("quickstart"))
result.configs["stage2"]["train"][0]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolgen_hf.errors import ToolgenError
    from toolgen_hf.flow import run
    from toolgen_hf.models.config import AnnotationsConfig, LocalConfig, OpenAIConfig, RayConfig
    from toolgen_hf.recipe import MixRecipe, Recipe
    from toolgen_hf.runtime.ray_runner import RayRunner
    from toolgen_hf.runtime.workspace import Workspace
    from toolgen_hf.stages.answer import answer
    from toolgen_hf.stages.draw import MixConfig
    from toolgen_hf.stages.execute import execute
    from toolgen_hf.stages.mix import MixPart, mix
    from toolgen_hf.stages.respond import SourceConfig, respond
    from toolgen_hf.stages.score import gather, score
    from toolgen_hf.stages.stage1 import gold, stage1
    from toolgen_hf.stages.tool_api import tool_api

_HOMES = {
    "AnnotationsConfig": "models.config",
    "LocalConfig": "models.config",
    "MixConfig": "stages.draw",
    "MixPart": "stages.mix",
    "MixRecipe": "recipe",
    "OpenAIConfig": "models.config",
    "RayConfig": "models.config",
    "RayRunner": "runtime.ray_runner",
    "Recipe": "recipe",
    "SourceConfig": "stages.respond",
    "ToolgenError": "errors",
    "Workspace": "runtime.workspace",
    "answer": "stages.answer",
    "execute": "stages.execute",
    "gather": "stages.score",
    "gold": "stages.stage1",
    "mix": "stages.mix",
    "respond": "stages.respond",
    "run": "flow",
    "score": "stages.score",
    "stage1": "stages.stage1",
    "tool_api": "stages.tool_api",
}

__all__ = [
    "AnnotationsConfig",
    "LocalConfig",
    "MixConfig",
    "MixPart",
    "MixRecipe",
    "OpenAIConfig",
    "RayConfig",
    "RayRunner",
    "Recipe",
    "SourceConfig",
    "ToolgenError",
    "Workspace",
    "answer",
    "execute",
    "gather",
    "gold",
    "mix",
    "respond",
    "run",
    "score",
    "stage1",
    "tool_api",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import toolgen_hf`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
