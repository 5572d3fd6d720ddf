"""A full-text index in SQLite (FTS5): ranked by BM25, titles twice as much as contents. It needs no other package."""

from __future__ import annotations

import os
import re
import sqlite3
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from toolgen_hf._utils import cache_home, replacing
from toolgen_hf.errors import ConfigError
from toolgen_hf.tools.search.corpus import Corpus, Passage

VERSION = 2
"""Changes when an index or a ranking may change."""
_MAX_WORDS = 64
_MARKS = "".join(chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c)) in ("Mn", "Mc"))
_WORD = re.compile(rf"[^\W_]+(?:[{_MARKS}]+[^\W_]*)*")  # vowel signs, as in Hindi, are part of a word
_COMMON = frozenset(
    "a an and are as at be by did do does for from had has have how in is it its many much of on or that the "  # noqa: SIM905
    "there this to was were what when where which who whom whose why will with".split()
)


def words_of(text: str) -> list[str]:
    """The words of a text in small letters. A letter with an accent is the same in both of Unicode's spellings."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def query_words(query: str) -> list[str]:
    """The words of a query, each once; the common ones only if there are no others. Marks of a syntax are not words."""
    found = list(dict.fromkeys(words_of(query)))
    return ([word for word in found if word not in _COMMON] or found)[:_MAX_WORDS]


def index_folder() -> Path:
    """Where indexes are kept."""
    return cache_home() / "indexes"


class Fts5Index:
    """The index of a corpus. It is built once, in the cache folder, and shared by all processes.

    Args:
        source: the corpus (`toolgen_hf.tools.search.corpus`).
    """

    def __init__(self, source: str) -> None:
        self.corpus = Corpus(source)
        self._open: tuple[int, sqlite3.Connection] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_open": None}

    def identity(self) -> dict[str, Any]:
        """The engine, its version, and the corpus by its digest and size."""
        [(count,)] = self._run("SELECT count(*) FROM passages_content")
        return {"engine": "fts5", "index": VERSION, "corpus": self._digest, "passages": count}

    def search(self, query: str, k: int) -> list[Passage]:
        """At most ``k`` passages that have a word of the query, the best first; equal ones in the corpus' order."""
        if not (words := query_words(query)):
            return []
        wanted = " OR ".join(f'"{word}"' for word in words)
        found = self._run(
            "SELECT id, title, contents FROM passages WHERE passages MATCH ? "
            "ORDER BY bm25(passages, 0, 2.0, 1.0), rowid LIMIT ?",
            (wanted, k),
        )
        return [Passage(*row) for row in found]

    @cached_property
    def _digest(self) -> str:
        return self.corpus.digest

    @cached_property
    def _path(self) -> Path:
        """The file of the index, which is built if it is not there."""
        path = index_folder() / f"fts5-{VERSION}-{self._digest[:32]}.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with FileLock(f"{path}.lock"):
                if not path.exists():
                    _build(self.corpus, path)
        return path

    def _run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        if self._open is None or self._open[0] != os.getpid():
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False
            )
            self._open = os.getpid(), connection
        return self._open[1].execute(statement, values).fetchall()


def _build(corpus: Corpus, path: Path) -> None:
    with replacing(path) as new:
        connection = sqlite3.connect(new)
        try:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                "CREATE VIRTUAL TABLE passages USING fts5(id UNINDEXED, title, contents, "
                "tokenize = 'porter unicode61 remove_diacritics 2')"
            )
            rows = ((one.id, one.title, one.contents) for one in corpus.passages())
            added = connection.executemany("INSERT INTO passages VALUES (?, ?, ?)", rows).rowcount
            if added < 1:
                raise ConfigError(f"the corpus {corpus.source!r} has no passage")
            connection.execute("INSERT INTO passages(passages) VALUES ('optimize')")
            connection.commit()
        finally:
            connection.close()
