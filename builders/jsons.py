"""Rows of JSON: JSON Lines, objects one after another, one array, or one object that holds the rows as its list.

    {"question": "...", "answer": 3}                        rows.jsonl
    [{"question": "...", "answer": 3}, ...]                 rows.json
    {"version": "1.1", "data": [{"question": ...}, ...]}    wrapped.json

Values are decoded one by one from a window on the file, so that the line on which each begins is known, and a file
needs no more memory than its largest row. (`pyarrow.json` and `datasets` know no lines; `json.load` takes it whole.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from toolgen_hf.builders.content import FIGURES, MAX_ROW, ending, fault, is_cut, lines, shorten, text_of
from toolgen_hf.errors import DataError

OF_A_ROW: Final = frozenset(
    (
        *("id", "question", "input", "query", "instruction", "prompt"),
        *("answer", "solution", "output", "response", "responses", "origin"),
    )
)
"""Columns of a row: an object with one of them is a row, whatever lists it holds."""

_BLANKS = re.compile(r"[ \t\r\n]*")
_CHUNK: Final = 2**18
_MAX_DIGITS: Final = 4000  # Python converts no longer ones


def _integer(digits: str) -> int | str:
    """A number; one that Python does not convert stays text."""
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


_DECODER = json.JSONDecoder(parse_int=_integer)


def json_rows(path: Path, wanted: Collection[str] = ()) -> Iterator[tuple[str, object]]:
    """The values that should be rows, each with its place.

    Args:
        wanted: columns that are asked for: an object that has one is a row.

    Raises:
        DataError: the JSON is malformed, or is one object with several lists; names file and line.
    """
    outline: dict[str, object] = {}
    broken: DataError | None = None
    with text_of(path) as text:
        window = _Window(path, text.read)
        if window.peek() == "[":
            yield from window.items()
            window.expect_end("one array")
            return
        start = window.line()
        try:
            outline = window.outline() if window.peek() == "{" else {}
        except DataError as error:
            broken = error
        end = window.failed or window.line()
        is_alone = broken is None and not window.peek()
    if broken is not None and end > start and ending(path) not in (".jsonl", ".ndjson"):
        raise broken
    key = _rows_key(outline, f"{path}:{start}", wanted) if is_alone else None
    if key is not None:
        yield from _wrapped(path, key)
    elif broken is None and end > start:
        yield from _one_after_another(path)
    else:
        yield from _lines(path)


def _rows_key(outline: Mapping[str, object], where: str, wanted: Collection[str]) -> str | None:
    """The key of the list that is the rows, None if the object is a row itself."""
    if not outline or {key.lower() for key in outline} & OF_A_ROW or set(outline) & set(wanted):
        return None
    tables = [key for key, first in outline.items() if isinstance(first, dict)]
    if len(tables) > 1:
        lists = ", ".join(map(repr, tables))
        raise fault(
            where, f"one object with the lists {lists}: save the list of each split in a file of its own"
        )
    empty = [key for key, first in outline.items() if first is _NOTHING]
    return next(iter([*tables, *empty]), None)


def _wrapped(path: Path, key: str) -> Iterator[tuple[str, object]]:
    with text_of(path) as text:
        window = _Window(path, text.read)
        for found in window.entries():
            if found == key:
                yield from window.items()
            else:
                window.skip()


def _one_after_another(path: Path) -> Iterator[tuple[str, object]]:
    with text_of(path) as text:
        window = _Window(path, text.read)
        while window.peek():
            yield window.value()


def _lines(path: Path) -> Iterator[tuple[str, object]]:
    for where, line in lines(path):
        if line.strip() and not FIGURES.fullmatch(line):
            try:
                yield where, _DECODER.decode(line)
            except (ValueError, RecursionError) as error:
                found = shorten(line.rstrip("\r\n"))
                form = "Each line must hold one JSON object, or the file one array"
                raise fault(where, f"not valid JSON ({error}): {found}. {form}") from None


_NOTHING: Final = object()
"""The first item of an empty list."""


class _Window:
    """The part of a JSON text that is being decoded; it slides on, and grows with a value that is larger."""

    def __init__(self, path: Path, read: Any) -> None:
        self._path, self._read = path, read
        self._text, self._at, self._counted, self._line = "", 0, 0, 1
        self._is_last = False
        self.failed = 0
        """The line on which a value broke off."""

    def line(self) -> int:
        """The line of what comes next."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def peek(self) -> str:
        """The next character that is not blank, ``""`` at the end."""
        while True:
            self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text) or not self._grow():
                return self._text[self._at : self._at + 1]

    def value(self) -> tuple[str, Any]:
        """The next value, with its place."""
        self.peek()
        where = f"{self._path}:{self.line()}"
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._is_last or not is_cut(error, self._text):
                    self.failed = self._line + self._text.count("\n", self._at, error.pos)
                    place = "" if self.failed == self._line else f" in line {self.failed}"
                    is_whole = self._text.rstrip().endswith(("]", "}"))
                    cut = "" if is_whole else ". Is the file cut short?"
                    raise fault(
                        where, f"not valid JSON in the row that starts here ({error.msg}{place}){cut}"
                    ) from None
            except (ValueError, RecursionError) as error:
                self.failed = self._line
                raise fault(where, f"not valid JSON in the row that starts here ({error})") from None
            else:
                if end < len(self._text) or self._is_last:  # or a number might go on
                    self._at = end
                    return where, value
            if len(self._text) - self._at > MAX_ROW:
                raise fault(where, f"the row that starts here has more than {MAX_ROW:,} characters")
            self._grow()

    def items(self) -> Iterator[tuple[str, Any]]:
        """The items of the array that comes next."""
        self._take("[")
        while self.peek() != "]":
            yield self.value()
            if self.peek() == ",":
                self._at += 1
                if self.peek() == "]":
                    raise self._fault("a comma stands before the closing ']': delete it")
            elif self.peek() != "]":
                raise self._fault(f"expected ',' or ']' after an item of the array, found {self._found()}")
        self._at += 1

    def entries(self) -> Iterator[str]:
        """The keys of the object that comes next; whoever iterates takes each value before the next key."""
        self._take("{")
        while self.peek() != "}":
            _, key = self.value()
            if not isinstance(key, str):
                raise self._fault(f"expected a key in quotes, found {shorten(key)}")
            self.peek()
            self._take(":")
            yield key
            if self.peek() == ",":
                self._at += 1
                if self.peek() == "}":
                    raise self._fault("a comma stands before the closing '}': delete it")
            elif self.peek() != "}":
                raise self._fault(f"expected ',' or '}}' after a value, found {self._found()}")
        self._at += 1

    def skip(self) -> object:
        """Pass over the next value. The first item of a list (``_NOTHING`` if it has none); None of another."""
        if self.peek() != "[":
            self.value()
            return None
        first: object = _NOTHING
        for _, item in self.items():
            first = item if first is _NOTHING else first
        return first

    def outline(self) -> dict[str, object]:
        """Of the object that comes next, the first item of each list by its key; None where there is no list."""
        return {key: self.skip() for key in self.entries()}

    def expect_end(self, what: str) -> None:
        """Raises `DataError` unless nothing follows."""
        if self.peek():
            raise self._fault(f"expected {what}, found {self._found()} after it")

    def _take(self, sign: str) -> None:
        if self.peek() != sign:
            raise self._fault(f"expected {sign!r}, found {self._found()}")
        self._at += 1

    def _found(self) -> str:
        rest = self._text[self._at : self._at + 20]
        return shorten(rest) if rest else "the end of the file: is it cut short?"

    def _fault(self, message: str) -> DataError:
        self.failed = self.line()
        return fault(f"{self._path}:{self.failed}", f"not valid JSON: {message}")

    def _grow(self) -> bool:
        """Read on, as much again as is waiting; False at the end of the file."""
        self.line()
        waiting = self._text[self._at :]
        more = self._read(max(_CHUNK, len(waiting)))
        self._text, self._at, self._counted = waiting + more, 0, 0
        self._is_last = not more
        return bool(more)
