"""Keys and values of the sequences that are decoded together, where they lie in memory.

    prefix   (1, heads, P, dim)               what all prompts begin with: computed and kept once
    own      (rows, heads, N, dim)            the rest of each row's prompt; with one beam its text, too
    text     (rows * beams, heads, T, dim)    the texts of beams, which share their row's prompt

All are allocated once and written at each row's own position, so that a row that is complete gives its slot
to the next prompt while the others go on. Padding is never attended to: a row sees its own tokens only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Part:
    """Keys and values of one layer, each (sequences, heads, tokens, dim)."""

    keys: Tensor
    values: Tensor


@dataclass
class Pass:
    """What all layers of one forward pass have in common, beside what they compute."""

    kind: str
    """``prefix``, ``prompts`` (new rows) or ``step`` (one token more for every sequence)."""
    rows: Sequence[int] = ()
    """Of ``prompts``: whose."""
    lengths: Tensor | None = None
    """Of a ``step``: the tokens of each row in ``own``, before it."""
    texts: Tensor | None = None
    """Likewise of each sequence in ``text``."""
    own_extent: int = 0
    """How many tokens of ``own`` any row can see."""
    text_extent: int = 0
    masks: dict[int | None, Tensor] = field(default_factory=dict)
    """By sliding window, made once for all layers."""


class Slots:
    """The memory of ``rows`` rows of ``beams`` beams, each with room for ``prompt`` + ``text`` tokens.

    The prefix is that of ``other`` slots, if given.
    """

    def __init__(self, rows: int, beams: int, prompt: int, text: int, other: Slots | None = None) -> None:
        self.rows, self.beams = rows, beams
        self.own_size, self.text_size = prompt + (text if beams == 1 else 0), text
        self.prefix: dict[int, Part] = other.prefix if other else {}
        self.prefix_length: int = other.prefix_length if other else 0
        self.own: dict[int, Part] = {}
        self.text: dict[int, Part] = {}
        self.now = Pass("prefix")

    def write_prompts(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Write those of new rows, from the beginning of their slots."""
        if layer not in self.own:
            self.own[layer] = _zeros(self.rows, self.own_size, key, value)
        part, rows, length = self.own[layer], list(self.now.rows), key.shape[2]
        part.keys[rows, :, :length], part.values[rows, :, :length] = key, value

    def write_step(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Write each sequence's new token behind its last one."""
        now, sequences = self.now, torch.arange(len(key), device=key.device)
        if self.beams == 1:
            part, at = self.own[layer], now.lengths
        else:
            if layer not in self.text:
                self.text[layer] = _zeros(self.rows * self.beams, self.text_size, key, value)
            part, at = self.text[layer], now.texts
        part.keys[sequences, :, at], part.values[sequences, :, at] = key[:, :, 0], value[:, :, 0]

    def move(self, source: int, target: int) -> None:
        """Give a row the slot of another, which is complete."""
        for parts, width in ((self.own, 1), (self.text, self.beams)):
            for part in parts.values():
                for memory in (part.keys, part.values):
                    memory[target * width : (target + 1) * width] = memory[
                        source * width : (source + 1) * width
                    ]

    def copy_texts(self, sources: Sequence[int], targets: Sequence[int], length: int) -> None:
        """Let sequences go on from the texts of others, of up to ``length`` tokens."""
        for part in self.text.values():
            for memory in (part.keys, part.values):
                memory[targets, :, :length] = memory[sources, :, :length]


def _zeros(sequences: int, tokens: int, key: Tensor, value: Tensor) -> Part:
    # Not empty: what is masked out is still multiplied, by zero, and must be a number.
    return Part(*(part.new_zeros(sequences, part.shape[1], tokens, part.shape[3]) for part in (key, value)))
