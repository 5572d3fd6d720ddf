"""From what a file holds to the text a row needs: picking columns, numbers to text, no blanks.

    answers({"Answer": 51.0}, "Answer", where) -> ["51"]

Whether an answer is a *number* is for the task to say, later and row by row; that there is one is said here.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from decimal import Decimal
from typing import Final

from toolgen_hf.builders.rows import Row, fault, shorten
from toolgen_hf.errors import closest

ALIASES: Final = {
    "question": "input",
    "input": "question",
    "response": "output",
    "prediction": "pred",
    "tool_call": "tool",
}
"""What the method's published files call a column of ours."""


def named(row: Container[str], column: str) -> str:
    """The name under which a row has a column: ours, else the published one; ours where it has neither."""
    return column if column in row or ALIASES.get(column) not in row else ALIASES[column]


def pick(row: Row, column: str, where: str) -> object:
    """A row's value. Raises `DataError` with the nearest name if there is no such column."""
    try:
        return row[column]
    except KeyError:
        message = f"no column {column!r}; there is {known(row)}{nearest(column, row)}"
        raise fault(where, message) from None


def known(choices: Iterable[str]) -> str:
    """Choices for a message: ``'a', 'b'``."""
    return ", ".join(repr(choice) for choice in choices) or "nothing"


def nearest(name: object, choices: Iterable[str]) -> str:
    """`` . Did you mean 'answer'?`` for ``'Answer'``, nothing if no choice is near."""
    found = closest(str(name), choices)
    return f". Did you mean {found!r}?" if found else ""


def text(row: Row, column: str, where: str) -> str:
    """A column's text, a number written out. Raises `DataError` if it is null or blank."""
    return _filled(pick(row, column, where), column, where)


def optional_text(row: Row, column: str, where: str) -> str | None:
    """A column's text, or None if it is null or blank."""
    value = pick(row, column, where)
    found = "" if value is None else as_text(value, column, where)
    return found if found.strip() else None


def answers(row: Row, column: str, where: str) -> list[str]:
    """Every accepted answer: a list's items, or the one value. Raises `DataError` if there is none."""
    value = pick(row, column, where)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise fault(where, f"{column!r} is an empty list: give at least one answer")
    return [_filled(item, column, where) for item in values]


def as_text(value: object, column: str, where: str) -> str:
    """Text as it is, a number in its plainest form: ``51.0 -> "51"``, ``1e-07 -> "0.0000001"``."""
    if isinstance(value, str):
        _check_unicode(value, column, where)
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        raise fault(where, f"{column!r} is {shorten(value)}, neither text nor a number: write it as text")
    if value == int(value):
        return str(int(value))
    return format(Decimal(str(value)), "f")


def _filled(value: object, column: str, where: str) -> str:
    if value is None:
        raise fault(where, f"{column!r} is null: give it a value, or drop the row")
    result = as_text(value, column, where)
    if not result.strip():
        raise fault(where, f"{column!r} is blank ({shorten(result)}): give it a value, or drop the row")
    return result


def _check_unicode(value: str, column: str, where: str) -> None:
    """JSON can spell half of a surrogate pair, which no file in UTF-8 (and no Arrow table) can hold."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        found = ascii(value[error.start])
        raise fault(where, f"{column!r} holds {found}, half of a character: repair it") from None
