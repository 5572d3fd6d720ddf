"""Which token comes next: the likeliest, one drawn by the row's own seed, or those of several beams.

Each row is decided on by itself, so that no choice depends on what else is in the batch. Beam search is that of
transformers (``num_beams``, scores by the mean, ``early_stopping=False``), row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor
from transformers.generation.logits_process import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from toolgen_hf.models.config import LocalConfig


@dataclass
class Beam:
    """A text so far, and the sum of its tokens' log probabilities (with beams only)."""

    score: float
    tokens: list[int]


@dataclass
class Row:
    """One prompt that is being answered, with one text or with as many as there are beams."""

    at: int
    """Its position among the requests."""
    prompt: list[int]
    limit: int
    """Tokens that its text may have."""
    seed: int
    beams: list[Beam] = field(default_factory=lambda: [Beam(0.0, [])])
    ended: list[Beam] = field(default_factory=list)
    """Complete texts of a beam search, best first."""
    result: list[int] | None = None
    """The tokens of the text, once it is complete."""
    draws: torch.Generator | None = None

    def restart(self) -> None:
        """Forget the text, which must be begun anew."""
        self.beams, self.ended, self.result, self.draws = [Beam(0.0, [])], [], None, None


class Penalty:
    """CTRL's repetition penalty (https://arxiv.org/abs/1909.05858) on every token of a prompt and its text.

    Not on padding: its token is often the end of the text, which a short row would then avoid.
    """

    def __init__(self, penalty: float, sequences: int) -> None:
        self.penalty, self.sequences = penalty, sequences
        self._seen: Tensor | None = None

    def start(self, sequences: Sequence[int], prompt: Sequence[int], like: Tensor) -> None:
        """These sequences begin with a prompt; ``like`` has the vocabulary's size."""
        if self._seen is None:
            self._seen = torch.zeros(self.sequences, like.shape[-1], dtype=torch.bool, device=like.device)
        self._seen[sequences] = False
        for sequence in sequences:
            self._seen[sequence, torch.tensor(prompt, device=like.device)] = True

    def add(self, first: int, tokens: Sequence[int]) -> None:
        """The sequences from ``first`` on got one token more each."""
        assert self._seen is not None
        device = self._seen.device
        sequences = torch.arange(first, first + len(tokens), device=device)
        self._seen[sequences, torch.tensor(tokens, device=device)] = True

    def copy(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        """Sequences go on from others."""
        if self._seen is not None:
            self._seen[targets] = self._seen[sources]

    def __call__(self, scores: Tensor, sequences: slice) -> Tensor:
        """The scores of some sequences."""
        assert self._seen is not None
        penalized = torch.where(scores < 0, scores * self.penalty, scores / self.penalty)
        return torch.where(self._seen[sequences], penalized, scores)


def narrowing(config: LocalConfig) -> list[Any]:
    """What narrows a distribution before it is drawn from, as transformers does it."""
    steps: list[Any] = []
    if config.temperature != 1.0:
        steps.append(TemperatureLogitsWarper(config.temperature))
    if config.top_k:
        steps.append(TopKLogitsWarper(config.top_k))
    if config.top_p < 1.0:
        steps.append(TopPLogitsWarper(config.top_p))
    return steps


def draw(scores: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """One index a row from softmax(scores) by the Gumbel-max trick: add Gumbel noise and take the largest.

    Each row has a generator of its own, on the CPU so that every device draws the same numbers.
    """
    size, tiny = scores.shape[1], torch.finfo(torch.float32).tiny
    noise = torch.stack([torch.empty(size).exponential_(generator=g) for g in generators])
    return (scores - noise.clamp_min(tiny).log().to(scores.device)).argmax(-1)


def extend(
    row: Row, candidates: Sequence[tuple[float, int, int]], is_end: Sequence[bool], beams: int
) -> list[int]:
    """Take one step of a row's beam search; ``row.result`` is set if it is over.

    Args:
        candidates: ``(score, beam, token)``, the best first; enough that ``beams`` of them do not end a text.
        is_end: of each, whether the text is complete with it.

    Returns:
        The beam that each of the new ones goes on from.
    """
    length = len(row.beams[0].tokens) + 1
    made = [
        (score, beam, [*row.beams[beam].tokens, token], ends)
        for (score, beam, token), ends in zip(candidates, is_end, strict=True)
    ]
    ended = [Beam(score / length, tokens) for score, _, tokens, ends in made[:beams] if ends]
    row.ended = sorted([*row.ended, *ended], key=lambda beam: -beam.score)[:beams]
    # One that has ended goes on only where there is no other.
    going = sorted(made, key=itemgetter(3))[:beams]
    row.beams = [Beam(score - 1e9 * ends, tokens) for score, _, tokens, ends in going]
    may_improve = len(row.ended) < beams or row.beams[0].score / length > row.ended[-1].score
    if all(is_end) or not may_improve:
        row.result = row.ended[0].tokens if row.ended else row.beams[0].tokens
    return [beam for _, beam, _, _ in going]
