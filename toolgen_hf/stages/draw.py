"""How a mix is drawn: how many questions of each part, which ones, and in which order.

    quotas({"gsm8k": 7000, "svamp": 700}, {"gsm8k": Take(weight=2), "svamp": Take(weight=1)}, "train")
    -> {"gsm8k": 1400, "svamp": 700}

Weights are shares of the mix. It is the largest in which they hold and no row comes twice: the part that runs out
first is taken whole, and of the others as many as belong to that. Which rows these are is a matter of the seed and
the rows' ids alone, so another part, another weight or a new row leaves the choice among the others as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

from pydantic import Field, field_validator

from toolgen_hf._utils import bytes_sha256
from toolgen_hf.models.config import Config

Order = Literal["interleave", "concatenate"]
NearDuplicates = Literal["apart", "drop", "keep"]


class Take(Config):
    """How much of a part is taken; by default all. Either for every split, or by split: ``{train: 2}``."""

    weight: float | dict[str, float] | None = None
    """Its share of the mix, relative to the other weights. In a split where any part has one, a part with neither
    weight nor count has 1; where none has, all is taken."""
    count: int | dict[str, int | None] | None = None
    """So many rows, whatever the others give (null: all). Splits that are not named are not taken."""

    @field_validator("weight", mode="before")
    @classmethod
    def _weights(cls, value: Any) -> Any:
        for split, weight in _by_split(value).items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise ValueError(f"{split}a weight is a number above 0, not {weight!r}")
        return value

    @field_validator("count", mode="before")
    @classmethod
    def _counts(cls, value: Any) -> Any:
        for split, count in _by_split(value).items():
            if count is None and split:
                continue
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise ValueError(f"{split}a count is a number of rows, or null for all, not {count!r}")
        return value

    @field_validator("count")
    @classmethod
    def _not_both(cls, count: Any, info: Any) -> Any:
        if count is not None and info.data.get("weight") is not None:
            raise ValueError("give a weight or a count, not both")
        return count

    def weight_in(self, split: str) -> Fraction | None:
        """The weight in a split, exactly as written."""
        weight = self.weight.get(split) if isinstance(self.weight, dict) else self.weight
        return None if weight is None else Fraction(str(weight))

    def count_in(self, split: str, size: int) -> int | None:
        """How many of ``size`` rows the count asks for; None without one."""
        if self.count is None:
            return None
        count = self.count.get(split, 0) if isinstance(self.count, dict) else self.count
        return size if count is None else min(count, size)


class MixConfig(Config):
    """How parts become one set."""

    parts: Mapping[str, Take] = Field(default_factory=dict)
    """How much is taken of each part; of one that is not named, all."""
    order: Order = "interleave"
    """``interleave``: each part's rows evenly over the whole; ``concatenate``: one part after the other."""
    seed: int = 0
    """Which rows are drawn where not all are."""
    duplicates: Literal["drop", "keep"] = "drop"
    """What becomes of a question that a split has already: the later one, in the order of the parts, is rejected."""
    near_duplicates: NearDuplicates = "apart"
    """What becomes of a question that tells the same story as one in a split further from training, with other numbers
    or names. ``apart``: it is rejected if that one is of another part; a part's own splits stay as they are. ``drop``:
    it is rejected. ``keep``: it stays. Those that stay are marked in the column ``near_duplicate_of``."""


def _by_split(value: Any) -> Mapping[str, Any]:
    """A setting by how its split is named in a message."""
    if isinstance(value, dict):
        return {f"{split}: ": item for split, item in value.items()}
    return {} if value is None else {"": value}


def quotas(sizes: Mapping[str, int], takes: Mapping[str, Take], split: str) -> dict[str, int]:
    """How many rows of each part a split of the mix has, of those that there are.

    Shares are rounded to whole rows, halves up. A part without any row in the split leaves the others' proportions
    as they are.
    """
    counts = {name: takes[name].count_in(split, size) for name, size in sizes.items()}
    weighted = [name for name, count in counts.items() if count is None and sizes[name]]
    weights = {name: takes[name].weight_in(split) for name in weighted}
    if any(weight is not None for weight in weights.values()):
        shares = {name: Fraction(1) if weight is None else weight for name, weight in weights.items()}
        unit = min(Fraction(sizes[name]) / share for name, share in shares.items())
        counts |= {name: math.floor(share * unit + Fraction(1, 2)) for name, share in shares.items()}
    return {name: sizes[name] if count is None else count for name, count in counts.items()}


def draw(ids: Sequence[str], count: int, seed: int) -> list[int]:
    """Which rows are taken, in their own order. Of one seed, fewer are always among more."""
    if count >= len(ids):
        return list(range(len(ids)))
    ranked = sorted(range(len(ids)), key=lambda at: (bytes_sha256(f"{seed}\0{ids[at]}".encode()), at))
    return sorted(ranked[:count])


def arranged(counts: Sequence[int], order: Order) -> list[tuple[int, int]]:
    """The mix's rows as ``(part, row)``: interleaved, every stretch of it has the parts in their proportions."""
    rows = [(part, row) for part, count in enumerate(counts) for row in range(count)]
    if order == "concatenate":
        return rows
    return sorted(rows, key=lambda at: ((at[1] + 0.5) / counts[at[0]], at[0]))
