"""The plots of a card: they add up, are drawn whatever there is, and are the same bytes for the same content."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from tests.support.recipes import sums_recipe
from toolgen_hf import Workspace, run, schemas
from toolgen_hf.errors import ConfigError
from toolgen_hf.flow import Result
from toolgen_hf.report.figures import flow, length_quantiles, score_counts
from toolgen_hf.runtime.summary import Summary

pytest.importorskip("matplotlib", reason="needs the extra: pip install toolgen_hf[report]")

from toolgen_hf.report.plots import WHAT, spread, two_lines, write_plots

LONG = [f"org/some_$very$_long_model_name-{n}-instruct-checkpoint-{n}00" for n in range(12)]


def made_up(sources: list[str], rows: int = 30, **changes: object) -> tuple[Summary, DatasetDict]:
    """A summary of ``rows`` questions, two in ten rejected, with a table that fits it."""
    kept = rows * 8 // 10
    table = {
        "id": [f"x-{n}" for n in range(kept)],
        "query": ["?"] * kept,
        "responses": [
            [None if n == 3 else "x" * (n + at) for at in range(len(sources))] for n in range(kept)
        ],
        "origin": [sources] * kept,
        "scores": [[20] * len(sources)] * kept,
        "answer": [["1"] * len(sources)] * kept,
        "fewshot_overlap": [False] * kept,
    }
    facts = {
        "student": {"splits": {"train": {"asked": rows, "correct": rows // 10, "truncated": 0}}},
        "calls_needed": rows - rows // 10,
        "teachers": dict.fromkeys(("a", "b", "c"), (kept - rows // 10) // 3),
        "rejected": {"no verified tool call": rows - kept} if rows else {},
        "sources": {
            name: {"responses": kept, "tool": kept, "failed": at % 3, "correct": 1, "scores": {"20": kept}}
            for at, name in enumerate(sources)
        },
        "configs": {name: {"train": kept} for name in ("stage1", "stage2")} | {"raw": {"train": rows}},
        **changes,
    }
    empty = {"name": "made up", "stages": [], "examples": {}, "generated": 0, "reused": 0, "prompt_tokens": 0,
             "completion_tokens": 0, "cost": None, "transforms_run": 0}  # fmt: skip
    rows_of = {"train": Dataset.from_dict(table, features=schemas.STAGE2)}
    return Summary.from_dict({**empty, **facts}), DatasetDict(rows_of)


@pytest.fixture
def result(tmp_path: Path, scripted_models: None) -> Result:
    return run(
        sums_recipe(tmp_path / "questions"), tmp_path / "out", Workspace(tmp_path / "cache", progress=False)
    )


def test_the_flow_adds_up(result: Result) -> None:
    steps = {name: {part.label: part.count for part in parts} for name, parts in flow(result.summary)}
    assert steps == {
        "questions": {"questions": 12},
        "student alone": {"right": 6, "wrong": 6},
        "verified call": {"by annotations": 6},
        "stage 1": {"rows": 12},
        "stage 2": {"questions with 48 responses": 12},
    }


def test_what_is_rejected_lies_right_of_what_is_kept() -> None:
    parts = {
        part.label: (part.start, part.count) for _, parts in flow(made_up(["gold"])[0]) for part in parts
    }
    assert parts["by a"] == (3, 7)
    assert parts["by c"] == (17, 7)
    assert parts["rejected"] == (24, 6)
    assert parts["rows"] == (0, 24)


def test_teachers_beyond_two_are_counted_together() -> None:
    summary, _ = made_up(["gold"], teachers={"a": 9, "b": 2, "c": 6, "d": 4})
    calls = dict(flow(summary))["verified call"]
    assert [(part.label, part.count) for part in calls] == [
        ("by a", 9),
        ("by c", 6),
        ("by 2 other teachers", 6),
        ("rejected", 6),
    ]


def test_scores_and_lengths_by_source(result: Result) -> None:
    assert score_counts(result.summary)["failer"] == {"20": 0, "15": 0, "10": 0, "5": 0, "0": 12}
    assert list(length_quantiles(result.configs["stage2"])) == ["gold", "talker", "caller", "failer"]
    assert length_quantiles(result.configs["stage2"])["failer"] == [13.0] * 5  # "calculator(3+"


def test_equal_content_gives_equal_bytes(tmp_path: Path, result: Result) -> None:
    one, two = (write_plots(tmp_path / n, result.summary, result.configs["stage2"]) for n in ("one", "two"))
    assert list(one) == list(two) == list(WHAT)
    for name, path in one.items():
        assert path.read_bytes() == two[name].read_bytes()
        assert path.read_bytes().startswith(b"\x89PNG")
        assert b"Software" not in path.read_bytes()[:4096]


def test_other_content_gives_other_plots(tmp_path: Path) -> None:
    one = write_plots(tmp_path / "one", *made_up(["gold", "a"]))
    two = write_plots(tmp_path / "two", *made_up(["gold", "a"], rows=40))
    assert one["flow"].read_bytes() != two["flow"].read_bytes()


@pytest.mark.parametrize("sources", [[], ["gold"], LONG], ids=["no source", "one", "twelve with long names"])
@pytest.mark.parametrize("rows", [0, 30])
def test_any_result_can_be_drawn(tmp_path: Path, sources: list[str], rows: int) -> None:
    paths = write_plots(tmp_path, *made_up(sources, rows))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{name}.png" for name in WHAT)
    assert all(int.from_bytes(path.read_bytes()[16:20]) == 1600 for path in paths.values())


def test_without_matplotlib_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"toolgen_hf\[report\]"):
        write_plots(tmp_path, *made_up(["gold"]))


def test_labels_do_not_touch_nor_leave_the_bar() -> None:
    widths = [30, 30, 30]
    middles = spread([90, 92, 99], widths, 100)
    edges = [(m - w / 2, m + w / 2) for m, w in zip(middles, widths, strict=True)]
    assert all(right <= left for (_, right), (left, _) in pairwise(edges))
    assert edges[0][0] >= 0
    assert edges[-1][1] <= 100
    assert spread([10, 50, 80], [10, 10, 10], 100) == [10, 50, 80]


def test_long_names_keep_their_two_ends() -> None:
    assert two_lines("gold") == "gold"
    assert two_lines(LONG[7]).splitlines() == ["org/some_$very$_long_m", "…struct-checkpoint-700"]
