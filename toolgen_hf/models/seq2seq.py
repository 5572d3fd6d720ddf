"""An encoder-decoder model on this machine, such as a translator: Marian, NLLB, M2M100, T5.

    Seq2SeqGenerator(Seq2SeqConfig(model="Helsinki-NLP/opus-mt-de-en", revision=...))
    "Wer schrieb Dracula?"  ->  "Who wrote Dracula?"

It gets the text alone, without the instruction: these models are trained for one thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from toolgen_hf.ask import Generation, Prompt, Request
from toolgen_hf.errors import ConfigError, GenerationError
from toolgen_hf.models.config import Seq2SeqConfig
from toolgen_hf.models.licences import licence_of
from toolgen_hf.models.local import require_torch, resolve_device
from toolgen_hf.models.weights import Weights, check_files, resolve_model

VERSION = 1


class Seq2SeqGenerator:
    """Implements `toolgen_hf.models.base.Generator` with the models' own classes in transformers."""

    is_batch = False
    uses_gpu = True

    def __init__(self, config: Seq2SeqConfig) -> None:
        self.config = config
        self._loaded: tuple[Any, Any, dict[str, Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_loaded": None}

    @cached_property
    def _weights(self) -> Weights:
        return resolve_model(self.config.model, self.config.revision)

    def identity(self) -> dict[str, Any]:
        """The model, the languages and the decoding."""
        decoding = {"source_language", "target_language", "prefix", "max_new_tokens", "num_beams"}
        return {
            "kind": self.config.kind,
            "version": VERSION,
            "model": self._weights.identity,
            "decoding": self.config.model_dump(mode="json", include=decoding),
        }

    def check(self) -> None:
        """Find the model. Raises ConfigError or HubError where it is not."""
        self.identity()

    def describe(self) -> str:
        return f"`{self.config.name}` ({str(self._weights.identity)[:19]})"

    def terms(self) -> str:
        """The licence that the model's own files state."""
        return licence_of(self._weights) or "not stated by its files"

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """Yields the texts of a batch. In float32 a text does not depend on its batch.

        Raises:
            ConfigError: the model cannot be used.
            GenerationError: the model failed.
        """
        texts = [self.config.prefix + request.prompt.user for request in requests]
        longest_first = sorted(range(len(texts)), key=lambda at: -len(texts[at]))
        try:
            for start in range(0, len(texts), self.config.batch_size):
                batch = longest_first[start : start + self.config.batch_size]
                made = self._translate([texts[at] for at in batch])
                yield list(zip(batch, made, strict=True))
        except RuntimeError as error:  # torch's own, out of memory included
            if isinstance(error, GenerationError):
                raise
            raise GenerationError(
                f"{self.config.model!r} failed: {error}; a smaller batch_size (now {self.config.batch_size}) needs "
                "less memory"
            ) from error

    def _translate(self, texts: Sequence[str]) -> list[Generation]:
        import torch

        tokenizer, model, first = self._load()
        given = tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True).to(model.device)
        with torch.inference_mode():
            made = model.generate(
                **given,
                **first,
                max_new_tokens=self.config.max_new_tokens,
                num_beams=self.config.num_beams,
                do_sample=False,
            )
        found = []
        texts = tokenizer.batch_decode(made, skip_special_tokens=True)
        for asked, tokens, text in zip(given["attention_mask"], made.tolist(), texts, strict=True):
            end = "stop" if model.config.eos_token_id in tokens else "length"
            written = sum(token != model.config.pad_token_id for token in tokens)
            found.append(Generation(text.strip(), end, int(asked.sum()), written))
        return found

    def _load(self) -> tuple[Any, Any, dict[str, Any]]:
        """The tokenizer, the model, and the first token where it names the language."""
        if self._loaded is None:
            require_torch()
            import torch
            from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

            config = self.config
            folder = self._weights.folder()
            check_files(folder, self._weights.kind)
            try:
                languages = {"src_lang": config.source_language} if config.source_language else {}
                tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **languages)
                model: Any = AutoModelForSeq2SeqLM.from_pretrained(
                    folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
                )
            except Exception as error:  # transformers raises many types for files that it does not check
                raise ConfigError(
                    f"cannot open the model {config.model!r} in {str(folder)!r}: {error}"
                ) from error
            first = {}
            if config.target_language is not None:
                token = tokenizer.convert_tokens_to_ids(config.target_language)
                if token in (None, tokenizer.unk_token_id):
                    raise ConfigError(
                        f"target_language={config.target_language!r} is no language of {config.model!r}"
                    )
                first = {"forced_bos_token_id": token}
            self._loaded = tokenizer, model.eval().to(resolve_device(config.device)), first
        return self._loaded

    def parse(self, raw: str) -> Generation:
        raise NotImplementedError("a local model keeps no raw answers")

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        return len(prompt.user.encode("utf-8", "replace")) // 4 + 1, self.config.max_new_tokens

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        return 0.0
