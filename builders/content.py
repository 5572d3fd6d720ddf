"""What a file holds, whatever it is called: its compression, its encoding, and its form.

    questions.CSV.gz   gzip, UTF-8 with a byte order mark, "csv"
    train              none, UTF-8, "json"

The content decides; the ending of the name decides only where the content could be several things.
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
from collections.abc import Callable, Collection, Iterator, Sequence
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
"""May follow any of them but ``.parquet``."""
DELIMITERS: Final = ",;\t|"
MAX_ROW: Final = 2**28
"""Characters of one row, or of one line."""

_HEAD: Final = 2**16
_MAX_SIZE: Final = 2**30  # of what a compressed file holds, unless that is less than 1,000 times its own size
_MAX_RATIO: Final = 1000

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
_KNOWN: Final = "JSON, JSON Lines, CSV and Parquet are read"
FIGURES: Final = re.compile(r"acc: \{.*\}, tool_rate: [\d.]+\s*")
"""The head of what the method's evaluate.py writes before its rows of JSON."""


def fault(where: str, message: str) -> DataError:
    """The error for something wrong at a place: ``"data/train.jsonl:3: ..."``."""
    return DataError(f"{where}: {message}")


def shorten(value: object, limit: int = 60) -> str:
    """A value's repr, cut for a message."""
    text = repr(value[: limit + 1] if isinstance(value, str | bytes) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def ending(path: Path) -> str:
    """The ending that says the form, in small letters: ``questions.CSV.gz -> ".csv"``; else the last one."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def form_of(path: Path) -> Form:
    """The form of a file's content.

    Raises:
        DataError: it is none of the three; says what it is instead.
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
            raise fault(str(path), f"is not text (it begins with {shorten(head[:16])}); {_KNOWN}")
        return named
    if not text.strip():
        return named or "json"
    if text.lstrip()[0] in "[{":
        return "csv" if named == "csv" and not _begins_json(text.lstrip()) else "json"
    if named != "json":
        return "csv"
    return "csv" if not FIGURES.match(text) and _is_table(text) else "json"


@contextmanager
def text_of(path: Path, newline: str = "\n") -> Iterator[io.TextIOWrapper]:
    """A file's text, decompressed; a line ends with ``newline`` alone: U+2028 stands within one.

    Raises:
        DataError: it cannot be decompressed, or is not text in its encoding; names the line and the byte.
    """
    encoding = encoding_of(_head(path)[0])
    with _bytes(path) as file, io.TextIOWrapper(file, encoding, newline=newline) as text:
        try:
            yield text
        except UnicodeDecodeError:
            raise _undecodable(path, encoding) from None


def lines(path: Path, newline: str = "\n") -> Iterator[tuple[str, str]]:
    """Each line of a file with its place, ended as in the file. Raises as `text_of`, and for a line without end."""
    with text_of(path, newline) as text:
        number = 0
        while line := text.readline(MAX_ROW):
            number += 1
            if len(line) == MAX_ROW:
                raise fault(f"{path}:{number}", f"this line has more than {MAX_ROW:,} characters")
            yield f"{path}:{number}", line


def encoding_of(head: bytes) -> str:
    """UTF-8, UTF-16 or UTF-32, by the byte order mark or the zeros in the first bytes."""
    return json.detect_encoding(head[:4])


def delimiter_of(text: str, wanted: Collection[str] = ()) -> str:
    """What separates the columns of a table that begins with ``text``: one of ``DELIMITERS``.

    Where the header has several of them, it is the one that makes more of the ``wanted`` columns, then one under which
    all rows have the same number of cells, then the comma. (`csv.Sniffer` counts all characters of the text, and takes
    letters at times.)
    """
    found = {sign: _first_rows(text, sign) for sign in DELIMITERS}
    split = {sign: rows for sign, rows in found.items() if rows and len(rows[0]) > 1}

    def rank(sign: str) -> tuple[int, bool]:
        header = {cell.strip() for cell in split[sign][0]}
        return len(header & set(wanted)), _is_even(split[sign])

    return max(split, key=rank, default=",")  # the first of equal ones


def _first_rows(text: str, delimiter: str) -> list[list[str]]:
    """The first rows as cells; the last one, which the head may cut, is left out."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(cell.strip() for cell in row):
                rows.append(row)
    return rows[:-1] if len(text) >= _HEAD // 4 and len(rows) > 1 else rows


def _is_even(rows: Sequence[Sequence[str]]) -> bool:
    return len({len(row) for row in rows}) == 1


def head_text(path: Path) -> str:
    """The first characters of a text file, without a byte order mark."""
    return _text(_head(path)[0]) or ""


def _is_table(text: str) -> bool:
    rows = _first_rows(text, delimiter_of(text))
    return len(rows) > 1 and len(rows[0]) > 1 and _is_even(rows)


def _begins_json(text: str) -> bool:
    """Whether a text begins with a JSON value, or with one that its end cuts off."""
    try:
        json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        return len(text) >= _HEAD // 4 and is_cut(error, text)
    except (ValueError, RecursionError):
        return True
    return True


def is_cut(error: json.JSONDecodeError, text: str) -> bool:
    """Whether more text might mend what is wrong."""
    return error.msg.startswith("Unterminated string") or error.pos >= len(text) - 16


def _text(head: bytes) -> str | None:
    """The head as text, None if it is none; a letter of an old code page is for the reader to name."""
    encoding = encoding_of(head)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    is_text = "\0" not in text or encoding != "utf-8"
    bad = text.count("\ufffd")
    return text if is_text and bad * 4 <= len(text) else None


def _head(path: Path) -> tuple[bytes, bool]:
    """The first bytes of what a file holds, and whether they are compressed in it."""
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
    """What a compressed file holds, up to a size in proportion to the file's own."""

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
    """The error for the first byte that is no text: its line and its place there, or in the file."""
    with _bytes(path) as file:
        if encoding.startswith("utf-8"):
            for number, line in enumerate(file, start=1):
                try:
                    line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode()
                except UnicodeDecodeError as error:
                    found = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
                    return fault(f"{path}:{number}", f"{found} is not UTF-8. Save the file as UTF-8")
        decoder, position = codecs.getincrementaldecoder(encoding)(), 0
        while True:
            chunk = file.read(_HEAD)
            waiting = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                at = position - waiting + error.start
                found = (
                    f"byte {at} of the file does not fit its encoding, {encoding.upper()} ({error.reason})"
                )
                return fault(str(path), f"{found}. Save the file as UTF-8")
            if not chunk:
                return fault(str(path), "changed while it was read: try again")
            position += len(chunk)
