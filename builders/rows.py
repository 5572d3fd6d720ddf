"""Reads rows from JSON, JSON Lines, CSV and Parquet, each with its place in the file.

    for where, row in read_rows(Path("data/train.jsonl")):
        ...  # "data/train.jsonl:1", {"question": "...", "answer": "... #### 72"}

JSON may be JSON Lines, objects one after another, one array, or one object that holds the rows as its list:

    {"question": "...", "answer": 3}                        rows.jsonl
    [{"question": "...", "answer": 3}, ...]                 rows.json
    {"version": "1.1", "data": [{"question": ...}, ...]}    wrapped.json

Every fault in a file is a `DataError` that names the file and the line. (`pyarrow` and `datasets` do not report lines.)
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import dropwhile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from toolgen_hf.builders.content import (
    MAX_LINE,
    SCORES_LINE,
    delimiter_of,
    ending,
    fault,
    form_of,
    head_text,
    lines,
    shorten,
    text_of,
)
from toolgen_hf.errors import DataError

__all__ = ["Row", "check_new_id", "columns", "fault", "read_rows", "shorten", "some_ids"]

Row = dict[str, Any]

_ROW_COLUMNS: Final = frozenset(
    (
        *("id", "question", "input", "query", "instruction", "prompt"),
        *("answer", "solution", "output", "response", "responses", "origin"),
    )
)
"""An object with one of these columns is a row, even if it holds lists."""

_SEP = re.compile(r"sep=(.)\r?\n?")  # a line that tells Excel the delimiter
_BLANKS = re.compile(r"[ \t\r\n]*")
_MAX_DIGITS: Final = 4000  # Python converts no longer numbers
_DECODER = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) <= _MAX_DIGITS else digits)


def read_rows(
    path: Path, wanted: Collection[str] = (), ids: Collection[str] | None = None
) -> Iterator[tuple[str, Row]]:
    """Each row of a file as ``(where, row)``; ``where`` is ``"path:line"``, of Parquet ``"path, row n"``.

    The content decides how the file is read: Parquet; JSON (an article in SQuAD's form gives a row for each
    question); else a table with a header line, columns separated by ``,`` ``;`` ``|`` or tabs, and cells as text.
    Text may be compressed (gzip, bzip2, xz, Zstandard), and in UTF-8, UTF-16 or UTF-32. Blank lines are skipped.

    Args:
        wanted: columns that the caller needs. An object with one of them is a row; the delimiter of a table is the
            one that gives most of them.
        ids: if given, only rows with these ids are read.

    Raises:
        DataError: at the first fault in the file.
    """
    form = form_of(path)
    if form == "parquet":
        found = _parquet(path, ids)
    else:
        found = (_csv if form == "csv" else _json)(path, {name.split(".")[0] for name in wanted})
    for where, row in found:
        if not isinstance(row, dict):
            raise fault(where, f"expected an object with named columns, found {shorten(row)}")
        if ids is None or row.get("id") in ids:
            yield from ((where, flat) for flat in _questions(row))


def check_new_id(key: str, where: str, places: dict[str, str]) -> None:
    """Note the place of a row's id.

    Args:
        places: the ids so far, each with its place; gets this one.

    Raises:
        DataError: an earlier row has the same id.
    """
    if places.setdefault(key, where) != where:
        raise fault(where, f"the id {key!r} is already that of {places[key]}; ids must be unique")


def columns(path: Path) -> set[str]:
    """The columns of a Parquet file. The set is empty for a damaged file or another kind of file."""
    try:
        return set(pq.read_schema(path).names) if path.suffix.lower() == ".parquet" else set()
    except (pa.ArrowException, OSError):
        return set()


def _questions(row: Row) -> Iterator[Row]:
    """The row. An article in SQuAD's form, ``{"paragraphs": [{"context", "qas": [...]}]}``, gives its questions."""
    paragraphs = row.get("paragraphs")
    if not isinstance(paragraphs, list) or not all(
        isinstance(part, dict) and isinstance(part.get("qas"), list) for part in paragraphs
    ):
        yield row
        return
    article = {name: value for name, value in row.items() if name != "paragraphs"}
    for part in paragraphs:
        shared = {name: value for name, value in part.items() if name != "qas"}
        yield from ({**article, **shared, **one} for one in part["qas"] if isinstance(one, dict))


