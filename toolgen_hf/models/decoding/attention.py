"""Attention over slots. Transformers calls it in the place of its own, through its `AttentionInterface`.

So every architecture that supports this interface runs unchanged; whether one really does is tried out when a
model is loaded (`forward.fits`). What sequences share, the prefix of all and the prompt of a row's beams, is
read once for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

from toolgen_hf.models.decoding.slots import Part, Slots

ATTENTION = "toolgen_slots"
"""What it is called in a model's configuration."""


@dataclass(frozen=True)
class Asked:
    """What one layer asks for; ``query`` is (sequences, heads, tokens, dim), and so are ``key`` and ``value``."""

    layer: int
    query: Tensor
    key: Tensor
    value: Tensor
    scale: float
    cap: float | None
    """Scores are squeezed into +-cap (Gemma 2)."""
    window: int | None
    """Tokens that each one sees, itself included; None for all before it."""


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
    **others: Any,
) -> tuple[Tensor, None]:
    """Store this layer's keys and values, and attend; (sequences, tokens, heads, dim) out.

    Raises:
        TypeError: the architecture wants something of its attention that is not done here.
    """
    if wanted := [name for name in ("s_aux", "position_bias") if others.get(name) is not None]:
        raise TypeError(f"attention with {wanted[0]}")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    asked = Asked(module.layer_idx, query, key, value, scale, softcap, sliding_window)
    out = _attend_step(slots, asked) if slots.now.kind == "step" else _attend_prompts(slots, asked)
    return out.transpose(1, 2).contiguous(), None


def _attend_prompts(slots: Slots, asked: Asked) -> Tensor:
    """Causal attention; rows are padded on the right, which no token attends to."""
    query, key, value = asked.query, asked.key, asked.value
    if slots.now.kind == "prefix":
        slots.prefix[asked.layer] = Part(key, value)
    else:
        slots.write_prompts(asked.layer, key, value)
        if slots.prefix_length:
            start = slots.prefix[asked.layer]
            key = torch.cat([start.keys.expand(len(key), -1, -1, -1), key], 2)
            value = torch.cat([start.values.expand(len(value), -1, -1, -1), value], 2)
    if (groups := query.shape[1] // key.shape[1]) > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    mask = _prompt_mask(slots, query, key.shape[2], asked.window)
    if asked.cap is None:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=asked.scale)
    scores = _capped(query @ key.transpose(2, 3) * asked.scale, asked.cap)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1, dtype=torch.float32)
    return weights.to(value.dtype) @ value


def _prompt_mask(slots: Slots, query: Tensor, width: int, window: int | None) -> Tensor:
    """(tokens, prefix + tokens), True where one may look."""
    masks = slots.now.masks
    if window not in masks:
        places = torch.arange(width, device=query.device)
        current = places[width - query.shape[2] :, None]
        masks[window] = (places <= current) & (places > current - (window or width))
    return masks[window]


@dataclass(frozen=True)
class _Sequences:
    """``rows`` of ``beams`` sequences each, and how their heads are arranged: ``heads`` of keys, ``groups`` of
    queries to each. The common form is (rows, heads, beams * groups, any), next to a row's own keys."""

    rows: int
    beams: int
    heads: int
    groups: int

    def to_prefix(self, x: Tensor) -> Tensor:
        """(heads, rows * beams * groups, any): all at once, for keys that all share."""
        return x.transpose(0, 1).reshape(self.heads, -1, x.shape[-1])

    def from_prefix(self, x: Tensor) -> Tensor:
        return x.reshape(self.heads, self.rows, -1, x.shape[-1]).transpose(0, 1)

    def to_texts(self, x: Tensor) -> Tensor:
        """(rows * beams, heads, groups, any), for keys that each sequence has for itself."""
        apart = x.reshape(self.rows, self.heads, self.beams, self.groups, x.shape[-1]).transpose(1, 2)
        return apart.reshape(-1, self.heads, self.groups, x.shape[-1])

    def from_texts(self, x: Tensor) -> Tensor:
        apart = x.reshape(self.rows, self.beams, self.heads, self.groups, x.shape[-1]).transpose(1, 2)
        return apart.reshape(self.rows, self.heads, -1, x.shape[-1])


def _attend_step(slots: Slots, asked: Asked) -> Tensor:
    """One new token a sequence; each part of the memory is read where it lies, and once for all that share it."""
    slots.write_step(asked.layer, asked.key, asked.value)
    now, value, beams = slots.now, asked.value, slots.beams
    assert now.lengths is not None
    heads = value.shape[1]
    form = _Sequences(len(now.lengths), beams, heads, asked.query.shape[1] // heads)
    query = form.from_texts(asked.query)
    own = slots.own[asked.layer]
    keys, values = (memory[: form.rows, :, : now.own_extent] for memory in (own.keys, own.values))
    prefix = slots.prefix[asked.layer] if slots.prefix_length else None
    text = slots.text[asked.layer] if beams > 1 else None

    scores = [query @ keys.transpose(2, 3)]
    if prefix:
        scores.append(form.from_prefix(form.to_prefix(query) @ prefix.keys[0].transpose(1, 2)))
    if text:
        keys = text.keys[: form.rows * beams, :, : now.text_extent]
        scores.append(form.from_texts(form.to_texts(query) @ keys.transpose(2, 3)))
    sizes = [part.shape[-1] for part in scores]
    joint = _capped(torch.cat(scores, -1).mul_(asked.scale), asked.cap)
    joint = joint + _step_mask(slots, joint, asked.window)
    weights = list(joint.softmax(-1, dtype=torch.float32).to(value.dtype).split(sizes, -1))

    out = weights[0] @ values
    if prefix:
        out += form.from_prefix(form.to_prefix(weights[1]) @ prefix.values[0])
    if text:
        values = text.values[: form.rows * beams, :, : now.text_extent]
        out += form.from_texts(form.to_texts(weights[-1]) @ values)
    return form.to_texts(out).reshape(form.rows * beams, -1, 1, value.shape[3])


def _step_mask(slots: Slots, scores: Tensor, window: int | None) -> Tensor:
    """(rows, 1, 1, tokens of own, prefix and text), 0 where a row may look and -inf elsewhere."""
    now = slots.now
    if window not in now.masks:
        assert now.lengths is not None
        assert now.texts is not None
        lengths, start, device = now.lengths[:, None], slots.prefix_length, scores.device
        own = torch.arange(now.own_extent, device=device)
        prefix = torch.arange(start, device=device).expand(len(lengths), -1)
        places = [(start + own).expand(len(lengths), -1), prefix]
        seen = [own < lengths + (slots.beams == 1), torch.ones_like(prefix, dtype=torch.bool)]
        current = start + lengths
        if slots.beams > 1:
            texts, text = now.texts[:: slots.beams, None], torch.arange(now.text_extent, device=device)
            places.append(current + text)
            seen.append(text <= texts)
            current = current + texts
        visible = torch.cat(seen, 1)
        if window is not None:
            visible &= torch.cat(places, 1) > current - window
        hidden = torch.zeros(visible.shape, dtype=scores.dtype, device=device)
        now.masks[window] = hidden.masked_fill_(~visible, float("-inf"))[:, None, None]
    return now.masks[window]


def _capped(scores: Tensor, cap: float | None) -> Tensor:
    return scores if cap is None else torch.tanh(scores / cap) * cap


AttentionInterface.register(ATTENTION, attend)
