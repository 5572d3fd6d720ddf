"""The local hub as a source of data: downloads, and what `datasets` pushes and loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict, load_dataset
from huggingface_hub import DatasetCard, HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from tests.support.hub import Fault, Incoming, LocalHub

LARGE = bytes(range(256)) * 4000


@pytest.fixture
def api(hub_here: LocalHub) -> HfApi:
    """ann's client, of a hub where she has an empty repository."""
    hub_here.create("ann/set")
    return HfApi(endpoint=hub_here.endpoint, token="hf_ann")


def test_downloads_come_from_the_second_origin_and_are_kept(
    api: HfApi, hub_here: LocalHub, tmp_path: Path
) -> None:
    hub_here.commit("ann/set", {"large.parquet": LARGE, "a/small.txt": b"small"})
    api.create_tag("ann/set", tag="v1", repo_type="dataset")
    hub_here.commit("ann/set", {"a/small.txt": b"newer"})
    start = len(hub_here.requests)
    folder = Path(snapshot_download("ann/set", repo_type="dataset", revision="v1", token="hf_ann"))
    assert (folder / "large.parquet").read_bytes() == LARGE
    assert (folder / "a" / "small.txt").read_bytes() == b"small"
    assert folder.name == hub_here.refs("ann/set")["refs/tags/v1"]
    stored = [request for request in hub_here.requests[start:] if request.origin == "storage"]
    assert [(request.method, request.status, request.token) for request in stored] == [("GET", 200, "")]
    start = len(hub_here.requests)
    hf_hub_download("ann/set", "large.parquet", repo_type="dataset", revision="v1")
    assert [request.method for request in hub_here.requests[start:]] in ([], ["HEAD"])
    assert Path(hf_hub_download("ann/set", "a/small.txt", repo_type="dataset")).read_bytes() == b"newer"


def test_a_download_that_breaks_off_is_resumed(
    api: HfApi, hub_here: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000
    )  # what is written at once: 10 MB
    hub_here.commit("ann/set", {"large.parquet": LARGE})
    hub_here.fault = Fault("truncate").on("GET /dataset/")
    path = hf_hub_download("ann/set", "large.parquet", repo_type="dataset")
    assert Path(path).read_bytes() == LARGE
    stored = [
        request for request in hub_here.requests if request.origin == "storage" and request.method == "GET"
    ]
    assert [request.status for request in stored] == [200, 206]


PUSHED = DatasetDict(
    {
        split: Dataset.from_dict({"question": [f"{split} {n}?" for n in range(rows)], "n": list(range(rows))})
        for split, rows in (("train", 5), ("test", 2))
    }
)
LOAD = """
from datasets import load_dataset
for config in ("one", "two"):
    data = load_dataset("ann/set", config, revision=%r)
    print(config, {split: part.num_rows for split, part in data.items()}, data["train"][0])
"""


@pytest.fixture
def pushed(api: HfApi, hub_here: LocalHub) -> LocalHub:
    """Two configs, tagged, and then a third."""
    for config in ("one", "two"):
        PUSHED.push_to_hub("ann/set", config)
    api.create_tag("ann/set", tag="v1", repo_type="dataset")
    PUSHED.push_to_hub("ann/set", "three")
    return hub_here


def test_datasets_pushes_and_loads(pushed: LocalHub, tmp_path: Path) -> None:
    wanted = "".join(
        f"{config} {{'train': 5, 'test': 2}} {{'question': 'train 0?', 'n': 0}}\n"
        for config in ("one", "two")
    )
    assert pushed.python(LOAD % "v1", cache=tmp_path / "cache") == wanted
    start = len(pushed.requests)
    assert pushed.python(LOAD % "v1", cache=tmp_path / "cache") == wanted
    assert not [request for request in pushed.requests[start:] if request.origin == "storage"]
    names = "from datasets import get_dataset_config_names as names; print(names('ann/set', revision=%r))"
    assert pushed.python(names % "v1") == "['one', 'two']\n"
    with pytest.raises(AssertionError, match="v2"):
        pushed.python(LOAD % "v2")


def test_datasets_loads_in_this_process_too(pushed: LocalHub) -> None:
    loaded = load_dataset("ann/set", "three")
    assert {split: part.to_list() for split, part in loaded.items()} == {
        split: part.to_list() for split, part in PUSHED.items()
    }
    DatasetCard("---\nlicense: mit\n---\n# Mine").push_to_hub("ann/set")
    assert pushed.snapshot("ann/set")["README.md"] == b"---\nlicense: mit\n---\n# Mine"


def test_a_private_set_is_loaded_by_its_owner_alone(pushed: LocalHub) -> None:
    pushed.repo("ann/set").private = True
    code = "from datasets import load_dataset; print(load_dataset('ann/set', 'one')['test'].num_rows)"
    assert pushed.python(code, token="hf_ann_reads") == "2\n"
    with pytest.raises(AssertionError, match="DatasetNotFoundError"):
        pushed.python(code)


def test_a_push_is_refused_where_another_commit_came_between(pushed: LocalHub) -> None:
    def meddle(commit: Incoming) -> None:
        pushed.before_commit = None
        assert commit.parent == pushed.refs("ann/set")["refs/heads/main"]
        pushed.commit(commit.repo, {"theirs.txt": b"first"})

    pushed.before_commit = meddle
    try:
        PUSHED.push_to_hub("ann/set", "four")
    except (
        HfHubHTTPError
    ):  # datasets 5.2 means to try again by itself, but looks for the status in the wrong place
        PUSHED.push_to_hub("ann/set", "four")
    statuses = [request.status for request in pushed.requests if "/commit/" in request.path]
    assert statuses[-2:] == [412, 200]
    assert {"theirs.txt", "four/train-00000-of-00001.parquet"} <= set(pushed.snapshot("ann/set"))
