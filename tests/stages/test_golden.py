"""Every stage's batch function on golden rows, and what holds for all of them."""

from __future__ import annotations

import copy
import json

import pytest
from datasets import Features
from hypothesis import given
from hypothesis import strategies as st

from tests.stages.golden import BATCH_FUNCTIONS, VERSIONS, read, to_batch, to_rows, versions
from toolgen_hf import schemas

FEATURES: dict[str, Features] = {
    "answer": schemas.ANSWERED,
    "tool_api": schemas.CALLED,
    "stage1": schemas.STAGE1,
    "gold": schemas.RESPONSES,
    "execute": schemas.EXECUTED,
    "score_distance": schemas.SCORED,
    "score_consistency": schemas.SCORED,
    "sft": schemas.SFT,
    "tool_calling": schemas.TOOL_CALLING,
    "preference": schemas.PREFERENCE,
}


@pytest.mark.parametrize("name", BATCH_FUNCTIONS)
def test_golden_rows(name: str) -> None:
    rows, expected = read(name)
    assert to_rows(BATCH_FUNCTIONS[name](to_batch(rows))) == expected


@pytest.mark.parametrize("name", BATCH_FUNCTIONS)
def test_golden_rows_are_of_the_version_that_the_caches_are_keyed_by(name: str) -> None:
    assert json.loads(VERSIONS.read_text(encoding="utf-8"))[name] == versions(name)


@pytest.mark.parametrize("name", BATCH_FUNCTIONS)
def test_output_has_exactly_the_columns_of_the_schema_and_leaves_the_input_alone(name: str) -> None:
    batch = to_batch(read(name)[0])
    before = copy.deepcopy(batch)
    assert set(BATCH_FUNCTIONS[name](batch)) == set(FEATURES[name])
    assert batch == before


@pytest.mark.parametrize("name", BATCH_FUNCTIONS)
@given(data=st.data())
def test_splitting_a_batch_changes_nothing(name: str, data: st.DataObject) -> None:
    rows, expected = read(name)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(rows) - 1)))))
    parts = [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True) if a < b]
    assert [row for part in parts for row in to_rows(BATCH_FUNCTIONS[name](to_batch(part)))] == expected
