"""Forward passes over slots: a prefix, new prompts, one more token for each sequence; logits come back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toolgen_hf.models.decoding.attention import ATTENTION
from toolgen_hf.models.decoding.slots import Pass, Slots

PROBE = 12  # tokens with which a model is tried out
_TOLERANCE = {torch.float32: 1e-3}
_LOOSE = 6e-2  # of 16-bit floats and quantized weights
_KNOWN_LAYERS = {"full_attention", "sliding_attention"}

logger = logging.getLogger(__name__)


class Forward:
    """A model over the slots of one worker. Rows are the first so many of the slots, without gaps."""

    def __init__(self, model: Any, slots: Slots) -> None:
        self.model, self.slots = model, slots
        self.device = model.device
        self.lengths: list[int] = []
        """Tokens of each row that lie in ``slots.own``."""
        self.texts: list[int] = []
        """Of each row's beams in ``slots.text``, with more than one beam."""

    def prefix(self, ids: Sequence[int]) -> None:
        """Compute what all prompts begin with."""
        self.slots.now = Pass("prefix")
        if ids:
            self._run([ids], 0, [0])
        self.slots.prefix_length = len(ids)

    def admit(self, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """Compute ``prompts``, without the prefix, into the slots of ``rows``; the next token's logits of each."""
        width = max(map(len, prompts))
        self.slots.now = Pass("prompts", rows=rows)
        lasts = sorted({len(prompt) - 1 for prompt in prompts})
        padded = [[*prompt, *[0] * (width - len(prompt))] for prompt in prompts]
        logits = self._run(padded, self.slots.prefix_length, lasts)
        for row, prompt in zip(rows, prompts, strict=True):
            if row == len(self.lengths):
                self.lengths.append(0)
                self.texts.append(0)
            self.lengths[row], self.texts[row] = len(prompt), 0
        return torch.stack([logits[at, lasts.index(len(prompt) - 1)] for at, prompt in enumerate(prompts)])

    def step(self, tokens: Sequence[int]) -> Tensor:
        """One token more for each sequence, row by row and beam by beam; the next one's logits."""
        slots, beams = self.slots, self.slots.beams
        lengths = torch.tensor(self.lengths, device=self.device)
        texts = torch.tensor(self.texts, device=self.device).repeat_interleave(beams)
        ahead = 1 if beams == 1 else 0
        slots.now = Pass("step", (), lengths, texts, max(self.lengths) + ahead, max(self.texts) + 1)
        positions = slots.prefix_length + lengths.repeat_interleave(beams) + texts
        ids = torch.tensor(tokens, device=self.device)[:, None]
        logits = self._call(ids, positions[:, None])[:, -1]
        grown = self.lengths if beams == 1 else self.texts
        grown[:] = [length + 1 for length in grown]
        return logits

    def drop(self, row: int) -> None:
        """Free a row's slot; the last row takes its place, so that there is no gap."""
        last = len(self.lengths) - 1
        if row != last:
            self.slots.move(last, row)
            self.lengths[row], self.texts[row] = self.lengths[last], self.texts[last]
        self.lengths.pop()
        self.texts.pop()

    def _run(self, rows: Sequence[Sequence[int]], start: int, lasts: Sequence[int]) -> Tensor:
        ids = torch.tensor(rows, device=self.device)
        positions = torch.arange(start, start + ids.shape[1], device=self.device).expand(len(rows), -1)
        return self._call(ids, positions, torch.tensor(lasts, device=self.device))

    def _call(self, ids: Tensor, positions: Tensor, keep: Tensor | None = None) -> Tensor:
        wanted = {} if keep is None else {"logits_to_keep": keep}
        made = self.model(input_ids=ids, position_ids=positions, use_cache=False, slots=self.slots, **wanted)
        return made.logits


def fits(model: Any) -> bool:
    """Whether a model says the same over slots as by itself, tried out with a few tokens; if so, it is left that way.

    Not every architecture reads its keys and values through transformers' attention interface, and some want more
    of it than `slots` does.
    """
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    usual = model.config._attn_implementation
    if not getattr(model, "_supports_attention_backend", False) or not kinds <= _KNOWN_LAYERS:
        return False
    with torch.inference_mode():
        return _says_the_same(model, usual)


def _says_the_same(model: Any, usual: str) -> bool:
    ids = [1 + at * 7 % (model.config.vocab_size - 1) for at in range(PROBE)]
    expected = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0, [-3, -1]]
    model.set_attn_implementation(ATTENTION)
    try:
        found = _probe(model, ids)
    except (TypeError, ValueError, RuntimeError, KeyError, AttributeError, IndexError) as error:
        logger.debug("%s does not run over slots: %s", type(model).__name__, error)
        found = None
    tolerance = _TOLERANCE.get(expected.dtype, _LOOSE) * float(expected.abs().max())
    if found is not None and float((found - expected).abs().max()) <= tolerance:
        return True
    model.set_attn_implementation(usual)
    return False


def _probe(model: Any, ids: list[int]) -> Tensor:
    """The logits after all but two, and after all of ``ids``, taken through every kind of pass."""
    forward = Forward(model, Slots(2, 1, PROBE, 2))
    forward.prefix(ids[:4])
    logits = forward.admit([0, 1], [ids[4:-2], ids[4:6]])
    forward.step([ids[-2], 0])
    return torch.stack([logits[0], forward.step([ids[-1], 0])[0]])
