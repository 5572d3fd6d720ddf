"""Keys and values of the sequences that are decoded together, and the attention that reads them in place.

    prefix   (1, heads, P, dim)               what all prompts begin with: computed and kept once
    own      (rows, heads, N, dim)            the rest of each row's prompt; with one beam its text, too
    text     (rows * beams, heads, T, dim)    the texts of beams, which share their row's prompt

All are allocated once and written at each row's own position, so that a row that is finished gives its slot
to the next prompt while the others go on. Padding is never attended to: a row sees its own tokens only.

Transformers calls `attend` in the place of its own attention (its `AttentionInterface`), so that every
architecture that supports this runs unchanged. Whether one really does is tried out when a model is loaded
(`forward.fits`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

ATTENTION = "toolgen_slots"
"""What the attention is called in a model's configuration."""


@dataclass
class Part:
    """Keys and values of one layer, each (sequences, heads, tokens, dim)."""

    keys: Tensor
    values: Tensor


@dataclass
class Step:
    """What all layers of one forward pass have in common.

    ``lengths`` are the tokens of each row that are in ``own``, ``texts`` those in ``text``, before this pass.
    """

    kind: str  # "prefix", "prompts" or "step"
    rows: Sequence[int] = ()
    lengths: Tensor | None = None
    texts: Tensor | None = None
    extent: int = 0  # of own, in tokens, that any row can see
    text_extent: int = 0
    masks: dict[int | None, Tensor] = field(default_factory=dict)  # by sliding window


