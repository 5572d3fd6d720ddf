"""Fixtures; tests/conftest.py offers them to every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub.process import point_here
from tests.support.hub.server import LocalHub

USERS = {"hf_ann": "ann", "hf_ann_reads": "ann", "hf_bob": "bob"}


@pytest.fixture
def local_hub() -> Iterator[LocalHub]:
    """An empty hub of ann, who has a token that only reads too, of bob, and of the organization lab of ann."""
    with LocalHub(USERS, orgs={"lab": ["ann"]}, read_only=["hf_ann_reads"]) as hub:
        yield hub


@pytest.fixture
def hub_here(local_hub: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalHub:
    """The same, and the clients in this process know no other; ann is logged in, her cache is empty."""
    point_here(monkeypatch, local_hub.endpoint, tmp_path / "hf-home", "hf_ann")
    return local_hub
