"""The numbers that a text mentions, what is written around them, and the constants that its words call for.

    "She sold 40% of her two dozen eggs for $1.50 each, half of them on Monday."

    40%     40 or 0.4         symbol "%"
    two     2                 nouns "dozen", "egg"
    dozen   12                nouns "egg"
    $1.50   1.5 or 150        symbol "$"
    half    2, 0.5 or 50

A mention has several values if people calculate with several: a percentage as points or as a share, money in dollars or
in cents, half as ``/2``, ``*0.5`` or 50 percent. The time is linear in the text. Nothing here raises.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from toolgen_hf.tasks.math.numbers import PARTS, SCALES, WORDS, parts_of, read_words

_MAX_TEXT: Final = 20_000
_HUNDRED: Final = Fraction(100)

_MULTIPLES: Final = {
    "once": 1, "single": 1, "twice": 2, "double": 2, "doubled": 2, "doubles": 2, "doubling": 2, "pair": 2, "pairs": 2,
    "couple": 2, "both": 2, "twin": 2, "twins": 2, "second": 2, "thrice": 3, "triple": 3, "tripled": 3, "triples": 3,
    "tripling": 3, "triplets": 3, "quadruple": 4, "quadrupled": 4, "quadruples": 4, "quadruplets": 4, "quarters": 4,
    "quintuple": 5, "dozen": 12, "dozens": 12,
}  # fmt: skip
_FACTOR = re.compile("twice|doubl|thrice|triple(?!ts)|tripling|quadr|half")
"""The beginnings of words that only multiply."""

CONSTANTS: Final = {
    "0 1": "",
    "0.5": "half halfway halve halved midway middle",
    "2": "half halfway halve halved midway middle both pair couple twin twice double round-trip round return roundtrip "
    "back rectangle rectangular perimeter biweekly bicycle bike pint quart weekend even radius diameter wheel leg",
    "3": "yard foot feet triangle triangular tricycle",
    "4": "week month weekly monthly quarter square quart gallon season rectangle rectangular quarterly wheel leg",
    "5": "weekday workweek school nickel workday work pentagon",
    "6": "hexagon cube dice die insect ant",
    "7": "week weekly day daily",
    "8": "pint gallon ounce cup octagon spider octopus",
    "10": "dime decade millimeter",
    "12": "dozen year month yearly annual annually monthly foot feet inch noon midnight am pm a.m p.m",
    "14": "fortnight week",
    "16": "ounce pound cup gallon",
    "18": "adult",
    "24": "day hour daily hourly",
    "25": "quarter",
    "28 29 30 31": "month monthly day daily january february march april may june july august september october "
    "november december",
    "36": "yard inch",
    "52": "year yearly annual week weekly",
    "50": "half",
    "60": "hour hourly minute second",
    "90": "angle",
    "100": "percent % percentage cent dollar meter metre centimeter cm century",
    "128": "gallon ounce",
    "180 360": "angle degree triangle circle",
    "365 366": "year yearly day daily annual",
    "0.01 0.05 0.1 0.25": "penny pennie cent nickel dime quarter percent % coin",
    "1000": "kilogram gram kilometer meter kilometre metre liter litre milliliter ml kg km ton thousand k g "
    "kw kwh kilowatt watt",
    "3600": "hour second",
    "2000": "ton pound",
    "5280": "mile feet foot",
    "3.14 3.1416 22": "pi circle circumference radius diameter circular",
    "1440": "day minute",
}
"""Numbers that a formula may hold although the question does not say them, each with the words that call for it.