class Slots:
    """The memory of ``rows`` rows of ``beams`` beams, each with room for ``prompt`` + ``text`` tokens.

    Without a prefix of its own it takes that of ``other``.
    """

    def __init__(self, rows: int, beams: int, prompt: int, text: int, prefix: Slots | None = None) -> None:
        self.rows, self.beams = rows, beams
        self.own_size = prompt + (text if beams == 1 else 0)
        self.text_size = text
        self.prefix: dict[int, Part] = prefix.prefix if prefix else {}
        self.prefix_length = prefix.prefix_length if prefix else 0
        self.own: dict[int, Part] = {}
        self.text: dict[int, Part] = {}
        self.now = Step("prefix")

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float, cap: float | None, window: int | None
    ) -> Tensor:
        """Store this layer's keys and values, and attend. (batch, heads, tokens, dim) in and out."""
        if self.now.kind == "step":
            return self._attend_step(layer, query, key, value, scaling, cap, window)
        if self.now.kind == "prefix":
            self.prefix[layer] = Part(key, value)
        else:
            own, length = self._own(layer, key, value), key.shape[2]
            rows = list(self.now.rows)
            own.keys[rows, :, :length], own.values[rows, :, :length] = key, value
            if self.prefix_length:
                start, count = self.prefix[layer], len(rows)
                key = torch.cat([start.keys.expand(count, -1, -1, -1), key], 2)
                value = torch.cat([start.values.expand(count, -1, -1, -1), value], 2)
        return self._attend_prompts(query, key, value, scaling, cap, window)

    def _attend_prompts(
        self, query: Tensor, key: Tensor, value: Tensor, scaling: float, cap: float | None, window: int | None
    ) -> Tensor:
        """Causal attention; rows are padded on the right, where nobody looks."""
        groups = query.shape[1] // key.shape[1]
        key, value = (part.repeat_interleave(groups, 1) if groups > 1 else part for part in (key, value))
        mask = self._prompt_mask(query, key.shape[2], window)
        if cap is None:
            return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
        scores = _capped(query @ key.transpose(2, 3) * scaling, cap)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(-1, dtype=torch.float32)
        return weights.to(value.dtype) @ value

    def _prompt_mask(self, query: Tensor, width: int, window: int | None) -> Tensor:
        if window not in self.now.masks:
            positions = torch.arange(width, device=query.device)
            asking = positions[width - query.shape[2] :, None]
            mask = positions <= asking
            self.now.masks[window] = mask if window is None else mask & (positions > asking - window)
        return self.now.masks[window]

    def _attend_step(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float, cap: float | None, window: int | None
    ) -> Tensor:
        """One new token a sequence: each part of the memory is read where it lies, and once for all that share it."""
        now = self.now
        assert now.lengths is not None
        count, (heads, dim) = len(now.lengths), key.shape[1::2]
        beams, groups = self.beams, query.shape[1] // heads
        own = self.own[layer]
        self._append(layer, key, value)
        shared = query.reshape(count, beams, heads, groups, dim).transpose(1, 2)  # rows, heads, beams, groups, dim
        shared = shared.reshape(count, heads, beams * groups, dim)
        scores = [shared @ own.keys[:count, :, : now.extent].transpose(2, 3)]
        if self.prefix_length:
            start = self.prefix[layer]
            asked = shared.transpose(0, 1).reshape(heads, -1, dim) @ start.keys[0].transpose(1, 2)
            scores.insert(0, asked.reshape(heads, count, beams * groups, -1).transpose(0, 1))
        if beams > 1:
            text = self.text[layer]
            asked = query.reshape(-1, heads, groups, dim) @ text.keys[: count * beams, :, : now.text_extent].transpose(2, 3)
            scores.append(
                asked.reshape(count, beams, heads, groups, -1).transpose(1, 2).reshape(count, heads, beams * groups, -1)
            )
        sizes = [part.shape[-1] for part in scores]
        joined = _capped(torch.cat(scores, -1).mul_(scaling), cap) + self._step_mask(query, sizes, window)
        weights = joined.softmax(-1, dtype=torch.float32).to(value.dtype).split(sizes, -1)
        depth = value.shape[3]
        at = 1 if self.prefix_length else 0
        out = weights[at] @ own.values[:count, :, : now.extent]
        if self.prefix_length:
            seen = weights[0].transpose(0, 1).reshape(heads, -1, sizes[0]) @ self.prefix[layer].values[0]
            out += seen.reshape(heads, count, beams * groups, depth).transpose(0, 1)
        out = out.reshape(count, heads, beams, groups, depth).transpose(1, 2).reshape(-1, heads, groups, depth)
        if beams > 1:
            mine = weights[-1].reshape(count, heads, beams, groups, -1).transpose(1, 2).reshape(-1, heads, groups, sizes[-1])
            out = out + mine @ self.text[layer].values[: count * beams, :, : now.text_extent]
        return out.reshape(count * beams, heads * groups, 1, depth)

    def _append(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Write each sequence's new token behind its last one."""
        now, sequences = self.now, torch.arange(len(key), device=key.device)
        if self.beams == 1:
            part, at = self.own[layer], now.lengths
        else:
            if layer not in self.text:
                self.text[layer] = _zeros(self.rows * self.beams, self.text_size, key, value)
            part, at = self.text[layer], now.texts
        part.keys[sequences, :, at], part.values[sequences, :, at] = key[:, :, 0], value[:, :, 0]

    def _step_mask(self, query: Tensor, sizes: Sequence[int], window: int | None) -> Tensor:
        """(rows, 1, 1 or beams * groups, tokens), 0 where a row may look and -inf elsewhere."""
        now = self.now
        if window not in now.masks:
            assert now.lengths is not None
            lengths, device = now.lengths[:, None], query.device
            own, start = torch.arange(now.extent, device=device), self.prefix_length
            seen, places = [own < lengths + (self.beams == 1)], [(start + own).expand(len(lengths), -1)]
            if start:
                seen.insert(0, torch.ones(len(lengths), start, dtype=torch.bool, device=device))
                places.insert(0, torch.arange(start, device=device).expand(len(lengths), -1))
            current = start + lengths
            if self.beams > 1:
                assert now.texts is not None
                done = now.texts[:: self.beams, None]
                text = torch.arange(now.text_extent, device=device)
                seen.append(text <= done)
                places.append(start + lengths + text)
                current = current + done
            visible = torch.cat(seen, 1)
            if window is not None:
                visible &= torch.cat(places, 1) > current - window
            hidden = torch.zeros(visible.shape, dtype=query.dtype, device=device)
            now.masks[window] = hidden.masked_fill_(~visible, float("-inf"))[:, None, None]
        return now.masks[window]

    def move(self, source: int, target: int) -> None:
        """Give the slot of one row's memory to another, which has ended."""
        for parts, width in ((self.own, 1), (self.text, self.beams)):
            for part in parts.values():
                for memory in (part.keys, part.values):
                    memory[target * width : (target + 1) * width] = memory[source * width : (source + 1) * width]

    def copy_texts(self, sources: Sequence[int], targets: Sequence[int], length: int) -> None:
        """Let sequences go on from the texts of others, of up to ``length`` tokens."""
        for part in self.text.values():
            for memory in (part.keys, part.values):
                memory[targets, :, :length] = memory[sources, :, :length]

    def _own(self, layer: int, key: Tensor, value: Tensor) -> Part:
        if layer not in self.own:
            self.own[layer] = _zeros(self.rows, self.own_size, key, value)
        return self.own[layer]


def _zeros(sequences: int, tokens: int, key: Tensor, value: Tensor) -> Part:
    # Not empty: what is masked out is still multiplied, by zero, and must be a number.
    return Part(*(part.new_zeros(sequences, part.shape[1], tokens, part.shape[3]) for part in (key, value)))


def _capped(scores: Tensor, cap: float | None) -> Tensor:
    return scores if cap is None else torch.tanh(scores / cap) * cap


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    sliding_window: int | None = None,
    *,
    slots: Slots,
    **ignored: Any,
) -> tuple[Tensor, None]:
    """What transformers calls; (batch, heads, tokens, dim) in, (batch, tokens, heads, dim) out.

    Raises:
        TypeError: the architecture wants something of its attention that is not done here.
    """
    for name in ("s_aux", "position_bias"):
        if ignored.get(name) is not None:
            raise TypeError(f"attention with {name}")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = slots.attend(module.layer_idx, query, key, value, scale, softcap, sliding_window)
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attend)
