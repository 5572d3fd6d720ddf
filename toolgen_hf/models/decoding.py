"""Prompts into texts with transformers' own `generate`: batches of prompts of like length, each row on its own.

On a CPU, several workers of one thread each decode a batch each: they need not wait for one another in every layer, and
do not collapse where another process wants a core.

What transformers leaves to the batch is taken out of it: padding is never part of a repetition penalty, and the
randomness of a sample belongs to its row. So in float32 a text does not depend on its batch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor
from transformers import (
    DynamicCache,
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

from toolgen_hf.ask import Generation
from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.loading import LoadedModel
from toolgen_hf.models.weights import Weights

BATCH = 64
"""Sequences at once on a CPU, where the config says nothing: more are hardly faster, and a killed run loses them."""
GPU_BATCH = 256
SHARED = 32
"""Tokens that all prompts must begin with before their beginning is computed once for all."""
_WORKER_SEQUENCES = 8
"""Fewer are decoded faster by all threads together than by workers of one thread each."""
_MEMORY = 0.5
"""Share of the free memory that keys and values may take."""
WORTH_TELLING = 5.0
"""Seconds; shorter generation gets no line in the log."""

logger = logging.getLogger(__name__)

Finished = list[tuple[int, Generation]]


@dataclass
class Row:
    """A prompt: its position among the requests, its tokens, the tokens that its text may have, and its seed."""

    at: int
    prompt: list[int]
    limit: int
    seed: int


def decode(
    loaded: LoadedModel,
    adapter: Weights | None,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    config: LocalConfig,
    on_token: Callable[[int], None] = lambda count: None,
) -> Iterator[Finished]:
    """Yields a batch of texts at a time, each with the position of its prompt; half as many where memory runs out.

    Args:
        prompts: the token ids of each, at least one, and fewer than the model's context.
        seeds: of each, for sampling.
        on_token: called at each step with the number of sequences that got a token.

    Raises:
        RuntimeError: the model failed on a batch, or the memory does not hold a single row.
    """
    room = [config.max_new_tokens if loaded.context is None else loaded.context - len(ids) for ids in prompts]
    rows = [
        Row(at, ids, min(config.max_new_tokens, left), seed)
        for at, (ids, left, seed) in enumerate(zip(prompts, room, seeds, strict=True))
    ]
    rows.sort(key=lambda row: -len(row.prompt))  # little padding, and memory runs out first
    threads = torch.get_num_threads() if loaded.device.type == "cpu" else 1
    most = min(len(rows) * config.num_beams, config.batch_size or BATCH)
    workers = max(1, min(threads, most // _WORKER_SEQUENCES))
    batch = _Batch(loaded, adapter, config, _common_prefix(prompts), on_token)
    count = min(batch.size(rows[0], workers), -(-len(rows) // workers))
    tokens, begun = 0, time.perf_counter()
    with ThreadPoolExecutor(workers, "decode", torch.set_num_threads, (threads // workers,)) as pool:
        try:
            while rows:
                parts = [rows[at : at + count] for at in range(0, count * workers, count) if rows[at:]]
                with torch.inference_mode(), loaded.using(adapter) as model:
                    jobs = [pool.submit(batch.generate, model, part) for part in parts]
                    wait(jobs)
                rows = rows[sum(map(len, parts)) :]
                finished: Finished = []
                for part, job in zip(parts, jobs, strict=True):
                    if (error := job.exception()) is None:
                        finished += [(row.at, text) for row, text in zip(part, job.result(), strict=True)]
                    elif _is_out_of_memory(error) and count > 1:
                        rows = [*part, *rows]
                    else:
                        raise error
                tokens += sum(text.completion_tokens for _, text in finished)
                if finished:
                    yield finished
                if len(finished) < sum(map(len, parts)):
                    logger.warning("out of memory with %d rows at once: going on with half", count * workers)
                    count //= 2
                    if loaded.device.type == "cuda":
                        torch.cuda.empty_cache()
        finally:
            batch.is_stopped = True  # workers that still run, whatever ends this
            torch.set_num_threads(threads)
    seconds = time.perf_counter() - begun
    if seconds >= WORTH_TELLING:
        logger.info(
            "local generation: %d texts in %.1f s, %.0f tokens/s, %d x %d sequences at once; %s, %s",
            len(prompts),
            seconds,
            tokens / seconds,
            workers,
            count * config.num_beams,
            loaded.device.type,
            loaded.dtype,
        )


class _Batch:
    """What all batches of a call share: the model, the settings, and the keys and values of the common beginning."""

    def __init__(
        self,
        loaded: LoadedModel,
        adapter: Weights | None,
        config: LocalConfig,
        prefix: list[int],
        on_token: Callable[[int], None],
    ) -> None:
        self.loaded, self.config, self.on_token = loaded, config, on_token
        self.is_stopped = False
        """Leave at the next token."""
        self.ending = Ending(loaded.tokenizer, loaded.eos_ids, config.stop)
        self.pad = loaded.eos_ids[0] if loaded.eos_ids else 0
        self.prefix = prefix if len(prefix) >= SHARED else []
        self.shared: DynamicCache | None = None
        if self.prefix:
            with torch.inference_mode(), loaded.using(adapter) as model:
                ids = torch.tensor([self.prefix], device=loaded.device)
                made = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
            if isinstance(made, DynamicCache) and made.get_seq_length() == len(self.prefix):
                self.shared = made
            else:  # a model with another kind of memory
                self.prefix = []

    def size(self, longest: Row, workers: int) -> int:
        """Rows of a worker at once: what the config says, or what fits into half of the free memory."""
        config, device = self.config, self.loaded.device
        if config.batch_size is not None:
            return max(1, config.batch_size // config.num_beams // workers)
        limit = BATCH if device.type == "cpu" else GPU_BATCH
        fit = int(_free_memory(device) * _MEMORY) // max(1, self._bytes_of_a_token()) // workers
        limit = max(1, min(limit, fit // (len(longest.prompt) + config.max_new_tokens)))
        return max(1, limit // config.num_beams)

    def _bytes_of_a_token(self) -> int:
        """Memory of the keys and values of one token, by the usual shape of a decoder."""
        shape = self.loaded.model.config.get_text_config()
        heads = getattr(shape, "num_key_value_heads", None) or getattr(shape, "num_attention_heads", 1)
        width = getattr(shape, "head_dim", None) or shape.hidden_size // getattr(
            shape, "num_attention_heads", 1
        )
        return int(2 * shape.num_hidden_layers * heads * width * self.loaded.model.dtype.itemsize)

    def generate(self, model: Any, rows: Sequence[Row]) -> list[Generation]:
        """The texts of a batch."""
        device, shared = self.loaded.device, len(self.prefix)
        own = [row.prompt[shared:] for row in rows]
        width = max(map(len, own))
        padding = [width - len(ids) for ids in own]
        ids = torch.tensor(
            [[*self.prefix, *[self.pad] * gap, *tokens] for gap, tokens in zip(padding, own, strict=True)],
            device=device,
        )
        mask = torch.ones_like(ids)
        for at, gap in enumerate(padding):
            mask[at, shared : shared + gap] = 0
        settings = GenerationConfig(
            max_new_tokens=max(row.limit for row in rows),
            num_beams=self.config.num_beams,
            do_sample=False,  # `_Sample` does it, reproducibly
            eos_token_id=self.loaded.eos_ids or None,
            pad_token_id=self.pad,
        )
        watch = _Watch(self, ids.shape[1])
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=settings,
                logits_processor=self._processors(mask, [row.seed for row in rows]),
                stopping_criteria=StoppingCriteriaList([watch]),
                **self._memory(len(rows) * self.config.num_beams),
            )
        return [
            self.ending.generation(text[: row.limit], len(row.prompt))
            for row, text in zip(rows, made[:, ids.shape[1] :].tolist(), strict=True)
        ]

    def _memory(self, sequences: int) -> dict[str, Any]:
        """The keys and values of the common beginning, for each sequence."""
        if self.shared is None:
            return {}
        layers = [
            (layer.keys.expand(sequences, -1, -1, -1), layer.values.expand(sequences, -1, -1, -1))
            for layer in self.shared.layers
        ]
        return {"past_key_values": DynamicCache(layers)}

    def _processors(self, mask: Tensor, seeds: Sequence[int]) -> LogitsProcessorList:
        config, processors = self.config, LogitsProcessorList()
        if config.repetition_penalty != 1.0:
            rows = mask.repeat_interleave(config.num_beams, dim=0)
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

    def __init__(self, penalty: float, mask: Tensor) -> None:
        self.penalty, self.is_padding = penalty, mask == 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        nowhere = scores.shape[1]
        ids = input_ids.clone()
        ids[:, : self.is_padding.shape[1]].masked_fill_(self.is_padding, nowhere)
        seen = torch.zeros(len(scores), nowhere + 1, dtype=torch.bool, device=scores.device)
        seen = seen.scatter(1, ids.clamp(max=nowhere), True)[:, :nowhere]
        penalized = torch.where(scores < 0, scores * self.penalty, scores / self.penalty)
        return torch.where(seen, penalized, scores)


class _Sample(LogitsProcessor):  # type: ignore[misc]
    """Draws a token for each row, and leaves it as the only likely one.

    The Gumbel-max trick draws from softmax(scores): add Gumbel noise and take the largest. Each row has a generator of
    its own, on the CPU so that every device draws the same numbers.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        size, tiny = scores.shape[1], torch.finfo(torch.float32).tiny
        noise = torch.stack([torch.empty(size).exponential_(generator=g) for g in self.generators])
        drawn = (scores - noise.clamp_min(tiny).log().to(scores.device)).argmax(-1)
        return torch.full_like(scores, float("-inf")).scatter(1, drawn[:, None], 0.0)


