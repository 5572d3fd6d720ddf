"""Opens the store of texts that a path or a URL names."""

from __future__ import annotations

from pathlib import Path

from toolgen_hf.runtime.store import SqliteStore, Store


def is_shared(place: str | Path) -> bool:
    """Whether several machines reach the store: it is a PostgreSQL database."""
    return isinstance(place, str) and place.startswith(("postgresql://", "postgres://"))


def open_store(place: str | Path) -> Store:
    """The store at a path, or at a ``postgresql://`` URL.

    Raises:
        ConfigError: the URL holds a password, or the client of PostgreSQL is not installed.
        DataError: the file is not a store, or the store cannot be opened.
    """
    if is_shared(place):
        from toolgen_hf.runtime.postgres import PostgresStore

        return PostgresStore(str(place))
    return SqliteStore(place)
