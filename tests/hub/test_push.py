"""A push, its versions, what others commit meanwhile, and what people write into the card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset
from huggingface_hub import HfApi

from tests.hub.conftest import REPO, Clock, Repository, Sets
from tests.support.hub import Fault, Incoming, LocalHub
from toolgen_hf._utils import bytes_sha256
from toolgen_hf.errors import ConfigError, DataError, HubError
from toolgen_hf.hub import pull, push
from toolgen_hf.hub.card import BEGIN, END, generated_part, split_card
from toolgen_hf.hub.release import UNMARKED


def commits(hub: LocalHub) -> int:
    return len(hub.commits(REPO)) - 1


def test_everything_is_in_one_commit_and_the_tag_is_on_it(hub_here: LocalHub, sets: Sets) -> None:
    done = push(sets.old, REPO, "1.0.0")
    assert (done.is_new, done.tag, done.version) == (True, "v1.0.0", "1.0.0")
    assert commits(hub_here) == 1
    assert hub_here.refs(REPO)["refs/tags/v1.0.0"] == done.commit == hub_here.commits(REPO)[0].oid
    assert hub_here.repo(REPO).tag_messages["v1.0.0"].startswith("stage2 12, stage1 12")
    files = hub_here.snapshot(REPO)
    local = {p.relative_to(sets.old).as_posix() for p in sets.old.rglob("*") if p.is_file()}
    assert set(files) == {*local, ".gitattributes"}
    manifest = json.loads(files["manifest.json"])
    assert {name: bytes_sha256(files[name]) for name in manifest["files"]} == manifest["files"]
    assert set(manifest["files"]) == set(files) - {"manifest.json", ".gitattributes"}
    assert manifest["version"] == "1.0.0"
    assert b"PATH_OR_REPO" not in files["README.md"]


def test_it_opens_by_its_tag_with_datasets_alone(hub_here: LocalHub, sets: Sets) -> None:
    push(sets.old, REPO, "1.0.0")
    stage2 = load_dataset(REPO, revision="v1.0.0")
    assert stage2["train"].column_names[:3] == ["id", "query", "responses"]
    local = load_dataset(str(sets.old), "stage1")
    assert load_dataset(REPO, "stage1", revision="v1.0.0")["test"].to_list() == local["test"].to_list()


def test_the_same_again_does_nothing(repository: Repository, sets: Sets) -> None:
    again = push(sets.slim_old, REPO, "v1.0.0")
    assert not again.is_new
    assert repository.titles == ["sums v1.0.0"]
    assert not any("/commit/" in line or "PUT" in line for line in repository.hub.lines)


def test_nor_where_only_the_card_was_edited(repository: Repository, sets: Sets) -> None:
    card = repository.files["README.md"] + b"\nWritten by hand.\n"
    repository.hub.commit(REPO, {"README.md": card})
    before = repository.tags
    assert not push(sets.slim_old, REPO, "1.0.0").is_new
    assert (repository.files["README.md"], repository.tags) == (card, before)


def test_a_version_with_other_content_is_refused_unless_forced(repository: Repository, sets: Sets) -> None:
    before, tags = repository.files, repository.tags
    with pytest.raises(HubError, match=r"has a version v1\.0\.0 with other content: choose the next number"):
        push(sets.slim_new, REPO, "1.0.0")
    assert (repository.files, repository.tags) == (before, tags)
    done = push(sets.slim_new, REPO, "1.0.0", force=True)
    assert repository.tags == {"v1.0.0": done.commit}
    assert "data/new.json" in repository.at("v1.0.0")


def test_a_forced_push_that_was_cut_short_at_the_tag_is_completed(repository: Repository, sets: Sets) -> None:
    repository.hub.fault = Fault(500).on("POST .*/tag/", times=None)
    with pytest.raises(HubError, match="run again"):
        push(sets.slim_new, REPO, "1.0.0", force=True)
    repository.hub.fault = None
    push(sets.slim_new, REPO, "1.0.0", force=True)
    assert "data/new.json" in repository.at("v1.0.0")
    assert repository.titles == ["sums v1.0.0", "sums v1.0.0"]


def test_a_card_made_anew_over_the_same_data_is_no_other_version(
    repository: Repository, sets: Sets, tmp_path: Path
) -> None:
    remade = Path(shutil.copytree(sets.slim_old, tmp_path / "remade"))
    card = (remade / "README.md").read_bytes() + b"A line of a later template.\n"
    (remade / "README.md").write_bytes(card)
    manifest = json.loads((remade / "manifest.json").read_text())
    manifest["files"]["README.md"] = bytes_sha256(card)
    (remade / "manifest.json").write_text(json.dumps(manifest))
    assert not push(remade, REPO, "1.0.0").is_new
    assert push(remade, REPO, "1.0.0", force=True).is_new
    assert b"later template" in repository.at("v1.0.0")["README.md"]


def test_an_upload_that_fails_for_good_is_told(
    repository: Repository, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upload(*_: object, **__: object) -> None:
        raise RuntimeError("Data processing error: no space left")

    monkeypatch.setattr("huggingface_hub._commit_api._upload_files", upload)
    with pytest.raises(HubError, match="Data processing error: no space left; run again"):
        push(sets.slim_new, REPO, "1.1.0")
    assert repository.files == repository.first


def test_files_of_the_last_version_go_and_files_of_others_stay(repository: Repository, sets: Sets) -> None:
    repository.hub.commit(REPO, {"notes.txt": b"theirs", ".gitignore": b"*.json\nraw/\n"})
    push(sets.slim_new, REPO, "1.1.0")
    files = repository.files
    assert {"notes.txt", "data/new.json", "data/both.json", "raw/train-00000-of-00001.parquet"} <= set(files)
    assert "data/old.json" not in files
    assert "data/old.json" in repository.at("v1.0.0")


def test_a_file_of_the_last_version_that_somebody_deleted_already(repository: Repository, sets: Sets) -> None:
    repository.hub.commit(REPO, {"data/old.json": None})
    assert push(sets.slim_new, REPO, "1.1.0").is_new


@pytest.mark.parametrize("edited", ["notes.txt", "README.md"])
def test_another_commit_meanwhile_is_kept(repository: Repository, sets: Sets, edited: str) -> None:
    def once(commit: Incoming) -> None:
        repository.hub.before_commit = None
        text = repository.files.get(edited, b"") + b"\nTheirs, at the same time.\n"
        repository.hub.commit(REPO, {edited: text})

    repository.hub.before_commit = once
    done = push(sets.slim_new, REPO, "1.1.0")
    assert b"Theirs, at the same time." in repository.files[edited]
    assert repository.titles == ["sums v1.1.0", "Another person's change", "sums v1.0.0"]
    assert repository.tags["v1.1.0"] == done.commit == repository.hub.commits(REPO)[0].oid
    statuses = [r.status for r in repository.hub.requests if "/commit/" in r.path]
    assert statuses == [412, 200]


def test_the_same_version_released_by_another_meanwhile_is_not_taken(
    repository: Repository, sets: Sets
) -> None:
    def once(commit: Incoming) -> None:
        repository.hub.before_commit = None
        push(sets.slim_new, REPO, "1.1.0")

    other = sets.old  # with more configs
    repository.hub.before_commit = once
    with pytest.raises(HubError, match=r"got a version v1\.1\.0 with other content while this was pushed"):
        push(other, REPO, "1.1.0")
    assert "data/new.json" in repository.at("v1.1.0")


def test_two_pushes_of_the_same_at_once_are_one(repository: Repository, sets: Sets) -> None:
    def once(commit: Incoming) -> None:
        repository.hub.before_commit = None
        push(sets.slim_new, REPO, "1.1.0")

    repository.hub.before_commit = once
    done = push(sets.slim_new, REPO, "1.1.0")
    assert repository.titles == ["sums v1.1.0", "sums v1.0.0"]
    assert repository.tags["v1.1.0"] == done.commit


def test_a_busy_repository_is_tried_again(repository: Repository, sets: Sets, clock: Clock) -> None:
    busy = repository.hub.busy(REPO)
    busy.__enter__()
    slept = clock.sleep

    def sleep(seconds: float) -> None:
        slept(seconds)
        if len(clock.waits) == 2:
            busy.__exit__(None, None, None)

    clock.sleep = sleep  # type: ignore[method-assign]
    push(sets.slim_new, REPO, "1.1.0")
    assert [r.status for r in repository.hub.requests if "/commit/" in r.path] == [409, 409, 200]


def test_retry_after_is_kept_to(repository: Repository, sets: Sets, clock: Clock) -> None:
    repository.hub.fault = Fault(429, retry_after=7).on("POST .*/commit/")
    push(sets.slim_new, REPO, "1.1.0")
    assert [wait for wait in clock.waits if wait >= 7]
    repository.reset()
    repository.hub.fault = Fault(429, retry_after=4000).on("POST .*/commit/")
    with pytest.raises(HubError, match="come again in 4000 seconds"):
        push(sets.slim_new, REPO, "1.1.0")
    assert repository.files == repository.first


def test_what_people_wrote_survives_every_later_push(repository: Repository, sets: Sets) -> None:
    data, body = split_card(repository.files["README.md"].decode())
    data |= {"license": "cc-by-4.0", "language": ["en"], "tags": [*data["tags"], "arithmetic"]}
    data["configs"].append({"config_name": "theirs", "data_files": "theirs.csv"})
    body = body.replace("The method", "A change inside, which is replaced. The method")
    text = f"---\n{yaml.safe_dump(data, sort_keys=False)}---\nA word from us.\n{body}\n## Contact\n\nann@example.org\n"
    repository.hub.commit(REPO, {"README.md": text.encode(), "theirs.csv": b"a\n1\n"})
    for directory, version in ((sets.slim_new, "1.1.0"), (sets.slim_old, "1.2.0"), (sets.slim_new, "1.3.0")):
        push(directory, REPO, version)
        files = repository.at(f"v{version}")
        merged, body = split_card(files["README.md"].decode())
        assert (merged["license"], merged["language"]) == ("cc-by-4.0", ["en"])
        assert {"arithmetic", "trice"} <= set(merged["tags"])
        assert [c["config_name"] for c in merged["configs"]] == ["stage2", "raw", "theirs"]
        assert body.startswith(f"A word from us.\n\n{BEGIN}\n# sums\n")
        assert body.endswith(f"\n{END}\n\n## Contact\n\nann@example.org\n")
        assert "A change inside" not in body
        digests = json.loads(files["manifest.json"])["files"]
        assert digests["README.md"] == bytes_sha256(files["README.md"])


def as_an_older_version(repository: Repository, edit: Callable[[str], str]) -> None:
    """The first version as it was pushed before there were markers, and edited since."""
    generated = generated_part(repository.files["README.md"].decode())
    manifest = json.loads(repository.files["manifest.json"])
    del manifest["card"]
    manifest["files"] |= {name: bytes_sha256(generated.encode()) for name in ("README.md", UNMARKED)}
    files = {"README.md": generated, UNMARKED: generated, "manifest.json": json.dumps(manifest)}
    oid = repository.hub.commit(
        REPO, {name: text.encode() for name, text in files.items()}, message="sums v1.0.0"
    )
    repository.hub.repo(REPO).refs["refs/tags/v1.0.0"] = oid
    if (edited := edit(generated)) != generated:
        repository.hub.commit(REPO, {"README.md": edited.encode()})


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_card_of_an_older_version_that_people_did_not_edit_is_replaced(
    repository: Repository, sets: Sets, newline: str
) -> None:
    as_an_older_version(repository, lambda card: card.replace("\n", newline))
    assert not push(sets.slim_old, REPO, "1.0.0").is_new
    push(sets.slim_new, REPO, "1.1.0")
    _, body = split_card(repository.files["README.md"].decode())
    assert (body.startswith(BEGIN), body.endswith(f"{END}\n"), body.count("# sums\n")) == (True, True, 1)
    assert UNMARKED not in repository.files
    assert UNMARKED in repository.at("v1.0.0")


def test_what_people_wrote_into_a_card_of_an_older_version_is_kept_above(
    repository: Repository, sets: Sets, tmp_path: Path
) -> None:
    as_an_older_version(
        repository,
        lambda card: (
            card.replace("# sums\n", "# sums\n\nA word from us.\n") + "\n## Contact\n\nann@example.org\n"
        ),
    )
    for version in ("1.1.0", "1.2.0"):
        push(sets.slim_new, REPO, version)
        _, body = split_card(repository.files["README.md"].decode())
        assert body.startswith(f"A word from us.\n\n## Contact\n\nann@example.org\n\n{BEGIN}\n# sums\n")
        assert body.count("# sums\n") == 1


def test_a_set_of_an_older_version_that_was_pulled_is_pushed_elsewhere_with_its_prose(
    repository: Repository, sets: Sets, tmp_path: Path
) -> None:
    as_an_older_version(repository, lambda card: card)
    manifest = json.loads(repository.files["manifest.json"])
    edited = repository.files["README.md"] + b"\nA word from us.\n"
    manifest["files"]["README.md"] = bytes_sha256(edited)
    files = {"README.md": edited, "manifest.json": json.dumps(manifest).encode()}
    repository.hub.repo(REPO).refs["refs/tags/v1.0.0"] = repository.hub.commit(REPO, files)
    pull(REPO, tmp_path / "out", "1.0.0")
    assert UNMARKED in json.loads((tmp_path / "out" / "manifest.json").read_text())["files"]
    for repo in ("ann/copy", REPO):
        push(tmp_path / "out", repo, "2.0.0")
        _, body = split_card(repository.hub.snapshot(repo)["README.md"].decode())
        assert body.startswith(f"A word from us.\n\n{BEGIN}\n# sums\n")
        assert body.count("A word from us.") == 1


def test_a_pulled_set_is_pushed_elsewhere_with_its_prose(
    repository: Repository, sets: Sets, tmp_path: Path
) -> None:
    card = repository.files["README.md"] + b"\nA word from us.\n"
    repository.hub.commit(REPO, {"README.md": card})
    push(sets.slim_new, REPO, "1.1.0")
    pull(REPO, tmp_path / "out")
    push(tmp_path / "out", "ann/copy", "1.0.0")
    copied = repository.hub.snapshot("ann/copy")["README.md"].decode()
    assert copied == repository.files["README.md"].decode()


def test_a_repository_made_by_hand_keeps_its_card(hub_here: LocalHub, sets: Sets) -> None:
    hub_here.create(REPO)
    hub_here.commit(REPO, {"README.md": b"---\nlicense: mit\n---\n# Ours\n\nBy hand.\n"})
    push(sets.slim_old, REPO, "1.0.0")
    header, body = split_card(hub_here.snapshot(REPO)["README.md"].decode())
    assert header["license"] == "mit"
    assert body.startswith(f"# Ours\n\nBy hand.\n\n{BEGIN}\n# sums\n")


def test_a_card_with_a_broken_header_is_not_overwritten(repository: Repository, sets: Sets) -> None:
    broken = b"---\na: [b\n---\nBy hand.\n"
    repository.hub.commit(REPO, {"README.md": broken})
    with pytest.raises(HubError, match=r"the YAML header of README\.md on the Hub cannot be read"):
        push(sets.slim_new, REPO, "1.1.0")
    assert repository.files["README.md"] == broken


def test_the_same_data_as_the_next_version_is_a_commit_that_says_so(
    repository: Repository, sets: Sets
) -> None:
    done = push(sets.slim_old, REPO, "1.0.1")
    assert done.is_new
    assert json.loads(repository.at("v1.0.1")["manifest.json"])["version"] == "1.0.1"
    assert json.loads(repository.at("v1.0.0")["manifest.json"])["version"] == "1.0.0"


def test_a_pull_request_sets_no_tag_and_is_opened_once(repository: Repository, sets: Sets) -> None:
    done = push(sets.slim_new, REPO, "1.1.0", create_pr=True)
    assert (done.tag, done.is_new) == (None, True)
    assert str(done.pull_request).endswith("/datasets/ann/set/discussions/1")
    assert (repository.files, list(repository.tags)) == (repository.first, ["v1.0.0"])
    assert "data/new.json" in repository.hub.snapshot(REPO, "refs/pr/1")
    again = push(sets.slim_new, REPO, "1.1.0", create_pr=True)
    assert (again.is_new, again.pull_request) == (False, done.pull_request)
    assert "refs/pr/2" not in repository.hub.refs(REPO)


@pytest.mark.parametrize("applied", [False, True])
def test_a_pull_request_whose_answer_is_lost_is_one(
    repository: Repository, sets: Sets, applied: bool
) -> None:
    repository.hub.fault = Fault("reset", applied=applied).on("/commit/")
    assert push(sets.slim_new, REPO, "1.1.0", create_pr=True).is_new
    assert [ref for ref in repository.hub.refs(REPO) if "/pr/" in ref] == ["refs/pr/1"]


def test_a_merged_pull_request_is_tagged_by_the_next_push(repository: Repository, sets: Sets) -> None:
    push(sets.slim_new, REPO, "1.1.0", create_pr=True)
    proposed = repository.hub.snapshot(REPO, "refs/pr/1")
    gone: dict[str, bytes | None] = dict.fromkeys(set(repository.first) - set(proposed))
    merged = repository.hub.commit(REPO, {**proposed, **gone}, message="sums v1.1.0 (#1)")
    assert push(sets.slim_new, REPO, "1.1.0").commit == merged
    assert repository.tags["v1.1.0"] == merged
    assert not push(sets.slim_new, REPO, "1.1.0", create_pr=True).is_new


def test_one_who_may_only_read_can_propose(
    repository: Repository, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HubError, match=r"403.*use one with write access"):
        push(sets.slim_new, REPO, "1.1.0", token="hf_bob")
    assert push(sets.slim_new, REPO, "1.1.0", token="hf_bob", create_pr=True).pull_request is not None
    assert repository.files == repository.first


def test_a_branch_is_made_and_main_stays(repository: Repository, sets: Sets) -> None:
    done = push(sets.slim_new, REPO, "2.0.0-rc.1", branch="next")
    assert repository.files == repository.first
    assert repository.hub.refs(REPO)["refs/heads/next"] == done.commit == repository.tags["v2.0.0-rc.1"]


def test_private_means_private(hub_here: LocalHub, sets: Sets, repository: Repository) -> None:
    push(sets.slim_old, "ann/secret", "1.0.0", private=True)
    assert hub_here.repo("ann/secret").private
    with pytest.raises(HubError, match=r"'ann/set' is there and public, so nothing was pushed"):
        push(sets.slim_new, REPO, "1.1.0", private=True)
    assert repository.files == repository.first


@pytest.mark.parametrize(
    ("repo", "version", "message"),
    [
        ("set", "1.0.0", "'set' names no repository"),
        ("ann/set@v1.0.0", "1.0.0", "write the repository alone, 'ann/set'"),
        (REPO, "1.0", "'1.0' is not a version: write three numbers"),
        (REPO, "latest", "'latest' is not a version"),
    ],
)
def test_names_are_checked_before_anything_is_sent(
    hub_here: LocalHub, sets: Sets, repo: str, version: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        push(sets.slim_old, repo, version)
    assert hub_here.requests == []


def test_a_directory_that_is_none(hub_here: LocalHub, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a produced directory"):
        push(tmp_path, REPO, "1.0.0")
    assert hub_here.requests == []


def test_offline_is_said(hub_here: LocalHub, sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        push(sets.slim_old, REPO, "1.0.0")


def test_without_a_token(hub_here: LocalHub, sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="hf auth login"):
        push(sets.slim_old, REPO, "1.0.0")


def test_a_hub_that_is_down(repository: Repository, sets: Sets) -> None:
    repository.hub.stop()
    with pytest.raises(HubError, match=r"cannot be reached .*, and run again"):
        push(sets.slim_new, REPO, "1.1.0")
    repository.hub.start()
    assert HfApi().dataset_info(REPO).sha == repository.tags["v1.0.0"]
