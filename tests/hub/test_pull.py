"""Versions, and one of them as a directory: verified, resumed, and put in place at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from datasets import load_dataset

from tests.hub.conftest import REPO, Repository, Sets
from tests.support.hub import Fault, HubRequest, LocalHub
from toolgen_hf.errors import ConfigError, HubError
from toolgen_hf.hub import pull, push, versions


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def two(repository: Repository, sets: Sets) -> Repository:
    """With two versions, and a tag that is none."""
    push(sets.slim_new, REPO, "1.1.0")
    repository.hub.repo(REPO).refs["refs/tags/draft"] = repository.tags["v1.0.0"]
    repository.hub.requests.clear()
    return repository


def test_versions_are_listed_newest_first(two: Repository, sets: Sets) -> None:
    push(sets.slim_old, REPO, "1.10.0-rc.1")
    found = versions(REPO)
    assert [version.tag for version in found] == ["v1.10.0-rc.1", "v1.1.0", "v1.0.0"]
    told = found[1].to_dict()
    assert told["commit"] == two.tags["v1.1.0"]
    assert told["rows"] == {"stage2": 10, "raw": 11}
    assert told["student"] == "`wrong`, scripted"
    assert told["teachers"] == {"annotations": 10}
    assert told["sources"] == {"talker": "`right`, scripted", "caller": "`call`, scripted"}
    assert told["date"].startswith("20")


def test_a_tag_of_another_tool_is_listed_without_facts(hub_here: LocalHub) -> None:
    hub_here.create(REPO)
    oid = hub_here.commit(REPO, {"manifest.json": b'{"files": {"../../x": "0"}, "toolgen_hf": "1"}'})
    hub_here.repo(REPO).refs["refs/tags/v1.0.0"] = oid
    assert versions(REPO)[0].manifest is None


def test_a_version_arrives_as_it_was_pushed(two: Repository, tmp_path: Path) -> None:
    for tag in ("v1.0.0", "v1.1.0"):
        done = pull(REPO, tmp_path / tag, tag)
        there = two.at(tag)
        del there[".gitattributes"]
        assert files(tmp_path / tag) == there
        assert (done.tag, done.commit) == (tag, two.tags[tag])
    assert pull(REPO, tmp_path / "newest").tag == "v1.1.0"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".") and p.is_dir()] == []


def test_what_was_pulled_opens_and_can_be_pushed_again(two: Repository, sets: Sets, tmp_path: Path) -> None:
    pull(REPO, tmp_path / "out", "1.0.0")
    rows = load_dataset(str(tmp_path / "out"), "raw")["train"].to_list()
    assert rows == load_dataset(str(sets.slim_old), "raw")["train"].to_list()
    assert not push(tmp_path / "out", REPO, "1.0.0").is_new


def test_a_file_that_is_cut_goes_on_in_its_middle(
    two: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 500)
    two.hub.fault = Fault("truncate").on("^GET /dataset/")
    pull(REPO, tmp_path / "out")
    stored = [r.status for r in two.hub.requests if r.method == "GET" and r.origin == "storage"]
    assert set(stored) == {200, 206}
    assert stored.count(206) == 1


def test_a_pull_that_broke_off_fetches_what_is_missing(
    repository: Repository, sets: Sets, tmp_path: Path
) -> None:
    push(sets.old, REPO, "2.0.0")
    hub = repository.hub
    hub.requests.clear()

    def breaks(request: HubRequest) -> Fault | None:
        """After eight files: half of one, and then nothing any more."""
        sent = sum(r.method == "GET" and r.origin == "storage" for r in hub.requests[: request.index + 1])
        return (
            None
            if sent < 9
            else Fault("truncate")
            if sent == 9 and request.origin == "storage"
            else Fault(500)
        )

    hub.fault = breaks
    target = tmp_path / "out"
    with pytest.raises(HubError, match="cannot pull from 'ann/set'"):
        pull(REPO, target, "2.0.0")
    assert not target.exists()
    hub.fault = None
    (partial,) = tmp_path.glob(".out.pulling-*")
    finished = {name for name in files(partial) if not name.startswith(".cache/")}
    assert len(finished) >= 8
    hub.requests.clear()
    pull(REPO, target, "2.0.0")
    asked = {r.path.partition("/resolve/")[2].partition("/")[2] for r in hub.requests}
    assert not asked & finished
    assert files(sets.old).keys() <= files(target).keys()


def test_an_old_directory_stays_until_the_end(two: Repository, tmp_path: Path) -> None:
    target = tmp_path / "out"
    pull(REPO, target, "1.0.0")
    before = files(target)
    two.hub.fault = Fault(500).on("^GET /dataset/", times=None)
    with pytest.raises(HubError):
        pull(REPO, target, "1.1.0")
    assert files(target) == before
    two.hub.fault = None
    pull(REPO, target, "1.1.0")
    assert json.loads((target / "manifest.json").read_text())["version"] == "1.1.0"
    assert not (target / "data" / "old.json").exists()


def test_what_was_changed_by_hand_is_not_taken(two: Repository, tmp_path: Path) -> None:
    changed = two.at("v1.1.0")["raw/train-00000-of-00001.parquet"] + b"x"
    oid = two.hub.commit(REPO, {"raw/train-00000-of-00001.parquet": changed})
    two.hub.repo(REPO).refs["refs/tags/v1.2.0"] = oid
    with pytest.raises(
        HubError, match=r"ann/set@v1\.2\.0 is not what its manifest says: raw/train-.* differ"
    ):
        pull(REPO, tmp_path / "out", "1.2.0")
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_found(two: Repository, tmp_path: Path) -> None:
    two.hub.repo(REPO).refs["refs/tags/v1.2.0"] = two.hub.commit(REPO, {"data/new.json": None})
    with pytest.raises(HubError, match=r"data/new\.json differ"):
        pull(REPO, tmp_path / "out")


def test_a_manifest_cannot_lead_out_of_its_directory(two: Repository, tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("here")
    manifest = json.loads(two.files["manifest.json"])
    manifest["files"]["../victim.txt"] = "0" * 64
    oid = two.hub.commit(REPO, {"manifest.json": json.dumps(manifest).encode()})
    two.hub.repo(REPO).refs["refs/tags/v1.2.0"] = oid
    with pytest.raises(HubError, match=r"was not pushed by toolgen_hf"):
        pull(REPO, tmp_path / "out")
    assert victim.read_text() == "here"


def test_a_directory_of_others_is_refused(two: Repository, sets: Sets, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="not ours to replace"):
        pull(REPO, tmp_path)
    mixed = Path(shutil.copytree(sets.slim_old, tmp_path / "mixed"))
    (mixed / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"would lose: notes\.txt"):
        pull(REPO, mixed)
    assert two.hub.requests == []


@pytest.mark.parametrize(
    ("repo", "version", "error", "message"),
    [
        (REPO, "3.0.0", HubError, r"has no version v3\.0\.0; there is v1\.1\.0, v1\.0\.0"),
        (REPO, "new", ConfigError, "'new' is not a version"),
        ("ann/none", None, HubError, "there is no such dataset repository, or it is private"),
        ("ann", None, ConfigError, "names no repository"),
    ],
)
def test_what_is_not_there(
    two: Repository, tmp_path: Path, repo: str, version: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pull(repo, tmp_path / "out", version)


def test_private_ones_are_for_those_who_may(two: Repository, sets: Sets, tmp_path: Path) -> None:
    push(sets.slim_old, "ann/secret", "1.0.0", private=True)
    assert pull("ann/secret", tmp_path / "out").tag == "v1.0.0"
    with pytest.raises(HubError, match="it is private and the token is not allowed"):
        pull("ann/secret", tmp_path / "other", token="hf_bob")


def test_offline_is_said(two: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for call in (lambda: pull(REPO, tmp_path / "out"), lambda: versions(REPO)):
        with pytest.raises(HubError, match="offline, the Hub's client ignores which revision is asked for"):
            call()
