"""The steps of arithmetic that a worked solution shows, in its order.

    "He saved 25*2 = $<<25*2=50>>50, so 50 + 20 dollars = $70."   ->   25*2=50, 50+20=70

Marks (``<<25*2=50>>``) are taken at their word, right or wrong. Prose is read more warily: words and
units fall away, and the left side of an equation is the longest end of what stands before ``=`` that
comes to what stands after it. The two readings of a percent sign, ``100% - 30% = 70%`` and
``30% of 50 = 15``, are tried in this order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import chain, islice, pairwise
from typing import Final

from toolgen_hf.errors import ToolError
from toolgen_hf.tools.expression import Expression, evaluate, operations, parse

MAX_TEXT: Final = 20_000
MAX_STEPS: Final = 100
_MAX_VALUE: Final = 10**30
_MAX_STARTS: Final = 20
_ROUNDING: Final = Fraction(1, 100)  # a result may be rounded to cents, or cut off there

_BARE_MARK = re.compile(r"<<(-?[0-9.]+)=\1>>(?:\1)?")  # "1.5 / .25 = <<6=6>>6" says no more than 6
_SPOKEN = re.compile(r"(?<=[0-9%]) (plus|minus|times|divided by) (?=[$0-9.])")
_OPERATORS: Final = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}
_PERCENT_OF = re.compile(r"(?<!= )(?<![0-9.])([0-9.]+%) of (?=[$0-9])")  # but not "= 15% of $300"
_SPACED = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?: [0-9]{3})+(?![0-9])")  # 80 000
_MIXED = re.compile(r"(?<![0-9.,/])([0-9]{1,2})(?: and)? ([1-9][0-9]?/[1-9][0-9]?)(?![0-9/])")  # 1 1/2
_BY_FRACTION = re.compile(r"(?<=/ )[1-9][0-9]*/[1-9][0-9]*(?![0-9/.])")  # 28 / 1/5
_CROSS = re.compile(r"(?<=[0-9)%]) ?[xX] ?(?=[0-9($.])|(?<=[a-z]) x (?=[0-9$.])")

_REMAINDER = re.compile(
    r"(?<![0-9.,/*])([0-9]{1,12}) ?[/÷] ?([0-9]{1,12}) ?= ?([0-9]{1,12}),? ?"
    r"(?:(?:with )?(?:a )?(?:[rR]|[rR]em|[rR]emainder)\b\.?(?: of)? ?([0-9]{1,12})|[rR]([0-9]{1,12}))(?![0-9.])"
)
_MODULO = re.compile(r"(?<=[0-9)]) ?\bmod(?:ulo)?\b ?(?=[0-9(])")
_TERM: Final = r"([0-9]{1,12}(?:\.[0-9]{1,6})?)"
_RATIO = re.compile(rf"(?<![0-9.:]){_TERM} ?: ?{_TERM} ?(?:=|::) ?{_TERM} ?: ?{_TERM}(?![0-9:]|\.[0-9])")

_PIECE = re.compile(r"(<<[^<>]*>>)|(?<=[.;:?!])\s+|\n")
_WORD = re.compile(r"(?:/\s?|-)?[A-Za-z][\w'’-]*|[^\w\s$%.,()\[\]{}+*/×÷=−–-]")
_BREAK: Final = ";"
_NUMBER = re.compile(r"\s*-?\$?\s*-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?")
_START = re.compile(r"(?<![0-9.,])[0-9.]|[(\[{-]")


@dataclass(frozen=True, slots=True)
class Step:
    """``48/2=24`` as ``Step((48, 2, "/"), 24)``, with the places in the solution where it stands."""

    expression: Expression
    result: Fraction
    start: int = 0
    equals: int = 0
    end: int = 0
    is_said: bool = True
    """The solution has this operation, in digits or in words."""
    is_solved: bool = False
    """It is an equation in one unknown."""


def read_steps(solution: str) -> list[Step]:
    """All steps that can be read, at most ``MAX_STEPS``; those of marks may be wrong.

    Their places are those in the tidied solution.
    """
    return list(islice(_steps(tidy(solution)), MAX_STEPS))


@lru_cache(8)
def tidy(solution: str) -> str:
    """The solution without its final ``#### answer``, its numbers and operators in plain notation."""
    text = solution.partition("####")[0][:MAX_TEXT]
    text = _BARE_MARK.sub(r"\1", text).replace(" equals ", " = ")
    text = _PERCENT_OF.sub(r"\1 * ", text)
    text = _SPOKEN.sub(lambda match: _OPERATORS[match[1]], text)
    text = _MODULO.sub("%", _REMAINDER.sub(_with_remainder, text))
    text = _SPACED.sub(lambda match: match[0].replace(" ", ""), text)
    text = _MIXED.sub(r"(\1+\2)", text)
    text = _BY_FRACTION.sub(r"(\g<0>)", text)
    return _CROSS.sub("*", text)


