"""Equations in one unknown, solved into the step that gives it.

    "3*x - 5 = 16"                 x = (16+5)/3         Step((16, 5, "+", 3, "/"), 7)
    "x + 4 + x + 2(4+x) = 56"      x = (56-(4+2*4))/(1+1+2)

A side is kept as ``a*x + b``, where ``a`` and ``b`` are expressions and not values, so the question's
numbers stay visible in the formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, pairwise
from typing import Final, NamedTuple

from toolgen_hf.errors import ToolError
from toolgen_hf.tasks.math.steps import MAX_STEPS, Step, tidy, value_of
from toolgen_hf.tools.expression import Expression, parse

_LETTER = r"(?<![A-Za-z'’])(?![aAI]\s+[A-Za-z]){}(?![A-Za-z'’])"
_UNKNOWN = re.compile(_LETTER.format("[A-Za-z]"))
_MARK = re.compile(r"<<[^<>]*>>")
_SENTENCE = re.compile(r"(?<=[.;?!,])\s+|\n|:")
_WORD = re.compile(r"[/-]?[A-Za-z][A-Za-z'’]+|[^\w\s$%.,()\[\]{}+*/×÷=−–-]|(?<![A-Za-z])[aAI](?=\s+[A-Za-z])")
_BREAK: Final = ";"

_PLACEHOLDER: Final = "(987654321.123456789)"  # the parser knows no names: a number that no text holds
_X: Final = Fraction(_PLACEHOLDER.strip("()"))
_ONE: Final[Expression] = (Fraction(1),)


class _Linear(NamedTuple):
    """``a*x + b``; None is nothing."""

    a: Expression | None
    b: Expression | None


def read_equations(solution: str) -> list[Step]:
    """A step for each value that an equation in one letter has; the first equation that has it.

    The first is the fullest: ``3x-5=16`` comes before ``3x=21``.
    """
    steps: dict[Fraction, Step] = {}
    for step in _solutions(_MARK.sub(lambda match: " " * len(match[0]), tidy(solution))):
        steps.setdefault(step.result, step)
        if len(steps) == MAX_STEPS:
            break
    return list(steps.values())


def _solutions(text: str) -> Iterator[Step]:
    end = 0
    for match in chain(_SENTENCE.finditer(text), [None]):
        start, end, following = (
            end,
            match.start() if match else len(text),
            match.end() if match else len(text),
        )
        yield from _solved(text[start:end], start)
        end = following


def _solved(sentence: str, start: int) -> Iterator[Step]:
    if "=" not in sentence or not _UNKNOWN.search(sentence):
        return
    equals = start - 1
    sides = _WORD.sub(lambda match: _BREAK.ljust(len(match[0])), sentence).split("=")
    for left, right in pairwise(sides):
        begin, equals = equals + 1, equals + 1 + len(left)
        letters = set(_UNKNOWN.findall(left + right))
        if len(letters) == 1:
            letter = letters.pop()
            linear = (
                _side(left, left.rpartition(_BREAK)[2], letter),
                _side(right, right.partition(_BREAK)[0], letter),
            )
            step = linear[0] and linear[1] and _solve(linear[0], linear[1])
            if step:
                yield Step(
                    step.expression, step.result, begin, equals, equals + 1 + len(right), is_solved=True
                )


def _side(text: str, nearest: str, letter: str) -> _Linear | None:
    """One side, all of it without its words, or else what stands nearest to the equals sign."""
    for candidate in (text.replace(_BREAK, " "), nearest):
        written = re.sub(_LETTER.format(letter), _PLACEHOLDER, candidate.strip().rstrip(".,"))
        try:
            return _linear(parse(written))
        except ToolError:
            continue
    return None


def _linear(expression: Expression) -> _Linear | None:
    """The expression as ``a*x + b``; None if it is not linear in x."""
    stack: list[_Linear] = []
    for item in expression:
        if item == _X:
            stack.append(_Linear(_ONE, None))
        elif isinstance(item, Fraction):
            stack.append(_Linear(None, (item,)))
        elif item in ("neg", "percent"):
            side = stack.pop()
            stack.append(_Linear(side.a and (*side.a, item), side.b and (*side.b, item)))
        else:
            right, left = stack.pop(), stack.pop()
            if item in ("+", "-"):
                stack.append(_Linear(_sum(left.a, item, right.a), _sum(left.b, item, right.b)))
            elif item == "*" and left.a is None:
                stack.append(_Linear(_product(left.b, item, right.a), _product(left.b, item, right.b)))
            elif item in ("*", "/") and right.a is None:
                stack.append(_Linear(_product(left.a, item, right.b), _product(left.b, item, right.b)))
            else:
                return None
    return stack.pop()


def _solve(left: _Linear, right: _Linear) -> Step | None:
    """``(right.b-left.b) / (left.a-right.a)``, the other way round if that spares a minus sign."""
    factor = _sum(left.a, "-", right.a)
    if factor and (value_of(factor) or 0) < 0:
        left, right = right, left
        factor = _sum(left.a, "-", right.a)
    expression = _product(_sum(right.b, "-", left.b), "/", factor)
    result = value_of(expression) if expression else None
    return Step(expression, result) if expression and result is not None else None


def _sum(left: Expression | None, symbol: str, right: Expression | None) -> Expression | None:
    if left is None or right is None:
        return left or (_negative(right) if right and symbol == "-" else right)
    if right[-1] == "neg":
        return (*left, *right[:-1], "-" if symbol == "+" else "+")
    return (*left, *right, symbol)


def _negative(expression: Expression) -> Expression:
    return expression[:-1] if expression[-1] == "neg" else (*expression, "neg")


def _product(left: Expression | None, symbol: str, right: Expression | None) -> Expression | None:
    if left is None or right is None or right == _ONE:
        return left and right and left
    return right if left == _ONE and symbol == "*" else (*left, *right, symbol)