0 and 1 need no word, because 1 can be the whole, oneself, or the first.
"""

ADDED_CONSTANTS: Final = frozenset(
    map(Fraction, (0, 1, 7, 12, 24, 28, 29, 30, 31, 52, 60, 90, 100, 180, 360, 365, 366))
)
"""The constants that are also added and subtracted, as in 7-2 days. The others only convert."""
_LARGE: Final = 12
UNITS: Final = {
    "decade": 10, "year": 12, "week": 7, "day": 24, "hour": 60, "minute": 60, "dozen": 12, "foot": 12, "feet": 12,
    "yard": 3, "pound": 16, "kilogram": 1000, "kg": 1000, "kilometer": 1000, "km": 1000, "liter": 1000, "litre": 1000,
    "meter": 100, "dollar": 100, "gallon": 4, "quart": 4, "pair": 2, "ton": 2000, "month": 4,
}  # fmt: skip
"""How many of the next smaller unit make one: ``"3 weeks"`` are 3*7 days."""

_NAME: Final = r"[A-Z][a-z]+"
_DAYS: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_DAY: Final = "|".join(_DAYS)
_NUMERAL: Final = "|".join(sorted({*WORDS, *SCALES}, key=len, reverse=True))
_SPECIAL: Final = "|".join([*PARTS, *(f"{part}s" for part in PARTS), *_MULTIPLES])
_FOUND = re.compile(
    rf"""
    (?P<digits>
        (?<![/.,0-9])
        (?:(?P<whole>[0-9]{{1,9}})[ ])? (?P<numerator>[0-9]{{1,9}})/(?P<denominator>[0-9]{{1,9}}) (?![/.,]?[0-9]|/)
      |
        (?P<number>(?:[0-9]{{1,3}}(?:,[0-9]{{3}})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)
        (?P<exponent>[eE][+-]?[0-9]{{1,3}}(?!\w))?
        (?:[ ](?P<scale>{"|".join(SCALES)})\b)?
    )
    |(?P<numeral>\b(?:{_NUMERAL})(?:(?:[ -]|[ ]and[ ])(?:{_NUMERAL})\b)*\b)
    |(?P<special>\b(?:{_SPECIAL})\b)
    |(?P<range>(?-i:\b(?P<from>{_DAY})[ ]?(?:to|through|until|-|–)[ ]?(?P<to>{_DAY})\b))
    |(?P<list>(?-i:\b{_NAME}(?:,[ ]{_NAME})*,?[ ](?:and|&)[ ]{_NAME}\b))
    """,
    re.VERBOSE | re.IGNORECASE,
)
_START = re.compile(r"[0-9.]|\b[A-Za-z]+")
_FIRST_WORDS: Final = frozenset([*_NUMERAL.split("|"), *_SPECIAL.split("|")])
_PERCENT = re.compile(r"\s?(?:%|percent|percentage)", re.IGNORECASE)
_CENTS = re.compile(r"\s?(?:¢|cents?\b)", re.IGNORECASE)
_DOLLARS = re.compile(r"\s?dollars?\b")
_THOUSANDS = re.compile(r"[kK]\b")
_MONEY: Final = "$€£¥₹"
_RATE = re.compile(r"[^.;,?!0-9]{0,30}?\b(?:per|each|every|an?)\b|\s?/", re.IGNORECASE)
_EACH = re.compile(r"\b(?:per|each|every)\b[^.;,?!0-9]*$", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.;?!])\s+|\n")
_CLAUSE = re.compile(r"[.;:?!,\n]\s|\n|\b(?:and|but|while|if|then)\b")
_WORD = re.compile(r"[A-Za-z]+")
_NOUNS = re.compile(r"%?[ -]*(?:[A-Za-z'’-]+[ /]*){0,4}")
_IGNORED: Final = (
    "a an the of in on at to for from by with per each every is are was were be been has have had do does did he "
    "she they it his her their its him them so that this these those there then than and or but if as into out up "
    "down total all more less left number amount many much how what will would can could now after before also "
    "only cost costs spend spends spent pay pays paid need needs make makes made buy buys bought which who "
    "because since thus therefore means mean get got i x s t dollar cent percent"
)
_STOP: Final = frozenset(_IGNORED.split())
_END: Final = frozenset(
    ["and", "then", "so", "but", "because", "since", "which", "who", "if", "has", "have", "he", "she", "they"]
)


class Context(NamedTuple):
    """What is written beside a number: a currency or percent sign, and the stems of the nouns after it."""

    symbol: str = ""
    nouns: frozenset[str] = frozenset()


class Mention(NamedTuple):
    """A number of a text, with every value that a formula may write for it."""

    values: tuple[Fraction, ...]
    start: int
    end: int
    points: Fraction | None = None
    """The number in percent: 40 for ``"40%"`` and ``"two-fifths"``."""
    is_percent: bool = False
    """It is written as percent. Its points are then used only beside a percent sign or a hundred."""
    factors: tuple[Fraction, ...] = ()
    """The values that only multiply or divide: 2 for ``"twice"``, 4 for ``"1/4"``."""
    is_rate: bool = False
    """It is an amount per something, for each, or an hour."""


class Text:
    """A text with its mentions and the words around them. Texts are cut at 20,000 characters."""

    def __init__(self, text: str) -> None:
        self.text = text[:_MAX_TEXT]

    @cached_property
    def mentions(self) -> list[Mention]:
        """All numbers in order; ``"two-fifths"`` is one mention with the values two, five and the quotient."""
        return _mentions(self.text)

    @cached_property
    def _by_value(self) -> dict[tuple[int, int], list[Mention]]:
        """The mentions by value. The keys are pairs of integers, which are hashed faster than fractions."""
        found: dict[tuple[int, int], list[Mention]] = {}
        for mention in self.mentions:
            for value in mention.values:
                found.setdefault(value.as_integer_ratio(), []).append(mention)
        return found

    def of_value(self, value: Fraction) -> Sequence[Mention]:
        """The mentions that may be written as ``value``."""
        return self._by_value.get(value.as_integer_ratio(), ())

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of all words; ``%`` is one."""
        return stems(self.text)

    @cached_property
    def sentences(self) -> list[int]:
        """Where sentences begin."""
        return [0, *(match.end() for match in _SENTENCE.finditer(self.text))]

    @cached_property
    def _clauses(self) -> list[int]:
        return [0, *(match.end() for match in _CLAUSE.finditer(self.text))]

    def sentence(self, at: int) -> tuple[int, int]:
        """Start and end of the sentence at ``at``."""
        return self._span(self.sentences, at)

    def sentence_of(self, at: int) -> str:
        """The sentence at ``at``."""
        return self.text[slice(*self.sentence(at))]

    def clause_of(self, at: int) -> str:
        """The clause at ``at``."""
        return self.text[slice(*self._span(self._clauses, at))]

    def _span(self, starts: list[int], at: int) -> tuple[int, int]:
        index = bisect_right(starts, at)
        return starts[index - 1], starts[index] if index < len(starts) else len(self.text)

    def context(self, start: int, end: int) -> Context:
        """What is written beside the number at ``start:end``."""
        after = self.text[end : end + 40]
        before = self.text[max(0, start - 2) : start].rstrip()[-1:]
        symbol = "%" if _PERCENT.match(after) else "$" if before in _MONEY and before else ""
        if _CENTS.match(after) or _DOLLARS.match(after):
            symbol = "$"
        nouns: list[str] = []
        match = _NOUNS.match(after)
        for word in _WORD.findall(match[0] if match else ""):
            if word.lower() in _END:
                break
            if word.lower() not in _STOP:
                nouns.append(stem(word))
        return Context(symbol, frozenset(nouns[:3]))


def constants(words: frozenset[str], near: frozenset[str]) -> frozenset[tuple[int, int]]:
    """The constants that people calculate with and do not say, as pairs of numerator and denominator.

    Args:
        words: the stems of the whole text. They call for large constants.
        near: the stems of the sentence with the number. Only they call for small constants.
    """
    return _called_for(words & _CUES, near & _CUES)


@lru_cache(4096)
def _called_for(words: frozenset[str], near: frozenset[str]) -> frozenset[tuple[int, int]]:
    return frozenset().union(
        *(values for values, cues, large in _CONSTANTS if not cues or cues & (words if large else near))
    )


@lru_cache(512)
def stems(text: str) -> frozenset[str]:
    """The stems of the words of a text; ``%`` is one."""
    return frozenset(map(stem, _WORD.findall(text))) | ({"%"} if "%" in text else set())


@lru_cache(512)
def content(text: str) -> frozenset[str]:
    """The stems of the words that say what a text is about."""
    return frozenset(stem(word) for word in _WORD.findall(text) if word.lower() not in _STOP)


@lru_cache(65536)
def stem(word: str) -> str:
    """A word without its ending: ``"Cookies"`` and ``"cookie"`` give ``"cooki"``."""
    word = word.lower()
    for ending in ("ing", "ed", "sses", "xes", "ches", "shes", "s", "er"):
        if word.endswith(ending) and len(word) > len(ending) + 2 and not word.endswith("ss"):
            ending = "es" if len(ending) > 3 or ending == "xes" else ending
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] in "ey" else word


