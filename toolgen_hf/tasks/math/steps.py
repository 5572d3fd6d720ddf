"""The steps of arithmetic in a worked solution, and the equations in one unknown.

    "He saved 25*2 = $<<25*2=50>>50, so 50 + 20 dollars = $70."   ->   25*2=50, 50+20=70
    "3*x - 5 = 16"                                                ->   (16+5)/3=7

Marks (``<<25*2=50>>``) are read as they are, right or wrong. In prose, words and units are dropped, and the left side
of an equation is the longest end of the text before ``=`` whose value is the number after it. A percent sign is read in
two ways, in this order: ``100% - 30% = 70%`` and ``30% of 50 = 15``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import chain, islice, pairwise
from typing import Final, NamedTuple

from toolgen_hf.errors import ToolError
from toolgen_hf.tools.expression import Expression, evaluate, operations, parse

_MAX_TEXT: Final = 20_000
_MAX_STEPS: Final = 100
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


@dataclass(frozen=True)
class Step:
    """``48/2=24`` is ``Step((48, 2, "/"), 24)``. The places are those in the tidied solution."""

    expression: Expression
    result: Fraction
    start: int = 0
    equals: int = 0
    end: int = 0
    is_said: bool = True
    """The solution has this operation, in digits or in words."""
    is_solved: bool = False
    """It is an equation in one unknown."""

    @cached_property
    def numbers(self) -> list[tuple[int, Fraction]]:
        """The numbers of the expression, each with its position."""
        return [(at, item) for at, item in enumerate(self.expression) if not isinstance(item, str)]

    @cached_property
    def added(self) -> frozenset[int]:
        """The positions of numbers that are added or subtracted as they are. In an equation the numbers multiply."""
        added: set[int] = set()
        stack: list[int | None] = []
        for position, item in enumerate(() if self.is_solved else self.expression):
            if not isinstance(item, str):
                stack.append(position)
            elif item not in ("neg", "percent"):
                sides = stack.pop(), stack.pop()
                added |= {side for side in sides if side is not None} if item in ("+", "-") else set()
                stack.append(None)
        return frozenset(added)

    @cached_property
    def is_right(self) -> bool:
        """Whether the value of the expression is the result, give or take rounding."""
        value = value_of(self.expression)
        return value is not None and (
            value == self.result or abs(value - self.result) < min(_ROUNDING, abs(value) / 20)
        )


def read_steps(solution: str) -> list[Step]:
    """The steps of a solution, at most ``_MAX_STEPS``. Those in marks may be wrong."""
    return list(islice(_steps(tidy(solution)), _MAX_STEPS))


@lru_cache(8)
def tidy(solution: str) -> str:
    """The solution without its final ``#### answer``, with numbers and operators in plain notation."""
    text = solution.partition("####")[0][:_MAX_TEXT]
    text = _BARE_MARK.sub(r"\1", text).replace(" equals ", " = ")
    text = _PERCENT_OF.sub(r"\1 * ", text)
    text = _SPOKEN.sub(lambda match: _OPERATORS[match[1]], text)
    text = _MODULO.sub("%", _REMAINDER.sub(_with_remainder, text))
    text = _SPACED.sub(lambda match: match[0].replace(" ", ""), text)
    text = _MIXED.sub(r"(\1+\2)", text)
    text = _BY_FRACTION.sub(r"(\g<0>)", text)
    return _CROSS.sub("*", text)


def _with_remainder(match: re.Match[str]) -> str:
    """``"582/7=83 r1"`` becomes ``"582//7=83; 582%7=1"``. A division that is wrong stays."""
    whole, by, quotient, rest = (int(group) for group in (*match.group(1, 2, 3), match[4] or match[5]))
    if not by or divmod(whole, by) != (quotient, rest):
        return match[0]
    return f"{whole}//{by}={quotient}; {whole}%{by}={rest}"


