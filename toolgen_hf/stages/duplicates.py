"""Questions that are the same, in one set or over several, and where each may stand.

    judge([Candidate("svamp", "test", "S-1", "What is 2 + 3?"), Candidate("gsm8k", "train", "G-7", "what is 2+3 ?")])
    -> [None, Repeat(of=<S-1>, match="normalised", is_leak=True)]

A question stands once, in the split that is furthest from training: test before every other split, and train last.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toolgen_hf.errors import DataError

VERSION = 1
"""Goes up whenever two texts may come to be the same, or no longer."""

Match = Literal["id", "exact", "normalised", "near"]
"""``near``: the same story with other numbers or names (near_duplicates.py)."""

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-") | {"⁄": "/"})
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ](?=\w)")
_MEANT = re.compile(r"(?<!\w)\.(?=\d)|(?<=\d)\.(?=\d)|-(?=\s*\d)|(?<=\d)!|[%*/^\\]")
"""Punctuation that is part of a number or of what is done with it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question of a part. One that fell out before is not usable; of the test split it keeps others out of train."""

    part: str
    split: str
    id: str
    question: str
    is_usable: bool = True


@dataclass(frozen=True, slots=True)
class Repeat:
    """That a question stands already: where, how alike the two are, and whether in a split further from training."""

    of: Candidate
    match: Match
    is_leak: bool


def normalise(question: str) -> str:
    """A question's words, numbers and symbols: equal for texts that differ in nothing else.

    Case, white space, punctuation, and what Unicode has several spellings for (NFKC) make no difference. Numbers do:
    ``1,000`` is ``1000``, but ``3.5`` is not ``35``, ``-5`` not ``5``, ``5²`` not ``52``; so do symbols such as
    ``+`` and ``$``. A text of nothing but punctuation stays as it is.
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
    """For each question whether it stands already; of several in one split the first stands.

    Raises:
        DataError: two different questions have one id.
    """
    keys = [normalise(candidate.question) for candidate in candidates]
    verdicts: list[Repeat | None] = [None] * len(candidates)
    held: dict[str, Candidate] = {}  # by key, in the splits before
    ids: dict[str, int] = {}
    for split in protected_first([candidate.split for candidate in candidates]):
        there: dict[str, Candidate] = {}
        rows = [at for at, candidate in enumerate(candidates) if candidate.split == split]
        for at in sorted(rows, key=lambda at: not candidates[at].is_usable):  # usable ones stand first
            candidate, key = candidates[at], keys[at]
            other = ids.setdefault(candidate.id, at)
            if keys[other] != key:
                raise _two_of_one_id(candidates[other], candidate)
            first = held.get(key) or there.setdefault(key, candidate)
            if first is not candidate:
                verdicts[at] = Repeat(first, _match(first, candidate), key in held)
        held = {**there, **held}
    return verdicts


def protected_first(splits: Sequence[str]) -> list[str]:
    """The names of splits, each once: test first, train last."""
    rank = {"test": 0, "train": 2}
    return sorted(dict.fromkeys(splits), key=lambda split: rank.get(split, 1))


def _match(one: Candidate, other: Candidate) -> Match:
    if one.id == other.id:
        return "id"
    return "exact" if one.question == other.question else "normalised"


def _two_of_one_id(one: Candidate, other: Candidate) -> DataError:
    where = [f"{c.question[:80]!r} in {c.split} of {c.part!r}" for c in (one, other)]
    return DataError(
        f"the id {one.id!r} is that of two questions, {where[0]} and {where[1]}: ids must be unique in a mix. Give one "
        "of the datasets another name (dataset.name in its recipe), or its rows other ids"
    )
