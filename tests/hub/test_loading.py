"""``load_dataset(repo, config, revision=tag)`` gives that version and no other, whatever the cache holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datasets import load_dataset

from tests.hub.conftest import REPO, Sets
from tests.support.hub import LocalHub
from toolgen_hf._utils import digest
from toolgen_hf.hub import push

LOAD = """
import json, sys
from datasets import load_dataset
for tag in {tags}:
    for config in ("stage2", "stage1", "raw"):
        loaded = load_dataset("ann/set", config, revision=tag)
        print(json.dumps([tag, config, {{split: rows.to_list() for split, rows in loaded.items()}}]))
"""


def digests(output: str) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for line in output.splitlines():
        tag, config, rows = json.loads(line)
        found[tag, config] = digest(rows)
    return found


def local(directory: Path, config: str) -> str:
    loaded: dict[str, Any] = load_dataset(str(directory), config)
    return digest({split: rows.to_list() for split, rows in loaded.items()})


def test_each_revision_gives_its_rows_with_a_cold_and_with_a_warm_cache(
    hub_here: LocalHub, sets: Sets, tmp_path: Path
) -> None:
    released = {"v1.0.0": sets.old, "v1.1.0": sets.new}
    for tag, directory in released.items():
        push(directory, REPO, tag)
    expected = {(t, c): local(d, c) for t, d in released.items() for c in ("stage2", "stage1", "raw")}
    assert len(set(expected.values())) == 6
    cache = tmp_path / "cache"
    for tags in (
        ["v1.0.0"],
        ["v1.1.0"],
        ["v1.0.0", "v1.1.0"],
    ):  # the first cold, then warm from another version
        found = digests(hub_here.python(LOAD.format(tags=tags), cache=cache))
        assert found == {key: value for key, value in expected.items() if key[0] in tags}
    cold = digests(hub_here.python(LOAD.format(tags=["v1.1.0", "v1.0.0"])))
    assert cold == expected
