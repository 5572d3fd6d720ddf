"""Reading rows from JSON Lines, JSON arrays, CSV and Parquet, each with the place it stands at.

    for where, row in read_rows(Path("data/train.jsonl")):
        ...  # "data/train.jsonl:1", {"question": "...", "answer": "... #### 72"}

Whatever is wrong with a file is a `DataError` that names the file and the line.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toolgen_hf.errors import DataError

Row = dict[str, Any]

_BOM = b"\xef\xbb\xbf"  # spreadsheet programs put it at the start of "CSV UTF-8"
_BLANK = " \t\r\n"  # what JSON calls whitespace
_FIGURES = re.compile(
    r"acc: \{.*\}, tool_rate: [\d.]+\s*"
)  # the head of what the method's evaluate.py writes


def read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Each row of a file as ``(where, row)``, ``where`` being ``"path:line"`` (Parquet: ``"path, row n"``).

    A ``.json`` or ``.jsonl`` file may hold JSON Lines or one array of objects; blank lines are skipped. CSV
    has a header line, and its values are text as written. Raises `DataError` at the first thing wrong.
    """
    reader = {".parquet": _parquet, ".csv": _csv}.get(path.suffix, _json)
    for where, row in reader(path):
        if not isinstance(row, dict):
            raise fault(where, f"expected an object with named columns, found {shorten(row)}")
        yield where, row


def columns(path: Path) -> set[str]:
    """The columns of a Parquet file; of any other, or a damaged one, none: reading it says what is wrong."""
    try:
        return set(pq.read_schema(path).names) if path.suffix == ".parquet" else set()
    except (pa.ArrowException, OSError):
        return set()


def fault(where: str, message: str) -> DataError:
    """The error for something wrong at a place: ``"data/train.jsonl:3: ..."``."""
    return DataError(f"{where}: {message}")


def shorten(value: object, limit: int = 60) -> str:
    """A value's repr, cut for a message."""
    text = repr(value[: limit + 1] if isinstance(value, str) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _json(path: Path) -> Iterator[tuple[str, object]]:
    with path.open("rb") as file:
        head = next((line for line in file if line.strip()), b"")
    is_array = head.removeprefix(_BOM).lstrip().startswith(b"[")
    return _json_array(path) if is_array else _json_lines(path)


def _json_lines(path: Path) -> Iterator[tuple[str, object]]:
    for where, line in _lines(path):
        if line.strip() and not _FIGURES.fullmatch(line):
            try:
                yield where, json.loads(line)
            except (ValueError, RecursionError) as error:
                found = shorten(line.rstrip("\r\n"))
                form = "Each line must hold one JSON object, or the file one array"
                raise fault(where, f"not valid JSON ({error}): {found}. {form}") from None


def _json_array(path: Path) -> Iterator[tuple[str, object]]:
    """The elements of an array, decoded one by one to know the line that each starts on."""
    text = "".join(line for _, line in _lines(path))
    line, counted = 1, 0
    at = _next(text, text.index("[") + 1)
    if text[at : at + 1] != "]":
        while True:
            line, counted = line + text.count("\n", counted, at), at
            value, at = _element(text, at, f"{path}:{line}")
            yield f"{path}:{line}", value
            at = _next(text, at)
            if text[at : at + 1] != ",":
                break
            at = _next(text, at + 1)
    if text[at : at + 1] != "]" or text[at + 1 :].strip(_BLANK):
        found = shorten(text[at : at + 20]) if at < len(text) else "the end of the file: is it cut short?"
        raise fault(
            f"{path}:{1 + text.count(chr(10), 0, at)}", f"not valid JSON: expected one array, found {found}"
        )


def _element(text: str, at: int, where: str) -> tuple[object, int]:
    try:
        return json.JSONDecoder().raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        cut = (
            ""
            if text.rstrip(_BLANK).endswith("]")
            else ". The array has no closing ']': is the file cut short?"
        )
        raise fault(where, f"not valid JSON in the row that starts here ({error}){cut}") from None


def _next(text: str, at: int) -> int:
    """The index of the first character from ``at`` on that is not blank."""
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _csv(path: Path) -> Iterator[tuple[str, object]]:
    reader = csv.reader((line for _, line in _lines(path)), strict=True)
    header: list[str] = []
    start = 1
    try:
        for cells in reader:
            where, start = f"{path}:{start}", reader.line_num + 1  # a quoted cell may span lines
            if not header:
                header = _header(where, cells)
            elif cells and len(cells) != len(header):
                found = f"{len(cells)} cells {shorten(cells)} under {len(header)} columns {shorten(header)}"
                raise fault(where, f"{found}. Quote a cell that holds a comma")
            elif cells:
                yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise fault(f"{path}:{start}", f"not valid CSV ({error})") from None


def _header(where: str, cells: list[str]) -> list[str]:
    twice = [name for i, name in enumerate(cells) if name in cells[:i]]
    if twice:
        raise fault(where, f"two columns are called {twice[0]!r}; the header is {shorten(cells)}")
    return cells


def _parquet(path: Path) -> Iterator[tuple[str, object]]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    yield f"{path}, row {number}", row
                    number += 1
    except (pa.ArrowException, OSError) as error:
        raise fault(str(path), f"cannot be read as Parquet ({error}). Is it whole?") from None


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line with its place, ended as in the file. Only ``\\n`` ends a line: U+2028 stands within one."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}:{number}"
            try:
                yield where, (line.removeprefix(_BOM) if number == 1 else line).decode("utf-8")
            except UnicodeDecodeError as error:
                found = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
                raise fault(where, f"{found} is not UTF-8. Save the file as UTF-8") from None
