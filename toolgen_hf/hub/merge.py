"""A card that people edit too: what they wrote on the Hub survives the next push.

Three versions are at hand: the card as it was generated for the last push (``base``), the card as it stands on
the Hub (``theirs``), and the newly generated one (``ours``). What differs between the first two was written by
people, and is carried over into the third.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import yaml

from toolgen_hf.errors import HubError

BASE_PATH = ".toolgen_hf/README.md"
"""Where the generated card lies in the repository, beside the one that people may have edited."""
GENERATED = ("size_categories",)
"""Metadata that follows from the data; what people change there is not kept."""
BY_CONFIG = ("configs", "dataset_info")
"""Lists of one entry a config: generated, but for configs that people added for files of their own."""

YAML_ERRORS = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises over text that it cannot read: dates and tags such as ``2024-13-45`` and ``!!int`` escape it."""

_HEADER = re.compile(r"\A---\n(?P<yaml>.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


def merge_cards(base: str | None, theirs: str | None, ours: str) -> str:
    """``ours`` with what people changed from ``base`` to ``theirs``. Where both changed a line, both are kept.

    Raises:
        HubError: the YAML header of ``theirs`` cannot be read.
    """
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
        old, edited, new = base.get(key), theirs.get(key), ours.get(key)
        if edited == old:
            continue
        if key in BY_CONFIG:
            known = {_config(entry) for part in (old, new) for entry in _entries(part)}
            added = [entry for entry in _entries(edited) if _config(entry) not in known]
            if added:
                merged[key] = [*_entries(new), *added]
        elif (words := _merged_words(old or [], edited, new)) is not None:
            merged[key] = words
        elif key in theirs:
            merged[key] = edited
        else:
            merged.pop(key, None)
    return merged


def merge_lines(base: Sequence[str], theirs: Sequence[str], ours: Sequence[str]) -> list[str]:
    """``ours`` with the edits that lead from ``base`` to ``theirs``."""
    place = _places(base, ours)
    merged = list(ours)
    matcher = SequenceMatcher(None, base, theirs, autojunk=False)
    edits = [op for op in matcher.get_opcodes() if op[0] != "equal"]
    for _, start, end, their_start, their_end in reversed(edits):  # so that places above stay right
        written = list(theirs[their_start:their_end])
        kept = [at for at in place[start:end] if at is not None]
        last, following = _after(place, start), _before(place, end, len(ours))
        if kept and len(kept) == end - start:  # ours left these lines as they were
            for at in reversed(kept):
                del merged[at]
            merged[kept[0] : kept[0]] = written
        elif start == end and start > 0 and place[start - 1] is not None:  # after a line that is still there
            merged[last:last] = written
        elif written != ours[last:following]:  # or else both wrote the same
            merged[following:following] = written
    return merged


def _places(base: Sequence[str], ours: Sequence[str]) -> list[int | None]:
    """For each line of the base, where it stands in ours; None where it is not there any more."""
    places: list[int | None] = [None] * len(base)
    for start, there, size in SequenceMatcher(None, base, ours, autojunk=False).get_matching_blocks():
        for offset in range(size):
            places[start + offset] = there + offset
    return places


def _after(place: Sequence[int | None], line: int) -> int:
    """Where in ours the last line ends that precedes line ``line`` of the base."""
    return next((at + 1 for at in reversed(place[:line]) if at is not None), 0)


def _before(place: Sequence[int | None], line: int, length: int) -> int:
    """Where in ours the first line stands that follows line ``line`` of the base."""
    return next((at for at in place[line:] if at is not None), length)


def _split(card: str) -> tuple[dict[str, Any], str]:
    """The YAML header and the text below it."""
    card = card.replace("\r\n", "\n")
    found = _HEADER.match(card)
    if found is None:
        return {}, card
    try:
        data = yaml.safe_load(found["yaml"])
        if not isinstance(data, dict | None):
            raise ValueError(f"it is {type(data).__name__}, not a mapping of keys to values")
    except YAML_ERRORS as error:
        raise HubError(
            f"the YAML header of README.md on the Hub cannot be read, so what people wrote there would be lost: mend "
            f"it on its page first ({' '.join(str(error).split())[:300]})"
        ) from error
    return data or {}, card[found.end() :]


def _entries(value: Any) -> list[Mapping[str, Any]]:
    """The entries of ``configs`` or ``dataset_info``, of which the latter may be a single one."""
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _config(entry: Mapping[str, Any]) -> Any:
    return entry.get("config_name", "default")


def _merged_words(old: Any, edited: Any, new: Any) -> list[str] | None:
    """Ours, with the words that people added and without those they took away; None of what are no lists of words."""
    for value in (old, edited, new):
        if not (isinstance(value, list) and all(isinstance(word, str) for word in value)):
            return None
    gone = set(old) - set(edited)
    return list(dict.fromkeys(word for word in (*new, *edited) if word not in gone))
