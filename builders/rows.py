"""Reading rows from JSON, JSON Lines, CSV and Parquet, each with the place it stands at.

    for where, row in read_rows(Path("data/train.jsonl")):
        ...  # "data/train.jsonl:1", {"question": "...", "answer": "... #### 72"}

Whatever is wrong with a file is a `DataError` that names the file and the line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toolgen_hf.builders.content import MAX_ROW, delimiter_of, fault, form_of, head_text, lines, shorten
from toolgen_hf.builders.jsons import json_rows

__all__ = ["Row", "columns", "fault", "read_rows", "shorten"]

Row = dict[str, Any]

_SEP = re.compile(r"sep=(.)\r?\n?")  # the line by which Excel is told the delimiter


def read_rows(path: Path, wanted: Collection[str] = ()) -> Iterator[tuple[str, Row]]:
    """Each row of a file as ``(where, row)``, ``where`` being ``"path:line"`` (Parquet: ``"path, row n"``).

    What the file holds decides how it is read, not its name: Parquet; JSON (JSON Lines, one array of objects, or one
    object whose one list is the rows; SQuAD's form gives a row a question); else a table with a header line, its
    columns separated by ``,`` ``;`` ``|`` or tabs, its values text as written. Text may be compressed (gzip, bzip2,
    xz, Zstandard), in UTF-8, UTF-16 or UTF-32. Blank lines are skipped.

    Args:
        wanted: columns that are asked for, where a file of one object may be one row or a list of rows.

    Raises:
        DataError: at the first thing wrong.
    """
    form = form_of(path)
    if form == "parquet":
        found = _parquet(path)
    else:
        found = (_csv if form == "csv" else json_rows)(path, {name.split(".")[0] for name in wanted})
    for where, row in found:
        if not isinstance(row, dict):
            raise fault(where, f"expected an object with named columns, found {shorten(row)}")
        yield from ((where, flat) for flat in _of_paragraphs(row))


def columns(path: Path) -> set[str]:
    """The columns of a Parquet file; of any other, or a damaged one, none: reading it says what is wrong."""
    try:
        return set(pq.read_schema(path).names) if path.suffix.lower() == ".parquet" else set()
    except (pa.ArrowException, OSError):
        return set()


def _of_paragraphs(row: Row) -> Iterator[Row]:
    """The row itself; of an article in SQuAD's form, each question: ``{"paragraphs": [{"context", "qas": [...]}]}``."""
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


def _csv(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, object]]:
    head = head_text(path)
    newline = "\r" if "\r" in head and "\n" not in head else "\n"
    told = _SEP.match(head)
    delimiter = told[1] if told else delimiter_of(head, wanted)
    csv.field_size_limit(MAX_ROW)  # the default, 128 KiB, is less than a long document has
    text = dropwhile(_SEP.fullmatch, (line for _, line in lines(path, newline)))
    options: dict[str, Any] = {"delimiter": delimiter, "skipinitialspace": _is_spaced(head, delimiter)}
    before = 1 if told else 0
    header: list[str] = []
    start = 1
    try:
        reader = csv.reader(text, strict=True, **options)
        for cells in reader:
            where, start = f"{path}:{before + start}", reader.line_num + 1  # a quoted cell may span lines
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(where, cells)
            elif len(cells) != len(header):
                found = f"{len(cells)} cells {shorten(cells)} under {len(header)} columns {shorten(header)}"
                raise fault(
                    where, f"{found}. Quote a cell that holds {delimiter!r}, which separates the columns"
                )
            else:
                yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise fault(
            f"{path}:{before + start}", f"not valid CSV with columns separated by {delimiter!r} ({error})"
        ) from None


def _is_spaced(head: str, delimiter: str) -> bool:
    """Whether a space follows each delimiter of the header, as in ``question, answer``."""
    others = head.lstrip().split("\n", 1)[0].split(delimiter)[1:]
    return bool(others) and all(cell.startswith(" ") for cell in others)


def _header(where: str, cells: list[str]) -> list[str]:
    twice = [name for i, name in enumerate(cells) if name and name in cells[:i]]
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