def parsed(text: str) -> Expression | None:
    """The expression that ``text`` writes; None if it is not an expression."""
    try:
        return parse(text)
    except ToolError:
        return None


def value_of(expression: Expression) -> Fraction | None:
    """The value of an expression; None if it has none, or one beyond all proportion."""
    try:
        value = Fraction(evaluate(expression))
    except ToolError:
        return None
    return value if abs(value) < _MAX_VALUE else None


def read_ratios(solution: str, is_known: Callable[[Fraction], bool]) -> list[Step]:
    """A step for each ratio such as ``5:2=60:24``. It gives the last term that is not known: 24 as ``60*2/5``."""
    steps = []
    for match in islice(_RATIO.finditer(tidy(solution)), _MAX_STEPS):
        a, b, c, d = (Fraction(term) for term in match.groups())
        if a * d != b * c or not a * b * c * d:
            continue
        for term, left, right, by in ((d, c, b, a), (c, d, a, b), (b, a, d, c), (a, b, c, d)):
            if not is_known(term):
                steps.append(Step((left, right, "*", by, "/"), term, *match.span(), match.end()))
                break
    return steps


def _pieces(text: str, ends: re.Pattern[str]) -> Iterator[tuple[int, int, re.Match[str] | None]]:
    """Start and end of each piece of a text, with the match of ``ends`` after it."""
    start = 0
    for match in chain(ends.finditer(text), [None]):
        yield start, match.start() if match else len(text), match
        start = match.end() if match else start


def _sides(text: str, start: int, words: re.Pattern[str]) -> Iterator[tuple[int, str, int, str]]:
    """Each two sides of an equals sign: where the left one begins, its text, where the sign is, the right one's text.

    A ``;`` and blanks replace each word.
    """
    sides = words.sub(lambda match: _BREAK.ljust(len(match[0])), text).split("=")
    for left, right in pairwise(sides):
        equals = start + len(left)
        yield start, left, equals, right
        start = equals + 1


def _steps(text: str) -> Iterator[Step]:
    for start, end, match in _pieces(text, _PIECE):
        if "=" in text[start:end]:
            before = None
            for begin, left, equals, right in _sides(text[start:end], start, _WORD):
                stated = right.partition(_BREAK)[0]
                step = _equation(left, stated)
                if step and step.result != before:  # of "a=b=c" only a: the later sides say less and less
                    yield Step(step.expression, step.result, begin, equals, equals + 1 + len(stated.rstrip()))
                before = step.result if step else None
        if match and match[1]:
            left, _, right = match[1][2:-2].partition("=")
            expression, result = parsed(left), _result(right.rpartition("=")[2])
            if expression and result is not None:
                yield Step(expression, result, match.start(), match.start(), match.end())


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
        expression = parsed(left.rpartition(_BREAK)[2].replace("%", ""))
    return Step(expression, result) if expression and operations(expression) else None


def _result(text: str) -> Fraction | None:
    """The value of ``text``, or else the number that it begins with."""
    number = _NUMBER.match(text)
    for candidate in (text, number[0] if number else ""):
        if (expression := parsed(candidate)) is not None:
            return value_of(expression)
    return None


def _ending(text: str, result: Fraction) -> Expression | None:
    """The longest end of ``text`` that is arithmetic and has the value ``result``."""
    text = text.replace(_BREAK, " ")
    for start in [match.start() for match in _START.finditer(text)][-_MAX_STARTS:]:
        expression = parsed(text[start:])
        if expression and operations(expression) and Step(expression, result).is_right:
            return expression
    return None


# ---------------------------------------------------------------------------------------------- equations

