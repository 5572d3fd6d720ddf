"""Questions that repeat another one: the same text, but for case, spaces and punctuation.

    judge([Candidate("svamp", "test", "S-1", "What is 2 + 3?"), Candidate("gsm8k", "train", "G-7", "what is 2+3 ?")])
    -> [None, Repeat(of=<S-1>, match="normalised", is_leak=True)]

A question is kept once, in the split that is furthest from training: first test, then other splits, and train last.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toolgen_hf.errors import DataError

VERSION = 1
"""Must go up when other texts become equal."""

Match = Literal["id", "exact", "normalised", "near"]
"""How alike two questions are. ``near``: the same story with other numbers or names (near_duplicates.py)."""

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-") | {"⁄": "/"})
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ](?=\w)")
_MEANT = re.compile(r"(?<!\w)\.(?=\d)|(?<=\d)\.(?=\d)|-(?=\s*\d)|(?<=\d)!|[%*/^\\]")
"""Punctuation that belongs to a number or an operation."""


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


def normalise(question: str) -> str:
    """The words, numbers and symbols of a question.

    Case, spaces, punctuation and different Unicode spellings (NFKC) are removed. Numbers keep their value: ``1,000``
    becomes ``1000``, but ``3.5`` does not become ``35``, nor ``-5`` ``5``, nor ``5²`` ``52``. Symbols such as ``+`` and
    ``$`` stay. A text of punctuation alone stays as it is.
    """
    apart = "".join(f" {sign} " if unicodedata.category(sign) == "No" else sign for sign in question)
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", apart).casefold())
    text = _APOSTROPHES.sub("", _THOUSANDS.sub("", text.translate(_DASHES)))
    meant = {at for found in _MEANT.finditer(text) for at in range(*found.span())}
    signs = (_sign(sign, at in meant) for at, sign in enumerate(text))
    return " ".join("".join(signs).split()) or " ".join(question.split())


def _sign(sign: str, is_meant: bool) -> str:
    kind = unicodedata.category(sign)
    if is_meant:
        return sign if sign == "." else f" {sign} "
    if kind == "Sk" or kind[0] in "PZC":
        return " "
    return f" {sign} " if kind[0] == "S" else sign


def judge(candidates: Sequence[Candidate]) -> list[Repeat | None]:
    """The question that each one repeats, or None. Of equal questions in one split, the first usable one is kept.

    Raises:
        DataError: two different questions have one id.
    """
    keys = [normalise(candidate.question) for candidate in candidates]
    verdicts: list[Repeat | None] = [None] * len(candidates)
    held: dict[str, Candidate] = {}  # by key, in splits further from training
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
                    f"the id {one.id!r} is that of two questions, {where[0]} and {where[1]}: ids must be unique in a "
                    "mix. Give one of the datasets another name (dataset.name in its recipe), or its rows other ids"
                )
            first = held.get(key) or there.setdefault(key, candidate)
            if first is not candidate:
                same_text: Match = "exact" if first.question == candidate.question else "normalised"
                verdicts[at] = Repeat(first, "id" if first.id == candidate.id else same_text, key in held)
        held = {**there, **held}
    return verdicts


def protected_first(splits: Sequence[str]) -> list[str]:
    """The names of the splits, each once, the furthest from training first: test, others, train."""
    rank = {"test": 0, "train": 2}
    return sorted(dict.fromkeys(splits), key=lambda split: rank.get(split, 1))
