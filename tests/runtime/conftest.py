"""A real PostgreSQL, from a wheel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support.postgres import Server, running_server

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def database(postgres: Server) -> str:
    """The URL of an empty database."""
    return postgres.create(f"test{next(_NUMBERS)}")
