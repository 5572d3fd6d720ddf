"""Tool calls that people have: a file as a teacher."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.conftest import GIVEN
from toolgen_hf import Recipe, Workspace, run
from toolgen_hf.check import check
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.flow import Result, plan

CALLS = "data/stage1/GSM8K/GSM8K_wrong.json"
ENGINE = {"kind": "openai", "engine": "gpt-4o-mini", "base_url": "http://localhost:1/v1"}


@pytest.fixture(autouse=True)
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The student's wrong rows, of ``data`` beside which the recipes run."""
    shutil.copytree(GIVEN, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    text = Path("data/raw/GSM8K/GSM8K_wrong.json").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def write_calls(rows: list[dict[str, Any]]) -> None:
    Path(CALLS).parent.mkdir(parents=True, exist_ok=True)
    Path(CALLS).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def recipe(*teachers: dict[str, Any]) -> Recipe:
    student = [f"data/raw/GSM8K/GSM8K_{verdict}.json" for verdict in ("right", "wrong")]
    return Recipe.parse(
        {
            "name": "given",
            "dataset": {"source": "data#raw"},
            "answer": {"generator": {"kind": "file", "path": student}},
            "tool_api": {"teachers": [{"kind": "file", "path": CALLS}, *teachers]},
            "sources": {},
        }
    )


def build(made: Recipe) -> Result:
    with Workspace(Path("cache"), progress=False) as workspace:
        return run(made, "out", workspace)


def test_each_call_is_run_and_verified(questions: list[dict[str, Any]]) -> None:
    right, wrong, *_ = questions
    (answer,), question = right["answer"], right["question"]
    formula = f"{int(answer) - 1}+1"
    write_calls(
        [
            {"id": "theirs", "question": question, "tool": f" calculator({formula})\n"},
            {"question": wrong["input"], "tool": "calculator(1+0)"},
        ]
    )
    made = build(recipe())
    assert made.summary.teachers == {"GSM8K_wrong.json": 1}
    cloned = {row["input"]: row["output"] for row in made.configs["stage1"]["train"]}
    assert cloned[question].strip() == f"calculator({formula})"
    reasons = [row["reason"] for row in made.configs["rejected"]["train"]]
    assert reasons[0] == "no verified tool call (GSM8K_wrong.json: the result is not the gold answer)"
    assert set(reasons[1:]) == {"no verified tool call (GSM8K_wrong.json: no call to this question)"}
    manifest = json.loads((made.directory / "manifest.json").read_text(encoding="utf-8"))
    assert "`GSM8K_wrong.json`" in manifest["models"]["teacher GSM8K_wrong.json"]
    assert set(manifest["prompts"]) == {"student"}


def test_what_a_plan_says_of_the_teacher_after_it_is_of_that_one() -> None:
    write_calls([{"question": "Q", "tool": "calculator(1+1)"}])
    with Workspace(Path("cache"), progress=False) as workspace:
        (entry,) = [one for one in plan(recipe(ENGINE), workspace).entries if one.stage == "tool_api"]
        needs = check(recipe(ENGINE), workspace)
    asked = {role.role: role.to_ask for role in needs.roles}
    assert (entry.requests, asked["teacher GSM8K_wrong.json"], asked["teacher gpt-4o-mini"]) == (4, None, 4)


def test_a_file_without_calls_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"tool_api\.teachers\.0: .*GSM8K_wrong.json: there is no such file"
    ):
        build(recipe())
    write_calls([{"question": "Q", "response": "calculator(1+1)"}])
    with pytest.raises(DataError, match=r"GSM8K_wrong.json:1: no column 'tool' or 'tool_call'.*'response'"):
        build(recipe())
