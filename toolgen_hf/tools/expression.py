"""Parses, computes and prints arithmetic as people and language models write it.

An expression is a flat tuple of exact numbers and operators in postfix order:

    parse("48+48/2")  ->  (48, 48, 2, "/", "+")      evaluate -> 72      render -> "48+48/2"

Python's ``ast`` does not fit: it does not know this notation (``20%``, ``2(3+4)``, ``×``, ``$1,450``), and
``ast.parse`` spends memory and stack on hostile text before a node can be checked. Here one regular expression cuts
tokens and two stacks order them (Dijkstra's shunting yard). There is no recursion, and the grammar has no names, so
nothing can be run. The length is limited first, and the cost is linear in it.

Ambiguous notation is read like this:

- ``20%`` is 0.2, so ``50*20%`` is 10 and ``100+20%`` is 100.2. Directly before a number or a bracket, ``%`` is the
  remainder, as in Python: ``17%5`` is 2.
- ``,`` separates thousands only in full groups of three after a non-zero digit: ``1,450`` and ``12,000.5``. ``1,5`` and
  ``0,500`` might be decimals, so they are errors.
- A bracket beside a number or a bracket multiplies, as strongly as ``*``: ``6/2(1+2)`` is 9.
- ``x``, ``X`` and ``of`` multiply. ``$`` and other currency signs have no value.
- ``48/2=24`` is ``48/2``. The part after ``=`` must be arithmetic, and is dropped.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from functools import lru_cache
from itertools import zip_longest
from math import isfinite
from typing import Any, Final, NamedTuple, TypeAlias

from toolgen_hf.errors import CallSyntaxError, ForbiddenError, LimitError, ToolError, UndefinedError

Value: TypeAlias = Fraction | float
Expression: TypeAlias = tuple[Fraction | str, ...]
"""Postfix: decimal numbers, ``+ - * / // % **``, and the unary ``neg`` (minus) and ``percent``."""

_MAX_LENGTH: Final = 1000
"""Characters of an expression, several times what a worked solution needs."""
MAX_DEPTH: Final = 100
"""Brackets and operators without their right side at one time."""
MAX_BITS: Final = 4096
"""Bits of numerators and denominators. A larger value becomes a float."""
_MAX_EXPONENT: Final = 400
"""The largest exponent, 400 in ``1e400``. It is checked before the number is expanded."""

_ADD, _FLOOR, _MULTIPLY, _NEGATE, _POWER, _PERCENT, _NUMBER = range(1, 8)


class _Binary(NamedTuple):
    apply: Callable[[Any, Any], Any]
    strength: int
    """How strongly the operator binds."""
    left: int
    """The weakest left side that needs no brackets."""
    right: int


_BINARY: Final = {
    "+": _Binary(operator.add, _ADD, _ADD, _ADD),
    "-": _Binary(operator.sub, _ADD, _ADD, _FLOOR),
    "*": _Binary(operator.mul, _MULTIPLY, _FLOOR, _MULTIPLY),
    "/": _Binary(operator.truediv, _MULTIPLY, _FLOOR, _NEGATE),
    "//": _Binary(operator.floordiv, _MULTIPLY, _FLOOR, _NEGATE),
    "%": _Binary(operator.mod, _MULTIPLY, _FLOOR, _NEGATE),
    "**": _Binary(lambda base, exponent: _power(base, exponent), _POWER, _PERCENT, _POWER),
}
_STRENGTH: Final = {symbol: binary.strength for symbol, binary in _BINARY.items()} | {"neg": _NEGATE}
_MINUS: Final = "-−–—‐‑‒﹣－"
_TIMES: Final = "*×·⋅∗•xX"
_DIVIDE: Final = "/÷∕⁄"
_SYNONYMS: Final = {
    **dict.fromkeys(_MINUS, "-"),
    **dict.fromkeys(_TIMES, "*"),
    **dict.fromkeys(_DIVIDE, "/"),
    "of": "*",
    "^": "**",
}
_BRACKETS: Final = {"(": ")", "[": "]", "{": "}"}
_HUNDRED: Final = Fraction(100)
_DECIMAL: Final = Context(prec=2 * _MAX_LENGTH, traps=[Inexact])

