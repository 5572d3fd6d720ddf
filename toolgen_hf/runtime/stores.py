"""Opens the store of texts that a path or a URL names."""

from __future__ import annotations

from pathlib import Path

from toolgen_hf.runtime.store import SqliteStore, Store


def open_store(place: str | Path) -> Store:
    """The store at a path, or at a ``postgresql://`` URL.

    Raises:
        ConfigError: the URL holds a password, or the client of PostgreSQL is not installed.
        DataError: the file is not a store, or the store cannot be opened.
    """
    if isinstance(place, str) and place.startswith(("postgresql://", "postgres://")):
        from toolgen_hf.runtime.postgres import PostgresStore

        return PostgresStore(place)
    return SqliteStore(place)
