"""Chooses the layers of a model that get an adapter. Importing this imports torch.

The published training uses ``q_proj`` and ``v_proj`` (github.com/zjunlp/TRICE, train/train_stage1.py:
``lora_target_modules``). For a model without these layers it is PEFT's choice for the architecture (``c_attn`` for
GPT-2, ``query_key_value`` for GPT-NeoX, Falcon and BLOOM), or else every linear layer in an attention module
(``qkv_proj`` and ``o_proj`` for Phi-3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as _TABLE
from torch import nn
from transformers.pytorch_utils import Conv1D

from toolgen_hf.errors import ConfigError

PUBLISHED = ("q_proj", "v_proj")
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)


def find_targets(model: Any, wanted: Sequence[str] | None, name: str) -> list[str]:
    """The names of the layers of ``model`` that get an adapter, sorted.

    Args:
        wanted: names of layers; a name means every layer whose dotted name ends in it. None chooses the layers.
        name: the name of the model in messages.

    Raises:
        ConfigError: the model has no layer of a wanted name, or no attention layers; the message lists its layers.
    """
    head = model.get_output_embeddings()
    linear = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear | Conv1D)}
    layers = [layer for layer, part in linear.items() if wanted is not None or part is not head]
    names = sorted({layer.rpartition(".")[2] for layer in layers})
    has = f"its linear layers are {', '.join(names)}" if names else "it has no linear layers"
    if wanted is not None:
        unknown = [target for target in wanted if not fitting([target], layers)]
        if unknown or not wanted:
            raise ConfigError(
                f"target_modules={tuple(wanted)!r} do not fit the model {name!r}: "
                + (f"it has no linear layer {unknown[0]!r}; " if unknown else "there is none; ")
                + f"{has}, or leave target_modules out to have them found"
            )
        return sorted(set(wanted))
    listed = _TABLE.get(str(getattr(model.config, "model_type", "")))
    for known in (PUBLISHED, listed):
        if isinstance(known, list | tuple) and all(fitting([target], layers) for target in known):
            return sorted(known)
    # Every linear layer in attention, by the last part of its name, or the last two if a layer outside has the same.
    inside = [layer for layer in layers if _ATTENTION.search(layer.rpartition(".")[0])]
    outside = {layer.rpartition(".")[2] for layer in set(layers) - set(inside)}
    parts = [layer.split(".") for layer in inside]
    if parts:
        return sorted({".".join(part[-2:]) if part[-1] in outside else part[-1] for part in parts})
    raise ConfigError(
        f"no attention projections are found in the model {name!r} ({type(model).__name__}); {has}: "
        "give some of them as target_modules"
    )


def fitting(targets: Iterable[str], layers: Iterable[str]) -> list[str]:
    """The layers whose dotted name ends in one of ``targets``, as PEFT matches them."""
    endings = tuple(targets)
    return [layer for layer in layers if any(f".{layer}".endswith(f".{ending}") for ending in endings)]


def are_transposed(model: Any, targets: Sequence[str]) -> bool:
    """Whether the weights of the layers are stored input by output (Conv1D in GPT-2). PEFT needs to know it."""
    layers = dict(model.named_modules())
    return any(isinstance(layers[layer], Conv1D) for layer in fitting(targets, layers))