def some_ids(paths: Iterable[Path], step: int) -> list[str]:
    """Every ``step``-th id of Parquet files with a column of ids. Raises `DataError` for a damaged file."""
    found: list[str] = []
    for path in paths:
        try:
            found += map(str, pq.read_table(path, columns=["id"])["id"][::step].to_pylist())
        except (pa.ArrowException, OSError, KeyError) as error:
            raise fault(str(path), f"its ids cannot be read ({error}). Is it whole?") from None
    return found


def _parquet(path: Path, ids: Collection[str] | None) -> Iterator[tuple[str, object]]:
    start = 0
    wanted = None if ids is None else pa.array(sorted(ids), pa.string())
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=10_000):
                at = np.arange(batch.num_rows)
                if wanted is not None and "id" in batch.schema.names:
                    at = np.flatnonzero(pc.is_in(batch["id"].cast(pa.string()), value_set=wanted))
                for number, row in zip(at.tolist(), batch.take(pa.array(at)).to_pylist(), strict=True):
                    yield f"{path}, row {start + number}", row
                start += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise fault(str(path), f"cannot be read as Parquet ({error}). Is it whole?") from None


def _csv(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, object]]:
    head = head_text(path)
    newline = "\r" if "\r" in head and "\n" not in head else "\n"
    told = _SEP.match(head)
    delimiter = told[1] if told else delimiter_of(head, wanted)
    later = head.lstrip().split("\n", 1)[0].split(delimiter)[1:]
    is_spaced = bool(later) and all(cell.startswith(" ") for cell in later)  # as in "question, answer"
    csv.field_size_limit(MAX_LINE)  # the default is 128 KiB, and a long document has more
    text = dropwhile(_SEP.fullmatch, (line for _, line in lines(path, newline)))
    reader = csv.reader(text, strict=True, delimiter=delimiter, skipinitialspace=is_spaced)
    header: list[str] = []
    first = line = 2 if told else 1
    try:
        for cells in reader:
            where, line = f"{path}:{line}", reader.line_num + first  # a quoted cell may span lines
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = cells
                if twice := [name for i, name in enumerate(cells) if name and name in cells[:i]]:
                    raise fault(where, f"two columns are called {twice[0]!r}; the header is {shorten(cells)}")
            elif len(cells) != len(header):
                found = f"{len(cells)} cells {shorten(cells)} under {len(header)} columns {shorten(header)}"
                way = f"Quote a cell that holds {delimiter!r}, which separates the columns"
                raise fault(where, f"{found}. {way}")
            else:
                yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise fault(
            f"{path}:{line}", f"not valid CSV with columns separated by {delimiter!r} ({error})"
        ) from None


def _json(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, object]]:
    """The values that should be rows. JSON Lines are read line by line, anything else is read whole."""
    if not _begins_with_lines(head_text(path)):
        with text_of(path) as file:
            text = _JsonText(path, file.read())
        if text.peek() == "[":
            yield from text.items()
            text.expect_end()
            return
        start = text.line()
        try:
            lists = text.lists() if text.peek() == "{" else {}
        except DataError:
            if text.failed > start and ending(path) not in (".jsonl", ".ndjson"):
                raise
        else:
            end, is_alone = text.line(), not text.peek()
            key = _rows_key(lists, f"{path}:{start}", wanted) if is_alone else None
            if key is not None or end > start:
                text.go_to(lists[key][1] if key is not None else (0, 1))
                yield from text.items() if key is not None else text.values()
                return
    for where, line in lines(path):
        if line.strip() and not SCORES_LINE.fullmatch(line):
            try:
                yield where, _DECODER.decode(line)
            except (ValueError, RecursionError) as error:
                found = shorten(line.rstrip("\r\n"))
                form = "Each line must hold one JSON object, or the file one array"
                raise fault(where, f"not valid JSON ({error}): {found}. {form}") from None


