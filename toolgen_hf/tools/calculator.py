"""The calculator: it takes arithmetic, returns a number, and runs nothing else.

    "So she needs calculator(48+48/2) clips."   find_call -> ToolCall("calculator", "48+48/2", 13, 32)
    "48+48/2"                                   run       -> "72.0"

``tools/expression.py`` says what may stand between the brackets and how it is read.
"""

from __future__ import annotations

import re
from typing import Final

from toolgen_hf.errors import LimitError, ToolError
from toolgen_hf.tools.base import Tool
from toolgen_hf.tools.expression import evaluate, parse, shorten

_KEYWORD = re.compile(r"\s*[^\W\d]\w+\s*=\s*")
_NESTED = re.compile(r"\bcalculator[ \t]*(?=\()", re.IGNORECASE)
_CALCULATION = re.compile(r"[0-9)\]}%.]\s*[-+*/^×÷−]|[+*/^×÷]\s*[0-9(\[$]|\s[-−]\s*[0-9]")
_WORDS = re.compile(r"\s*[^\W\d_]{2,},?\s+[^\W\d_]{2,}")


class Calculator(Tool):
    """Exact arithmetic on expressions of limited size."""

    name = "calculator"
    version = 1
    description = "Computes an arithmetic expression and returns the number."
    parameter = "expression"
    parameter_description = "The expression, such as 48+48/2."

    def run(self, argument: str) -> str:
        """The value as Python prints a float: ``"57.0"``, ``"16.666666666666668"``, ``"1e+16"``.

        Raises:
            CallSyntaxError: not an arithmetic expression.
            ForbiddenError: a name, a string, or other things that a calculator never runs.
            LimitError: too long, too deep, or beyond the range of a float.
            UndefinedError: division by zero, or no real result.
        """
        value = evaluate(parse(argument))
        try:
            result = float(value)
        except OverflowError:
            raise LimitError(f"the result of {shorten(argument)} is beyond the range of a float") from None
        if result == 0 != value:
            raise LimitError(f"the result of {shorten(argument)} is too small for a float")
        return repr(result + 0.0)  # -0.0 + 0.0 is 0.0

    def is_argument(self, argument: str) -> bool:
        """True for an expression and for a calculation that goes wrong (``"3 apples*6"``), not for ``"a tool"``."""
        if _WORDS.match(argument) or not any(character.isdigit() for character in argument):
            return False
        try:
            parse(argument)
        except ToolError:
            return _CALCULATION.search(argument) is not None
        return True

    def bare(self, argument: str) -> str:
        """The same as in every tool. A call in a call becomes its expression: ``calculator(calculator(3*6)-2)``."""
        value = super().bare(argument)
        return _NESTED.sub("", _KEYWORD.sub("", value, count=1) if _KEYWORD.match(value) else value)


CALCULATOR: Final = Calculator()