_TOKEN = re.compile(
    rf"""(?P<blank>[\s$€£¥₹₩₽₱]+)
    |(?P<number>(?:(?:[1-9][0-9]{{0,2}}(?:,[0-9]{{3}})+(?![0-9])|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)
               (?:[eE][+-]?[0-9]+)?)
    |(?P<open>[(\[{{])
    |(?P<close>[)\]}}])
    |(?P<operator>\*\*|//|[xX](?![^\W\d])|of\b|[+%^*×·⋅∗•{_DIVIDE}{_MINUS[1:]}-])
    |(?P<forbidden>[^\W\d]\w*|["'`])
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


_Token: TypeAlias = tuple[str, str]
"""The kind, which is a group of the pattern, and the text."""


@lru_cache(maxsize=10_000)  # the parts of a worked solution are read several times
def parse(text: str) -> Expression:
    """The expression that ``text`` writes.

    Raises:
        LimitError: longer than ``_MAX_LENGTH``, deeper than ``MAX_DEPTH``, or a number out of bounds.
        ForbiddenError: it has a name, a string or other parts of a program.
        CallSyntaxError: it is not an expression.
    """
    if len(text) > _MAX_LENGTH:
        raise LimitError(f"expression of {len(text)} characters; at most {_MAX_LENGTH} are computed")
    try:
        sides = [_tokens(side) for side in text.split("=")]
        if len(sides) > 1 and not sides[-1]:  # "48/2 ="
            sides.pop()
        expression, *_claims = [_to_postfix(side) for side in sides]
        return expression
    except ToolError as error:
        raise type(error)(f"{error} in {shorten(text)}") from None


def evaluate(expression: Expression) -> Value:
    """The exact value, or a float if a root or the size of the numbers makes it necessary.

    Raises:
        UndefinedError: division by zero, or no real result.
        LimitError: a value beyond the range of a float.
    """
    stack: list[Value] = []
    for item in expression:
        if isinstance(item, Fraction):
            stack.append(item)
        elif item == "neg":
            stack.append(-stack.pop())
        elif item == "percent":
            stack.append(_apply("/", stack.pop(), _HUNDRED))
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(_apply(item, left, right))
    return stack.pop()


def render(expression: Expression) -> str:
    """The expression as text, with the fewest brackets that keep its value.

    ``(12/60)*50`` prints as ``12/60*50`` and ``a+(b-c)`` as ``a+b-c``, since the arithmetic is exact. Only a negative
    right side keeps brackets that it does not need: ``5-(-3)``.
    """
    stack: list[tuple[str, int]] = []
    for item in expression:
        if isinstance(item, Fraction):
            stack.append((format(_DECIMAL.divide(Decimal(item.numerator), item.denominator), "f"), _NUMBER))
        elif item == "neg":
            text, strength = stack.pop()
            bare = strength in (_MULTIPLY, _POWER, _PERCENT, _NUMBER) and text[0] != "-"
            stack.append((f"-{text}", min(strength, _NEGATE)) if bare else (f"-({text})", _NEGATE))
        elif item == "percent":
            text, strength = stack.pop()
            stack.append((_bracketed(text, strength, _PERCENT) + "%", _PERCENT))
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(_join(item, left, right))
    return stack.pop()[0]


def operations(expression: Expression) -> int:
    """The number of operations. A sign or a percent sign does not count."""
    return sum(item in _BINARY for item in expression)


def shorten(text: str, length: int = 60) -> str:
    """``text`` in quotes for a message, cut at ``length``."""
    return repr(text if len(text) <= length else f"{text[:length]}...")


def _tokens(side: str) -> list[_Token]:
    """The tokens of one side of ``=`` in ASCII, with each implied ``*``, and percent signs told from remainders."""
    found = [(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(side)]
    written = [(kind, _SYNONYMS.get(text, text)) for kind, text in found if kind != "blank"]
    if forbidden := next((text for kind, text in written if kind == "forbidden"), None):
        raise ForbiddenError(f"{forbidden!r} is no arithmetic")
    tokens: list[_Token] = []
    for (kind, text), (following, _) in zip_longest(written, written[1:], fillvalue=("end", "")):
        before = tokens[-1][0] if tokens else ""
        if kind == "other":
            hint = " (thousands are separated as in 1,450)" if text == "," else ""
            raise CallSyntaxError(f"{text!r} is out of place{hint}")
        if (before, kind) in (("number", "open"), ("close", "open"), ("close", "number")):
            tokens.append(("operator", "*"))
        is_percent = text == "%" and following not in ("number", "open")
        tokens.append(("percent", "percent") if is_percent else (kind, text))
    return tokens


def _to_postfix(tokens: list[_Token]) -> Expression:
    """Operators stay in ``pending`` until a closing bracket or an operator that binds less strongly follows."""
    output: list[Fraction | str] = []
    pending: list[str] = []
    operand = False  # an operand has just ended, so that an operator may follow
    for kind, text in tokens:
        if not operand and kind == "number":
            output.append(_number(text))
            operand = True
        elif not operand and (kind == "open" or text in ("+", "-")):
            pending += {"+": [], "-": ["neg"]}.get(text, [text])
        elif operand and kind == "close":
            _release(pending, output, 0)
            if not pending or _BRACKETS[pending.pop()] != text:
                raise CallSyntaxError(f"{text!r} closes nothing")
        elif operand and kind == "percent":
            output.append(text)
        elif operand and kind == "operator":
            _release(pending, output, _STRENGTH[text] + (text == "**"))  # a power binds from the right
            pending.append(text)
            operand = False
        else:
            missing = "an operator" if operand else "a number"
            raise CallSyntaxError(f"{missing} is missing before {text!r}")
        if len(pending) > MAX_DEPTH:
            raise LimitError(f"nested deeper than {MAX_DEPTH}")
    if not operand:
        raise CallSyntaxError("a number is missing at the end")
    _release(pending, output, 0)
    if pending:
        raise CallSyntaxError(f"{pending[-1]!r} never closes")
    return tuple(output)


def _release(pending: list[str], output: list[Fraction | str], strength: int) -> None:
    while pending and pending[-1] not in _BRACKETS and _STRENGTH[pending[-1]] >= strength:
        output.append(pending.pop())


def _number(text: str) -> Fraction:
    digits, _, exponent = text.replace(",", "").lower().partition("e")
    number = Fraction(digits.rstrip("."))
    if not exponent:
        return number
    if len(exponent) > 5 or abs(int(exponent)) > _MAX_EXPONENT:
        raise LimitError(f"{shorten(text)} is too large or too small")
    return number * Fraction(10) ** int(exponent)


def _apply(symbol: str, left: Value, right: Value) -> Value:
    try:
        return _bounded(_BINARY[symbol].apply(left, right))
    except ZeroDivisionError:
        raise UndefinedError(f"division by zero in {left!s:.40} {symbol} {right!s:.40}") from None
    except OverflowError:
        raise LimitError(f"{left!s:.40} {symbol} {right!s:.40} is beyond the range of numbers") from None


def _power(base: Value, exponent: Value) -> Value:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent == int(exponent):
        whole = int(exponent)
        if abs(whole) * _bits(base) <= MAX_BITS:
            return base**whole
    value: float | complex = float(base) ** float(exponent)
    if isinstance(value, complex):
        raise UndefinedError(f"{base!s:.40} ** {exponent!s:.40} is no real number")
    if value == 0 != base:
        raise OverflowError
    return value


def _bounded(value: Value | int) -> Value:
    """``value``, exact up to ``MAX_BITS``, else as a float."""
    if not isinstance(value, float) and _bits(value) <= MAX_BITS:
        return Fraction(value)  # "//" of two fractions is an int
    number = float(value)
    if not isfinite(number) or number == 0 != value:
        raise OverflowError
    return number


def _bits(value: Fraction | int) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _join(symbol: str, left: tuple[str, int], right: tuple[str, int]) -> tuple[str, int]:
    """The text of an operation, and how strongly it binds.

    ``//`` and ``%`` round, so a product that begins with one (``7//2*3``) is weaker: as the right side of another
    product it needs brackets.
    """
    rule = _BINARY[symbol]
    rounds = symbol in ("//", "%") or (rule.strength == _MULTIPLY and left[1] == _FLOOR)
    text = f"{_bracketed(*left, rule.left)}{symbol}{_bracketed(*right, rule.right, sign=False)}"
    return text, _FLOOR if rounds else rule.strength


def _bracketed(text: str, strength: int, least: int, *, sign: bool = True) -> str:
    return text if strength >= least and (sign or text[0] != "-") else f"({text})"