_CONSTANTS: Final = [
    (
        frozenset(Fraction(value).as_integer_ratio() for value in values.split()),
        frozenset(stem(word) if word.isalpha() else word for word in cues.split()),
        values == "7" or max(map(Fraction, values.split())) >= _LARGE,
    )
    for values, cues in CONSTANTS.items()
]
_CUES: Final = frozenset().union(*(cues for _, cues, _ in _CONSTANTS))
_UNITS: Final = {stem(word): Fraction(factor) for word, factor in UNITS.items()}


def units(nouns: frozenset[str]) -> list[Fraction]:
    """How many smaller units make one of ``nouns``; empty if none is a unit."""
    return [_UNITS[noun] for noun in nouns if noun in _UNITS]


@lru_cache(65536)
def number(digits: str) -> Fraction:
    """The number that ``digits`` write, such as ``"1,450.5"``."""
    return Fraction(digits.replace(",", ""))


def _matches(text: str) -> Iterator[re.Match[str]]:
    """The same as ``_FOUND.finditer``. It is faster, because it tries only places where a match may begin."""
    at = 0
    while (start := _START.search(text, at)) is not None:
        word, at = start[0], start.end()
        may_begin = not word.isalpha() or word[0].isupper() or word.lower() in _FIRST_WORDS
        if may_begin and (match := _FOUND.match(text, start.start())) is not None:
            at = match.end()
            yield match


