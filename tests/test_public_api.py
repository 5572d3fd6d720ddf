"""What users may rely on: the public names, and that importing them is light."""

from __future__ import annotations

import subprocess
import sys

import toolgen_hf

PUBLIC = [
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


def test_public_names_are_these_and_all_can_be_imported() -> None:
    assert toolgen_hf.__all__ == PUBLIC
    assert all(getattr(toolgen_hf, name) is not None for name in PUBLIC)


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(name for name in sys.modules if '.' not in name))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_and_help_are_light() -> None:
    heavy = {"torch", "transformers", "peft", "datasets", "pandas", "pydantic", "huggingface_hub"}
    assert not heavy & loaded_after("import toolgen_hf")
    assert not heavy & loaded_after("from toolgen_hf.cli import parser; parser().format_help()")


def test_a_recipe_does_not_load_torch() -> None:
    heavy = {"torch", "transformers", "peft"}
    assert not heavy & loaded_after("from toolgen_hf import Recipe, run; Recipe.load('quickstart')")
