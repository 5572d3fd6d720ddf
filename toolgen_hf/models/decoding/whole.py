"""Rows into texts with transformers' own `generate`, for architectures that do not run over slots.

What transformers leaves to the batch is taken out of it here: padding is never part of a repetition
penalty, and the randomness of a sample belongs to its row.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from toolgen_hf.ask import Generation
from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.decoding.capacity import is_out_of_memory
from toolgen_hf.models.decoding.ending import Ending
from toolgen_hf.models.decoding.rows import Finished
from toolgen_hf.models.decoding.search import Row, draw, narrowing
from toolgen_hf.models.decoding.speed import Speed
from toolgen_hf.models.loading import LoadedModel
from toolgen_hf.models.weights import Weights

BATCH = 32
"""Sequences at once, where nothing is said; half as many until they fit."""

logger = logging.getLogger(__name__)


def decode_whole(
    loaded: LoadedModel, adapter: Weights | None, rows: Sequence[Row], config: LocalConfig, speed: Speed
) -> Iterator[Finished]:
    """Yields a batch of texts at a time; half as many rows where memory has run out.

    Raises:
        RuntimeError: the model failed on a batch.
    """
    count, start, spent = max(1, (config.batch_size or BATCH) // config.num_beams), 0, speed.part()
    while start < len(rows):
        batch = rows[start : start + count]
        try:
            with speed.turn():
                texts = _decode(loaded, adapter, batch, config)
        except RuntimeError as error:
            if not is_out_of_memory(error) or count == 1:
                raise
            logger.warning("out of memory with %d rows at once: going on with half", count)
            count //= 2
            continue
        spent.made += sum(text.completion_tokens for text in texts)
        yield [(row.at, text) for row, text in zip(batch, texts, strict=True)]
        start += len(batch)


def _decode(
    loaded: LoadedModel, adapter: Weights | None, rows: Sequence[Row], config: LocalConfig
) -> list[Generation]:
    width = max(len(row.prompt) for row in rows)
    pad = loaded.eos_ids[0] if loaded.eos_ids else 0
    padding = torch.tensor([width - len(row.prompt) for row in rows], device=loaded.device)
    ids = torch.tensor(
        [[pad] * (width - len(row.prompt)) + list(row.prompt) for row in rows], device=loaded.device
    )
    mask = (torch.arange(width, device=loaded.device) >= padding[:, None]).long()
    settings = GenerationConfig(
        max_new_tokens=config.max_new_tokens,
        num_beams=config.num_beams,
        do_sample=False,  # `_Sample` does it, reproducibly
        eos_token_id=loaded.eos_ids or None,
        pad_token_id=pad,
    )
    ending = Ending(loaded.tokenizer, loaded.eos_ids, config.stop)
    stopping = StoppingCriteriaList([_StopStrings(ending, width)] if config.stop else [])
    with torch.inference_mode(), loaded.using(adapter) as model:
        made = model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings,
            logits_processor=_processors(config, padding, [row.seed for row in rows]),
            stopping_criteria=stopping,
        )
    return [
        ending.generation(text[: row.limit], len(row.prompt))
        for row, text in zip(rows, made[:, width:].tolist(), strict=True)
    ]


def _processors(config: LocalConfig, padding: torch.Tensor, seeds: Sequence[int]) -> LogitsProcessorList:
    processors = LogitsProcessorList()
    if config.repetition_penalty != 1.0:
        rows = padding.repeat_interleave(config.num_beams)
        processors.append(_RepetitionPenalty(config.repetition_penalty, rows))
    if config.do_sample:
        processors.extend(narrowing(config))
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
    """Draws a token for each row, and leaves it as the only likely one."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        drawn = draw(scores, self.generators)
        return torch.full_like(scores, float("-inf")).scatter(1, drawn[:, None], 0.0)


class _StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends a row once its generated text, without the prompt, holds a stop string."""

    def __init__(self, ending: Ending, prompt_width: int) -> None:
        self.ending, self.start = ending, prompt_width

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        rows = input_ids[:, self.start :].tolist()
        return torch.tensor([self.ending.has_stop(row) for row in rows], device=input_ids.device)
