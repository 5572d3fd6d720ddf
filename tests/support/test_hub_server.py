"""The local hub, asked by the real client: repositories, commits, refs and rights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.support.hub import LocalHub

LARGE = bytes(range(256)) * 4000


@pytest.fixture
def api(hub_here: LocalHub) -> HfApi:
    """ann's client, of a hub where she has an empty repository."""
    api = HfApi(endpoint=hub_here.endpoint, token="hf_ann")
    api.create_repo("ann/set", repo_type="dataset")
    return api


def as_bob(api: HfApi) -> HfApi:
    return HfApi(endpoint=api.endpoint, token="hf_bob")


def push(api: HfApi, path: str = "a.txt", content: bytes = b"a", **kwargs: Any) -> CommitInfo:
    return api.create_commit(
        "ann/set", [CommitOperationAdd(path, content)], commit_message="Add", repo_type="dataset", **kwargs
    )


def status(error: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    return error.value.response.status_code


def test_a_repository_is_created_once_and_deleted(api: HfApi, hub_here: LocalHub) -> None:
    assert (
        api.create_repo("ann/set", repo_type="dataset", exist_ok=True) == f"{api.endpoint}/datasets/ann/set"
    )
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_repo("ann/set", repo_type="dataset")
    assert status(refused) == 409
    assert api.create_repo("lab/model").repo_id == "lab/model"  # a model, of an organization that ann is in
    assert [info.id for info in api.list_datasets()] == ["ann/set"]
    api.delete_repo("ann/set", repo_type="dataset")
    assert not api.repo_exists("ann/set", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo("ann/set", repo_type="dataset")


def test_a_folder_is_one_commit_of_regular_and_large_files(
    api: HfApi, hub_here: LocalHub, tmp_path: Path
) -> None:
    files = {
        "README.md": b"---\nlicense: mit\n---\n# Set\n",
        "stage1/train.parquet": LARGE,
        "text.bin2": b"\0\1",
    }
    for path, content in files.items():
        (tmp_path / "set" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / path).write_bytes(content)
    done = api.upload_folder(
        repo_id="ann/set", folder_path=tmp_path / "set", repo_type="dataset", commit_message="Title\n\nBody"
    )
    snapshot = hub_here.snapshot("ann/set")
    assert {path: snapshot[path] for path in files} == files
    assert set(snapshot) == {".gitattributes", *files}
    large = {path for path, blob in hub_here.repo("ann/set").main.tree.items() if blob.lfs}
    assert large == {"stage1/train.parquet", "text.bin2"}
    history = api.list_repo_commits("ann/set", repo_type="dataset")
    assert [(commit.title, commit.message) for commit in history] == [
        ("Title", "Body"),
        ("initial commit", ""),
    ]
    assert done.oid == history[0].commit_id == hub_here.refs("ann/set")["refs/heads/main"]

    before = len(hub_here.requests)
    again = api.upload_folder(repo_id="ann/set", folder_path=tmp_path / "set", repo_type="dataset")
    assert again.oid == done.oid  # preupload told that nothing has changed
    assert not [line for line in hub_here.lines[before:] if "/commit/" in line or line.startswith("PUT")]


def test_what_is_in_a_repository_is_told_in_every_way(api: HfApi) -> None:
    for path, content in {"README.md": b"# Set\n", "a/b/c.txt": b"c", "a/x.parquet": LARGE}.items():
        push(api, path, content)
    info = api.dataset_info("ann/set", files_metadata=True)
    sizes = {sibling.rfilename: sibling.size for sibling in info.siblings or []}
    assert sizes.pop(".gitattributes")
    assert sizes == {"README.md": 6, "a/b/c.txt": 1, "a/x.parquet": len(LARGE)}
    assert set(api.list_repo_files("ann/set", repo_type="dataset")) == {".gitattributes", *sizes}
    inside = api.list_repo_tree("ann/set", "a", repo_type="dataset", expand=True)
    assert [entry.path for entry in inside] == ["a/b", "a/x.parquet"]
    found = api.get_paths_info("ann/set", ["a/x.parquet", "a/b", "none"], repo_type="dataset", expand=True)
    assert [(entry.path, entry.last_commit is not None) for entry in found] == [
        ("a/x.parquet", True),
        ("a/b", True),
    ]
    assert api.file_exists("ann/set", "a/b/c.txt", repo_type="dataset")
    assert not api.file_exists("ann/set", "a/b", repo_type="dataset")
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree("ann/set", "none", repo_type="dataset"))


def test_tags_stay_where_they_were_put(api: HfApi, hub_here: LocalHub) -> None:
    first = push(api).oid
    api.create_tag("ann/set", tag="v1", tag_message="The first", repo_type="dataset")
    last = push(api, content=b"b").oid
    api.create_branch("ann/set", branch="draft", revision="v1", repo_type="dataset")
    refs = api.list_repo_refs("ann/set", repo_type="dataset")
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1": first}
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": last, "draft": first}
    assert hub_here.repo("ann/set").tag_messages == {"v1": "The first"}
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_tag("ann/set", tag="v1", repo_type="dataset")
    assert status(refused) == 409
    api.delete_tag("ann/set", tag="v1", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag("ann/set", tag="v1", repo_type="dataset")
    assert not api.revision_exists("ann/set", "v1", repo_type="dataset")


def test_files_and_folders_are_deleted(api: HfApi, hub_here: LocalHub) -> None:
    for path in ("a/1.txt", "a/2.txt", "b.txt", "b.txt.old"):
        push(api, path)
    gone = [CommitOperationDelete("a/"), CommitOperationDelete("b.txt")]
    api.create_commit("ann/set", gone, commit_message="Delete", repo_type="dataset")
    assert set(hub_here.snapshot("ann/set")) == {".gitattributes", "b.txt.old"}
    with pytest.raises(EntryNotFoundError):
        api.delete_file("b.txt", "ann/set", repo_type="dataset")


def test_a_commit_on_a_parent_that_is_not_the_head_is_refused(api: HfApi, hub_here: LocalHub) -> None:
    parent = push(api).oid
    hub_here.before_commit = lambda commit: hub_here.commit(commit.repo, {"theirs.txt": b"first"})
    with pytest.raises(HfHubHTTPError) as refused:
        push(api, "mine.txt", parent_commit=parent)
    assert status(refused) == 412
    hub_here.before_commit = None
    assert "mine.txt" not in hub_here.snapshot("ann/set")
    with hub_here.busy("ann/set"), pytest.raises(HfHubHTTPError) as refused:
        push(api, "mine.txt")
    assert status(refused) == 409
    push(api, "mine.txt")
    assert {"a.txt", "theirs.txt", "mine.txt"} <= set(hub_here.snapshot("ann/set"))


def test_another_person_proposes_and_does_not_push(api: HfApi, hub_here: LocalHub) -> None:
    before = hub_here.snapshot("ann/set")
    with pytest.raises(HfHubHTTPError, match="create_pr=1") as refused:
        push(as_bob(api))
    assert status(refused) == 403
    done = push(as_bob(api), "large.parquet", LARGE, create_pr=True)
    assert (done.pr_revision, done.pr_num) == ("refs/pr/1", 1)
    push(as_bob(api), "more.txt", revision="refs/pr/1")
    assert hub_here.snapshot("ann/set") == before
    assert hub_here.snapshot("ann/set", "refs/pr/1") == {**before, "large.parquet": LARGE, "more.txt": b"a"}
    pulls = api.list_repo_refs("ann/set", repo_type="dataset", include_pull_requests=True).pull_requests
    assert [pull.ref for pull in pulls or []] == ["refs/pr/1"]
    path = hf_hub_download("ann/set", "large.parquet", repo_type="dataset", revision="refs/pr/1")
    assert Path(path).read_bytes() == LARGE


def test_a_private_repository_is_known_to_its_owner_alone(api: HfApi, hub_here: LocalHub) -> None:
    push(api)
    api.update_repo_settings("ann/set", private=True, repo_type="dataset")
    for token, code in ((False, 401), ("hf_bob", 404)):
        with pytest.raises(RepositoryNotFoundError) as refused:
            api.dataset_info("ann/set", token=token)
        assert status(refused) == code
        with pytest.raises(HfHubHTTPError):
            hf_hub_download("ann/set", "a.txt", repo_type="dataset", token=token)
    assert api.dataset_info("ann/set", token="hf_ann_reads").private


@pytest.mark.parametrize(
    ("token", "code", "says"),
    [
        ("hf_ann_reads", 403, "write token"),
        ("hf_wrong", 401, "Invalid credentials"),
        (False, 401, "Invalid user"),
    ],
)
def test_a_token_is_refused_as_the_hub_refuses_it(
    api: HfApi, token: str | bool, code: int, says: str
) -> None:
    with pytest.raises(HfHubHTTPError, match=says) as refused:
        push(api, token=token)
    assert status(refused) == code
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_repo("ann/other", repo_type="dataset", token=token)
    assert status(refused) == code


def test_who_am_i(api: HfApi) -> None:
    assert (api.whoami()["name"], api.whoami()["orgs"][0]["name"]) == ("ann", "lab")
    assert api.whoami("hf_ann_reads")["auth"]["accessToken"]["role"] == "read"
    with pytest.raises(HfHubHTTPError):
        api.whoami("hf_wrong")


def test_a_gated_repository_shows_itself_and_not_its_files(api: HfApi) -> None:
    push(api)
    api.update_repo_settings("ann/set", gated="manual", repo_type="dataset")
    assert as_bob(api).dataset_info("ann/set").gated == "manual"
    with pytest.raises(HfHubHTTPError, match="gated") as refused:
        hf_hub_download("ann/set", "a.txt", repo_type="dataset", token="hf_bob")
    assert status(refused) == 403


def test_ignored_files_stay_out(api: HfApi, hub_here: LocalHub) -> None:
    push(api, ".gitignore", b"*.log\n/build/\n!keep.log\n")
    names = ("a.log", "keep.log", "build/x.txt", "src/build.txt")
    add = [CommitOperationAdd(name, b"x") for name in names]
    api.create_commit("ann/set", add, commit_message="Add", repo_type="dataset")
    assert set(hub_here.snapshot("ann/set")) == {".gitattributes", ".gitignore", "keep.log", "src/build.txt"}


def test_a_card_is_validated(api: HfApi) -> None:
    with pytest.raises(ValueError, match="YAML"):
        push(api, "README.md", b"---\na: [\n---\n")
    push(api, "README.md", b"---\nlicense: mit\n---\n")
    card = api.dataset_info("ann/set").card_data
    assert card is not None
    assert card.to_dict() == {"license": "mit"}
