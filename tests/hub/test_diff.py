"""What changed between two sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.conftest import REPO, Repository, Sets
from toolgen_hf.errors import ConfigError, HubError
from toolgen_hf.hub import diff, push
from toolgen_hf.hub.compare import _split

ROWS = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.fixed_dictionaries({"n": st.integers(0, 2)}), max_size=3)
)


def test_rows_figures_and_the_recipe(sets: Sets) -> None:
    found = diff(sets.old, sets.new)
    stage1 = found.rows["stage1"]["train"]
    assert stage1["rows"] == {"from": 8, "to": 6}
    assert (stage1["added"], stage1["removed"], stage1["changed"], stage1["same"]) == (0, 2, 6, 0)
    assert stage1["examples"]["removed"] == ["Sums-train-0", "Sums-train-7"]
    example = stage1["examples"]["changed"][0]
    assert example["id"] == "Sums-train-1"
    assert {"input", "output"} <= set(example["columns"])
    assert found.rows["rejected"]["train"]["added"] == 1
    assert found.rows["responses-failer"]["train"]["removed"] == 8
    assert found.student == {"train": {"from": 3 / 8, "to": 0.0}, "test": {"from": 0.75, "to": 0.0}}
    assert found.sources["failer"]["accuracy"] == {"from": 0.0, "to": None}
    assert found.sources["gold"]["tool_use_rate"] == {"from": 0.5, "to": 1.0}
    assert [*found.rejected.values()] == [{"from": None, "to": 1}]
    assert found.recipe["score.strategy"] == {"from": "distance", "to": "consistency"}
    assert found.recipe["answer.generator.model"] == {"from": "half", "to": "wrong"}
    assert found.recipe["sources.failer.generator.model"] == {"from": "broken", "to": None}
    assert "name" not in found.recipe


def test_nothing_changed(sets: Sets) -> None:
    found = diff(sets.old, sets.old)
    counts = [split for splits in found.rows.values() for split in splits.values()]
    assert all(split["added"] == split["removed"] == split["changed"] == 0 for split in counts)
    assert (found.recipe, found.rejected) == ({}, {})


def test_versions_and_directories_in_any_mixture(repository: Repository, sets: Sets) -> None:
    push(sets.slim_new, REPO, "1.1.0")
    expected = diff(sets.slim_old, sets.slim_new)
    for old, new in ((f"{REPO}@1.0.0", f"{REPO}@v1.1.0"), (f"{REPO}@v1.0.0", REPO), (sets.slim_old, REPO)):
        found = diff(old, new)
        assert (found.rows, found.recipe, found.student) == (expected.rows, expected.recipe, expected.student)
        assert found.new["commit"] == repository.tags["v1.1.0"]
        assert found.new["version"] == "1.1.0"


def test_a_version_is_fetched_once(repository: Repository) -> None:
    diff(f"{REPO}@1.0.0", f"{REPO}@1.0.0")
    repository.hub.requests.clear()
    diff(f"{REPO}@1.0.0", f"{REPO}@1.0.0")
    assert [r for r in repository.hub.requests if r.origin == "storage"] == []


def test_what_is_neither(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a directory here, and not a user/repo@version"):
        diff("nowhere", REPO)
    with pytest.raises(ConfigError, match="is not a produced directory"):
        diff(tmp_path, REPO)
    with pytest.raises(HubError, match=r"v9\.0\.0.*toolgen-hf versions ann/set"):
        diff(f"{REPO}@9.0.0", REPO)


@given(ROWS, ROWS)
def test_counts_add_up(old: dict[str, list[dict[str, int]]], new: dict[str, list[dict[str, int]]]) -> None:
    found = _split(old, new)
    assert found["same"] + found["changed"] + found["removed"] == found["rows"]["from"]
    assert found["same"] + found["changed"] + found["added"] == found["rows"]["to"]
    back = _split(new, old)
    assert [back[kind] for kind in ("removed", "added", "changed", "same")] == [
        found[kind] for kind in ("added", "removed", "changed", "same")
    ]
