"""A produced set as the input of a recipe: its questions, or its stage 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hub.conftest import REPO, Repository, Sets
from tests.support import scripted
from tests.support.hub import LocalHub
from tests.support.recipes import BASE
from toolgen_hf import Recipe, Workspace, run
from toolgen_hf.errors import ConfigError, DataError, HubError
from toolgen_hf.flow import Result, plan
from toolgen_hf.hub import pull, push
from toolgen_hf.hub.fetch import find
from toolgen_hf.report.screen import print_summary

pytestmark = pytest.mark.usefixtures("scripted_models")


def recipe(source: str, **changes: Any) -> Recipe:
    data = {**BASE, "name": "next", "dataset": {"source": source}, **changes}
    if source.endswith("#stage1"):
        del data["answer"]
    return Recipe.parse({key: value for key, value in data.items() if value is not None})


def build(tmp_path: Path, source: str, **changes: Any) -> Result:
    return run(recipe(source, **changes), tmp_path / "next", Workspace(tmp_path / "cache", progress=False))


def manifest(result: Result) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((result.directory / "manifest.json").read_text())
    return data


@pytest.fixture
def pushed(hub_here: LocalHub, sets: Sets) -> LocalHub:
    push(sets.old, REPO, "1.0.0")
    push(sets.new, REPO, "1.1.0")
    return hub_here


@pytest.mark.parametrize("place", ["hub:ann/set@v1.0.0", "hub:ann/set@1.0.0", "directory"])
def test_questions(pushed: LocalHub, sets: Sets, tmp_path: Path, place: str) -> None:
    result = build(tmp_path, f"{sets.old if place == 'directory' else place}#raw")
    again = {split: rows.to_list() for split, rows in result.configs["raw"].items()}
    assert {split: len(rows) for split, rows in again.items()} == {"train": 8, "test": 4}
    assert again["train"][0]["id"] == "Sums-train-0"
    assert again["train"][0]["solution"].startswith("She has")
    facts = manifest(result)
    source = facts["source"]
    assert facts["source_dataset"] == "Sums"
    assert source["config"] == "raw"
    if place == "directory":
        assert (source["source_dataset"], source["commit"]) == ("sums", None)
    else:
        commit = pushed.refs(REPO)["refs/tags/v1.0.0"]
        assert (source["source_dataset"], source["revision"], source["commit"]) == (REPO, "v1.0.0", commit)
    assert (result.directory / "data" / "raw" / "Sums" / "Sums.json").is_file()


def test_the_newest_version_where_none_is_named(pushed: LocalHub, tmp_path: Path) -> None:
    source = manifest(build(tmp_path, "hub:ann/set#raw"))["source"]
    assert (source["revision"], source["commit"]) == ("v1.1.0", pushed.refs(REPO)["refs/tags/v1.1.0"])


def test_stage_1_is_taken_as_it_is_and_nobody_is_asked(pushed: LocalHub, sets: Sets, tmp_path: Path) -> None:
    result = build(tmp_path, "hub:ann/set@v1.0.0#stage1", score={"strategy": "consistency"})
    from toolgen_hf.builders import Produced, load

    before = load(Produced("stage1", data_dir=sets.old))
    for split, rows in result.configs["stage1"].items():
        assert rows.to_list() == before[split].to_list()
    stage2 = result.configs["stage2"]["train"][0]
    assert stage2["origin"] == ["gold", "talker", "caller", "failer"]
    facts = manifest(result)
    assert list(facts["models"]) == ["talker", "caller", "failer"]
    assert facts["source"]["models"]["student"] == "`half`, scripted"
    assert result.summary.student == {"splits": {}}
    assert "answer" not in {stage["stage"] for stage in result.summary.stages}
    written = yaml.safe_load((result.directory / "recipe.yaml").read_text())
    assert not {"answer", "tool_api"} & written.keys()
    assert (
        Recipe.load(result.directory / "recipe.yaml").to_yaml()
        == recipe("hub:ann/set@v1.0.0#stage1", score={"strategy": "consistency"}).to_yaml()
    )
    print_summary(result.summary, result.directory)
    assert push(result.directory, "ann/next", "1.0.0").is_new


def test_a_rerun_costs_nothing(pushed: LocalHub, tmp_path: Path) -> None:
    for source in ("hub:ann/set@v1.0.0#stage1", "hub:ann/set@v1.0.0#raw"):
        build(tmp_path, source)
        scripted.CALLS.clear()
        pushed.requests.clear()
        again = build(tmp_path, source)
        assert (again.summary.up_to_date, again.summary.transforms_run) == (True, 0)
        assert scripted.CALLS == []
        assert [r for r in pushed.requests if r.origin == "storage"] == []


def test_a_tag_that_was_moved_gives_the_new_rows(repository: Repository, sets: Sets, tmp_path: Path) -> None:
    first = build(tmp_path, "hub:ann/set@v1.0.0#raw")
    push(sets.slim_new, REPO, "1.0.0", force=True)
    second = build(tmp_path, "hub:ann/set@v1.0.0#raw")
    assert len(first.configs["raw"]["train"]) == 8
    assert len(second.configs["raw"]["train"]) == 7
    assert manifest(second)["source"]["commit"] == repository.tags["v1.0.0"]


def test_only_that_config_is_fetched(pushed: LocalHub, tmp_path: Path) -> None:
    pushed.requests.clear()
    build(tmp_path, "hub:ann/set@v1.0.0#raw")
    assert len([r for r in pushed.requests if r.origin == "storage" and r.method == "GET"]) == 2


def test_rows_can_be_chosen(pushed: LocalHub, tmp_path: Path) -> None:
    dataset = {"source": "hub:ann/set@v1.0.0#stage1", "rows": {"train": 3}}
    result = build(tmp_path, "hub:ann/set@v1.0.0#stage1", dataset=dataset)
    assert {split: len(rows) for split, rows in result.configs["stage2"].items()} == {"train": 3}


def test_licence_and_citation_go_along(sets: Sets, tmp_path: Path) -> None:
    import shutil

    root = Path(shutil.copytree(sets.slim_old, tmp_path / "licensed"))
    facts = json.loads((root / "manifest.json").read_text())
    facts |= {"license": "MIT", "citation": "@misc{sums}", "homepage": "https://example.org/sums"}
    (root / "manifest.json").write_text(json.dumps(facts))
    made = manifest(build(tmp_path, f"{root}#raw"))
    assert (made["license"], made["citation"], made["homepage"]) == (
        "MIT",
        "@misc{sums}",
        "https://example.org/sums",
    )
    (root / "manifest.json").write_text(json.dumps({**facts, "source_dataset": "../../evil"}))
    with pytest.raises(
        DataError, match=r"'\.\./\.\./evil', which cannot be the name of a file: set dataset\.name"
    ):
        build(tmp_path, f"{root}#raw")


def test_a_dry_run_from_stage_1(pushed: LocalHub, tmp_path: Path) -> None:
    with Workspace(tmp_path / "cache", progress=False) as workspace:
        planned = plan(recipe("hub:ann/set@v1.0.0#stage1"), workspace)
    assert {entry.stage for entry in planned.entries} == {
        "respond talker",
        "respond caller",
        "respond failer",
    }


def test_a_source_that_was_tampered_with(repository: Repository, tmp_path: Path) -> None:
    name = "raw/train-00000-of-00001.parquet"
    other = repository.files["raw/test-00000-of-00001.parquet"]
    repository.hub.repo(REPO).refs["refs/tags/v1.2.0"] = repository.hub.commit(REPO, {name: other})
    with pytest.raises(HubError, match=r"ann/set@v1\.2\.0 is not what its manifest says: raw/train"):
        build(tmp_path, "hub:ann/set@v1.2.0#raw")


def test_offline_a_commit_that_was_fetched_is_found_and_a_tag_is_refused(
    pushed: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, other = (pushed.refs(REPO)[f"refs/tags/v1.{minor}.0"] for minor in (0, 1))
    first = build(tmp_path, f"hub:ann/set@{commit}#raw")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    pushed.requests.clear()
    again = build(tmp_path, f"hub:ann/set@{commit}#raw")
    assert again.configs["raw"]["train"].to_list() == first.configs["raw"]["train"].to_list()
    with pytest.raises(HubError, match="ignores which revision is asked for"):
        build(tmp_path, "hub:ann/set@v1.0.0#raw")
    with pytest.raises(HubError, match="this commit was not fetched"):
        build(tmp_path, f"hub:ann/set@{other}#raw")
    assert pushed.requests == []


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"source": "hub:ann/set@v1.0.0"}, r"dataset: source 'hub:ann/set@v1\.0\.0': write hub:user/repo@v1\.0\.0#raw"),
        ({"source": "hub:ann/set#stage2"}, "write hub:user/repo"),
        ({"source": "hub:set#raw"}, "names no repository"),
        ({"source": "#raw"}, "write hub:user/repo"),
        ({"source": "hubb"}, "'hubb' is neither 'bundled', 'hub' nor a produced set's"),
        ({"source": "out#raw", "columns": {"question": "q"}}, "the builder 'produced' has no 'columns'"),
        ({"source": "out#raw", "revision": "v1"}, "the builder 'produced' has no 'revision'"),
        ({"builder": "produced"}, "write hub:user/repo"),
        ({"source": "out#stage1"}, r"answer: leave it out \(--set answer=null\): 'out#stage1' is taken as it is"),
        ({"builder": "qa", "source": "bundled"}, "the builder 'qa' has no 'source'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(dataset: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe.parse({**BASE, "dataset": dataset})


def test_a_student_is_needed_everywhere_else() -> None:
    data = {key: value for key, value in BASE.items() if key != "answer"}
    for extra in ({}, {"answer": None}):
        with pytest.raises(ConfigError, match="answer: this key is required"):
            Recipe.parse({**data, **extra})
    with pytest.raises(ConfigError, match="asks no student"):
        _ = recipe("out#stage1").student


def test_a_recipe_that_ships_can_start_from_a_set() -> None:
    changed = Recipe.load("quickstart", ["dataset.source=hub:ann/set@v1.0.0#raw", "dataset.rows=null"])
    assert changed.dataset.builder == "produced"
    assert Recipe.load("quickstart").dataset.starts_at == "raw"


@pytest.mark.parametrize("way", ["pulled", "fetched"])
def test_a_recipe_that_came_with_a_set_reads_none_of_my_files(
    pushed: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """It names ``questions/train.jsonl``, from where its set was made; here that is another file."""
    if way == "pulled":
        pull(REPO, tmp_path / "out", "1.0.0")
    folder = tmp_path / "out" if way == "pulled" else find("hub:ann/set@v1.0.0").directory
    (tmp_path / "questions").mkdir()
    (tmp_path / "questions" / "train.jsonl").write_text('{"question": "My password?", "answer": "7"}')
    monkeypatch.chdir(tmp_path)
    came = folder / "recipe.yaml"
    with pytest.raises(ConfigError, match=r"'questions/train.jsonl', which lies outside of its folder"):
        Recipe.load(came)
    mine = [f"dataset.data_files.{split}=mine/{split}.jsonl" for split in ("train", "test")]
    assert Recipe.load(came, mine).dataset.data_files == {
        "train": "mine/train.jsonl",
        "test": "mine/test.jsonl",
    }


def test_what_is_not_there(pushed: LocalHub, tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"toolgen-hf versions ann/set"):
        build(tmp_path, "hub:ann/set@v9.0.0#raw")
    with pytest.raises(ConfigError, match="is not a produced directory"):
        build(tmp_path, f"{tmp_path}#raw")