_LETTER = r"(?<![A-Za-z'’])(?![aAI]\s+[A-Za-z]){}(?![A-Za-z'’])"
_UNKNOWN = re.compile(_LETTER.format("[A-Za-z]"))
_MARK = re.compile(r"<<[^<>]*>>")
_EQUATION_END = re.compile(r"(?<=[.;?!,])\s+|\n|:")
_LONG_WORD = re.compile(
    r"[/-]?[A-Za-z][A-Za-z'’]+|[^\w\s$%.,()\[\]{}+*/×÷=−–-]|(?<![A-Za-z])[aAI](?=\s+[A-Za-z])"
)
_PLACEHOLDER: Final = "(987654321.123456789)"  # the parser knows no names: a number that no text holds
_X: Final = Fraction(_PLACEHOLDER.strip("()"))
_ONE: Final[Expression] = (Fraction(1),)


class _Linear(NamedTuple):
    """``a*x + b``. Both are expressions, so that the question's numbers stay visible. None is 0."""

    a: Expression | None
    b: Expression | None


def read_equations(solution: str) -> list[Step]:
    """A step for each value that an equation in one letter gives, read from the first equation that gives it.

    The first is the fullest: ``3x-5=16`` comes before ``3x=21``.
    """
    text = _MARK.sub(lambda match: " " * len(match[0]), tidy(solution))
    steps: dict[Fraction, Step] = {}
    for start, end, _ in _pieces(text, _EQUATION_END):
        for step in _solved(text[start:end], start):
            steps.setdefault(step.result, step)
            if len(steps) == _MAX_STEPS:
                return list(steps.values())
    return list(steps.values())


def _solved(sentence: str, start: int) -> Iterator[Step]:
    if "=" not in sentence or not _UNKNOWN.search(sentence):
        return
    for begin, left, equals, right in _sides(sentence, start, _LONG_WORD):
        letters = set(_UNKNOWN.findall(left + right))
        if len(letters) != 1:
            continue
        letter = letters.pop()
        first = _side(left, left.rpartition(_BREAK)[2], letter)
        second = _side(right, right.partition(_BREAK)[0], letter)
        expression = _solution(first, second) if first and second else None
        value = value_of(expression) if expression else None
        if expression and value is not None:
            yield Step(expression, value, begin, equals, equals + 1 + len(right), is_solved=True)


def _side(text: str, nearest: str, letter: str) -> _Linear | None:
    """One side of an equation: all of it without its words, or else the part nearest to the equals sign."""
    for candidate in (text.replace(_BREAK, " "), nearest):
        written = re.sub(_LETTER.format(letter), _PLACEHOLDER, candidate.strip().rstrip(".,"))
        if (expression := parsed(written)) is not None:
            return _linear(expression)
    return None


def _linear(expression: Expression) -> _Linear | None:
    """The expression as ``a*x + b``; None if it is not linear in x."""
    stack: list[_Linear] = []
    for item in expression:
        if not isinstance(item, str):
            stack.append(_Linear(_ONE, None) if item == _X else _Linear(None, (item,)))
        elif item in ("neg", "percent"):
            a, b = stack.pop()
            stack.append(_Linear(a and (*a, item), b and (*b, item)))
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


def _solution(left: _Linear, right: _Linear) -> Expression | None:
    """``(right.b-left.b) / (left.a-right.a)``, with the sides exchanged if that avoids a minus sign."""
    factor = _sum(left.a, "-", right.a)
    if factor and (value_of(factor) or 0) < 0:
        left, right = right, left
        factor = _sum(left.a, "-", right.a)
    return _product(_sum(right.b, "-", left.b), "/", factor)


def _sum(left: Expression | None, symbol: str, right: Expression | None) -> Expression | None:
    if right is None:
        return left
    is_negative = right[-1] == "neg"
    if left is None:
        if symbol == "+":
            return right
        return right[:-1] if is_negative else (*right, "neg")
    return (*left, *right[:-1], "-" if symbol == "+" else "+") if is_negative else (*left, *right, symbol)


def _product(left: Expression | None, symbol: str, right: Expression | None) -> Expression | None:
    if left is None or right is None or right == _ONE:
        return left if right else None
    return right if left == _ONE and symbol == "*" else (*left, *right, symbol)
