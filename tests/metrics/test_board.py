"""A produced directory and predictions files, evaluated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from tests.support import scripted
from tests.support.recipes import ROWS, sums_data, write_questions
from toolgen_hf import Recipe, Workspace, models, run
from toolgen_hf.data.produced import load_summary
from toolgen_hf.errors import DataError
from toolgen_hf.metrics import Board, evaluate_target


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``whole``, where every question is in stage 2, and ``rejecting``, where two are not."""
    root = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.GENERATORS, "local", scripted.HOME)
        patch.setattr("datasets.config.HF_DATASETS_CACHE", root / "hf")
        for name, spoilt in {"whole": (), "rejecting": (0, 9)}.items():
            data = sums_data(root / name / "questions")
            rows = [{**row, "answer": "?"} if n in spoilt else row for n, row in enumerate(ROWS)]
            write_questions(root / name / "questions", rows)
            run(Recipe.parse(data), root / name / "out", Workspace(root / "cache", progress=False))
    return root


def counts(figures: dict[str, Any]) -> dict[str, int]:
    names = {"responses": "responses", "tool": "calls", "failed": "failed", "correct": "correct"}
    return {ours: figures[theirs] for ours, theirs in names.items()}


def all_counts(figures: dict[str, Any]) -> dict[str, int]:
    return counts(figures) | {name: figures[name] for name in ("need_known", "need_agreed")}


@pytest.mark.parametrize("name", ["whole", "rejecting"])
def test_the_figures_of_a_produced_directory_are_the_runs_own(results: Path, name: str) -> None:
    summary = load_summary(results / name / "out")
    board = evaluate_target(results / name / "out")
    assert {
        source: {
            **all_counts(found["overall"]),
            "splits": {split: all_counts(part) for split, part in found["splits"].items()},
        }
        for source, found in board.sources.items()
    } == {
        source: {key: count for key, count in found.items() if key != "scores"}
        for source, found in summary.sources.items()
    }
    assert next(iter(board.sources)) == "gold"
    assert (board.notes, board.unknown, board.missing, board.task) == ([], {}, {}, "math")


def test_splits_add_up(results: Path) -> None:
    for found in evaluate_target(results / "whole" / "out").sources.values():
        assert list(found["splits"]) == ["train", "test"]
        for name in ("responses", "correct", "calls", "failed", "need_known", "need_agreed"):
            assert sum(part[name] for part in found["splits"].values()) == found["overall"][name]


def test_the_need_is_what_stage1_says(results: Path) -> None:
    board = evaluate_target(results / "rejecting" / "out")
    needed = sum(
        row["output"].startswith("calculator(")
        for path in (results / "rejecting" / "out" / "stage1").glob("*.parquet")
        for row in Dataset.from_parquet(str(path), cache_dir=str(results / "pq"))
    )
    found = {name: source["overall"] for name, source in board.sources.items()}
    assert found["gold"]["tool_need_agreement"] == 1.0
    assert found["caller"]["need_agreed"] == needed
    assert found["talker"]["need_agreed"] == 10 - needed
    assert [found[name]["need_known"] for name in ("gold", "caller")] == [10, 10]
    assert found["caller"]["ungradable"] == 2


def test_source_and_split_choose(results: Path) -> None:
    board = evaluate_target(results / "whole" / "out", source="caller", split="test")
    assert list(board.sources) == ["caller"]
    assert list(board.sources["caller"]["splits"]) == ["test"]
    assert board.sources["caller"]["overall"]["responses"] == 4


def without_executed(result: Path, target: Path) -> Path:
    return Path(shutil.copytree(result, target, ignore=shutil.ignore_patterns("responses-*")))


