"""From what a file holds to the text a row needs: picking columns, numbers to text, no blanks.

    answers({"Answer": 51.0}, "Answer", where) -> ["51"]
    answers({"answer": {"value": "8", "aliases": ["8", "eight"]}}, "answer.aliases", where) -> ["8", "eight"]

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
MAX_BITS: Final = 14_000  # about 4,200 digits


def named(row: Container[str], column: str) -> str:
    """The name under which a row has a column: ours, else the published one; ours where it has neither."""
    return column if column in row or ALIASES.get(column) not in row else ALIASES[column]


def pick(row: Row, column: str, where: str) -> object:
    """A row's value, by the name of a column or by a path: ``answer.value``, ``choices.0.text``.

    A column that is called like the path is taken before it. Of a list of objects, ``answers.text`` is the list of
    their texts.

    Raises:
        DataError: there is no such column; names the part that is missing, what is there, and the nearest name.
    """
    return _at(row, column.split("."), [], where) if column not in row else row[column]


def _at(value: object, parts: list[str], above: list[str], where: str) -> object:
    """What is at the rest of a path, ``parts``, of a value that is at ``above``."""
    if not parts:
        return value
    if isinstance(value, dict):
        for count in range(len(parts), 0, -1):  # a name with a dot in it comes first
            name = ".".join(parts[:count])
            if name in value:
                return _at(value[name], parts[count:], [*above, name], where)
        missing = ".".join(parts) if not above else parts[0]
        place = f" in {'.'.join(above)!r}" if above else ""
        hint = nearest(missing, map(str, value))
        raise fault(where, f"no column {missing!r}{place}; there is {known(map(str, value))}{hint}")
    if isinstance(value, list) and not parts[0].isdecimal():
        return [_at(item, parts, [*above, str(n)], where) for n, item in enumerate(value)]
    whole = repr(".".join([*above, *parts]))
    if isinstance(value, list):
        if int(parts[0][:9]) < len(value):
            return _at(value[int(parts[0])], parts[1:], [*above, parts[0]], where)
        found = f"{'.'.join(above)!r} has {len(value)} items, counted from 0"
        raise fault(where, f"no column {whole}: {found}")
    found = "null" if value is None else f"{shorten(value)}, which has no parts"
    raise fault(where, f"no column {whole}: {'.'.join(above)!r} is {found}")


def known(choices: Iterable[str]) -> str:
    """Choices for a message: ``'a', 'b'``."""
    return ", ".join(repr(choice) for choice in choices) or "nothing"


def nearest(name: object, choices: Iterable[str]) -> str:
    """`` . Did you mean 'answer'?`` for ``'Answer'``, nothing if no choice is near."""
    found = closest(str(name), choices)
    return f". Did you mean {found!r}?" if found else ""


def text(row: Row, column: str, where: str) -> str:
    """A column's text, a number written out; a list of one is that one. Raises `DataError` if it is null or blank."""
    return _filled(_only(pick(row, column, where), column, where), column, where)


def optional_text(row: Row, column: str, where: str) -> str | None:
    """A column's text, or None if it is null or blank; a list of one is that one."""
    value = pick(row, column, where)
    value = None if value == [] else _only(value, column, where)
    found = "" if value is None else as_text(value, column, where)
    return found if found.strip() else None


def optional_lines(row: Row, column: str, where: str) -> str | None:
    """As `optional_text`, each item of a list on a line of its own: the steps of a solution."""
    value = pick(row, column, where)
    items = value if isinstance(value, list) else [value]
    found = "\n".join(as_text(item, column, where) for item in items if item is not None)
    return found if found.strip() else None


def _only(value: object, column: str, where: str) -> object:
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    if isinstance(value, list) and len(value) > 1:
        raise fault(
            where, f"{column!r} is a list of {len(value)}: name one of its items, such as '{column}.0'"
        )
    return value


def answers(row: Row, column: str, where: str) -> list[str]:
    """Every accepted answer: a list's items, also of lists in it, or the one value.

    Raises:
        DataError: there is none, or one is null, blank, or neither text nor a number.
    """
    values = _flat(pick(row, column, where))
    if not values:
        raise fault(where, f"{column!r} is an empty list: give at least one answer")
    return [_filled(item, column, where) for item in values]


def _flat(value: object) -> list[object]:
    return [one for item in value for one in _flat(item)] if isinstance(value, list) else [value]


def as_text(value: object, column: str, where: str) -> str:
    """Text as it is, a number in its plainest form: ``51.0 -> "51"``, ``1e-07 -> "0.0000001"``."""
    if isinstance(value, str):
        _check_unicode(value, column, where)
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not _is_number(value):
        raise fault(where, f"{column!r} is {shorten(value)}, neither text nor a number: write it as text")
    if value == int(value):
        return str(int(value))
    return format(Decimal(str(value)), "f")


def _is_number(value: float | Decimal) -> bool:
    """Whether it is finite; of an integer, whether Python writes it out."""
    return value.bit_length() < MAX_BITS if isinstance(value, int) else math.isfinite(value)


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
