"""Weights into memory: one base model at a time, with any number of LoRA adapters attached to it.

The student, vicuna and alpaca may be one base with different adapters; it is read once and switched.
Importing this module imports torch; whoever only needs an identity uses `models` instead.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
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
from toolgen_hf.models.gguf import quiet, said
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
        # What a model recommends for its own decoding (a temperature, a penalty) would otherwise fill
        # in every setting that a caller left at its default.
        self.model.generation_config = GenerationConfig()
        self._peft: PeftModel | None = None
        self._lock = threading.Lock()

    @cached_property
    def has_slots(self) -> bool:
        """Whether it decodes over slots; the first time this is asked, it is tried out."""
        from toolgen_hf.models.decoding.forward import fits

        with self.using(None):
            return fits(self.model)

    @contextmanager
    def using(self, adapter: Weights | None) -> Iterator[Any]:
        """The model with ``adapter`` switched on, or with none; nobody else can switch it meanwhile.

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
            except Exception as error:  # whatever PEFT raises over files that it does not check
                _LOADED.clear()  # it is half attached
                reason = (
                    " ".join(str(error).split("\n\t")[:2]) or type(error).__name__
                )  # torch lists every layer
                raise ConfigError(
                    f"the adapter {adapter.name!r} does not fit the model {self.name!r}: {reason}; "
                    "use the base it was trained on"
                ) from error
            self._peft.eval()
        return self._peft


_LOADED: dict[tuple[Weights, str, str, str | None], LoadedModel] = {}


def load(weights: Weights, dtype: str, device: str, quantization: str | None = None) -> LoadedModel:
    """The model, read from disk unless it is the one that was used last."""
    key = (weights, dtype, device, quantization)
    if key not in _LOADED:
        _LOADED.clear()  # before the next one needs the memory
        _LOADED[key] = LoadedModel(weights, dtype, device, quantization)
    return _LOADED[key]


def unload() -> None:
    """Give back the memory of the model that was used last."""
    _LOADED.clear()


def open_base(
    weights: Weights, dtype: str, device: str, quantization: str | None = None
) -> tuple[Any, PreTrainedTokenizerBase]:
    """A base model and its tokenizer, fresh from disk.

    Args:
        quantization: ``"8bit"`` or ``"4bit"`` weights, None for whole ones.

    Raises:
        ConfigError: transformers cannot open what is there, a file is damaged, or there is nothing to quantize with.
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
    except Exception as error:  # whatever transformers raises over files that it does not check
        raise ConfigError(
            f"cannot open the model {weights.name!r} in {str(folder)!r}: {said(error)}"
        ) from error


def _quantization(bits: str, dtype: str, device: str) -> dict[str, Any]:
    """What transformers needs to be told to load weights of fewer bits."""
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
    """Everything that ends a text: a chat model may have an end of turn besides the end of text."""
    declared = model.generation_config.eos_token_id if model.generation_config else None
    ids = declared if isinstance(declared, list) else [declared]
    return sorted({int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None})
