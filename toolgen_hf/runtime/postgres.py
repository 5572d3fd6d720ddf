"""The store of generated texts in a PostgreSQL database, for runs on several machines.

    Workspace(store_path="postgresql://user@host/database")      with $PGPASSWORD, or the password in ~/.pgpass

The tables are in the schema ``toolgen_hf``. Texts are bytes in UTF-8, because PostgreSQL's text cannot hold a NUL
character: ``SELECT convert_from(raw, 'UTF8') FROM toolgen_hf.texts``.

Every run is a worker. It holds an advisory lock with its number on its own connection, and claims the texts that it
asks for in the table ``claims``. A worker whose lock is gone is dead, and its claims are free again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar
from urllib.parse import urlsplit

from toolgen_hf._utils import canonical_json
from toolgen_hf.ask import Generation
from toolgen_hf.errors import ConfigError, DataError, GenerationError
from toolgen_hf.runtime.store import Claims, Row, Store

try:
    import psycopg
except ImportError as error:
    raise ConfigError("a store in PostgreSQL needs its client: pip install 'toolgen_hf[postgres]'") from error

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds for which a lost connection is tried again. The texts in memory are paid for."""
_NUMBER = 0x74676866
"""Marks our advisory locks."""
_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS toolgen_hf;
CREATE TABLE IF NOT EXISTS toolgen_hf.generators (digest text PRIMARY KEY, identity text NOT NULL);
CREATE TABLE IF NOT EXISTS toolgen_hf.texts (
    key text PRIMARY KEY,
    generator text NOT NULL REFERENCES toolgen_hf.generators (digest),
    request bytea NOT NULL,
    text bytea NOT NULL,
    finish_reason text NOT NULL,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    raw bytea,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS texts_generator ON toolgen_hf.texts (generator);
CREATE UNLOGGED TABLE IF NOT EXISTS toolgen_hf.claims (key text PRIMARY KEY, worker integer NOT NULL);
CREATE SEQUENCE IF NOT EXISTS toolgen_hf.workers AS integer CYCLE;
"""
_GET = """
SELECT key, text, finish_reason, prompt_tokens, completion_tokens, raw FROM toolgen_hf.texts WHERE key = ANY(%b)
"""
_PUT = """
WITH freed AS (DELETE FROM toolgen_hf.claims WHERE key = ANY(%b::text[]))
INSERT INTO toolgen_hf.texts (key, generator, request, text, finish_reason, prompt_tokens, completion_tokens, raw)
SELECT * FROM unnest(
    %b::text[], %b::text[], %b::bytea[], %b::bytea[], %b::text[], %b::integer[], %b::integer[], %b::bytea[]
)
ON CONFLICT (key) DO NOTHING
"""
"""A chunk is one round trip. ``%b`` sends arrays in binary: as text they took most of the time."""
_TAKE = """
WITH alive AS (
    SELECT objid::integer AS worker FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND classid = %(number)s
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
INSERT INTO toolgen_hf.claims AS held (key, worker) SELECT key, %(worker)s FROM unnest(%(keys)b::text[]) AS key
ON CONFLICT (key) DO UPDATE SET worker = excluded.worker
    WHERE held.worker = excluded.worker OR held.worker NOT IN (SELECT worker FROM alive)
RETURNING key
"""
_ARRIVED = "SELECT EXISTS (SELECT FROM toolgen_hf.texts WHERE key = ANY(%(keys)b::text[]))"

logger = logging.getLogger(__name__)


class PostgresStore(Store):
    """A store in a PostgreSQL database. A connection that is lost is opened again for up to ``PATIENCE`` seconds.

    Args:
        url: ``postgresql://user@host:port/database?...``, without a password.

    Raises:
        ConfigError: the URL holds a password.
        DataError: the database cannot be opened.
    """

    def __init__(self, url: str) -> None:
        if urlsplit(url).password or "password=" in url:
            raise ConfigError(
                "the store's URL holds a password: take it out, and set PGPASSWORD or write it to ~/.pgpass"
            )
        self.name = url
        self._known: set[str] = set()
        self._lock = threading.RLock()
        self._on_connect: list[Callable[[psycopg.Connection[Any]], None]] = []
        self._connection: psycopg.Connection[Any] | None = None
        try:
            self._set_up(self._connected())
        except psycopg.Error as error:
            raise DataError(f"cannot open the text store {url!r}: {_said(error)}") from error

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self.name,
                autocommit=True,
                application_name="toolgen_hf",
                connect_timeout=10,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
            )
            for prepare in self._on_connect:
                prepare(self._connection)
        return self._connection

    def _set_up(self, connection: psycopg.Connection[Any]) -> None:
        if connection.execute("SELECT to_regclass('toolgen_hf.workers')").fetchone() == (None,):
            with connection.transaction():
                connection.execute(
                    "SELECT pg_advisory_xact_lock(%s, 0)", [_NUMBER]
                )  # two may be first at once
                connection.execute(_SCHEMA)

    def _insist(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Do something that may be done twice, again if the connection breaks.

        Raises:
            GenerationError: the database refuses it, or is not there for ``PATIENCE`` seconds.
        """
        until, wait = time.monotonic() + PATIENCE, 0.1
        with self._lock:
            while True:
                try:
                    return work(self._connected())
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    is_lost = self._connection is None or self._connection.closed
                    if not is_lost or time.monotonic() + wait > until:
                        raise self._failed(error) from error
                    if wait > 1:
                        logger.warning(
                            "the text store %r is not there, trying again: %s", self.name, _said(error)
                        )
                    time.sleep(wait)
                    wait = min(2 * wait, 10.0)
                except psycopg.Error as error:
                    raise self._failed(error) from error

    def _failed(self, error: Exception) -> GenerationError:
        return GenerationError(
            f"the text store {self.name!r} failed: {_said(error)}. Texts written before are safe: mend it and run again"
        )

    def get(self, keys: Sequence[str]) -> dict[str, Generation]:
        """The stored texts by key. Of an engine's answer only ``raw`` is filled."""
        rows = self._insist(lambda db: db.execute(_GET, [list(keys)], binary=True).fetchall()) if keys else []
        return {
            key: Generation(text.decode(), reason, asked, answered, raw=None if raw is None else raw.decode())
            for key, text, reason, asked, answered, raw in rows
        }

    def _write(
        self, generator: str, identity: Mapping[str, Any], rows: Sequence[Row], instead: Mapping[str, str]
    ) -> None:
        in_order = sorted(rows, key=lambda row: row.key)  # of all runs, or two could wait for each other
        columns: list[list[Any]] = [list(column) for column in zip(*in_order, strict=True)]
        for at in (2, 3, 7):  # request, text, raw
            columns[at] = [None if value is None else value.encode() for value in columns[at]]

        def write(db: psycopg.Connection[Any]) -> None:
            if generator not in self._known:
                db.execute(
                    "INSERT INTO toolgen_hf.generators VALUES (%s, %s) ON CONFLICT DO NOTHING",
                    [generator, canonical_json(identity)],
                )
            with db.transaction() if instead else nullcontext():
                for key, raw in instead.items():
                    db.execute(
                        "DELETE FROM toolgen_hf.texts WHERE key = %s AND raw = %s", [key, raw.encode()]
                    )
                db.execute(_PUT, [columns[0], *columns])

        self._insist(write)
        self._known.add(generator)

    def mean_tokens(self, generator: str) -> float | None:
        """Mean tokens of the texts of one model (digest of its identity), as far as its engine reported them."""
        query = "SELECT avg(nullif(completion_tokens, 0)) FROM toolgen_hf.texts WHERE generator = %s"
        row = self._insist(lambda db: db.execute(query, [generator]).fetchone())
        return None if row is None or row[0] is None else float(row[0])

    def __len__(self) -> int:
        row = self._insist(lambda db: db.execute("SELECT count(*) FROM toolgen_hf.texts").fetchone())
        return int(row[0]) if row else 0

    def claims(self, models: Mapping[str, str]) -> Claims:
        """Claims for single texts."""
        return _TableClaims(self)

    def close(self) -> None:
        """Close the connection. Texts that were put are on disk anyway."""
        if self._connection is not None:
            self._connection.close()


class _TableClaims(Claims):
    """Claims as rows of a table. They hold while the connection of the worker that made them lives."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        number = store._insist(lambda db: db.execute("SELECT nextval('toolgen_hf.workers')").fetchone())
        self._worker = int(number[0]) if number else 0
        store._on_connect.append(self._lock)
        store._insist(self._lock)

    def _lock(self, db: psycopg.Connection[Any]) -> None:
        db.execute("SELECT pg_try_advisory_lock(%s, %s)", [_NUMBER, self._worker])

    def take(self, model: str, keys: Collection[str]) -> tuple[Collection[str], bool]:
        """Claim texts that no living worker has claimed."""
        values = {"number": _NUMBER, "worker": self._worker, "keys": sorted(keys)}

        def claim(db: psycopg.Connection[Any]) -> tuple[Collection[str], bool]:
            with db.pipeline():  # one way there and back; claims first, so that no text arrives in between
                claimed = db.execute(_TAKE, values)
                arrived = db.execute(_ARRIVED, values)
                return {key for (key,) in claimed.fetchall()}, arrived.fetchone() != (False,)

        return self._store._insist(claim)

    def close(self) -> None:
        """Give all claims back."""

        def release(db: psycopg.Connection[Any]) -> None:
            db.execute("DELETE FROM toolgen_hf.claims WHERE worker = %s", [self._worker])
            db.execute("SELECT pg_advisory_unlock(%s, %s)", [_NUMBER, self._worker])

        self._store._on_connect.remove(self._lock)
        self._store._insist(release)


def _said(error: Exception) -> str:
    return " ".join(str(error).split())