def test_without_responses_stage2_is_read_and_that_is_said(results: Path, tmp_path: Path) -> None:
    without_executed(results / "rejecting" / "out", tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "data")
    board = evaluate_target(tmp_path / "out")
    assert {name: found["overall"]["responses"] for name, found in board.sources.items()} == {
        "gold": 10, "talker": 10, "caller": 10, "failer": 10,
    }  # fmt: skip
    assert "without those to rejected questions" in board.notes[0]
    assert board.sources["talker"]["overall"]["accuracy"] == 1.0


def test_an_export_that_is_gone_is_never_passed_over(results: Path, tmp_path: Path) -> None:
    without_executed(results / "whole" / "out", tmp_path / "out")
    (tmp_path / "out" / "data" / "stage2" / "Sums" / "Sums_test_caller_response.json").unlink()
    board = evaluate_target(tmp_path / "out")
    assert board.sources == evaluate_target(results / "whole" / "out").sources
    assert "not all of stage 2's responses" in board.notes[0]


def test_of_a_published_folder_the_responses_are_read(tmp_path: Path) -> None:
    predictions(tmp_path / "S_a_response.json", [{"id": "1", "response": "It is 5", "answer": ["5"]}])
    predictions(
        tmp_path / "S_rejected.json", [{"id": "1", "stage": "respond", "reason": "?", "detail": "{}"}]
    )
    predictions(tmp_path / "S.json", [{"query": "?", "responses": ["5"], "origin": ["gold"]}])
    found = evaluate_target(tmp_path).sources
    assert {name: source["overall"]["correct"] for name, source in found.items()} == {"a": 1}


def test_a_response_that_was_cut_has_no_answer_wherever_it_is_read_from(tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "response": "So it is 5", "finish_reason": reason, "answer": "5"}
        for n, reason in enumerate(["length", "stop", None])
    ]
    said = evaluate_target(predictions(tmp_path / "p.jsonl", rows)).sources["p"]["overall"]
    assert (said["correct"], said["responses"]) == (2, 3)
    row = {
        "query": "?",
        "responses": ["calculator(2+3)", "5", "5"],
        "origin": ["gold", "a", "b"],
        "answer": ["5.0", "5.0", ""],
    }
    ranked = evaluate_target(predictions(tmp_path / "q.jsonl", [row])).sources
    assert {name: found["overall"]["correct"] for name, found in ranked.items()} == {
        "gold": 1,
        "a": 1,
        "b": 0,
    }


def test_the_exports_alone_give_the_same(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "rejecting" / "out" / "data", tmp_path / "data")
    expected = evaluate_target(results / "rejecting" / "out")
    found = evaluate_target(tmp_path)
    assert {name: counts(source["overall"]) for name, source in found.sources.items()} == {
        name: counts(source["overall"]) for name, source in expected.sources.items()
    }


def test_a_stage2_file_is_evaluated_against_gold(results: Path) -> None:
    board = evaluate_target(results / "whole" / "out" / "data" / "stage2" / "Sums" / "Sums.json")
    expected = evaluate_target(results / "whole" / "out", split="train")
    assert {name: found["overall"] for name, found in board.sources.items()} == {
        name: found["overall"] for name, found in expected.sources.items()
    }