def _with_remainder(match: re.Match[str]) -> str:
    """``"582/7=83 r1"`` as ``"582//7=83; 582%7=1"``; what is no such division stays."""
    whole, by, quotient, rest = (int(group) for group in (*match.group(1, 2, 3), match[4] or match[5]))
    if not by or divmod(whole, by) != (quotient, rest):
        return match[0]
    return f"{whole}//{by}={quotient}; {whole}%{by}={rest}"


def value_of(expression: Expression) -> Fraction | None:
    """Its value, None if it has none or one that is out of proportion."""
    try:
        value = Fraction(evaluate(expression))
    except ToolError:
        return None
    return value if abs(value) < _MAX_VALUE else None


def read_ratios(solution: str, is_known: Callable[[Fraction], bool]) -> list[Step]:
    """The term that each ratio such as ``5:2=60:24`` gives: the last one that is not known, 24 as ``60*2/5``."""
    steps = []
    for match in islice(_RATIO.finditer(tidy(solution)), MAX_STEPS):
        a, b, c, d = (Fraction(term) for term in match.groups())
        if a * d != b * c or not a * b * c * d:
            continue
        ways = (
            (d, (c, b, "*", a, "/")),
            (c, (d, a, "*", b, "/")),
            (b, (a, d, "*", c, "/")),
            (a, (b, c, "*", d, "/")),
        )
        for term, expression in ways:
            if not is_known(term):
                steps.append(Step(expression, term, *match.span(), match.end()))
                break
    return steps


def is_right(step: Step) -> bool:
    """Whether the step's expression comes to its result, give or take rounding."""
    value = value_of(step.expression)
    return value is not None and (
        value == step.result or abs(value - step.result) < min(_ROUNDING, abs(value) / 20)
    )


def _steps(text: str) -> Iterator[Step]:
    start = 0
    for match in chain(_PIECE.finditer(text), [None]):
        end = match.start() if match else len(text)
        if "=" in text[start:end]:
            yield from _equations(text[start:end], start)
        if match and match[1]:
            yield from _marked(match[1][2:-2], *match.span())
        start = match.end() if match else end


def _marked(mark: str, start: int, end: int) -> Iterator[Step]:
    left, _, right = mark.partition("=")
    expression, result = _parsed(left), _result(right.rpartition("=")[2])
    if expression and result is not None:
        yield Step(expression, result, start, start, end)


def _equations(prose: str, start: int) -> Iterator[Step]:
    """Of ``a=b=c`` only ``a``: the left sides further on say less and less."""
    sides = _WORD.sub(lambda match: _BREAK.ljust(len(match[0])), prose).split("=")
    before = None
    for left, right in pairwise(sides):
        stated = right.partition(_BREAK)[0]
        step = _equation(left, stated)
        equals = start + len(left)
        if step and step.result != before:
            yield Step(step.expression, step.result, start, equals, equals + 1 + len(stated.rstrip()))
        before = step.result if step else None
        start = equals + 1


def _equation(left: str, stated: str) -> Step | None:
    result = _result(stated.replace("%", ""))
    if result is None:
        return None
    expression = _ending(left.replace("%", ""), result)
    if expression is None and "%" in left:
        percent = "%" in stated
        expression = _ending(left, result / 100 if percent else result)
        if expression is not None and percent:
            expression = (*expression, Fraction(100), "*")
    if expression is None:  # wrong, if it is arithmetic at all
        expression = _parsed(left.rpartition(_BREAK)[2].replace("%", ""))
    return Step(expression, result) if expression and operations(expression) else None


def _result(text: str) -> Fraction | None:
    """What ``text`` comes to, or else the number that it begins with."""
    number = _NUMBER.match(text)
    for candidate in (text, number[0] if number else ""):
        expression = _parsed(candidate)
        if expression is not None:
            return value_of(expression)
    return None


def _ending(text: str, result: Fraction) -> Expression | None:
    """The longest end of ``text`` that is a sum and comes to ``result``."""
    text = text.replace(_BREAK, " ")
    for start in [match.start() for match in _START.finditer(text)][-_MAX_STARTS:]:
        expression = _parsed(text[start:])
        if expression and operations(expression) and is_right(Step(expression, result)):
            return expression
    return None


def _parsed(text: str) -> Expression | None:
    try:
        return parse(text)
    except ToolError:
        return None
