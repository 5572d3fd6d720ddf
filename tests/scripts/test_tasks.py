"""The published steps of the paper's other tasks, from the first to the last, in the published layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.scripts.test_command import typed
from toolgen_hf.testing import ApiRequest, ApiServer

pytestmark = pytest.mark.enable_socket

CAPITALS = {"Norway": "Oslo", "Peru": "Lima", "Kenya": "Nairobi"}
CONTEXT = "Context: {0} is a country. Its capital is {1}.\nQuestion: Hauptstadt von {0}?"
QUESTION = {"qa": "What is the capital of {0}?", "lama": "The capital of {0} is [MASK].", "mlqa": CONTEXT}
CALL = {"qa": "WikiSearch({0})", "lama": "QA(capital of {0})", "mlqa": "translator(Hauptstadt von {0}?)"}
DATASET = {"qa": "WebQ", "lama": "T-REx", "mlqa": "MLQA"}


TOLD = {"qa": "WikiSearch", "lama": "QA model", "mlqa": "translator"}
"""A word that the prompts of sources and teachers have, by task; the teacher's of ``lama`` has none of them."""


def speak(request: ApiRequest) -> str:
    """The student knows Kenya; a teacher and gpt write calls; the reader finds the capital, but not in German."""
    is_teacher = "Golden answers" in request.prompt
    asked = request.user.rpartition("Input: ")[2]
    country = max(CAPITALS, key=asked.rfind)
    if request.body["model"] == "reader":
        is_told = "Its capital is" in asked and "Hauptstadt" not in asked
        return CAPITALS[country] if is_told or asked.startswith("capital of") else "I do not know."
    task = next(
        (name for name, mark in TOLD.items() if mark in request.prompt), "lama" if is_teacher else None
    )
    if task is not None:
        return CALL[task].format(country)
    return "Nairobi" if country == "Kenya" else "I do not know."


def tools(folder: Path, url: str) -> Path:
    pages = [{"title": c, "contents": f"{c} is a country. Its capital is {a}."} for c, a in CAPITALS.items()]
    translated = [{"question": f"Hauptstadt von {c}?", "response": f"Capital of {c}?"} for c in CAPITALS]
    for name, made in (("pages", pages), ("translations", translated)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    reader = {"kind": "openai", "engine": "reader", "base_url": url}
    file = folder / "tools.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "tools": {
                    "WikiSearch": {"kind": "search", "corpus": str(folder / "pages.jsonl")},
                    "QA": {"kind": "qa", "reader": reader},
                    "translator": {
                        "kind": "translator",
                        "generator": {"kind": "file", "path": str(folder / "translations.jsonl")},
                    },
                },
                "reader": reader,
            }
        )
    )
    return file


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("task", ["qa", "lama", "mlqa"])
def test_all_steps(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLGEN_HF_HOME", str(tmp_path / "home"))
    name = DATASET[task]
    raw, stage1, stage2 = (tmp_path / part / name for part in ("raw", "stage1", "stage2"))
    for folder in (raw, stage1, stage2):
        folder.mkdir(parents=True)
    questions = [{"question": QUESTION[task].format(c, a), "answer": [a]} for c, a in CAPITALS.items()]
    (raw / f"{name}.json").write_text("".join(json.dumps(row) + "\n" for row in questions))
    with ApiServer(speak) as server:
        given = ("--tools", tools(tmp_path, server.base_url))
        asks = ("--base_url", server.base_url, "--engine", "gpt-4o-mini")
        assert typed("answer_questions.py", "--input", raw / f"{name}.json", "--task", task, *asks) == 0
        wrong = ("--input", raw / f"{name}_wrong.json", "--output", stage1 / f"{name}_wrong.json")
        assert typed("generate_tool_api.py", *wrong, "--dataset_name", name, *given, *asks) == 0
        parts = ("--right", raw / f"{name}_right.json", "--wrong", stage1 / f"{name}_wrong.json")
        whole = stage1 / f"{name}.json"
        assert typed("merge.py", *parts, "--output", whole, "--task", task, *given) == 0
        gold = stage2 / f"{name}_gold_response.json"
        assert typed("gold_response.py", "--input", whole, "--output", gold, "--task", task, *given) == 0
        gpt = ("--input", raw / f"{name}.json", "--output", stage2 / f"{name}_chatgpt_response.json")
        assert typed("generate_response_gpt.py", *gpt, "--task", task, *given, *asks) == 0
        folders = ("--data_path", stage2, "--target_path", stage2)
        assert typed("score.py", *folders, "--task", task, *given) == 0
    outputs = {row["input"]: row["output"] for row in rows(whole)}
    made = [outputs[row["question"]] for row in questions]
    assert made == [CALL[task].format("Norway"), CALL[task].format("Peru"), "Nairobi"]
    assert [row["pred"] for row in rows(gold)] == ["nairobi", "oslo", "lima"]
    scored = {row["query"].partition("\n")[2]: row["scores"] for row in rows(stage2 / f"{name}.json")}
    assert [scored[row["question"]] for row in questions] == [[20, 20], [20, 20], [20, 15]]


def test_a_task_whose_tools_are_not_named_says_so_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "q.json").write_text('{"question": "Who?", "answer": "Ann"}\n')
    with ApiServer("Bo") as server:
        given = ("--input", tmp_path / "q.json", "--output", tmp_path / "o.json", "--task", "qa")
        assert typed("generate_response_gpt.py", *given, "--base_url", server.base_url) == 2
        assert server.count == 0
    assert "tools.WikiSearch" in capsys.readouterr().err
