"""From the values in a file to the text of a row: picking columns, writing numbers as text, refusing blanks.

    answers({"Answer": 51.0}, "Answer", where) -> ["51"]
    answers({"answer": {"value": "8", "aliases": ["8", "eight"]}}, "answer.aliases", where) -> ["8", "eight"]

Every row must have an answer; whether it is a *number*, the task decides later.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from decimal import Decimal
from typing import Final

from toolgen_hf.builders.rows import Row, fault, shorten
from toolgen_hf.errors import did_you_mean

ALIASES: Final = {
    "question": "input",
    "input": "question",
    "response": "output",
    "prediction": "pred",
    "tool_call": "tool",
}
"""Our name of a column -> its name in the method's published files."""
MAX_BITS: Final = 14_000  # about 4,200 digits; Python writes out no longer integer


def named(row: Container[str], column: str) -> str:
    """The name of a column in a row: the published name if the row has that alone, else ours."""
    return column if column in row or ALIASES.get(column) not in row else ALIASES[column]


def pick(row: Row, column: str, where: str) -> object:
    """A row's value, by the name of a column or by a path: ``answer.value``, ``choices.0.text``.

    A column with the whole path as its name comes first. For a list of objects, ``answers.text`` is the list of their
    texts.

    Raises:
        DataError: the column does not exist. Names the missing part, the columns, and the nearest name.
    """
    return _at(row, column.split("."), [], where) if column not in row else row[column]


def _at(value: object, parts: list[str], above: list[str], where: str) -> object:
    """The value at the path ``parts`` in ``value``, which is itself at the path ``above`` in its row."""
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
    """``". Did you mean 'answer'?"`` for ``"Answer"``; ``""`` if no choice is near."""
    return did_you_mean(str(name), choices, ". Did you mean {!r}?")


def text(row: Row, column: str, where: str) -> str:
    """The text of a column. A number is written out, and a list of one item gives the item.

    Raises:
        DataError: it is null or blank.
    """
    return _filled(_only(pick(row, column, where), column, where), column, where)


def optional_text(row: Row, column: str, where: str) -> str | None:
    """The same as `text`, but None if the column is null or blank."""
    value = pick(row, column, where)
    value = None if value == [] else _only(value, column, where)
    found = "" if value is None else as_text(value, column, where)
    return found if found.strip() else None


def optional_lines(row: Row, column: str, where: str) -> str | None:
    """The same as `optional_text`. A list, such as the steps of a solution, gives one line for each item."""
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


def answers(row: Row, column: str, where: str, may_lack: bool = False) -> list[str]:
    """Every accepted answer, once: the one value, or the items of a list and of lists in it.

    Args:
        may_lack: leave out null and blank ones; then the list may be empty.

    Raises:
        DataError: there is none, or one is null, blank, or neither text nor a number.
    """
    values = _flat(pick(row, column, where))
    if may_lack:
        values = [item for item in values if item is not None and str(item).strip()]
    elif not values:
        raise fault(where, f"{column!r} is an empty list: give at least one answer")
    return list(dict.fromkeys(_filled(item, column, where) for item in values))


def _flat(value: object) -> list[object]:
    return [one for item in value for one in _flat(item)] if isinstance(value, list) else [value]


def as_text(value: object, column: str, where: str) -> str:
    """Text as it is, a number in its plainest form: ``51.0 -> "51"``, ``1e-07 -> "0.0000001"``.

    Raises:
        DataError: the value is neither text nor a finite number, or UTF-8 cannot hold the text.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair
            found = ascii(value[error.start])
            raise fault(where, f"{column!r} holds {found}, half of a character: repair it") from None
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < MAX_BITS:
        return str(value)
    if not isinstance(value, float | Decimal) or not math.isfinite(value):
        raise fault(where, f"{column!r} is {shorten(value)}, neither text nor a number: write it as text")
    return str(int(value)) if value == int(value) else format(Decimal(str(value)), "f")


def _filled(value: object, column: str, where: str) -> str:
    if value is None:
        raise fault(where, f"{column!r} is null: give it a value, or drop the row")
    result = as_text(value, column, where)
    if not result.strip():
        raise fault(where, f"{column!r} is blank ({shorten(result)}): give it a value, or drop the row")
    return result
