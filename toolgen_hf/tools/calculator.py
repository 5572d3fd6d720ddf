"""The calculator: arithmetic in, a number out, and nothing else ever.

    "So she needs calculator(48+48/2) clips."   find_call -> ToolCall("calculator", "48+48/2", 13, 32)
    "48+48/2"                                   run       -> "72.0"

What may stand between the brackets, and how it is read, is said in ``tools/expression.py``.
"""

from __future__ import annotations

import re
from typing import Any, Final

from toolgen_hf.errors import CallSyntaxError, LimitError
from toolgen_hf.tools.base import ToolCall
from toolgen_hf.tools.expression import evaluate, parse, shorten

_CALL = re.compile(r"(?<!\w)calculator[ \t]*\(", re.IGNORECASE)
_PAREN = re.compile(r"[()]")


class Calculator:
    """Exact arithmetic on bounded expressions; implements :class:`toolgen_hf.tools.base.Tool`."""

    name = "calculator"
    version = 1
    parameter = "expression"

    def schema(self) -> dict[str, Any]:
        """A function of one text, the expression."""
        expression = {"type": "string", "description": "The expression, such as 48+48/2."}
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": "Computes an arithmetic expression and returns the number.",
                "parameters": {
                    "type": "object",
                    "properties": {self.parameter: expression},
                    "required": [self.parameter],
                },
            },
        }

    def find_call(self, text: str) -> ToolCall | None:
        """The first ``calculator(...)`` in ``text``, in any case, blanks before the bracket allowed.

        ``text[start:end]`` is the call as it was written. Linear in ``text``.

        Raises:
            CallSyntaxError: the first call never closes.
        """
        opening = _CALL.search(text)
        if opening is None:
            return None
        depth = 1
        for paren in _PAREN.finditer(text, opening.end()):
            depth += 1 if paren.group() == "(" else -1
            if depth == 0:
                return ToolCall(self.name, text[opening.end() : paren.start()], opening.start(), paren.end())
        raise CallSyntaxError(f"the call never closes: {shorten(text[opening.start() : opening.end() + 80])}")

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


CALCULATOR: Final = Calculator()
