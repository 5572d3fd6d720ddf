"""The steps of arithmetic that a worked solution shows, in its order.

    "He saved 25*2 = $<<25*2=50>>50, so 50 + 20 dollars = $70."   ->   25*2=50, 50+20=70

Marks (``<<25*2=50>>``) are taken at their word, right or wrong. Prose is read more warily: words and
units fall away, and the left side of an equation is the longest end of what stands before ``=`` that
comes to what stands after it. The two readings of a percent sign, ``100% - 30% = 70%`` and
``30% of 50 = 15``, are tried in this order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, pairwise
from typing import Final

from toolgen_hf.errors import ToolError
from toolgen_hf.generators.formula import Step
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

_PIECE = re.compile(r"(<<[^<>]*>>)|(?<=[.;:?!])\s+|\n")
_WORD = re.compile(r"(?:/\s?|-)?[A-Za-z][\w'’-]*|[^\w\s$%.,()\[\]{}+*/×÷=−–-]")
_BREAK: Final = ";"
_NUMBER = re.compile(r"\s*-?\$?\s*-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?")
_START = re.compile(r"(?<![0-9.,])[0-9.]|[(\[{-]")


def read_steps(solution: str) -> list[Step]:
    """All steps that can be read, at most ``MAX_STEPS``; those of marks may be wrong."""
    return list(islice(_steps(tidy(solution)), MAX_STEPS))


def tidy(solution: str) -> str:
    """The solution without its final ``#### answer``, its numbers and operators in plain notation."""
    text = solution.partition("####")[0][:MAX_TEXT]
    text = _BARE_MARK.sub(r"\1", text).replace(" equals ", " = ")
    text = _PERCENT_OF.sub(r"\1 * ", text)
    text = _SPOKEN.sub(lambda match: _OPERATORS[match[1]], text)
    text = _SPACED.sub(lambda match: match[0].replace(" ", ""), text)
    text = _MIXED.sub(r"(\1+\2)", text)
    text = _BY_FRACTION.sub(r"(\g<0>)", text)
    return _CROSS.sub("*", text)


def value_of(expression: Expression) -> Fraction | None:
    """Its value, None if it has none or one that is out of proportion."""
    try:
        value = Fraction(evaluate(expression))
    except ToolError:
        return None
    return value if abs(value) < _MAX_VALUE else None


def is_right(step: Step) -> bool:
    """Whether the step's expression comes to its result, give or take rounding."""
    value = value_of(step.expression)
    return value is not None and abs(value - step.result) < _ROUNDING


def _steps(text: str) -> Iterator[Step]:
    for piece in _PIECE.split(text):
        if piece and piece.startswith("<<"):
            yield from _marked(piece[2:-2])
        elif piece and "=" in piece:
            yield from _equations(piece)


def _marked(mark: str) -> Iterator[Step]:
    left, _, right = mark.partition("=")
    expression, result = _parsed(left), _result(right.rpartition("=")[2])
    if expression and result is not None:
        yield Step(expression, result)


def _equations(prose: str) -> Iterator[Step]:
    """Of ``a=b=c`` only ``a``: the left sides further on say less and less."""
    sides = _WORD.sub(_BREAK, prose).split("=")
    before = None
    for left, right in pairwise(sides):
        step = _equation(left, right.partition(_BREAK)[0])
        if step and step.result != before:
            yield step
        before = step.result if step else None


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
