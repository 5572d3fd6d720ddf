"""What a page needs to run: scripted models and engines, a Hub, a result, and the files that a reader would bring."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import scripted
from tests.docs.pages import ROOT, Site
from tests.support.hub.process import point_here
from tests.support.hub.server import LocalHub
from toolgen_hf import Recipe, Workspace, models, run
from toolgen_hf.models.weights import resolve_model
from toolgen_hf.testing import ApiServer

EXAMPLE = ROOT / "docs" / "examples" / "dates"
QUESTIONS = """problem,result,steps
"Ann has 12 pens and buys 5 more. How many pens has she?",17,12+5=<<12+5=17>>17
"A box holds 6 eggs. How many eggs are in 4 boxes?",24,6*4=<<6*4=24>>24
"5 friends share 45 nuts. How many does each get?",9,45/5=<<45/5=9>>9
"""


def use_scripted_models(patch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    """Local models answer from a script. Fine-tuning uses a model of two layers."""
    patch.setitem(models.GENERATORS, "local", scripted.LOCAL)
    model = resolve_model(str(tiny_model))
    patch.setattr("toolgen_hf.finetune.run.resolve_model", lambda name, revision=None: model)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all pages."""
    return tmp_path_factory.mktemp("docs-home")


@pytest.fixture(scope="session")
def quickstart(home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the result ``quickstart``, of a few rows."""
    folder = tmp_path_factory.mktemp("docs") / "outputs"
    with pytest.MonkeyPatch.context() as patch, Workspace(home, progress=False) as workspace:
        use_scripted_models(patch, tiny_model)
        recipe = Recipe.load("quickstart", ["dataset.rows={train: 8, test: 4}"])
        run(recipe, folder / "quickstart", workspace)
    return folder


@pytest.fixture
def site(
    home: Path, quickstart: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """A folder with ``outputs/quickstart``, ``scripts``, ``docs`` and a reader's files; a Hub; two engines."""
    folder = tmp_path / "here"
    shutil.copytree(quickstart, folder / "outputs")
    bring_files(folder, tiny_model)
    use_scripted_models(monkeypatch, tiny_model)
    monkeypatch.chdir(folder)
    with (
        ApiServer(scripted.engine) as own,
        ApiServer(scripted.engine) as openai,
        LocalHub({"hf_user": "user"}) as hub,
    ):
        point_here(monkeypatch, hub.endpoint, tmp_path / "hf-home", "hf_user")
        monkeypatch.setenv("TOOLGEN_HF_HOME", str(home))
        monkeypatch.setattr("toolgen_hf.models.openai.engine.OPENAI_URL", openai.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-any")
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # python
        urls = {"http://localhost:8000/v1": own.base_url, "https://api.openai.com/v1": openai.base_url}
        yield Site(folder, monkeypatch, urls)


def bring_files(folder: Path, model: Path) -> None:
    """Questions, the example, the scripts with API keys and a model, and the model ``org/name``."""
    (folder / "questions.csv").write_text(QUESTIONS, encoding="utf-8")
    scripts = folder / "scripts"
    shutil.copytree(ROOT / "scripts", scripts, ignore=shutil.ignore_patterns("benchmarks", "__pycache__"))
    keys = "sk-first-key-abcdef\nsk-second-key-ghijkl\n"
    (scripts / "openai_api_keys.txt").write_text(keys, encoding="utf-8")
    for place in (scripts / "PLMs" / "vicuna-7b", folder / "org" / "name"):
        place.parent.mkdir()
        place.symlink_to(model)
    shutil.copytree(EXAMPLE, folder / "docs" / "examples" / "dates")
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)  # docs/extending.md names dates.py alone
