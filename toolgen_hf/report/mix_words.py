"""What was mixed, in words: for the screen (screen.py) and the card (mixture.py).

asked_for({"weight": 2.0, "count": None})  ->  "weight 2"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ALIKE = {
    "id": "the same row",
    "exact": "exact text",
    "normalised": "normalised text",
    "near": "near duplicate",
}


def asked_for(part: Mapping[str, Any]) -> str:
    """How much of a part the recipe asks for: ``weight 2``, ``count train 20, test 8``, ``all``."""
    for kind in ("weight", "count"):
        asked = part.get(kind)
        if asked is not None:
            by_split = asked if isinstance(asked, Mapping) else {"": asked}
            said = (f"{split} {'all' if n is None else f'{n:g}'}".strip() for split, n in by_split.items())
            return f"{kind} {', '.join(said)}"
    return "all"


def repeats(mix: Mapping[str, Any]) -> Iterator[str]:
    """The questions that stand twice, one line a pair of parts: what became of them, and how alike they are."""
    for found in mix["repeats"]:
        count = f"{found['count']:,} of {found['part']}, {found['split']}"
        where = f"in {found['of_split']} of {found['of']}"
        alike = _ALIKE[found["match"]]
        example = " of ".join(found.get("example", ()))
        such = f", such as {example}" if example and found["match"] == "near" else ""
        yield f"{count}: also {where} ({alike}){such}, {'rejected' if found['dropped'] else 'kept'}"
