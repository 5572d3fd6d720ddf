"""What a page finds when it is executed: models and engines that answer from a script, a Hub, a result to look at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import voices
from tests.docs.given import bring
from tests.docs.runner import Site
from tests.support.hub.process import point_here
from tests.support.hub.server import LocalHub
from toolgen_hf import Recipe, Workspace, models, run
from toolgen_hf.models.weights import resolve_model
from toolgen_hf.testing import ApiServer

ROWS = "dataset.rows={train: 8, test: 4}"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all pages, so that what two of them build is built once."""
    return tmp_path_factory.mktemp("docs-home")


@pytest.fixture(scope="session")
def quickstart(home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``outputs/quickstart`` of a few rows."""
    folder = tmp_path_factory.mktemp("docs") / "outputs"
    with pytest.MonkeyPatch.context() as patch, Workspace(home, progress=False) as workspace:
        speak(patch, tiny_model)
        run(Recipe.load("quickstart", [ROWS]), folder / "quickstart", workspace)
    return folder


def speak(patch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    """Models answer from voices.py; what is finetuned is a model of two layers."""
    patch.setitem(models.GENERATORS, "local", voices.HOME)
    model = resolve_model(str(tiny_model))
    patch.setattr("toolgen_hf.finetune.run.resolve_model", lambda name, revision=None: model)


@pytest.fixture
def site(
    home: Path, quickstart: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """A folder with ``outputs/quickstart``, the scripts, and what readers bring; a Hub of ``user``; an engine."""
    folder = tmp_path / "here"
    shutil.copytree(quickstart, folder / "outputs")
    bring(folder, tiny_model)
    speak(monkeypatch, tiny_model)
    monkeypatch.chdir(folder)
    with (
        ApiServer(voices.engine) as own,
        ApiServer(voices.engine) as openai,
        LocalHub({"hf_user": "user"}) as hub,
    ):
        point_here(monkeypatch, hub.endpoint, tmp_path / "hf-home", "hf_user")
        monkeypatch.setenv("TOOLGEN_HF_HOME", str(home))
        monkeypatch.setattr("toolgen_hf.models.openai.engine.OPENAI_URL", openai.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-any")
        urls = {"http://localhost:8000/v1": own.base_url, "https://api.openai.com/v1": openai.base_url}
        yield Site(folder, monkeypatch, urls)
