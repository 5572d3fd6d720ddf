r"""Numbers as prose writes them. A number is read whole or not at all.

    "$1,234.50"  "1 250"  "3/4"  "1½"  "2 million"  "$70k"  "3 × 10^4"  "18 dollars and 50 cents"  "5:00 PM"
    "twenty-five"  "a dozen"  "two and a half"  "２５"  "\frac{3}{4}" (after ``plain``)

``numbers`` finds the numbers in digits, ``spelled`` those in words. Text beside a number that changes its value is part
of the number. If the changed value is unknown, the value is None: ``15 + 2x``, ``1.2.3`` and ``12/25/2020`` give no
value. Digits inside a word (``CO2``, ``m^2``) and names (``Step 3:``) are skipped. The time is linear in the length of
the text. Nothing here raises.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from math import isfinite
from typing import Final, NamedTuple

PLACES: Final = 2
SMALL: Final = 0.1
"""Numbers below this are also compared by their relative difference."""
_TOLERANCE: Final = 0.05
_SIGNIFICANT: Final = 3
_MAX_BARE: Final = 400  # characters of an answer with its unit


class Number(NamedTuple):
    """A number at ``text[start:end]``. ``value`` is None if it cannot be read."""

    start: int
    end: int
    value: float | None
    is_label: bool = False
    """It names or orders something: ``5th``, ``5-year-old``, ``day 3``."""


def normal_form(value: float | None) -> str | None:
    """The text form of an answer: 72 is ``"72.0"``, 16.6667 is ``"16.67"``, 0.00416 is ``"0.00416"``.

    Two decimals, as published. A small number keeps three significant digits.
    """
    if value is None or not isfinite(value):
        return None
    if abs(value) < SMALL:
        return str(float(f"{value:.{_SIGNIFICANT}g}") + 0.0)  # -0.0 + 0.0 is 0.0
    return str(round(value, PLACES) + 0.0)


def is_equal(left: float, right: float) -> bool:
    """Whether two answers are the same number.

    They must agree to two decimals, which is the published rule. If either is smaller than ``SMALL``, they must also
    lie within 5% of each other: 0.004 is not 0, and 0.0027 is not 0.001.
    """
    if round(left, PLACES) != round(right, PLACES):
        return False
    return min(abs(left), abs(right)) >= SMALL or abs(left - right) <= _TOLERANCE * max(abs(left), abs(right))


# ---------------------------------------------------------------------------------------------- plain text


class _PlainCharacters(dict[int, int | str | None]):
    """A table for ``str.translate``: full-width characters and digits of all scripts become ASCII."""

    def __missing__(self, code: int) -> int | str:
        is_wide = 0xFF01 <= code < 0xFF5F
        digit = unicodedata.decimal(chr(code), None)
        made: int | str = code - 0xFEE0 if is_wide else code if digit is None else str(digit)
        self[code] = made
        return made


_CHARACTERS: Final = _PlainCharacters(
    {ord("٫"): ".", ord("٬"): ",", ord("−"): "-", ord("﹣"): "-", ord("⁄"): "/", 0x200B: None}
)
_SUPERSCRIPTS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_STYLES: Final = r"text(?:bf|it|rm)?|math(?:bf|rm|it)|boldsymbol|bm|mbox|operatorname|underline"
_LATEX: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=[0-9])(?:\{,\}|\\,\\?!?|,\\!|\\!|\{\\,\}|\\[ ;:]|~)(?=[0-9]{3}(?![0-9]))", "\u2009"),
        (rf"\\(?:{_STYLES})\s?\{{([^{{}}]*)\}}", r"\1"),
        (r"(?<=[0-9])(?=\\[dtc]?frac)", " "),
        (r"\\[dtc]?frac\s?\{([^{}]*)\}\s?\{([^{}]*)\}", r"\1/\2 "),
        (r"\\[dtc]?frac\s?([0-9])\s?([0-9])", r"\1/\2 "),
        (r"\\[dtc]?frac\s?\{([^{}]*)\}\s?([0-9])", r"\1/\2 "),
        (r"\\(?:times|cdot|ast)(?![a-z])", "×"),
        (r"\\div(?![a-z])", "÷"),
        (r"\\(?:approx|simeq)(?![a-z])", "≈"),
        (r"\\(?:left|right|displaystyle|big|Big)(?![a-z])", ""),
        (r"\\pounds(?![a-z])", "£"),
        (r"\\(?:euro|texteuro)(?![a-z])", "€"),
        (r"\^\{?\\circ\}?", "°"),
        (r"\^\{(-?[0-9]+)\}", r"^\1"),
        (r"\\q?quad(?![a-z])|\\[,;:! ()\[\]]", " "),
        (r"\\([$%#&_])", r"\1"),
        (r"\\\\", "\n"),
        (r" {2,}", " "),
    )
)


def plain(text: str) -> str:
    r"""Rewrites LaTeX, full-width characters and other scripts' digits: ``\frac{3}{4}`` becomes ``3/4``."""
    if not text.isascii():
        text = text.translate(_CHARACTERS)
    if "\\" in text or "{" in text or "~" in text:
        for pattern, replacement in _LATEX:
            text = pattern.sub(replacement, text)
    return text


