"""Every generated text is durable before it is used.

A text is keyed by all that determines it: the generator's identity (model content, adapter, template,
decoding parameters), the prompt and the sample index. Not by row number, file or run. So a killed run
resumes where it stopped, a row added costs one request, and asking again costs nothing:

    >>> with Store(path) as store:
    ...     texts = generate(generator, requests, store)     # doctest: +SKIP

SQLite in WAL mode: several processes may read and write at once; the first text to arrive for a key is
the one that everybody sees from then on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from toolgen_hf.errors import DataError, GenerationError
from toolgen_hf.generators.base import Generation, Generator, Request
from toolgen_hf.hashing import canonical_json, digest

_SCHEMA = """
CREATE TABLE IF NOT EXISTS generators (digest TEXT PRIMARY KEY, identity TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS texts (
    key TEXT PRIMARY KEY,
    generator TEXT NOT NULL REFERENCES generators (digest),
    request TEXT NOT NULL,
    text TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) WITHOUT ROWID;
"""
_APPLICATION_ID = 0x74676866  # "tghf": marks the file as ours
_LOOKUP_SIZE = 500  # SQLite's default limit on bound parameters was 999 for long


def request_key(identity: Mapping[str, Any], request: Request) -> str:
    """The key of one text: SHA-256 (hex) over the generator's identity and the request."""
    return digest({"generator": identity, **asdict(request)})


class Store:
    """A durable map from request key to text, in one SQLite file.

    Raises:
        DataError: the file is no store, or cannot be opened.
        GenerationError: a text could not be written (a full disk); those written before are safe.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            self._check_owner()
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise DataError(_unusable(self.path, error)) from error

    def _check_owner(self) -> None:
        """Touch no database of another program."""
        (owner,) = self._db.execute("PRAGMA application_id").fetchone()
        tables = [name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        if owner != _APPLICATION_ID and tables:
            raise DataError(
                f"{str(self.path)!r} is a database of something else (its tables: {', '.join(tables[:5])}); "
                "name another file with --store"
            )
        self._db.execute(f"PRAGMA application_id={_APPLICATION_ID}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; texts already put are on disk whether or not this is called."""
        self._db.close()

    def __len__(self) -> int:
        with self._reading():
            return int(self._db.execute("SELECT COUNT(*) FROM texts").fetchone()[0])

    def get(self, keys: Sequence[str]) -> dict[str, Generation]:
        """The texts that are there, by key."""
        found: dict[str, Generation] = {}
        for start in range(0, len(keys), _LOOKUP_SIZE):
            part = keys[start : start + _LOOKUP_SIZE]
            marks = ",".join("?" * len(part))
            with self._reading():
                rows = self._db.execute(
                    "SELECT key, text, finish_reason, prompt_tokens, completion_tokens "
                    f"FROM texts WHERE key IN ({marks})",
                    part,
                )
                found.update((key, Generation(*rest)) for key, *rest in rows)
        return found

    def put(self, identity: Mapping[str, Any], texts: Iterable[tuple[Request, Generation]]) -> None:
        """Commit texts, all or none, to disk before returning. A key that is there keeps its text."""
        generator = digest(identity)
        rows = [
            (
                request_key(identity, request),
                generator,
                _whole(canonical_json(asdict(request))),
                _whole(made.text),
                made.finish_reason,
                made.prompt_tokens,
                made.completion_tokens,
            )
            for request, made in texts
        ]
        with self._transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO generators VALUES (?, ?)", (generator, canonical_json(identity))
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO texts (key, generator, request, text, finish_reason, prompt_tokens,"
                " completion_tokens) VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(_unusable(self.path, error)) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:  # Ctrl-C too: the lock must not outlive it
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise GenerationError(
                    f"could not write to the text store {str(self.path)!r}: {error}. Texts written before are "
                    "safe: free some space or name another file with --store, and run again"
                ) from error
            raise


def _unusable(path: Path, error: Exception) -> str:
    damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
    mend = "move it away (its texts will be generated again)" if damaged else "make the place writable"
    return f"cannot open the text store {str(path)!r}: {error}; {mend}, or name another file with --store"


def _whole(text: str) -> str:
    """``text`` with halves of surrogate pairs, which no UTF-8 can hold, replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def generate(
    generator: Generator,
    requests: Sequence[Request],
    store: Store,
    on_chunk: Callable[[Sequence[Generation]], None] = lambda made: None,
) -> tuple[list[Generation], int]:
    """The texts of ``requests`` in order, from the store where they are there, and how many were not.

    Missing ones are generated once each (equal requests share one text) and committed chunk by chunk;
    ``on_chunk`` is told of each chunk after its commit, for progress.

    Raises:
        GenerationError: the generator failed or left out a request; what arrived before is stored.
    """
    identity = dict(generator.identity())
    keys = [request_key(identity, request) for request in requests]
    found = store.get(keys)
    missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in found}
    missing_keys, missing_requests = list(missing), list(missing.values())
    if missing:
        for chunk in generator.generate(missing_requests):
            store.put(identity, [(missing_requests[position], made) for position, made in chunk])
            on_chunk([made for _, made in chunk])
        found.update(store.get(missing_keys))  # what the store kept is the truth, also for this run
    lost = [key for key in missing_keys if key not in found]
    if lost:
        raise GenerationError(
            f"the generator gave no text for {len(lost)} of {len(missing)} requests, "
            f"the first being {missing[lost[0]].prompt.user[:200]!r}"
        )
    return [found[key] for key in keys], len(missing)
