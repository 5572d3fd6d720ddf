"""What the manifest of a mix records: what its parts' manifests say, together where they agree and apart where not.

{"models": {"student": "`SmolLM2` ..."}}                        both parts asked the same
{"models": {"gsm8k: student": ..., "svamp: student": ...}}      they did not
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from toolgen_hf.flow.manifest import stamp
from toolgen_hf.recipe.mix import MixRecipe
from toolgen_hf.runtime.summary import Summary

BY_ROLE = ("models", "licences", "generators", "prompts")
OF_A_PART = ("source_dataset", "homepage", "license", "task", "outside", "strategy", "source", "version")


def mix_manifest(
    recipe: MixRecipe, parts: Mapping[str, Mapping[str, Any]], summary: Summary
) -> dict[str, Any]:
    """Everything but the content's key and the files' digests, which the writer adds.

    Args:
        parts: by part what its own manifest says, or would.
    """
    homepages, languages = (_known(parts, key) for key in ("homepage", "language"))
    agreed = _agreeing(parts)
    return {
        "name": recipe.name,
        "description": recipe.description,
        "task": listed(_known(parts, "task")),
        **stamp(),
        "source_dataset": listed(_known(parts, "source_dataset")),
        "homepage": homepages[0] if len(homepages) == 1 else "",
        "license": listed(_known(parts, "license")) or "unknown",
        "language": languages[0] if len(languages) == 1 else None,
        "citation": "\n\n".join(text.strip() for text in _known(parts, "citation")),
        "strategy": listed(_known(parts, "strategy")),
        **{key: _by_role(parts, key, agreed) for key in BY_ROLE},
        "finetune": {
            f"{name}: {adapter}": {
                **tuned,
                "sources": [s if s in agreed else f"{name}: {s}" for s in tuned["sources"]],
            }
            for name, part in parts.items()
            for adapter, tuned in part.get("finetune", {}).items()
        },
        "parts": {
            name: {key: part[key] for key in OF_A_PART if part.get(key)} for name, part in parts.items()
        },
        "summary": summary.to_dict(),
    }


def _by_role(parts: Mapping[str, Mapping[str, Any]], key: str, agreed: set[str]) -> dict[str, Any]:
    return {
        role if role in agreed else f"{name}: {role}": said
        for name, part in parts.items()
        for role, said in part.get(key, {}).items()
    }


def listed(names: Iterable[str]) -> str:
    """``"GSM8K, SVAMP and MATH"``"""
    *most, last = list(names) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _known(parts: Mapping[str, Mapping[str, Any]], key: str) -> list[str]:
    """What the parts say, each once; nothing of those that say nothing."""
    return list(dict.fromkeys(str(part[key]) for part in parts.values() if part.get(key)))


def _agreeing(parts: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The roles of which every part that has them says the same."""
    said: dict[str, list[Any]] = {}
    for part in parts.values():
        for role in {role: None for key in BY_ROLE for role in part.get(key, {})}:
            said.setdefault(role, []).append([part.get(key, {}).get(role) for key in BY_ROLE])
    return {role for role, found in said.items() if all(facts == found[0] for facts in found)}
