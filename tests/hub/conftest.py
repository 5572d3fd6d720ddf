"""Two small results, a repository that holds the first, and clients that do not really wait."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from tests.support import scripted
from tests.support.hub import LocalHub
from tests.support.recipes import ROWS, sums_data, write_questions
from toolgen_hf import Recipe, Workspace, models, run
from toolgen_hf._utils import Job
from toolgen_hf.data.produced import open_manifest
from toolgen_hf.flow.write import write_produced
from toolgen_hf.hub import push

REPO = "ann/set"


@dataclass(frozen=True)
class Sets:
    """Produced directories. ``new`` has other questions, a source less and another student than ``old``."""

    old: Path
    new: Path
    slim_old: Path
    slim_new: Path


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    root = tmp_path_factory.mktemp("sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr("datasets.config.HF_DATASETS_CACHE", root / "datasets")
        patch.setitem(models.GENERATORS, "local", scripted.HOME)
        folder = Path("questions")
        build("old", sums_data(folder))
        write_questions(folder, [{**ROWS[0], "answer": "?"}, *ROWS[2:]])
        changed = sums_data(Path("unused"), answer__generator={"kind": "local", "model": "wrong"})
        changed["dataset"] |= {"data_files": {s: str(folder / f"{s}.jsonl") for s in ("train", "test")}}
        del changed["sources"]["failer"]
        build("new", {**changed, "score": {"strategy": "consistency"}})
        for name in ("old", "new"):
            slim(root / name, root / f"slim_{name}")
    return Sets(root / "old", root / "new", root / "slim_old", root / "slim_new")


def build(name: str, data: dict[str, Any]) -> None:
    run(Recipe.parse(data), name, Workspace(Path("cache"), progress=False))


def slim(whole: Path, target: Path) -> None:
    """The same with few files, so that a push has few requests; ``old`` has one that ``new`` has not."""
    from toolgen_hf.builders import Produced, load

    manifest = open_manifest(whole).data
    configs = {config: load(Produced(config, data_dir=whole)) for config in ("stage2", "raw")}
    sizes = {config: manifest["summary"]["configs"][config] for config in configs}
    facts = {**manifest, "summary": {**manifest["summary"], "configs": sizes}}
    del facts["files"]

    def exports(root: Path) -> list[Job]:
        root.mkdir()
        (root / f"{whole.name}.json").write_text('{"id": 1}\n', encoding="utf-8")
        (root / "both.json").write_text(f'{{"name": "{whole.name}"}}\n', encoding="utf-8")
        return []

    write_produced(target, configs, exports, (whole / "recipe.yaml").read_text(encoding="utf-8"), facts)


@dataclass
class Clock:
    """Stands in for the module ``time``: how long was waited, without waiting."""

    waits: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Neither this library nor the Hub's client really waits before it tries again."""
    clock = Clock()
    monkeypatch.setattr("huggingface_hub.utils._http.time", clock)
    monkeypatch.setattr("toolgen_hf.hub.remote.time", clock)
    return clock


@dataclass
class Repository:
    """ann's repository, which can be put back to how it was after its first version."""

    hub: LocalHub
    first: dict[str, bytes]

    def reset(self) -> str:
        """As it was, and nothing of it is cached here."""
        shutil.rmtree(constants.HF_HUB_CACHE, ignore_errors=True)
        self.hub.create(REPO)
        oid = self.hub.commit(REPO, self.first, message="sums v1.0.0", user="ann")
        self.hub.repo(REPO).refs["refs/tags/v1.0.0"] = oid
        return oid

    @property
    def files(self) -> dict[str, bytes]:
        return self.hub.snapshot(REPO)

    def at(self, tag: str) -> dict[str, bytes]:
        return self.hub.snapshot(REPO, tag)

    @property
    def tags(self) -> dict[str, str]:
        refs = self.hub.refs(REPO)
        return {ref.removeprefix("refs/tags/"): oid for ref, oid in refs.items() if "/tags/" in ref}

    @property
    def titles(self) -> list[str]:
        """The commits' titles, the newest first, without the one that made the repository."""
        return [commit.title for commit in self.hub.commits(REPO)][:-1]


@pytest.fixture
def repository(hub_here: LocalHub, sets: Sets, clock: Clock) -> Repository:
    """With ``slim_old`` as 1.0.0, all requests so far forgotten."""
    push(sets.slim_old, REPO, "1.0.0")
    made = Repository(hub_here, hub_here.snapshot(REPO))
    made.reset()
    hub_here.requests.clear()
    return made
