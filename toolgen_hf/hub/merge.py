"""A card that people edit too: what they wrote on the Hub survives the next push.

Three versions are at hand: the card as it was generated for the last push (``base``), the card as it stands on
the Hub (``theirs``), and the newly generated one (``ours``). What differs between the first two was written by
people, and is carried over into the third.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import yaml

BASE_PATH = ".toolgen_hf/README.md"
"""Where the generated card lies in the repository, beside the one that people may have edited."""
GENERATED = ("configs", "dataset_info", "size_categories", "task_categories")
"""Metadata that follows from the data; what people change there is not kept."""


def merge_cards(base: str | None, theirs: str | None, ours: str) -> str:
    """``ours`` with what people changed from ``base`` to ``theirs``. Where both changed a line, both are kept."""
    if theirs is None or theirs == base:
        return ours
    old, edited, new = (_split(card or "") for card in (base, theirs, ours))
    metadata = merge_metadata(old[0], edited[0], new[0])
    body = merge_lines(*(text.splitlines() for text in (old[1], edited[1], new[1])))
    header = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)
    return f"---\n{header}---\n" + "".join(f"{line}\n" for line in body)


def merge_metadata(
    base: Mapping[str, Any], theirs: Mapping[str, Any], ours: Mapping[str, Any]
) -> dict[str, Any]:
    """Each key as people left it, where they touched it; lists of words are merged word by word."""
    merged = dict(ours)
    for key in (key for key in {**theirs, **base} if key not in GENERATED):
        if theirs.get(key) == base.get(key):
            continue
        if _are_words(theirs.get(key)) and _are_words(ours.get(key)):
            gone = set(base.get(key) or ()) - set(theirs[key])
            words = [word for word in (*ours[key], *theirs[key]) if word not in gone]
            merged[key] = list(dict.fromkeys(words))
        elif key in theirs:
            merged[key] = theirs[key]
        else:
            merged.pop(key, None)
    return merged


def merge_lines(base: Sequence[str], theirs: Sequence[str], ours: Sequence[str]) -> list[str]:
    """``ours`` with the edits that lead from ``base`` to ``theirs``."""
    place = _places(base, ours)
    merged = list(ours)
    edits = [
        op for op in SequenceMatcher(None, base, theirs, autojunk=False).get_opcodes() if op[0] != "equal"
    ]
    for _, start, end, their_start, their_end in reversed(edits):
        written = list(theirs[their_start:their_end])
        kept = [place[line] for line in range(start, end)]
        if kept and all(at is not None for at in kept):  # ours left these lines as they were
            first = next(at for at in kept if at is not None)
            for at in sorted((at for at in kept if at is not None), reverse=True):
                del merged[at]
            merged[first:first] = written
        else:
            at = _after(place, end, len(ours))
            merged[at:at] = written
    return merged


def _places(base: Sequence[str], ours: Sequence[str]) -> list[int | None]:
    """Where each line of ``base`` stands in ``ours``; None if it is gone."""
    places: list[int | None] = [None] * len(base)
    for start, there, size in SequenceMatcher(None, base, ours, autojunk=False).get_matching_blocks():
        for offset in range(size):
            places[start + offset] = there + offset
    return places


def _after(place: Sequence[int | None], line: int, length: int) -> int:
    """Where in ours a text belongs that stands before line ``line`` of the base: after what precedes it."""
    for before in range(line - 1, -1, -1):
        at = place[before]
        if at is not None:
            return at + 1
    return 0 if place else length


def _split(card: str) -> tuple[dict[str, Any], str]:
    """The YAML header and the text below it."""
    if not card.startswith("---\n"):
        return {}, card
    header, _, body = card[4:].partition("\n---\n")
    data = yaml.safe_load(header)
    return data if isinstance(data, dict) else {}, body


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)