def predictions(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix in (".csv", ".parquet"):
        table = Dataset.from_list(rows)
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def overall(board: Board) -> dict[str, Any]:
    ((_, found),) = board.sources.items()
    figures: dict[str, Any] = found["overall"]
    return figures


OWN = [
    {"id": "a", "answer": "57", "needs_tool": True},
    {"id": "b", "answer": "5", "needs_tool": False},
]
SAID = ["calculator(3*19)", "calculator(5"]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("column", ["response", "output", "prediction_text"])
def test_a_file_with_its_own_answers(tmp_path: Path, suffix: str, column: str) -> None:
    rows = [{**row, column: said} for row, said in zip(OWN, SAID, strict=True)]
    board = evaluate_target(predictions(tmp_path / f"mine{suffix}", rows))
    assert list(board.sources) == ["mine"]
    found = overall(board)
    assert (found["accuracy"], found["tool_use_rate"], found["execution_success"]) == (0.5, 1.0, 0.5)
    assert found["tool_need_agreement"] == 0.5


def test_references_by_id_count_what_is_unknown_and_what_is_missing(results: Path, tmp_path: Path) -> None:
    rows = [{"id": f"Sums-test-{n}", "response": "calculator(1+1)"} for n in (0, 1, 7)]
    board = evaluate_target(predictions(tmp_path / "p.jsonl", rows), references=results / "whole" / "out")
    assert board.unknown == {"p": {"count": 1, "first": "Sums-test-7"}}
    assert board.missing == {"p": {"count": 2, "first": "Sums-test-2"}}
    assert list(board.sources["p"]["splits"]) == ["test"]
    assert (overall(board)["responses"], overall(board)["need_known"]) == (2, 2)


def test_references_from_a_raw_file_or_a_stage1_file(tmp_path: Path) -> None:
    mine = predictions(tmp_path / "p.jsonl", [{"id": 1, "response": "calculator(3*19)"}])
    raw = predictions(tmp_path / "raw.csv", [{"id": "1", "question": "?", "answer": "57"}])
    assert overall(evaluate_target(mine, raw))["tool_need_agreement"] is None
    row = {"id": "1", "instruction": "", "input": "?", "output": "It is 57.", "answer": ["57"]}
    found = overall(evaluate_target(mine, predictions(tmp_path / "stage1.jsonl", [row])))
    assert (found["accuracy"], found["tool_need_agreement"]) == (1.0, 0.0)


def test_gold_among_the_responses_tells_the_need(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "source": source, "response": said, "answer": ["57"]}
        for source, said in {"other": "It is 57.", "gold": "calculator(3*19)"}.items()
    ]
    board = evaluate_target(predictions(tmp_path / "p.jsonl", rows))
    assert list(board.sources) == ["gold", "other"]
    assert board.sources["other"]["overall"]["tool_need_agreement"] == 0.0


def test_the_best_source_comes_first_after_gold(tmp_path: Path) -> None:
    said = {"poor": "It is 5.", "good": "It is 57.", "gold": "It is 57."}
    rows = [{"id": "a", "source": name, "response": text, "answer": "57"} for name, text in said.items()]
    assert list(evaluate_target(predictions(tmp_path / "p.jsonl", rows)).sources) == ["gold", "good", "poor"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a", "response": "5"}], r"p.jsonl:1: no accepted answers.*--references"),
        ([{"id": "a", "said": "5", "answer": "5"}], r"p.jsonl:1: no column with a response.*Rename"),
        ([{"response": "5", "answer": "5"}], r"p.jsonl:1: no column 'id'"),
        ([{"id": "a", "response": "5", "answer": "5"}] * 2, r"p.jsonl:2: .*second response to 'a'.*'source'"),
        ([{"id": "a", "response": ["5"], "answer": "5"}], r"p.jsonl:1: 'response' is \['5'\]"),
        ([{"id": "a", "response": "5", "answer": "5", "needs_tool": "so"}], r"'needs_tool' is 'so'"),
        ([{"id": "a", "responses": ["5"], "origin": []}], r"lists of one length"),
        ([], r"no row"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_target(predictions(tmp_path / "p.jsonl", rows))


def test_references_that_do_not_fit_are_an_error(tmp_path: Path) -> None:
    mine = predictions(tmp_path / "p.jsonl", [{"id": "a", "response": "5", "answer": "5"}])
    other = predictions(tmp_path / "raw.jsonl", [{"id": "b", "answer": "5"}])
    with pytest.raises(DataError, match=r"no id .* is among .*'a' here and 'b' there"):
        evaluate_target(mine, other)
    twice = predictions(tmp_path / "twice.jsonl", [{"id": "b", "answer": "5"}] * 2)
    with pytest.raises(DataError, match=r"twice.jsonl:2: the id 'b' is already"):
        evaluate_target(mine, twice)