def _mentions(text: str) -> list[Mention]:
    found: list[Mention] = []
    for match in _matches(text):
        start, end = match.span()
        before = found[-1] if found else None
        between = text[before.end : start] if before else ""
        first = before.values[0] if before else Fraction(0)
        values: list[Fraction] = []
        factors: list[Fraction] = []
        points = None
        is_percent = bool(_PERCENT.match(text, end))
        if match["denominator"]:
            top, bottom = number(match["numerator"]), number(match["denominator"])
            if bottom:
                share, whole = top / bottom, Fraction(match["whole"] or (first if between == " and " else 0))
                factors, points = [top, bottom], share * 100
                values = [whole + share, share, *factors, *([whole, whole * bottom + top] if whole else [])]
        elif match["digits"]:
            values = list(_digits(text, match))
        elif match["numeral"]:
            values = _numeral(match["numeral"].lower())
            if values and _CENTS.match(text, end):
                values.append(values[0] / _HUNDRED)
        elif match["range"]:
            values = [Fraction((_DAYS.index(match["to"]) - _DAYS.index(match["from"])) % 7 + 1)]
        elif match["special"]:
            word = match["special"].lower()
            if part := parts_of(word):
                share = Fraction(1, part)
                if before and between in (" ", "-"):  # "two-fifths"
                    factors, share = [first, Fraction(part)], share * first
                    found.pop()
                elif between in (" and a ", " and ", " and one "):  # "two and a half"
                    values = [first + share]
                elif word.startswith("hal") or text[max(0, start - 2) : start].lower() == "a ":
                    factors = [Fraction(part)]
                points = share * 100
                values += [share, Fraction(part), Fraction(1, part), *factors]
            if word in _MULTIPLES:
                values.append(Fraction(_MULTIPLES[word]))
            if _FACTOR.match(word):
                factors = [Fraction(_MULTIPLES.get(word, 2))]
        else:
            values = [Fraction(len(re.findall(_NAME, match["list"])))]
        if is_percent and values and points is None:
            points = values[0]
            values.append(points / _HUNDRED)
            if points and (_HUNDRED / points).denominator == 1:  # by 50% is by half
                factors = [_HUNDRED / points]
                values += factors
        if values:
            is_rate = bool(_RATE.match(text, end) or _EACH.search(text, max(0, start - 40), start))
            unique = tuple(dict.fromkeys(values))
            found.append(Mention(unique, start, end, points, is_percent, tuple(factors), is_rate))
    return found


def _digits(text: str, match: re.Match[str]) -> Iterator[Fraction]:
    after = text[match.end() : match.end() + 12]
    if len(match["number"]) > 40 or match["exponent"]:
        return
    value = number(match["number"])
    yield value
    if match["scale"]:
        yield value * SCALES[match["scale"].lower()]
    elif _THOUSANDS.match(after):
        yield value * 1000
    if _CENTS.match(after):
        yield value / _HUNDRED
    elif "." in match["number"] and text[max(0, match.start() - 2) : match.start()].strip()[-1:] in [*_MONEY]:
        yield value * _HUNDRED


def _numeral(words: str) -> list[Fraction]:
    """The value of the whole, or else of its parts."""
    value = SCALES.get(words) or read_words(words)
    if value is not None:
        return [Fraction(value)]
    parts = [read_words(word) for word in re.split(r"[ -]|and", words)]
    return [Fraction(part) for part in parts if part is not None]
