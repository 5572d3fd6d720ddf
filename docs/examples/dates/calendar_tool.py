"""A tool: date arithmetic, as one call.

    "calendar(days_between(2024-01-31, 2024-03-01))"         -> "30"
    "calendar(weekday(add_days(2024-01-31, 45)))"            -> "Saturday"

    value  =  date | whole number | add_days(date, number) | days_between(date, date) | weekday(date)

A model writes the text between the brackets. One regular expression cuts it into tokens, and the grammar above parses
them. The three functions are the only names. Length, depth and dates are limited.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

from toolgen_hf.errors import CallSyntaxError, ForbiddenError, LimitError
from toolgen_hf.tools import Tool

MAX_LENGTH: Final = 200
MAX_DEPTH: Final = 8
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_TOKEN = re.compile(
    r"\s*(?:(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})(?![0-9-])|(?P<number>-?[0-9]{1,7})(?![0-9])"
    r"|(?P<name>[^\W\d]\w*)|(?P<mark>[(),]))\s*"
)


def add_days(start: date, days: int) -> date:
    """The date ``days`` days later, or earlier if ``days`` is negative."""
    return start + timedelta(days=days)


def days_between(start: date, end: date) -> int:
    """The number of days from ``start`` to ``end``; negative if ``end`` is earlier."""
    return (end - start).days


def weekday(day: date) -> str:
    """The English name of the weekday."""
    return WEEKDAYS[day.weekday()]


FUNCTIONS: Final[dict[str, tuple[Callable[..., Any], tuple[type, ...]]]] = {
    "add_days": (add_days, (date, int)),
    "days_between": (days_between, (date, date)),
    "weekday": (weekday, (date,)),
}


class Calendar(Tool):
    """Dates of the Gregorian calendar, written ``2024-01-31``."""

    name = "calendar"
    version = 1
    description = (
        "Computes add_days(date, n), days_between(date, date) or weekday(date); a date is 2024-01-31."
    )
    parameter = "expression"
    parameter_description = "The expression, such as weekday(add_days(2024-01-31, 45))."

    def run(self, argument: str) -> str:
        """``"2024-03-16"``, ``"30"`` or ``"Saturday"``.

        Raises:
            CallSyntaxError: it is not an expression, or a function gets the wrong arguments.
            ForbiddenError: it has a name that is not one of the three functions.
            LimitError: it is too long or too deep, or a date is not in the years 1 to 9999.
        """
        if len(argument) > MAX_LENGTH:
            raise LimitError(
                f"the expression has {len(argument)} characters; at most {MAX_LENGTH} are allowed"
            )
        value, rest = _value(_tokens(argument), 0)
        if rest:
            raise CallSyntaxError(f"{rest[0][1]!r} is out of place in {argument!r}")
        return str(value)  # a date becomes 2024-03-16


Token = tuple[str, str]


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise CallSyntaxError(f"{text[at:].strip()[:20]!r} is out of place in {text!r}")
        tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
        at = match.end()
    return tokens


def _value(tokens: list[Token], depth: int) -> tuple[Any, list[Token]]:
    """The value at the start of the tokens, and the tokens after it."""
    if not tokens:
        raise CallSyntaxError("a date, a number or a function is missing at the end")
    if depth > MAX_DEPTH:
        raise LimitError(f"the expression is nested deeper than {MAX_DEPTH}")
    (kind, text), rest = tokens[0], tokens[1:]
    if kind == "name":
        return _call(text, rest, depth)
    if kind == "mark":
        raise CallSyntaxError(f"a date, a number or a function is missing before {text!r}")
    try:
        return (date.fromisoformat(text) if kind == "date" else int(text)), rest
    except ValueError:
        raise LimitError(f"{text!r} is no date of the calendar") from None


def _call(name: str, tokens: list[Token], depth: int) -> tuple[Any, list[Token]]:
    if name not in FUNCTIONS:
        raise ForbiddenError(
            f"{name!r} is not a function of the calendar; the functions are {', '.join(FUNCTIONS)}"
        )
    function, kinds = FUNCTIONS[name]
    values: list[Any] = []
    for mark in ["(", *[","] * (len(kinds) - 1)]:
        tokens = _after(mark, tokens, name)
        value, tokens = _value(tokens, depth + 1)
        values.append(value)
    tokens = _after(")", tokens, name)
    if [type(value) for value in values] != list(kinds):
        raise CallSyntaxError(f"{name} takes {', '.join(kind.__name__ for kind in kinds)}, not {values!r}")
    try:
        return function(*values), tokens
    except OverflowError:
        raise LimitError(f"the result of {name} is not in the years 1 to 9999") from None


def _after(mark: str, tokens: list[Token], name: str) -> list[Token]:
    if not tokens or tokens[0] != ("mark", mark):
        raise CallSyntaxError(f"{mark!r} is missing in {name}")
    return tokens[1:]


CALENDAR: Final = Calendar()
