"""One batch of token rows into texts, each as if it had been decoded alone.

What transformers leaves to the batch is taken out of it here: padding is never part of a repetition
penalty, and the randomness of a sample belongs to its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.generation.logits_process import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from toolgen_hf.generators.base import Generation
from toolgen_hf.generators.config import LocalConfig
from toolgen_hf.generators.loading import LoadedModel
from toolgen_hf.generators.models import Weights


def decode(
    loaded: LoadedModel,
    adapter: Weights | None,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    config: LocalConfig,
) -> list[Generation]:
    """Decodes ``prompts`` together; ``seeds`` has one for each and matters only when sampling."""
    width = max(map(len, prompts))
    pad = loaded.eos_ids[0] if loaded.eos_ids else 0
    padding = torch.tensor([width - len(prompt) for prompt in prompts], device=loaded.device)
    ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=loaded.device)
    mask = (torch.arange(width, device=loaded.device) >= padding[:, None]).long()
    settings = GenerationConfig(
        max_new_tokens=config.max_new_tokens,
        num_beams=config.num_beams,
        do_sample=False,  # `_Sample` does it, reproducibly
        eos_token_id=loaded.eos_ids or None,
        pad_token_id=pad,
    )
    stopping = StoppingCriteriaList()
    if config.stop:
        stopping.append(_StopStrings(config.stop, loaded.tokenizer, width))
    with torch.inference_mode(), loaded.using(adapter) as model:
        rows = model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings,
            logits_processor=_processors(config, padding, seeds),
            stopping_criteria=stopping,
        )
    return [
        _generation(row, len(prompt), loaded, config)
        for row, prompt in zip(rows[:, width:].tolist(), prompts, strict=True)
    ]


def _generation(row: list[int], prompt_tokens: int, loaded: LoadedModel, config: LocalConfig) -> Generation:
    ids = row if loaded.context is None else row[: max(0, loaded.context - prompt_tokens)]
    end = next((at for at, token in enumerate(ids) if token in loaded.eos_ids), len(ids))
    text = _text(loaded.tokenizer, ids[:end])
    cut = min((at for stop in config.stop if (at := text.find(stop)) >= 0), default=None)
    return Generation(
        text=text[:cut],
        finish_reason="length" if end == len(ids) and cut is None else "stop",
        prompt_tokens=prompt_tokens,
        completion_tokens=end,
    )


def _text(tokenizer: PreTrainedTokenizerBase, ids: Any) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _processors(config: LocalConfig, padding: torch.Tensor, seeds: Sequence[int]) -> LogitsProcessorList:
    processors = LogitsProcessorList()
    if config.repetition_penalty != 1.0:
        rows = padding.repeat_interleave(config.num_beams)
        processors.append(_RepetitionPenalty(config.repetition_penalty, rows))
    if config.do_sample:
        if config.temperature != 1.0:
            processors.append(TemperatureLogitsWarper(config.temperature))
        if config.top_k:
            processors.append(TopKLogitsWarper(config.top_k))
        if config.top_p < 1.0:
            processors.append(TopPLogitsWarper(config.top_p))
        processors.append(_Sample(seeds))
    return processors


class _RepetitionPenalty(LogitsProcessor):  # type: ignore[misc]
    """CTRL's penalty (https://arxiv.org/abs/1909.05858) on every token of the prompt and the text.

    Not on padding: its token is often the end of the text, which a short row would then avoid.
    """

    def __init__(self, penalty: float, padding: torch.Tensor) -> None:
        self.penalty = penalty
        self.padding = padding[:, None]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        nowhere = scores.shape[1]
        is_padding = torch.arange(input_ids.shape[1], device=input_ids.device) < self.padding
        ids = input_ids.masked_fill(is_padding, nowhere).clamp(max=nowhere)
        seen = torch.zeros(len(scores), nowhere + 1, dtype=torch.bool, device=scores.device)
        seen = seen.scatter(1, ids, True)[:, :nowhere]
        penalized = torch.where(scores < 0, scores * self.penalty, scores / self.penalty)
        return torch.where(seen, penalized, scores)


class _Sample(LogitsProcessor):  # type: ignore[misc]
    """Draws from softmax(scores) by the Gumbel-max trick: add Gumbel noise and let the argmax choose.

    Each row has its own generator, on the CPU so that every device draws the same numbers.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        size, tiny = scores.shape[1], torch.finfo(torch.float32).tiny
        noise = torch.stack([torch.empty(size).exponential_(generator=g) for g in self.generators])
        return scores - noise.clamp_min(tiny).log().to(scores.device)


class _StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends a row once its generated text, without the prompt, holds one of the strings."""

    def __init__(self, stop: tuple[str, ...], tokenizer: PreTrainedTokenizerBase, prompt_width: int) -> None:
        self.stop, self.tokenizer, self.start = stop, tokenizer, prompt_width
        # A token is at least a byte, so this many hold any stop string and a character cut in two.
        self.window = max(len(text.encode()) for text in stop) + 4

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.tensor([self._is_done(row[self.start :]) for row in input_ids], device=input_ids.device)

    def _is_done(self, ids: torch.Tensor) -> bool:
        # The whole text decides; the tail, which is cheap, only says when to ask.
        tail = _text(self.tokenizer, ids[-self.window :])
        return self._has_stop(tail) and self._has_stop(_text(self.tokenizer, ids))

    def _has_stop(self, text: str) -> bool:
        return any(stop in text for stop in self.stop)
