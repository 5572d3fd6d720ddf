"""What changed between two sets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hub.conftest import REPO, Repository, Sets
from toolgen_hf._utils import canonical_json
from toolgen_hf.errors import ConfigError, DataError, HubError
from toolgen_hf.hub import diff, push
from toolgen_hf.hub.row_changes import row_changes

FEATURES = pa.schema(
    {
        "id": pa.string(),
        "n": pa.int32(),
        "scores": pa.list_(pa.float64()),
        "calls": pa.list_(pa.struct({"call": pa.string(), "ran": pa.bool_()})),
    }
)
CALLS = st.fixed_dictionaries(
    {"call": st.none() | st.sampled_from(["", "a", "b"]), "ran": st.none() | st.booleans()}
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from("abcdef"),
            "n": st.none() | st.integers(0, 1),
            "scores": st.none() | st.lists(st.sampled_from([None, 0.0, 1.0]), max_size=2),
            "calls": st.none() | st.lists(st.none() | CALLS, max_size=2),
        }
    ),
    max_size=12,
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


@given(ROWS, ROWS, st.integers(1, 12))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_rows_are_found(
    tmp_path: Path, old: list[dict[str, Any]], new: list[dict[str, Any]], size: int
) -> None:
    files = [_files(tmp_path / name, rows, size) for name, rows in (("old", old), ("new", old + new))]
    found = row_changes(*files)
    assert (found["same"], found["added"], found["rows"]) == (
        *(len(old), len(new)),
        {"from": len(old), "to": len(old + new)},
    )
    files[1] = _files(tmp_path / "new", new, size)
    found, back = row_changes(*files), row_changes(*reversed(files))
    one, other = (Counter(map(canonical_json, rows)) for rows in (old, new))
    assert found["same"] == (one & other).total()
    assert found["same"] + found["changed"] + found["removed"] == len(old)
    assert found["same"] + found["changed"] + found["added"] == len(new)
    kinds = ("removed", "added", "changed", "same")
    assert [back[kind] for kind in kinds] == [found[kind] for kind in ("added", "removed", *kinds[2:])]


def _files(folder: Path, rows: list[dict[str, Any]], size: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{at}.parquet" for at in range(0, len(rows), size)]
    for at, path in zip(range(0, len(rows), size), paths, strict=True):
        pq.write_table(pa.Table.from_pylist(rows[at : at + size], schema=FEATURES), path, row_group_size=2)
    return paths


def test_columns_that_only_one_side_has(tmp_path: Path) -> None:
    rows = [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
    old, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
    pq.write_table(pa.Table.from_pylist(rows), old)
    pq.write_table(pa.Table.from_pylist([{"n": row["n"], "id": row["id"], "m": 0} for row in rows]), new)
    found = row_changes([old], [new])
    assert (found["changed"], found["columns"]) == (2, {"m": 2})
    assert found["examples"]["changed"][0] == {"id": "a", "columns": {"m": {"from": None, "to": 0}}}
    new.write_text("not Parquet")
    with pytest.raises(DataError, match=r"new\.parquet is not a Parquet file of rows"):
        row_changes([old], [new])
