"""How a mix is decided: which questions repeat another one, how many of each part are used, which ones, in which order.

    judge([Candidate("svamp", "test", "S-1", "What is 2 + 3?"), Candidate("gsm8k", "train", "G-7", "what is 2+3 ?")])
    -> [None, Repeat(of=<S-1>, match="normalised", is_leak=True)]

    quotas({"gsm8k": 7000, "svamp": 700}, {"gsm8k": Take(weight=2), "svamp": Take(weight=1)}, "train")
    -> {"gsm8k": 1400, "svamp": 700}

A question is kept once, in the split that is furthest from training: first test, then other splits, and train last.

Weights are shares of the mix. The mix is the largest one with these shares without repeated rows: the part that
runs out first is used whole, and the others in proportion. Which rows are drawn depends only on the seed and the rows'
ids. Another part, another weight or a new row does not change the choice among the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from pydantic import Field, field_validator

from toolgen_hf._utils import bytes_sha256
from toolgen_hf.errors import DataError
from toolgen_hf.models.config import Config
from toolgen_hf.stages.near_duplicates import normalise, protected_first

Order = Literal["interleave", "concatenate"]
NearDuplicates = Literal["apart", "drop", "keep"]
Match = Literal["id", "exact", "normalised", "near"]
"""How alike two questions are. ``near``: the same story with other numbers or names (near_duplicates.py)."""


class Take(Config):
    """How many rows of a part are used; all by default. One value for every split, or one for each: ``{train: 2}``."""

    weight: float | dict[str, float] | None = None
    """Its share of the mix, relative to the other weights. If any part has a weight in a split, a part with neither
    weight nor count has weight 1 there. If no part has one, all rows are used."""
    count: int | dict[str, int | None] | None = None
    """The number of rows, whatever the other parts have (null: all). Splits that are not named are not used."""

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
        """The weight in a split, as an exact fraction."""
        weight = self.weight.get(split) if isinstance(self.weight, dict) else self.weight
        return None if weight is None else Fraction(str(weight))

    def count_in(self, split: str, size: int) -> int | None:
        """How many of ``size`` rows the count asks for; None if there is no count."""
        if self.count is None:
            return None
        count = self.count.get(split, 0) if isinstance(self.count, dict) else self.count
        return size if count is None else min(count, size)


class MixConfig(Config):
    """How parts become one set."""

    parts: Mapping[str, Take] = Field(default_factory=dict)
    """How many rows of each part are used. A part that is not named is used whole."""
    order: Order = "interleave"
    """``interleave``: the rows of each part are spread evenly. ``concatenate``: one part after the other."""
    seed: int = 0
    """Chooses the rows if only some are used."""
    duplicates: Literal["drop", "keep"] = "drop"
    """What happens to a question that a split already has: with ``drop`` it is rejected. The first part keeps it."""
    near_duplicates: NearDuplicates = "apart"
    """What happens to a question that tells the same story as one in a split further from training, with other numbers
    or names. ``apart``: it is rejected if the other one is from another part. ``drop``: it is always rejected.
    ``keep``: it stays. The column ``near_duplicate_of`` marks those that stay."""


def _by_split(value: Any) -> Mapping[str, Any]:
    """The values of a setting, each under what names its split in a message."""
    if isinstance(value, dict):
        return {f"{split}: ": item for split, item in value.items()}
    return {} if value is None else {"": value}


def quotas(sizes: Mapping[str, int], takes: Mapping[str, Take], split: str) -> dict[str, int]:
    """How many of a part's rows are used in a split.

    Shares are rounded to whole rows, halves up. A part without rows in the split does not change the proportions of
    the others.

    Args:
        sizes: the rows of each part that can be used.
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
    """The places of ``count`` random rows, in their own order. A smaller count gives a subset of a larger one."""
    if count >= len(ids):
        return list(range(len(ids)))
    ranked = sorted(range(len(ids)), key=lambda at: (bytes_sha256(f"{seed}\0{ids[at]}".encode()), at))
    return sorted(ranked[:count])


def arranged(counts: Sequence[int], order: Order) -> list[tuple[int, int]]:
    """The rows of the mix in order, as ``(part, row)``. Interleaved, every stretch has all parts in proportion."""
    rows = [(part, row) for part, count in enumerate(counts) for row in range(count)]
    if order == "concatenate":
        return rows
    return sorted(rows, key=lambda at: ((at[1] + 0.5) / counts[at[0]], at[0]))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question of a part. One that was rejected before is not usable, but still keeps others out of train."""

    part: str
    split: str
    id: str
    question: str
    is_usable: bool = True


@dataclass(frozen=True, slots=True)
class Repeat:
    """Which question another one repeats. ``is_leak``: that question is in a split further from training."""

    of: Candidate
    match: Match
    is_leak: bool


def judge(candidates: Sequence[Candidate]) -> list[Repeat | None]:
    """The question that each one repeats, or None. Of equal questions in one split, the first usable one is kept.

    Raises:
        DataError: two different questions have one id.
    """
    keys = [normalise(candidate.question) for candidate in candidates]
    verdicts: list[Repeat | None] = [None] * len(candidates)
    earlier: dict[str, Candidate] = {}  # by key, in splits further from training
    ids: dict[str, int] = {}
    for split in protected_first([candidate.split for candidate in candidates]):
        there: dict[str, Candidate] = {}
        rows = [at for at, candidate in enumerate(candidates) if candidate.split == split]
        for at in sorted(rows, key=lambda at: not candidates[at].is_usable):  # usable ones come first
            candidate, key = candidates[at], keys[at]
            other = ids.setdefault(candidate.id, at)
            if keys[other] != key:
                one = candidates[other]
                where = [f"{c.question[:80]!r} in {c.split} of {c.part!r}" for c in (one, candidate)]
                raise DataError(
                    f"two questions have the id {one.id!r}, {where[0]} and {where[1]}: ids must be unique in a "
                    "mix. Give one of the datasets another name (dataset.name in its recipe), or its rows other ids"
                )
            first = earlier.get(key) or there.setdefault(key, candidate)
            if first is not candidate:
                same_text: Match = "exact" if first.question == candidate.question else "normalised"
                verdicts[at] = Repeat(first, "id" if first.id == candidate.id else same_text, key in earlier)
        earlier = {**there, **earlier}
    return verdicts
