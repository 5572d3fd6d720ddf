"""What a file holds, whatever its name: its compression, its encoding and its form.

    questions.CSV.gz   gzip, UTF-8 with a byte order mark, "csv"
    train              not compressed, UTF-8, "json"

The content decides. The ending of the name decides only where the content fits more than one form.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa

from toolgen_hf.errors import DataError

Form = Literal["parquet", "json", "csv"]

FORMS: Final[dict[str, Form]] = {
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
"""The usual endings of each form."""
COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst")
"""May follow any of these endings but ``.parquet``."""
_DELIMITERS: Final = ",;\t|"
MAX_LINE: Final = 2**28
"""Characters of one line."""

_HEAD: Final = 2**16
_MAX_SIZE: Final = 2**30
_MAX_RATIO: Final = 1000
"""A compressed file may hold ``_MAX_SIZE`` bytes, or this many times its own size if that is more."""

_OPENERS: Final[dict[bytes, Callable[[Path], Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x28\xb5\x2f\xfd": lambda path: pa.input_stream(str(path), compression="zstd"),
}
_FOREIGN: Final = {
    b"PK\x03\x04": "is a ZIP archive or an Excel workbook: unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook: save the sheet as CSV",
    b"SQLite format 3\0": "is an SQLite database: export the table as CSV",
    b"ARROW1": "is an Arrow file: save the table as Parquet",
    b"\xff\xff\xff\xff": "is an Arrow stream: save the table as Parquet",
    b"%PDF": "is a PDF: save the rows as JSON Lines or CSV",
    b"<!doctype": "is a web page: download the file itself",
    b"<html": "is a web page: download the file itself",
    b"<?xml": "is XML: save the rows as JSON Lines or CSV",
    b"version https://git-lfs": "is a Git LFS pointer and not the file itself: run 'git lfs pull'",
}
_JSON_START: Final = re.compile(r"""\s*(\[\s*["\[\]{]|\{\s*("[^"]*"\s*:|\}))""")
SCORES_LINE: Final = re.compile(r"acc: \{.*\}, tool_rate: [\d.]+\s*")
"""The first line of the files that the method's evaluate.py writes; rows of JSON follow."""


def fault(where: str, message: str) -> DataError:
    """The error for a place in a file: ``"data/train.jsonl:3: ..."``."""
    return DataError(f"{where}: {message}")


def shorten(value: object, limit: int = 60) -> str:
    """A value's repr, cut to fit into a message."""
    text = repr(value[: limit + 1] if isinstance(value, str | bytes) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def ending(path: Path) -> str:
    """The ending that names the form, in lower case: ``questions.CSV.gz -> ".csv"``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def form_of(path: Path) -> Form:
    """The form of a file's content.

    Raises:
        DataError: the content has none of the three forms; says what it is instead.
    """
    named, (head, is_compressed) = FORMS.get(ending(path)), _head(path)
    if head.startswith(b"PAR1"):
        if is_compressed:
            raise fault(str(path), "is a compressed Parquet file: decompress it first")
        return "parquet"
    for magic, message in _FOREIGN.items():
        if head[:64].lstrip().lower().startswith(magic.lower()):
            raise fault(str(path), message)
    text = _text(head)
    if text is None:
        if named is None:
            known = "JSON, JSON Lines, CSV and Parquet are read"
            raise fault(str(path), f"is not text (it begins with {shorten(head[:16])}); {known}")
        return named
    if not text.strip():
        return named or "json"
    if text.lstrip()[0] in "[{":
        return "csv" if named == "csv" and not _JSON_START.match(text) else "json"
    return "csv" if named != "json" or (_is_table(text) and not SCORES_LINE.match(text)) else "json"


@contextmanager
def text_of(path: Path, newline: str = "\n") -> Iterator[io.TextIOWrapper]:
    """A file's text, decompressed. Only ``newline`` ends a line: U+2028 does not.

    Raises:
        DataError: the file cannot be decompressed, or is not text in its encoding; names the line and the byte.
    """
    encoding = json.detect_encoding(_head(path)[0][:4])  # of UTF-8, UTF-16 and UTF-32
    with _bytes(path) as file, io.TextIOWrapper(file, encoding, newline=newline) as text:
        try:
            yield text
        except UnicodeDecodeError:
            raise _undecodable(path, encoding) from None


def lines(path: Path, newline: str = "\n") -> Iterator[tuple[str, str]]:
    """Each line of a file with its place. Raises as `text_of`, and if a line is longer than ``MAX_LINE``."""
    with text_of(path, newline) as text:
        number = 0
        while line := text.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE:
                raise fault(f"{path}:{number}", f"this line has more than {MAX_LINE:,} characters")
            yield f"{path}:{number}", line


def delimiter_of(text: str, wanted: Collection[str] = ()) -> str:
    """The character that separates the columns of a table, one of ``_DELIMITERS``.

    Where the header has several of them, the best one gives more of the ``wanted`` columns; then, the same number of
    cells in all rows. (`csv.Sniffer` counts every character, and sometimes picks a letter.)
    """
    tables = {sign: _first_rows(text, sign) for sign in _DELIMITERS}

    def rank(sign: str) -> tuple[int, bool]:
        header = {cell.strip() for cell in tables[sign][0]}
        return len(header & set(wanted)), len(set(map(len, tables[sign]))) == 1

    possible = [sign for sign, rows in tables.items() if rows and len(rows[0]) > 1]
    return max(possible, key=rank, default=",")  # the first of equal ones


def head_text(path: Path) -> str:
    """The first characters of a text file, without a byte order mark."""
    return _text(_head(path)[0]) or ""


def _first_rows(text: str, delimiter: str) -> list[list[str]]:
    """The first rows as cells. The last one is left out where the head may have cut it."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(cell.strip() for cell in row):
                rows.append(row)
    return rows[:-1] if len(text) >= _HEAD // 4 and len(rows) > 1 else rows


def _is_table(text: str) -> bool:
    rows = _first_rows(text, delimiter_of(text))
    return len(rows) > 1 and len(rows[0]) > 1 and len(set(map(len, rows))) == 1


def _text(head: bytes) -> str | None:
    """The head as text; None if it is not text. A few bytes that do not decode are left to the reader to name."""
    encoding = json.detect_encoding(head[:4])
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    is_text = ("\0" not in text or encoding != "utf-8") and text.count("\ufffd") * 4 <= len(text)
    return text if is_text else None


def _head(path: Path) -> tuple[bytes, bool]:
    """The first bytes of a file's content, and whether the file is compressed."""
    with path.open("rb") as raw:
        is_compressed = _opener(raw.read(8)) is not None
    with _bytes(path) as file:
        return file.read(_HEAD), is_compressed


def _opener(magic: bytes) -> Callable[[Path], Any] | None:
    return next((opener for start, opener in _OPENERS.items() if magic.startswith(start)), None)


@contextmanager
def _bytes(path: Path) -> Iterator[Any]:
    """A file's bytes, decompressed."""
    with path.open("rb") as raw:
        opener = _opener(raw.read(8))
        raw.seek(0)
        if opener is None:
            yield raw
            return
    try:
        inner = opener(path)
    except (pa.ArrowException, OSError) as error:
        raise fault(str(path), f"cannot be decompressed ({error})") from None
    with inner, io.BufferedReader(_Decompressed(inner, path)) as file:
        yield file


class _Decompressed(io.RawIOBase):
    """The content of a compressed file, up to a size limit, so that a small file cannot fill the memory."""

    def __init__(self, inner: Any, path: Path) -> None:
        self._inner, self._path, self._size = inner, path, 0
        self._limit = max(_MAX_SIZE, _MAX_RATIO * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            raise fault(str(self._path), f"cannot be decompressed ({error}). Is it whole?") from None
        self._size += len(data)
        if self._size > self._limit:
            raise fault(str(self._path), f"holds more than {self._limit:,} bytes: decompress it first")
        buffer[: len(data)] = data
        return len(data)


def _undecodable(path: Path, encoding: str) -> DataError:
    """The error for the first byte that cannot be decoded."""
    with _bytes(path) as file:
        try:
            file.read().decode(encoding)
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            if not encoding.startswith("utf-8"):
                found = f"byte {len(before)} of the file does not fit its encoding, {encoding.upper()}"
                return fault(str(path), f"{found} ({error.reason}). Save the file as UTF-8")
            line, position = before.count(b"\n") + 1, len(before) - before.rfind(b"\n") - 1
            found = f"byte 0x{error.object[error.start]:02x} at position {position} is not UTF-8"
            return fault(f"{path}:{line}", f"{found}. Save the file as UTF-8")
    return fault(str(path), "changed while it was read: try again")