class _Watch(StoppingCriteria):  # type: ignore[misc]
    """Counts tokens, and ends a row once its generated text, without the prompt, holds a stop string."""

    def __init__(self, batch: _Batch, prompt_width: int) -> None:
        self.batch, self.start = batch, prompt_width

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        batch, device = self.batch, input_ids.device
        batch.on_token(len(input_ids))
        if batch.is_stopped or not batch.config.stop:
            return torch.full((len(input_ids),), batch.is_stopped, dtype=torch.bool, device=device)
        rows = input_ids[:, self.start :].tolist()
        return torch.tensor([batch.ending.has_stop(row) for row in rows], device=device)


class Ending:
    """Ends a text at an end token or before a stop string.

    Args:
        eos: every token that ends a text.
        stop: strings before the first of which a text is cut.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, eos: Sequence[int], stop: Sequence[str]) -> None:
        self.tokenizer, self.eos, self.stop = tokenizer, frozenset(eos), stop
        # A token is at least a byte, so this many hold any stop string and a character cut in two.
        self._window = max((len(text.encode()) for text in stop), default=0) + 4

    def has_stop(self, tokens: Sequence[int]) -> bool:
        """Whether there is a stop string; the last token is new."""
        # The whole text decides; the tail, which is cheap, only says when to ask.
        return bool(self.stop) and self._found(tokens[-self._window :]) and self._found(tokens)

    def generation(self, tokens: Sequence[int], prompt_tokens: int) -> Generation:
        """The text of a row's tokens; what comes after its end, such as padding, is dropped."""
        end = next((at for at, token in enumerate(tokens) if token in self.eos), len(tokens))
        text = self._text(tokens[:end])
        cut = min((at for stop in self.stop if (at := text.find(stop)) >= 0), default=None)
        return Generation(
            text=text[:cut],
            finish_reason="length" if end == len(tokens) and cut is None else "stop",
            prompt_tokens=prompt_tokens,
            completion_tokens=end,
        )

    def _found(self, tokens: Sequence[int]) -> bool:
        text = self._text(tokens)
        return any(stop in text for stop in self.stop)

    def _text(self, tokens: Sequence[int]) -> str:
        decoded = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(decoded)


def _common_prefix(prompts: Sequence[list[int]]) -> list[int]:
    """The tokens that all prompts begin with; at least one token shorter than each prompt."""
    first, last = min(prompts), max(prompts)
    length = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: min(length, *(len(prompt) - 1 for prompt in prompts))]


def _free_memory(device: torch.device) -> int:
    """Bytes that can be had."""
    if device.type != "cuda":
        return int(psutil.virtual_memory().available)
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether this is PyTorch's or Python's way to say that memory has run out."""
    is_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return is_cpu or isinstance(error, torch.OutOfMemoryError | MemoryError)
