"""The summary: what is written is read again, and what an earlier version wrote is read too."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.report.support import make_result
from toolgen_hf.data.produced import load_manifest
from toolgen_hf.report.figures import work
from toolgen_hf.report.html.page import render
from toolgen_hf.report.screen import print_summary
from toolgen_hf.runtime.summary import Summary

LATER = ("calls", "near_duplicates", "moved", "used", "mix", "fewshot_overlap", "up_to_date", "seconds")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    directory = make_result(tmp_path / "out")
    written = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))["summary"]
    assert load_manifest(directory).summary.to_dict() == written
    assert Summary.from_dict({**written, "unknown": 1}).to_dict() == written


def test_a_summary_of_an_earlier_version_is_shown(tmp_path: Path) -> None:
    directory = make_result(tmp_path / "out")
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for key in LATER:
        del manifest["summary"][key]
    stage = {"stage": "answer", "split": "train", "rows_in": 1, "rows_out": 1, "rejected": {}, "cached": True,
             "seconds": 1}  # fmt: skip
    manifest["summary"]["stages"] = [stage]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    summary = load_manifest(directory).summary
    assert (summary.used, summary.mix, summary.near_duplicates, summary.moved) == ({}, {}, None, 0)
    console = Console(file=io.StringIO(), width=100)
    print_summary(summary, directory, console)
    assert "right without a tool" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "30 questions" in render(directory)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, ["0 texts generated, 0 from the store"]),
        (
            {"generated": 3, "cost": None},
            ["3 texts generated, 0 from the store", "at a price that is not known"],
        ),
        (
            {"reused": 2, "prompt_tokens": 5, "cost": 1.5, "used": {"cost": 2.5}},
            ["0 texts generated, 2 from the store", "5 + 0 tokens", "$1.50", "$2.50 for all texts in it"],
        ),
    ],
)
def test_the_work_is_told_once_for_screen_and_page(facts: dict[str, object], expected: list[str]) -> None:
    empty = {"name": "", "stages": [], "student": {"splits": {}}, "calls_needed": 0, "teachers": {}, "rejected": {},
             "sources": {}, "examples": {}, "generated": 0, "reused": 0, "prompt_tokens": 0, "completion_tokens": 0,
             "cost": 0.0, "transforms_run": 0, "configs": {}}  # fmt: skip
    assert work(Summary.from_dict({**empty, **facts})) == expected
