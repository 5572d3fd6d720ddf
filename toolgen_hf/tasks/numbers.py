"""Numbers as prose writes them, read as floats.

    "$1,234.50"   "-3/4"   "1 1/2"   "2 million"   "1e+16"        NUMBER finds them, read_match reads them
    "twenty-five", "one hundred and five", "a dozen"              read_words

Linear in the text, and nothing here raises: what is no number is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite
from typing import Final

_PLACES: Final = 2
_MAX_DIGITS: Final = 400  # a float ends at 309

_MINUS = "-−–"
_CURRENCY = r"\\?[$€£¥₹]"
_VALUE = r"""
    (?:
        (?<![/.,0-9])
        (?:(?P<whole>[0-9]{1,9})[ ])? (?P<numerator>[0-9]{1,9})/(?P<denominator>[0-9]{1,9}) (?![/.,]?[0-9]|/)
      |
        (?P<number>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)
        (?P<exponent>[eE][+-]?[0-9]{1,3}(?!\w))?
        (?:[ ](?P<scale>hundred|thousand|million|billion|trillion)\b)?
    )
"""
NUMBER: Final = re.compile(_VALUE, re.VERBOSE)
"""A number without its sign, which only what stands before it can tell from a subtraction."""

_BARE = re.compile(
    rf"(?P<sign>[{_MINUS}+]?)[ ]?(?:{_CURRENCY}[ ]?(?P<sign2>[{_MINUS}]?))?{_VALUE}[ ]?\\?%?\.?", re.VERBOSE
)
_SIGN_BEFORE = re.compile(
    rf"(?:^|[^\w\s)\]%]|[^0-9\s)\]%][ ]+|\n[ ]*)(?:[{_MINUS}](?:{_CURRENCY})?|(?:{_CURRENCY})[{_MINUS}])$"
)

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
_TEENS = "sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
WORDS: Final = {word: n for n, word in enumerate(f"{_ONES} {_TEENS}".split())} | {
    word: 10 * n for n, word in enumerate(_TENS.split(), start=2)
}
"""``"seven"`` is 7: the words of one number each that add up to others."""
_SCALES: Final = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def normal_form(value: float | None) -> str | None:
    """``72`` as ``"72.0"``, ``16.6667`` as ``"16.67"``: how answers are written and compared."""
    if value is None or not isfinite(value):
        return None
    return str(round(value, _PLACES) + 0.0)  # -0.0 + 0.0 is 0.0


def read_bare(text: str) -> float | None:
    """The number that ``text`` is, as a whole: ``"-$1,234.50"``, ``"20%"``, ``"3/4"``, ``"twelve"``."""
    text = text.strip()
    match = _BARE.fullmatch(text)
    if match is None:
        return read_words(text)
    value = read_match(match)
    negative = any(sign in _MINUS for sign in (match["sign"], match["sign2"]) if sign)
    return -value if value is not None and negative else value


def read_at(text: str, match: re.Match[str]) -> float | None:
    """The number that ``NUMBER`` matched in ``text``, negative if a minus touches it that subtracts nothing.

    ``"is -5"`` and ``"= -$5"`` are negative; in ``"20 -5"``, ``"4-5"`` and ``"- 5 apples"`` it is 5.
    """
    value = read_match(match)
    start = match.start()
    negative = _SIGN_BEFORE.search(text[max(0, start - 8) : start])
    return -value if value is not None and negative else value


def read_match(match: re.Match[str]) -> float | None:
    """The value of a match of ``NUMBER``, leaving its sign aside; None for ``5/0`` and the like."""
    if match["denominator"]:
        denominator = int(match["denominator"])
        return int(match["whole"] or 0) + int(match["numerator"]) / denominator if denominator else None
    if len(match["number"]) > _MAX_DIGITS:
        return None
    value = float(match["number"].replace(",", "") + (match["exponent"] or ""))
    return value * _SCALES.get(match["scale"], 1)


def read_words(text: str) -> float | None:
    """The number that ``text`` spells out, if that is all it does: ``"one hundred and five"``."""
    words = re.findall(r"\w+|[^\w\s-]", text[:200].lower())
    if len(text) > 200 or not words:
        return None
    return _spelled(words)


def _spelled(words: Iterable[str]) -> float | None:
    """``room`` is what the next word must be smaller than: nothing fits after "five", ones after "twenty"."""
    total, current, room, scale, before = 0, 0, 1000, 10**15, ""
    for word in words:
        number = 1 if word in ("a", "an") and not before else WORDS.get(word)
        if number is not None and number < room and (number or not before):
            current, room = current + number, 10 if number >= 20 else 0
        elif word == "hundred" and 0 < current < 20:
            current, room = current * 100, 100
        elif word in _SCALES and word != "hundred" and current and _SCALES[word] < scale:
            scale = _SCALES[word]
            total, current, room = total + current * scale, 0, 1000
        elif word == "dozen" and current:
            current, room = current * 12, 0
        elif word != "and" or before not in _SCALES:
            return None
        before = word
    return None if before in ("", "a", "an", "and") else float(total + current)