def _begins_with_lines(head: str) -> bool:
    """Whether the first line is a whole object and others follow, or the text is not JSON at all."""
    first, _, rest = head.lstrip().partition("\n")
    try:
        return not first.startswith("[") and bool(rest.strip()) and isinstance(_DECODER.decode(first), dict)
    except (ValueError, RecursionError):
        return not first.startswith("{")


_EMPTY: Final = object()
"""Stands for the first item of an empty list."""
Place = tuple[int, int]
"""The index of a character, and its line."""


def _rows_key(lists: dict[str, tuple[object, Place]], where: str, wanted: Collection[str]) -> str | None:
    """The key of the list that holds the rows; None if the object is a row itself."""
    if {key.lower() for key in lists} & _ROW_COLUMNS or set(lists) & set(wanted):
        return None
    tables = [key for key, (first, _) in lists.items() if isinstance(first, dict)]
    if len(tables) > 1:
        found = ", ".join(map(repr, tables))
        raise fault(
            where, f"one object with the lists {found}: save the list of each split in a file of its own"
        )
    return next(iter([*tables, *(key for key, (first, _) in lists.items() if first is _EMPTY)]), None)


class _JsonText:
    """A JSON text that is decoded value by value, so that the line of each value is known."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._text = path, text
        self.go_to((0, 1))
        self.failed = 0
        """The line of the last fault."""

    def go_to(self, place: Place) -> None:
        self._at, self._line = place
        self._counted = self._at

    def line(self) -> int:
        """The line of what comes next."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def peek(self) -> str:
        """The next character that is not blank; ``""`` at the end."""
        self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]
        return self._text[self._at : self._at + 1]

    def value(self) -> tuple[str, Any]:
        """The next value, with its place."""
        self.peek()
        where = f"{self._path}:{self.line()}"
        try:
            value, self._at = _DECODER.raw_decode(self._text, self._at)
        except (ValueError, RecursionError) as error:
            message, self.failed = str(error), self._line
            if isinstance(error, json.JSONDecodeError):
                message = error.msg
                self.failed += self._text.count("\n", self._at, error.pos)
            place = "" if self.failed == self._line else f" in line {self.failed}"
            cut = "" if self._text.rstrip().endswith(("]", "}")) else ". Is the file cut short?"
            raise fault(
                where, f"not valid JSON in the row that starts here ({message}{place}){cut}"
            ) from None
        return where, value

    def values(self) -> Iterator[tuple[str, Any]]:
        """The values up to the end."""
        while self.peek():
            yield self.value()

    def items(self) -> Iterator[tuple[str, Any]]:
        """The items of the array that comes next."""
        for _ in self._members("[", "]", "an item of the array"):
            yield self.value()

    def lists(self) -> dict[str, tuple[object, Place]]:
        """Read the next object: key -> the first item of its list (None for another value), and the place."""
        found: dict[str, tuple[object, Place]] = {}
        for _ in self._members("{", "}", "a value"):
            _, key = self.value()
            if not isinstance(key, str):
                raise self._fault(f"expected a key in quotes, found {shorten(key)}")
            self._take(":")
            is_list, place = self.peek() == "[", (self._at, self.line())
            first = _EMPTY if is_list else None
            for _, item in self.items() if is_list else [self.value()]:
                first = item if first is _EMPTY else first
            found[key] = first, place
        return found

    def expect_end(self) -> None:
        if self.peek():
            raise self._fault(f"expected one array, found {self._found()} after it")

    def _members(self, opening: str, closing: str, what: str) -> Iterator[None]:
        """Read the next array or object. Yields before each member, and the caller reads the member."""
        self._take(opening)
        while self.peek() != closing:
            yield
            if self.peek() == ",":
                self._at += 1
                if self.peek() == closing:
                    raise self._fault(f"there is a comma before the closing {closing!r}: delete it")
            elif self.peek() != closing:
                raise self._fault(f"expected ',' or {closing!r} after {what}, found {self._found()}")
        self._at += 1

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