# ---------------------------------------------------------------------------------------------- words for numbers

_ONES: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety"
WORDS: Final = {word: n for n, word in enumerate(_ONES.split())} | {
    word: 10 * n for n, word in enumerate(_TENS.split(), start=2)
}
"""The words that add up to other numbers."""
SCALES: Final = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
"""The words that multiply the number before them."""
PARTS: Final = {
    "half": 2, "halves": 2, "third": 3, "fourth": 4, "quarter": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "fifteenth": 15, "sixteenth": 16, "twentieth": 20,
    "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
"""The words for parts, each with how many make a whole."""


def parts_of(word: str) -> int | None:
    """How many parts of this name make a whole: 5 for ``"fifth"`` and ``"fifths"``."""
    return PARTS.get(word) or PARTS.get(word.removesuffix("s"))


_SHORT_SCALES: Final = SCALES | {
    **dict.fromkeys(("dozen", "dozens"), 12),
    **dict.fromkeys(("grand", "k", "K"), 10**3),
    **dict.fromkeys(("hundred thousand", "lakh", "lakhs"), 10**5),
    **dict.fromkeys(("M", "m", "mn", "mil", "mio"), 10**6),
    **dict.fromkeys(("crore", "crores"), 10**7),
    **dict.fromkeys(("B", "b", "bn"), 10**9),
}

# ---------------------------------------------------------------------------------------------- numbers in digits

_CODES: Final = r"Rs|USD|EUR|GBP|INR|CAD|AUD|Php|RM"
CURRENCY: Final = rf"(?:US|A|C|HK|NZ|R|S)?\$|[€£¥₹₽₱₩₦₫]|(?:\b(?:{_CODES})\.?)"
_THIN: Final = "\u00a0\u202f\u2009\u2007"
_VULGAR: Final = "[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒]"
_RAISED: Final = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
_TOKEN = re.compile(
    rf"""
    (?P<run> (?:(?<![0-9.])\.)?[0-9] (?: [0-9] | [.,'’_](?=[0-9]) )* )
    (?P<groups> (?:[ {_THIN}][0-9]{{3}}(?![0-9]|-[A-Za-z]))+ (?:[.,][0-9]+(?![0-9]))? )?
    (?: [ ]?/[ ]?(?P<under>[0-9]+(?:[.,'’_][0-9]+)*) (?P<more>(?:/[0-9]+)+)? )?
    (?P<vulgar> [ ]?{_VULGAR} )?
    |
    (?P<alone> {_VULGAR} )
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_GROUPED = re.compile(
    r"[0-9]{1,3}(?P<separator>[,'’_])[0-9]{3}(?:(?P=separator)[0-9]{3})*(?:\.[0-9]+)?"
    r"|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?"  # India: 1,50,000
    r"|[0-9]+(?:_[0-9]+)+"
)
_CONTINENTAL = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]{1,2}|[0-9]{1,3}(?:\.[0-9]{3}){2,}")
_DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]{1,2}")
_UNIT_AFTER = re.compile(r"[ ]?(?:[€£%]|(?!(?:and|or)\b)[^\W\d_])")
_FIRST_GROUP = re.compile(r"[1-9][0-9]{0,2}")
_NAME_WORDS: Final = (
    "step steps problem question part case option chapter method equation figure table version task example section"
    " note footnote #"
)
_PLACE_WORDS: Final = (
    "day week year month page round number level grade class room line item stop bus gate platform route"
    " flight"
)
_NAMES: Final = frozenset(_NAME_WORDS.split())
"""A number after one of these words is a name: ``Step 3``."""
_PLACES: Final = frozenset(_PLACE_WORDS.split())
"""A number after one of these words is a label, unless an operator follows: ``day 3``."""
_CODE_BEFORE = re.compile(rf"(?<![^\W\d_])(?:{_CODES}|US|HK)\.?$")
_MONEY_BEFORE = re.compile(rf"(?:{CURRENCY})[ ]?$")
_OPERATOR_AFTER = re.compile(r"[ ]?[-+*/×÷=%]")
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b", re.IGNORECASE)
_HYPHEN_WORD = re.compile(r"-[A-Za-z]{2,}")
_SIGN_BEFORE = re.compile(
    rf"(?:^|[^\w\s)\]%]|[^0-9\s)\]%][ ]+|\n[ ]*)(?:[-–](?:{CURRENCY})?[ ]?|(?:{CURRENCY})[-–])$"
)
_BULLET = re.compile(r"(?:^|\n)[ \t]*[-–] $")
_MINUS_BEFORE = re.compile(r"(?<![0-9)] )(?<![0-9)])\b(?:minus|negative)[ ][$€£¥₹]?$", re.IGNORECASE)
_AT_BEFORE = re.compile(r"\b(?:at|by|until|till|from|before|after|around)[ ]$", re.IGNORECASE)


@lru_cache(256)
def numbers(text: str) -> tuple[Number, ...]:
    """The numbers in digits of a text that went through ``plain``, in order."""
    found: list[Number] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() >= end and (number := _in_digits(text, match)) is not None:
            found.append(number)
            end = number.end
    return tuple(found)


def _in_digits(text: str, match: re.Match[str]) -> Number | None:
    start, after = match.span()
    before = text[max(0, start - 24) : start]
    if before and _belongs_to_a_word(text, start, before):
        return None
    word = before[:-1].rpartition(" ")[2].lower() if before.endswith((" ", "#")) else ""
    if (word.lstrip("*_(") in _NAMES or before.endswith(("#", "# ", "[^"))) and not _OPERATOR_AFTER.match(
        text, after
    ):
        return None
    value, end = _token(match)
    is_decimal = value is None and _DECIMAL_COMMA.fullmatch(match["run"] or "") is not None
    if is_decimal and (_UNIT_AFTER.match(text, end) or _MONEY_BEFORE.search(before)):  # "3,5 Liter"
        value = float(match["run"].replace(",", "."))
    if value is not None and _TOUCHES.match(text, end):
        value, end = _touched(text, value, start, end, before)
    is_label = word in _PLACES and not _OPERATOR_AFTER.match(text, end)
    if (ordinal := _ORDINAL.match(text, end)) is not None:
        is_label, end = True, ordinal.end()
    elif _HYPHEN_WORD.match(text, end) or (before.endswith("-") and before[-2:-1].isalpha()):
        is_label = True
    return Number(start, end, -value if value is not None and _is_negative(before) else value, is_label)


def _belongs_to_a_word(text: str, start: int, before: str) -> bool:
    """Whether the digits are part of a word or an exponent: ``CO2``, ``m^2``; not in ``Rs500`` and ``3x19``."""
    last = before[-1]
    if last in "^_":
        return before[-2:-1].isalnum() or before[-2:-1] in (")", "}")
    if not last.isalpha() or last > "\u2e80":  # a Chinese character may stand before a number
        return False
    is_times = last in "xX" and start >= 2 and (text[start - 2].isdigit() or text[start - 2] == " ")
    return not is_times and _CODE_BEFORE.search(before) is None


def _token(match: re.Match[str]) -> tuple[float | None, int]:
    """The value of the digits and fractions themselves, and where they end."""
    if match["alone"]:
        return unicodedata.numeric(match["alone"]), match.end()
    run, end = match["run"], match.end("run")
    whole = _grouped(run)
    if match["groups"]:
        if not _FIRST_GROUP.fullmatch(run):
            return whole, end  # "2024 500": two numbers
        digits = re.sub(rf"[ {_THIN}]", "", match["groups"]).replace(",", ".")
        whole, end = float(run + digits), match.end("groups")
    if match["more"]:
        return None, match.end("more")  # a date
    if match["under"]:
        under = _grouped(match["under"])
        return (whole / under if whole is not None and under else None), match.end("under")
    if match["vulgar"] and whole is not None:
        return whole + unicodedata.numeric(match["vulgar"][-1]), match.end("vulgar")
    return whole, end


def _grouped(run: str) -> float | None:
    """The value of digits with separators; None if the form is unknown."""
    if _PLAIN.fullmatch(run):
        return float(run)
    if _GROUPED.fullmatch(run):
        return float(re.sub("[,'’_]", "", run))
    return float(run.replace(".", "").replace(",", ".")) if _CONTINENTAL.fullmatch(run) else None


def _is_negative(before: str) -> bool:
    """Whether the minus before a number is its sign. It is not in ``20 -5``, ``4-5`` and ``- 5 apples``."""
    if before.endswith(("minus ", "negative ", "Minus ", "Negative ")) or "us $" in before[-4:]:
        return _MINUS_BEFORE.search(before) is not None
    if not ("-" in before[-6:] or "–" in before[-6:]):
        return False
    return _SIGN_BEFORE.search(before) is not None and _BULLET.search(before) is None


# ---- text on the right that changes a number

_TOUCHES = re.compile(
    rf"""
    [a-zA-Z:^{_RAISED}×*·⋅]
    | [ ](?: [0-9:^×x*·⋅] | and\b | & | times\b | cents?\b | USD\b | EUR\b
         | (?:hundred|thousand|million|billion|trillion|dozen|lakh|crore|grand|dollar|buck|pound|euro|rupee)
         | (?:hour|hr|min|feet|foot|ft|lb|year|month|week|day|met|m\b|kg|km|gallon) )
    | [ ]?{_VULGAR} | -(?: [0-9] | {_VULGAR} | hundred|thousand|million|billion|trillion )
    """,
    re.VERBOSE,
)
"""A fast test: all of the following patterns begin like this, and most numbers have no such text after them."""
_POWER_OF_TEN = re.compile(
    r"[ ]?(?:[×x*·⋅]|times)[ ]?10[ ]?"
    rf"(?:(?:\^|\*\*)[ ]?[({{]?(?P<exponent>-?[0-9]{{1,3}})[)}}]?|(?P<raised>[{_RAISED}]+))"
)
_EXPONENT = re.compile(r"[eE](?P<exponent>[+-]?[0-9]{1,3})(?!\w|\.[0-9])")
_AND_FRACTION = re.compile(
    rf"(?:[ ]|-|[ ]and[ ]|[ ]&[ ])(?P<over>[0-9]{{1,3}})/(?P<under>[0-9]{{1,3}})(?![0-9/.,][0-9]|[0-9/])"
    rf"|(?:[ ]and[ ]|-)(?P<vulgar>{_VULGAR})"
)
_AND_PART = re.compile(
    r"[ ]and[ ](?:an?[ ]|one[ -])?(?P<part>half|quarter|third|fourth|fifth|tenth)\b(?![ ](?:of|times|as))",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    r":(?P<minutes>[0-5][0-9])(?::[0-5][0-9])?(?![:0-9])(?P<half>[ ]?[ap]\.?m\b\.?)?", re.IGNORECASE
)
_RATIO = re.compile(r":[0-9]|[ ]:[ ][0-9]")
_TO_THE_POWER = re.compile(
    rf"(?:(?:\^|\*\*)|[ ](?:\^|\*\*)[ ])[({{]?(?P<exponent>-?(?:[0-9]+|[a-zA-Z](?!\w)))|[{_RAISED}]+"
)
_SCALE = re.compile(
    r"[ -]?(?P<word>hundred thousand|hundred|thousand|million|billion|trillion|dozens?|lakhs?|crores?|grand)\b"
    r"|(?P<letter>k|K|M|B|bn|mn|mil|mio)\b"
)
_MONEY_SCALE = re.compile(r"(?P<letter>[mb])\b")
_VARIABLE = re.compile(r"(?P<letter>[a-zA-Z])(?![\w'’])(?![ ]?[0-9$(])(?P<operator>[ ]?[-+*/])?")
_UNITS_OF_A_LETTER: Final = frozenset("gmsdhlLcCFKWVNJA")
_COMPOUND = re.compile(  # "1 hour and 30 minutes", "5 ft 3 in": a number of neither unit
    r"[ ]?(?:hours?|hrs?|minutes?|mins?|feet|foot|ft|pounds?|lbs?|years?|months?|weeks?|days?|met(?:er|re)s?|m|kg|km"
    r"|gallons?)(?:[ ]and)?[ ][0-9]+[ ]"
    r"(?:minutes?|mins?|seconds?|secs?|inch(?:es)?|in|ounces?|oz|months?|weeks?|days?|hours?|cm|g|grams?"
    r"|met(?:er|re)s?|m|quarts?|pints?)\b(?![ ](?:a|per|each|every|of|in)\b)"
)
_CENTS = re.compile(
    r"(?P<unit>[ ](?:dollars?|bucks|pounds?|euros?|rupees?|USD|EUR))?,?[ ](?:and[ ])?"
    r"(?P<cents>[0-9]{1,2})[ ]?(?:cents?|pence|paise|¢)(?!\w)",
    re.IGNORECASE,
)


def _touched(text: str, value: float, start: int, end: int, before: str) -> tuple[float | None, int]:
    """The value with all text on the right that changes it, and the end of that text. The value is None if unknown."""
    is_whole = isfinite(value) and value == int(value)
    is_money = _MONEY_BEFORE.search(before) is not None
    if found := _POWER_OF_TEN.match(text, end):
        exponent = int(found["exponent"] or found["raised"].translate(_SUPERSCRIPTS))
        return (value * 10.0**exponent if abs(exponent) < 300 else None), found.end()
    if found := _EXPONENT.match(text, end):
        return float(f"{value!r}e{found['exponent']}") if "e" not in repr(value) else None, found.end()
    if is_whole and (found := _AND_FRACTION.match(text, end)):
        over, under = int(found["over"] or 0), int(found["under"] or 0)
        if found["vulgar"] or 0 < over < under:  # "4/2" is a number of its own
            return value + (
                unicodedata.numeric(found["vulgar"]) if found["vulgar"] else over / under
            ), found.end()
    if is_whole and (found := _AND_PART.match(text, end)):
        return value + 1 / PARTS[found["part"].lower()], found.end()
    if value < 25 and text[start:end].isdigit() and (found := _CLOCK.match(text, end)):
        is_time = found["half"] or _AT_BEFORE.search(before)
        return (value + int(found["minutes"]) / 60 if is_time else None), found.end()
    if found := _RATIO.match(text, end):
        return None, found.end()
    if found := _TO_THE_POWER.match(text, end):
        exponent_text = found["exponent"] or ""
        is_ten = value == 10 and exponent_text.isdigit() and len(exponent_text) < 3
        return (10.0 ** int(exponent_text) if is_ten else None), found.end()
    if found := _SCALE.match(text, end) or (_MONEY_SCALE.match(text, end) if is_money else None):
        return value * _SHORT_SCALES[found.groupdict().get("word") or found["letter"]], found.end()
    if (found := _VARIABLE.match(text, end)) and (
        found["operator"] or found["letter"] not in _UNITS_OF_A_LETTER
    ):
        return None, found.end("letter")
    if found := _COMPOUND.match(text, end):
        return None, found.end()
    if is_whole and (found := _CENTS.match(text, end)) and (is_money or found["unit"]):
        return value + int(found["cents"]) / 100, found.end()
    return value, end


# ---------------------------------------------------------------------------------------------- numbers in words

_ANY = "|".join(sorted([*WORDS, *SCALES, "dozen"], key=len, reverse=True))
_SPELLED = re.compile(
    rf"(?<![\w-])(?:an?[ ](?={'|'.join(SCALES)}|dozen))?(?:{_ANY})(?:(?:[ -]|[ ]and[ ])(?:{_ANY}))*(?![\w-])",
    re.IGNORECASE,
)
_NO_NUMBER_BEFORE = re.compile(
    r"\b(?:no|each|every|any|this|that|which|another|the|other|either)[ ]$", re.IGNORECASE
)
_NO_NUMBER_AFTER = re.compile(
    r"[ ](?:of|can|could|must|would|who|has|is|that|another|by|will|should|day|more[ ]than)\b", re.IGNORECASE
)
_WORD_FRACTION = re.compile(
    rf"(?<![\w-])(?P<over>{'|'.join(WORDS)})[ -]"
    r"(?P<under>halves|thirds|quarters|fourths|fifths|sixths|eighths|tenths)\b",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(?:minus|negative)[ ]$", re.IGNORECASE)
_SPELLED_CENTS = re.compile(
    rf"[ ]dollars?[ ](?:and[ ])?(?P<cents>(?:{_ANY})(?:[ -](?:{_ANY}))?)[ ]cents?\b", re.IGNORECASE
)


@lru_cache(256)
def spelled(text: str) -> tuple[Number, ...]:
    """The numbers in words of a text, in order."""
    found: list[Number] = []
    end = 0
    for match in _SPELLED.finditer(text):
        if match.start() >= end and (number := _in_words(text, match)) is not None:
            found.append(number)
            end = number.end
    return tuple(found)


def _in_words(text: str, match: re.Match[str]) -> Number | None:
    start, end = match.span()
    before = text[max(0, start - 10) : start]
    if match[0].lower() == "one" and (_NO_NUMBER_BEFORE.search(before) or _NO_NUMBER_AFTER.match(text, end)):
        return None
    value: float | None
    if fraction := _WORD_FRACTION.match(text, start):
        value, end = (
            WORDS[fraction["over"].lower()] / (parts_of(fraction["under"].lower()) or 1),
            fraction.end(),
        )
    elif (value := _spelled(re.findall(r"\w+", match[0].lower()))) is not None:
        if half := _AND_PART.match(text, end):
            value, end = value + 1 / PARTS[half["part"].lower()], half.end()
            if (scale := _SCALE.match(text, end)) and scale["word"]:
                value, end = value * _SHORT_SCALES[scale["word"]], scale.end()
        if cents := _SPELLED_CENTS.match(text, end):
            value += (_spelled(re.findall(r"\w+", cents["cents"].lower())) or 0) / 100
            end = cents.end()
    return Number(start, end, -value if value is not None and _NEGATED.search(before) else value)


def read_words(text: str) -> float | None:
    """The number of a text that is only number words: ``"one hundred and five"``, ``"two and a half"``; else None."""
    if len(text) > 200:
        return None
    words = re.findall(r"\w+|[^\w\s-]", text.lower())
    value = _spelled(words)
    if value is None and "and" in words:
        at = words.index("and")
        part = _AND_PART.fullmatch(f" and {' '.join(words[at + 1 :])}")
        base = _spelled(words[:at])
        return base + 1 / PARTS[part["part"]] if part is not None and base is not None else None
    return value


def _spelled(words: Iterable[str]) -> float | None:
    """The value of number words. ``limit`` bounds the next word: 0 after "five", 10 after "twenty"."""
    total, current, limit, scale, before = 0, 0, 1000, 10**15, ""
    for word in words:
        number = 1 if word in ("a", "an") and not before else WORDS.get(word)
        if number is not None and number < limit and (number or not before):
            current, limit = current + number, 10 if number >= 20 else 0
        elif word == "hundred" and 0 < current < 100:
            current, limit = current * 100, 100
        elif word in SCALES and word != "hundred" and current and SCALES[word] < scale:
            scale = SCALES[word]
            total, current, limit = total + current * scale, 0, 1000
        elif word == "dozen" and current:
            current, limit = current * 12, 0
        elif word != "and" or before not in SCALES:
            return None
        before = word
    return None if before in ("", "a", "an", "and") else float(total + current)


# ---------------------------------------------------------------------------------------------- bare answers

_SIMPLE = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{0,300})?")
_FLOAT = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]+")
_BARE_LEAD = re.compile(
    rf"(?:[a-zA-Z]?[ ]?[=≈~][ ]?)?(?:(?P<minus>[-–])|\+)?[ ]?(?:(?:{CURRENCY})[ ]?(?P<minus_after>[-–])?)?"
)
_UNIT = re.compile(
    r"""[ ]?(?:[%€£¥₹$¢°](?:[ ]?[CF]\b)?)?[ ]?
    (?:\(?[ ]?[^\W\d_][^\d()=+*<>≈:;!?\n]{0,60}?(?:\^?[0-9]|[²³])?[ ]?\)?)?
    [ ]*[.$]?""",
    re.VERBOSE,
)


@lru_cache(1024)
def read_bare(text: str) -> float | None:
    """The number of a text that is one number, maybe with its unit: ``"-$1,234.50"``, ``"9 (apples)"``, ``"3/4"``."""
    text = text.strip()
    if _SIMPLE.fullmatch(text) or (len(text) <= _MAX_BARE and _FLOAT.fullmatch(text)):
        return float(text)
    if not text or len(text) > _MAX_BARE:
        return None
    text = plain(text).strip(" \n*`")
    lead = _BARE_LEAD.match(text)
    found = [number for number in numbers(text) or spelled(text) if not number.is_label]
    if lead is None or len(found) != 1 or found[0].start != lead.end() or found[0].value is None:
        return read_words(text)
    if _UNIT.fullmatch(text, found[0].end) is None:
        return None
    return -abs(found[0].value) if lead["minus"] or lead["minus_after"] else found[0].value
