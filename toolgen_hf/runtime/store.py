"""The store of generated texts. A text is on disk before it is used.

    key 5f1c...   {"prompt": {"system": "...", "user": "What is 3 * 19?"}, "sample": 0}   ->   "The answer is 57."

The key of a text is made from all that determines it: the model's identity (model content, adapter, template, decoding
parameters; or endpoint, engine, API and parameters), the prompt and the sample number. Row number, file and run are not
part of it. So a killed run goes on where it stopped, a new row costs one request, and asking again costs nothing. An
engine's whole answer is stored and its text is read from that each time. A refused request is not stored. The first
text that arrives for a key stays.

The store is an SQLite file, or a PostgreSQL database for several machines (`toolgen_hf.runtime.postgres`).
"""

from __future__ import annotations

import logging
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple, Self

from filelock import FileLock, Timeout

from toolgen_hf._utils import canonical_json, digest, well_formed
from toolgen_hf.ask import Generation, Keyed, Request
from toolgen_hf.errors import DataError, GenerationError

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
    raw TEXT,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) WITHOUT ROWID;
"""
_APPLICATION_ID = 0x74676866  # "tghf": marks the file as ours
_INSERT = (
    "INSERT OR IGNORE INTO texts (key, generator, request, text, finish_reason, prompt_tokens, completion_tokens, raw)"
    " VALUES"
)
_LOOKUP_SIZE = 500  # SQLite's default limit on bound parameters was 999 for long
_ROWS_AT_ONCE = 100  # eight parameters each
_PATIENCE = 60.0  # seconds that SQLite waits for another process to end its writing
_ATTEMPTS = 3  # of that length: the texts in memory are paid for
_WAIT = "another process is writing to it; wait until it is done, or end it"

logger = logging.getLogger(__name__)


class Claims(ABC):
    """Which missing texts one run may ask for, so that two runs over one store never pay for the same text."""

    @abstractmethod
    def take(self, model: str, keys: Collection[str]) -> tuple[Collection[str], bool]:
        """Claim texts of one model (the digest of its identity).

        Returns:
            The keys that this run may ask for now; other runs are asking for the others. And whether the store may have
            got more texts meanwhile, so that it must be looked into again first.
        """
        ...

    @abstractmethod
    def close(self) -> None:
        """Give all claims back."""
        ...


class Row(NamedTuple):
    """A text as a row of the store."""

    key: str
    generator: str
    request: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    raw: str | None


class Store(ABC):
    """A durable map from request key to text."""

    name: str
    """The place, for messages."""

    @abstractmethod
    def get(self, keys: Sequence[str]) -> dict[str, Generation]:
        """The stored texts by key. Of an engine's answer only ``raw`` is filled."""
        ...

    def put(
        self,
        identity: Mapping[str, Any],
        texts: Iterable[tuple[Keyed, Generation]],
        instead: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Commit texts to disk, all or none. A key that is there keeps its text.

        Args:
            identity: of the model.
            instead: stored answers (``raw``) that are errors, by key; they are replaced.

        Raises:
            GenerationError: a text could not be written (the disk is full, or another process keeps writing). Texts
                that were written before are safe.
        """
        generator = digest(identity)
        rows = [
            Row(
                wanted.key,
                generator,
                _request_json(wanted.request),
                well_formed(made.text) if made.raw is None else "",
                made.finish_reason,
                made.prompt_tokens,
                made.completion_tokens,
                None if made.raw is None else well_formed(made.raw),
            )
            for wanted, made in texts
        ]
        self._write(generator, identity, rows, {key: instead[key] for key, *_ in rows if key in instead})

    @abstractmethod
    def _write(
        self, generator: str, identity: Mapping[str, Any], rows: Sequence[Row], instead: Mapping[str, str]
    ) -> None: ...

    @abstractmethod
    def mean_tokens(self, generator: str) -> float | None:
        """Mean tokens of the texts of one model (digest of its identity), as far as its engine reported them."""
        ...

    @abstractmethod
    def claims(self, models: Mapping[str, str]) -> Claims:
        """Claims for the texts of these models: their labels by digest. Closed when the run has them all."""
        ...

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def close(self) -> None:
        """Close the store. Texts that were put are on disk anyway."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class SqliteStore(Store):
    """A store in one SQLite file. It runs in WAL mode: several processes may read and write at once.

    Raises:
        DataError: the file is not a store, or cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.name = Path(path), str(path)
        self._known: set[str] = set()  # models whose identity is in the file
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._check_owner()
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            self._add_new_columns()
        except (sqlite3.Error, OSError) as error:
            raise DataError(_unusable(self.path, error)) from error

    def _check_owner(self) -> None:
        """Refuse a database of another program."""
        # In this order, because another process that makes the store sets the owner before it makes the tables.
        tables = [name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        (owner,) = self._db.execute("PRAGMA application_id").fetchone()
        if owner != _APPLICATION_ID and tables:
            raise DataError(
                f"{str(self.path)!r} is a database of something else (its tables: {', '.join(tables[:5])}); "
                "name another file with --store"
            )
        if owner != _APPLICATION_ID:  # setting it again would wait for a writer
            self._db.execute(f"PRAGMA application_id={_APPLICATION_ID}")

    def _add_new_columns(self) -> None:
        """Add the columns that a store of an earlier version lacks. Its texts stay."""
        columns = {row[1] for row in self._db.execute("PRAGMA table_info(texts)")}
        if "raw" not in columns:
            self._db.execute("ALTER TABLE texts ADD COLUMN raw TEXT")

    def close(self) -> None:
        self._db.close()

    def __len__(self) -> int:
        with self._reading():
            return int(self._db.execute("SELECT COUNT(*) FROM texts").fetchone()[0])

    def get(self, keys: Sequence[str]) -> dict[str, Generation]:
        found: dict[str, Generation] = {}
        for start in range(0, len(keys), _LOOKUP_SIZE):
            part = keys[start : start + _LOOKUP_SIZE]
            marks = ",".join("?" * len(part))
            with self._reading():
                rows = self._db.execute(
                    "SELECT key, text, finish_reason, prompt_tokens, completion_tokens, raw "
                    f"FROM texts WHERE key IN ({marks})",
                    part,
                )
                found.update(
                    (key, Generation(text, reason, asked, answered, raw=raw))
                    for key, text, reason, asked, answered, raw in rows
                )
        return found

    def mean_tokens(self, generator: str) -> float | None:
        with self._reading():
            row = self._db.execute(
                "SELECT AVG(NULLIF(completion_tokens, 0)) FROM texts WHERE generator = ?", (generator,)
            ).fetchone()
        return None if row[0] is None else float(row[0])

    def _write(
        self, generator: str, identity: Mapping[str, Any], rows: Sequence[Row], instead: Mapping[str, str]
    ) -> None:
        statements: list[tuple[str, Sequence[Any]]] = [
            ("DELETE FROM texts WHERE key = ? AND raw = ?", wrong) for wrong in instead.items()
        ]
        if generator not in self._known:
            statements.append(
                ("INSERT OR IGNORE INTO generators VALUES (?, ?)", (generator, canonical_json(identity)))
            )
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            marks = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * len(part))
            statements.append((f"{_INSERT} {marks}", [value for row in part for value in row]))
        self._commit(statements)
        self._known.add(generator)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(_unusable(self.path, error)) from error

    def claims(self, models: Mapping[str, str]) -> Claims:
        return _FileClaims(self.path.parent / "locks", models)

    def _commit(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Execute all or none. One statement is a transaction by itself: between statements the interpreter may go to
        another thread."""
        if len(statements) > 1:
            statements = [("BEGIN IMMEDIATE", ()), *statements, ("COMMIT", ())]
        try:
            for statement in statements:
                self._insist(*statement)
        except BaseException as error:  # Ctrl-C too: the lock must be released
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                mend = _WAIT if _is_busy(error) else "free some space or name another file with --store"
                raise GenerationError(
                    f"could not write to the text store {str(self.path)!r}: {error}. Texts written before are "
                    f"safe: {mend}, and run again"
                ) from error
            raise

    def _insist(self, statement: str, values: Sequence[Any]) -> None:
        """Execute a statement that may have to wait for another process."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._db.execute(statement, values)
            except sqlite3.OperationalError as error:
                if attempt == _ATTEMPTS or not _is_busy(error):
                    raise
                logger.warning("another process is writing to the text store %r: waiting", str(self.path))
            else:
                return


class _FileClaims(Claims):
    """One file lock for each model: a run that needs texts of it waits for the run that has it, and then takes all.

    The system frees the locks of a process that dies.
    """

    def __init__(self, folder: Path, models: Mapping[str, str]) -> None:
        self._folder, self._models = folder, models
        self._locks: ExitStack | None = None

    def take(self, model: str, keys: Collection[str]) -> tuple[Collection[str], bool]:
        return keys, self._locks is None and self._lock()

    def _lock(self) -> bool:
        """Lock every model, always in one order. Returns whether another run had one."""
        had_to_wait = False
        self._folder.mkdir(parents=True, exist_ok=True)
        self._locks = ExitStack()
        for model, label in sorted(self._models.items()):
            lock = FileLock(self._folder / f"{model[:32]}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                logger.warning(
                    "%s: another run is asking the same model for this store; waiting for its texts", label
                )
                lock.acquire()
                had_to_wait = True
            self._locks.callback(lock.release)
        return had_to_wait

    def close(self) -> None:
        if self._locks is not None:
            self._locks.close()
            self._locks = None


def _is_busy(error: Exception) -> bool:
    """Whether another process holds the lock."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF == sqlite3.SQLITE_BUSY  # the low byte: the rest says what it was busy with


def _unusable(path: Path, error: Exception) -> str:
    damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
    mend = "move it away (its texts will be generated again)" if damaged else "make the place writable"
    mend = _WAIT if _is_busy(error) else mend
    return f"cannot open the text store {str(path)!r}: {error}; {mend}, or name another file with --store"


def _request_json(request: Request) -> str:
    prompt = request.prompt
    asked = {"prompt": {"system": prompt.system, "user": prompt.user}, "sample": request.sample}
    return well_formed(canonical_json(asked))
