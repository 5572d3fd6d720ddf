"""Loads weights into memory: one base model at a time, with any number of LoRA adapters attached to it.

Several sources may use one base with different adapters; the base is read once. Importing this module imports torch.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedTokenizerBase,
)

from toolgen_hf.errors import ConfigError
from toolgen_hf.models.gguf import error_text, quiet
from toolgen_hf.models.weights import Weights, check_files


class LoadedModel:
    """A base model in memory and the adapters attached to it so far."""

    def __init__(self, weights: Weights, dtype: str, device: str, quantization: str | None = None) -> None:
        self.name, self.dtype = weights.name, quantization or dtype
        self.device = torch.device(device)
        self.model, self.tokenizer = open_base(weights, dtype, device, quantization)
        self.model.eval()
        self.eos_ids = _eos_ids(self.model, self.tokenizer)
        self.context: int | None = getattr(self.model.config, "max_position_embeddings", None)
        # The model's own settings (a temperature, a penalty) would replace every setting left at its default.
        self.model.generation_config = GenerationConfig()
        self._peft: PeftModel | None = None
        self._lock = threading.Lock()

    @contextmanager
    def using(self, adapter: Weights | None) -> Iterator[Any]:
        """The model with this adapter switched on, or with none. A lock keeps other threads from switching it.

        Raises:
            ConfigError: the adapter does not fit this base.
        """
        with self._lock, quiet():
            if adapter:
                peft = self._attached(adapter)
                peft.set_adapter(_adapter_name(adapter))
                yield peft
            elif self._peft:
                with self._peft.disable_adapter():
                    yield self._peft
            else:
                yield self.model

    def _attached(self, adapter: Weights) -> PeftModel:
        name = _adapter_name(adapter)
        if self._peft is None or name not in self._peft.peft_config:
            folder = adapter.folder()
            check_files(folder, adapter.kind)
            try:
                config = PeftConfig.from_pretrained(str(folder))
                config.inference_mode = True
                if self._peft is None:
                    self._peft = PeftModel(self.model, config, name, autocast_adapter_dtype=False)
                found = self._peft.load_adapter(
                    str(folder), name, torch_device=str(self.device), autocast_adapter_dtype=False
                )
                if found.missing_keys or found.unexpected_keys:
                    raise ValueError(f"{[*found.missing_keys, *found.unexpected_keys][0]} has no counterpart")
            except Exception as error:  # PEFT raises many types for files that it does not check
                _LOADED.clear()  # the adapter may be half attached
                lines = str(error).split("\n\t")  # torch lists every layer
                reason = " ".join(lines[:2]) or type(error).__name__
                raise ConfigError(
                    f"the adapter {adapter.name!r} does not fit the model {self.name!r}: {reason}; "
                    "use the base it was trained on"
                ) from error
            self._peft.eval()
        return self._peft


_LOADED: dict[tuple[Weights, str, str, str | None], LoadedModel] = {}


def load(weights: Weights, dtype: str, device: str, quantization: str | None = None) -> LoadedModel:
    """The model from memory if it was the last one used; otherwise from disk."""
    key = (weights, dtype, device, quantization)
    if key not in _LOADED:
        _LOADED.clear()  # frees its memory for the next one
        _LOADED[key] = LoadedModel(weights, dtype, device, quantization)
    return _LOADED[key]


def unload() -> None:
    """Free the memory of the model that was used last."""
    _LOADED.clear()


def open_base(
    weights: Weights, dtype: str, device: str, quantization: str | None = None
) -> tuple[Any, PreTrainedTokenizerBase]:
    """Read a base model and its tokenizer from disk.

    Args:
        quantization: ``"8bit"``, ``"4bit"``, or None for weights of type ``dtype``.

    Raises:
        ConfigError: a file is damaged, transformers cannot open the model, or quantization is not possible here.
    """
    folder = weights.folder()
    check_files(folder, weights.kind)
    fewer_bits = _quantization(quantization, dtype, device) if quantization else {}
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                trust_remote_code=False,
                **fewer_bits,
            )
            return model if fewer_bits else model.to(torch.device(device)), tokenizer
    except Exception as error:  # transformers raises many types for files that it does not check
        raise ConfigError(
            f"cannot open the model {weights.name!r} in {str(folder)!r}: {error_text(error)}"
        ) from error


def _quantization(bits: str, dtype: str, device: str) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` for quantized weights."""
    if not device.startswith("cuda"):
        raise ConfigError(
            f"quantization={bits!r} needs a CUDA GPU, and this model runs on {device!r}: leave it out"
        )
    if find_spec("bitsandbytes") is None:
        raise ConfigError(f"quantization={bits!r} needs bitsandbytes: pip install bitsandbytes")
    config = BitsAndBytesConfig(
        load_in_8bit=bits == "8bit",
        load_in_4bit=bits == "4bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )
    return {"quantization_config": config, "device_map": {"": device}}


def _adapter_name(adapter: Weights) -> str:
    return adapter.identity.rpartition(":")[2][:32]


def _eos_ids(model: Any, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """All tokens that end a text; a chat model may have an end-of-turn token beside its end-of-text token."""
    declared = model.generation_config.eos_token_id if model.generation_config else None
    ids = declared if isinstance(declared, list) else [declared]
    return sorted({int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None})
